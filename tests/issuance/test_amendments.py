"""Corrections, renewals, replacements: what a later push does to certificates that exist."""

import copy
from datetime import date

import pytest

from hub.domain.certificate import ActKind, Standing
from tests.support import town as t
from tests.support.town import ANNA, BERT, CARD, CARL, DORA, HYGIENE, PERMIT, TODAY, body, grant, refusal, refused
from tests.support.views import has_leaf_for_every_act, identifiers, is_everywhere, is_signed, says

WEST = {"place": "西市"}


# --- corrections -----------------------------------------------------------------------------------------------------


def test_what_an_amendment_repeats_stays_as_it_is(town):
    first = town.issue("C-1", grant("许-1"), grant("许-2", BERT))
    before = town.counts()
    again = town.issue("C-1", grant("许-1"), grant("许-2", BERT), amendment=1)
    assert [(v.identifier, v.version, v.code, v.revision) for v in again] == [
        (v.identifier, v.version, v.code, v.revision) for v in first
    ]
    after = town.counts()
    assert {name for name in after if after[name] != before[name]} == {"pushes", "audit"}
    assert town.live("C-1")["amendment"] == 1
    assert town.agrees()


def test_changed_content_is_the_next_version_of_the_same_certificate(town):
    first, other = town.issue("C-1", grant("许-1"), grant("许-2", BERT))
    pushed = grant("许-1", fields=WEST)
    second, still = town.issue("C-1", pushed, grant("许-2", BERT), amendment=1)
    assert (second.home, second.certificate, second.serial) == (first.home, first.certificate, first.serial)
    assert (first.version, second.version) == (1, 2)
    assert first.identifier != second.identifier
    assert first.code != second.code
    assert is_signed(town, second)
    assert says(second, pushed)
    assert still.identifier == other.identifier
    assert is_everywhere(town, first, "superseded")
    assert is_everywhere(town, second, "valid")
    assert has_leaf_for_every_act(town, second, ActKind.ISSUED, ActKind.CORRECTED)
    assert town.acts(second)[-1].effective_on == TODAY
    assert identifiers(town.live("C-1")) == [second.identifier, other.identifier]
    assert town.agrees()


@pytest.mark.parametrize(
    "changed",
    [
        {"fields": WEST},
        {"fields": {"place": "东市", "seats": 3}},
        {"holders": [{**ANNA, "name": "安试 二"}]},
        {"holders": [BERT]},
        {"holders": [ANNA, BERT]},
        {"issued_on": "2026-02-28", "valid_from": "2026-03-01"},
        {"valid_from": "2026-03-02"},
        {"valid_until": "2030-01-01"},
        {"number": "许一1"},
    ],
)
def test_every_part_of_the_content_counts(town, changed):
    town.issue("C-1", grant("许一-1"))
    pushed = {**grant("许一-1"), **changed}
    [second] = town.issue("C-1", pushed, amendment=1)
    assert second.version == 2
    assert says(second, pushed)
    assert town.agrees()


def test_what_is_only_written_in_another_way_does_not_count(town):
    [first] = town.issue("C-1", grant("许-1"))
    spelt = {**ANNA, "id_number": " ".join(ANNA["id_number"].lower()), "name": f" {ANNA['name']} "}
    pushed = grant(" 许-1 ", spelt, valid_from="2026-03-01")
    [again] = town.issue("C-1", pushed, amendment=1)
    assert again.identifier == first.identifier


def test_a_push_that_names_no_edition_means_the_one_that_the_certificate_has(town):
    first, _ = town.issue("C-1", grant("许-1"), grant("许-2"))
    town.clock.pass_days(1)
    catalogue = copy.deepcopy(t.CATALOGUE)
    kind = next(kind for kind in catalogue["types"] if kind["code"] == PERMIT)
    kind["fields"].append({"name": "stand", "label": "摊", "label_en": "Stand", "type": "text", "required": False})
    town.parts.registration.load_catalogue(catalogue)
    same, changed = town.issue("C-1", grant("许-1"), grant("许-2", fields=WEST), amendment=1)
    assert (same.identifier, same.edition) == (first.identifier, 1)
    assert (changed.version, changed.edition) == (2, 2)
    [named, _] = town.issue("C-1", grant("许-1", edition=2), grant("许-2", fields=WEST), amendment=2)
    assert (named.version, named.edition) == (2, 2)
    assert town.agrees()


def test_an_amendment_may_add_a_certificate(town):
    [first] = town.issue("C-1", grant("许-1"))
    added, still = town.issue("C-1", grant("卡-1", BERT, type_code=CARD), grant("许-1"), amendment=1)
    assert (added.version, still.identifier) == (1, first.identifier)
    assert identifiers(town.live("C-1")) == [added.identifier, first.identifier]
    assert town.agrees()


def test_an_amendment_may_not_leave_one_out(town):
    town.issue("C-1", grant("许-1"), grant("许-2"))
    assert refused(town.push, "C-1", body(grant("许-1"), amendment=1)) == "case.conflict"
    assert refused(town.push, "C-1", body(grant("许-1"), grant("许-3"), amendment=1)) == "case.conflict"
    assert refused(town.push, "C-1", body(status="completed", amendment=1)) == "case.conflict"
    for ending in ("refused", "withdrawn"):
        assert refused(town.push, "C-1", body(status=ending, amendment=1)) == "case.conflict"
    assert town.live("C-1")["amendment"] == 0


def test_an_ended_case_changes_by_a_higher_amendment_alone(town):
    town.issue("C-1", grant("许-1"), amendment=3)
    for amendment, code in ((3, "case.conflict"), (2, "case.stale"), (0, "case.stale")):
        pushes = [body(grant("许-1", fields=WEST), amendment=amendment), body(status="refused", amendment=amendment)]
        for content in pushes:
            problem = refusal(town.push, "C-1", content)
            assert (problem.code, [e.pointer for e in problem.errors]) == (code, ["/amendment"])
    assert refused(town.push, "C-1", body(grant("许-1"), amendment=4, matter_code=t.REGISTER)) in {
        "case.conflict",
        "type.not_in_matter",
    }
    assert town.push("C-1", body(grant("许-1", fields=WEST), amendment=7)).status == 200


def test_a_refused_case_may_be_decided_again(town):
    town.push("C-1", body(status="refused"))
    assert refused(town.push, "C-1", body(grant("许-1"))) == "case.conflict"
    [record] = town.issue("C-1", grant("许-1"), amendment=1)
    assert is_everywhere(town, record, "valid")
    assert town.agrees()


def test_an_open_case_may_be_pushed_again_but_not_reverted(town):
    assert town.push("C-1", body(amendment=2)).status == 201
    assert town.push("C-1", body(amendment=2, applicants=[BERT])).status == 200
    assert refused(town.push, "C-1", body(amendment=1)) == "case.stale"
    assert refused(town.push, "C-1", body(grant("许-1"))) == "case.stale"


def test_a_correction_of_a_suspended_one_stays_suspended(town):
    [first] = town.issue("C-1", grant("许-1"))
    town.move("suspend", first, kind="lost")
    [second] = town.issue("C-1", grant("许-1", fields=WEST), amendment=1)
    assert is_everywhere(town, first, "superseded")
    assert is_everywhere(town, second, "suspended", "lost")
    town.move("restore", second, kind="lost")
    assert is_everywhere(town, second, "valid")
    assert is_everywhere(town, first, "superseded")
    assert has_leaf_for_every_act(town, second, ActKind.ISSUED, ActKind.SUSPENDED, ActKind.CORRECTED, ActKind.RESTORED)
    assert town.agrees()


def test_a_revoked_one_is_not_corrected_and_may_be_repeated(town):
    revoked, _ = town.issue("C-1", grant("许-1"), grant("许-2"))
    town.move("revoke", revoked)
    problem = refusal(town.push, "C-1", body(grant("许-1", fields=WEST), grant("许-2"), amendment=1))
    assert (problem.code, [e.pointer for e in problem.errors]) == ("certificate.move", ["/certificates/0"])
    same, second = town.issue("C-1", grant("许-1"), grant("许-2", fields=WEST), amendment=1)
    assert (same.identifier, second.version) == (revoked.identifier, 2)
    assert is_everywhere(town, revoked, "revoked", "cancelled")
    assert town.agrees()


def test_an_expired_one_may_be_corrected(town):
    [first] = town.issue("C-1", grant("许-1", valid_until="2026-03-05"))
    [second] = town.issue("C-1", grant("许-1", valid_until="2026-12-31"), amendment=1)
    assert is_everywhere(town, first, "superseded")
    assert is_everywhere(town, second, "valid")


def test_one_that_another_case_renewed_is_corrected_there_alone(town):
    [first] = town.issue("C-1", grant("许-1"))
    [second] = town.issue("C-2", grant("许-1", fields=WEST, supersedes=[first.identifier]))
    problem = refusal(town.push, "C-1", body(grant("许-1", fields={"place": "南市"}), amendment=1))
    assert (problem.code, [e.pointer for e in problem.errors]) == ("case.conflict", ["/certificates/0"])
    [same] = town.issue("C-1", grant("许-1"), amendment=1)
    assert same.identifier == first.identifier
    renewed = grant("许-1", fields={"place": "南市"}, supersedes=[first.identifier])
    [third] = town.issue("C-2", renewed, amendment=1)
    assert third.version == 3
    assert [town.state(v) for v in (first, second, third)] == ["superseded", "superseded", "valid"]
    assert town.agrees()


def test_one_that_another_certificate_replaced_is_not_corrected(town):
    [first] = town.issue("C-1", grant("许-1"))
    town.issue("C-2", grant("许-2", supersedes=[first.identifier]))
    assert refused(town.push, "C-1", body(grant("许-1", fields=WEST), amendment=1)) == "certificate.move"
    town.issue("C-1", grant("许-1"), amendment=1)
    assert town.agrees()


def test_one_that_another_certificate_will_replace_is_not_corrected(town):
    [first] = town.issue("C-1", grant("许-1"))
    town.issue("C-2", grant("许-2", valid_from="2026-04-01", supersedes=[first.identifier]))
    assert refused(town.push, "C-1", body(grant("许-1", fields=WEST), amendment=1)) == "certificate.move"
    assert is_everywhere(town, first, "valid")
    assert town.agrees()


# --- replacing others ------------------------------------------------------------------------------------------------


def test_one_supersedes_three(town):
    olds = town.issue("C-1", grant("许-1"), grant("许-2", BERT), grant("卡-3", CARL, type_code=CARD))
    town.move("suspend", olds[1])
    [record] = town.issue("C-2", grant("许-4", DORA, supersedes=[v.identifier for v in olds]))
    assert (record.version, record.serial in {v.serial for v in olds}) == (1, False)
    for old in olds:
        assert is_everywhere(town, old, "superseded")
        assert town.version(old.identifier).standing is Standing.SUPERSEDED
    assert has_leaf_for_every_act(town, olds[0], ActKind.ISSUED, ActKind.SUPERSEDED)
    assert has_leaf_for_every_act(town, olds[1], ActKind.ISSUED, ActKind.SUSPENDED, ActKind.SUPERSEDED)
    assert town.agrees()


def test_two_new_ones_supersede_one(town):
    [old] = town.issue("C-1", grant("许-1"))
    both = town.issue("C-2", *(grant(f"许-{n}", supersedes=[old.identifier]) for n in (2, 3)))
    assert [town.state(v) for v in both] == ["valid", "valid"]
    assert is_everywhere(town, old, "superseded")
    assert has_leaf_for_every_act(town, old, ActKind.ISSUED, ActKind.SUPERSEDED)
    assert town.agrees()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_one_that_is_split_ends_when_the_first_part_begins(town, order):
    [old] = town.issue("C-1", grant("许-1"))
    parts = [
        grant("许-2", valid_from="2026-03-20", supersedes=[old.identifier]),
        grant("许-3", valid_from="2026-03-30", supersedes=[old.identifier]),
    ]
    town.issue("C-2", *(parts[n] for n in order))
    assert town.version(old.identifier).dates.superseded_on == date(2026, 3, 20)
    town.clock.pass_days(10)
    assert is_everywhere(town, old, "superseded")
    assert town.agrees()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_part_may_keep_the_number_of_the_whole(town, order):
    [old] = town.issue("C-1", grant("许-1"))
    pushed = [
        grant("许-1", fields=WEST, supersedes=[old.identifier]),
        grant("许-2", BERT, supersedes=[old.identifier]),
    ]
    found = {v.number: v for v in town.issue("C-2", *(pushed[n] for n in order))}
    assert (found["许-1"].certificate, found["许-1"].version) == (old.certificate, 2)
    assert found["许-2"].version == 1
    assert is_everywhere(town, old, "superseded")
    assert is_everywhere(town, found["许-1"], "valid")
    assert is_everywhere(town, found["许-2"], "valid")
    assert has_leaf_for_every_act(town, old, ActKind.ISSUED, ActKind.RENEWED)
    assert town.agrees()


def test_an_amendment_may_repeat_what_its_case_supersedes(town):
    olds = town.issue("C-1", grant("许-1"), grant("许-2"))
    replacing = {"supersedes": [v.identifier for v in olds]}
    [first] = town.issue("C-2", grant("许-3", **replacing))
    [same] = town.issue("C-2", grant("许-3", **replacing), amendment=1)
    assert same.identifier == first.identifier
    [second] = town.issue("C-2", grant("许-3", fields=WEST, **replacing), amendment=2)
    assert (second.version, town.state(first)) == (2, "superseded")
    [third] = town.issue("C-2", grant("许-3", fields={"place": "南市"}), amendment=3)
    assert third.version == 3
    assert has_leaf_for_every_act(town, olds[0], ActKind.ISSUED, ActKind.SUPERSEDED)
    assert town.agrees()


def test_an_amendment_may_supersede_one_more(town):
    old, other = town.issue("C-1", grant("许-1"), grant("许-2"))
    [first] = town.issue("C-2", grant("许-3", supersedes=[old.identifier]))
    both = [old.identifier, other.identifier]
    [same] = town.issue("C-2", grant("许-3", supersedes=both), amendment=1)
    assert same.identifier == first.identifier
    assert is_everywhere(town, other, "superseded")
    assert town.agrees()


def test_a_case_does_not_supersede_its_own(town):
    [first] = town.issue("C-1", grant("许-1"))
    more = grant("许-2", supersedes=[first.identifier])
    problem = refusal(town.push, "C-1", body(grant("许-1"), more, amendment=1))
    assert (problem.code, [e.pointer for e in problem.errors]) == ("case.conflict", ["/certificates/1/supersedes/0"])
    [second] = town.issue("C-1", grant("许-1", fields=WEST), amendment=1)
    for own in (first, second):
        more = grant("许-2", supersedes=[own.identifier])
        content = body(grant("许-1", fields=WEST), more, amendment=2)
        assert refused(town.push, "C-1", content) == "case.conflict"
    assert is_everywhere(town, second, "valid")
    assert town.agrees()


def test_only_the_issuer_replaces(town):
    [foreign] = town.issue("C-1", grant("卫-1", type_code=HYGIENE), by=t.HEALER, matter_code=t.INSPECT)
    content = body(grant("许-1", supersedes=[foreign.identifier]))
    problem = refusal(town.push, "C-2", content)
    assert (problem.code, [e.pointer for e in problem.errors]) == (
        "perm.not_issuer",
        ["/certificates/0/supersedes/0"],
    )
    assert refused(town.push, "C-2", content, t.AGENT, t.TRADE) == "perm.not_issuer"
    assert is_everywhere(town, foreign, "valid")


@pytest.mark.parametrize("named", ["", "nonsense", "1.2.156.3005.2.X", "许-1"])
def test_unknown_identifiers_are_not_replaced(town, named):
    town.issue("C-1", grant("许-1"))
    assert refused(town.push, "C-2", body(grant("许-2", supersedes=[named]))) == "certificate.not_found"


def test_an_identifier_is_read_as_it_stands(town):
    """With different letter case or check character, it is a different identifier."""
    [old] = town.issue("C-1", grant("许-1"))
    last = "0" if old.identifier[-1] != "0" else "1"
    for named in (old.identifier.lower(), old.identifier[:-1] + last, f" {old.identifier}"):
        if named != old.identifier:
            assert refused(town.push, "C-2", body(grant("许-2", supersedes=[named]))) == "certificate.not_found"


def test_what_has_ended_or_has_a_successor_is_not_replaced(town):
    revoked, corrected, renewed, replaced, later = town.issue("C-1", *(grant(f"许-{n}") for n in range(5)))
    town.move("revoke", revoked)
    rest = [grant(f"许-{n}") for n in (2, 3, 4)]
    town.issue("C-1", grant("许-0"), grant("许-1", fields=WEST), *rest, amendment=1)
    town.issue("C-2", grant("许-2", supersedes=[renewed.identifier]))
    town.issue("C-3", grant("许-9", supersedes=[replaced.identifier]))
    town.issue("C-4", grant("许-10", valid_from="2026-05-01", supersedes=[later.identifier]))
    for record in (revoked, corrected, renewed, replaced, later):
        problem = refusal(town.push, "C-5", body(grant("许-20", supersedes=[record.identifier])))
        assert (problem.code, [e.pointer for e in problem.errors]) == (
            "certificate.move",
            ["/certificates/0/supersedes/0"],
        )
    assert town.agrees()


def test_one_is_named_once(town):
    [old] = town.issue("C-1", grant("许-1"))
    twice = body(grant("许-2", supersedes=[old.identifier] * 2))
    assert refused(town.push, "C-2", twice) == "schema.invalid"


def test_a_replacement_is_all_or_none_too(town):
    olds = town.issue("C-1", grant("许-1"), grant("许-2"))
    town.move("revoke", olds[1])
    assert refused(town.push, "C-2", body(grant("许-3", supersedes=[v.identifier for v in olds]))) == "certificate.move"
    assert is_everywhere(town, olds[0], "valid")
    [record] = town.issue("C-3", grant("许-3", supersedes=[olds[0].identifier]))
    assert is_everywhere(town, record, "valid")
    assert town.agrees()


def test_a_replaced_one_stays_what_it_was_until_its_successor_begins(town):
    plain, lost, running_out = town.issue("C-1", grant("许-1"), grant("许-2"), grant("许-3", valid_until="2026-03-12"))
    town.move("suspend", lost, kind="lost")
    olds = [plain, lost, running_out]
    [record] = town.issue("C-2", grant("许-4", valid_from="2026-03-15", supersedes=[v.identifier for v in olds]))
    assert [town.state(v) for v in (*olds, record)] == ["valid", "suspended", "valid", "not_yet"]
    assert is_everywhere(town, plain, "valid")
    assert is_everywhere(town, lost, "suspended", "lost")
    town.clock.pass_days(4)
    assert [town.state(v) for v in (*olds, record)] == ["valid", "suspended", "expired", "not_yet"]
    town.clock.pass_days(1)
    for old in olds:
        assert is_everywhere(town, old, "superseded")
    assert is_everywhere(town, record, "valid")
    assert town.agrees()

"""Certificates that replace others, across cases."""

from datetime import date

import pytest

from hub.domain.certificate import ActKind, Standing
from hub.store.certificates import VersionRecord
from tests import town as t
from tests.town import ANNA, BERT, CARL, HEALER, Town, body, grant, places, refusal, refused


def states(town: Town, *versions: VersionRecord) -> list[str]:
    return [town.state(version) for version in versions]


def test_one_replaces_three(town: Town) -> None:
    old = [*town.issue("T-1", grant("N-1"), grant("N-2", BERT)), *town.issue("T-2", grant("N-3", CARL))]
    (new,) = town.issue("T-3", grant("N-4", supersedes=[v.identifier for v in old]))
    assert states(town, *old, new) == ["superseded"] * 3 + ["valid"]
    assert (new.version, new.certificate in {v.certificate for v in old}) == (1, False)
    for version in old:
        assert town.version(version.identifier).dates.superseded_on == new.dates.valid_from
        act = town.acts(version)[-1]
        assert (act.kind, act.standing, act.client) == (ActKind.SUPERSEDED, Standing.SUPERSEDED, "town-trade")
        assert act.effective_on == new.dates.valid_from
    assert town.agrees()


def test_two_replace_one(town: Town) -> None:
    (old,) = town.issue("T-1", grant("N-1"))
    first, second = town.issue(
        "T-2",
        grant("N-2", supersedes=[old.identifier], valid_from="2026-07-01"),
        grant("N-3", supersedes=[old.identifier], valid_from="2026-06-01"),
    )
    assert len(town.acts(old)) == 2
    assert town.version(old.identifier).dates.superseded_on == date(2026, 6, 1)  # when the first of them begins
    assert states(town, old, first, second) == ["valid", "not_yet", "not_yet"]
    assert town.agrees()


@pytest.mark.parametrize("renewal_first", [True, False])
def test_one_is_renewed_while_a_part_is_split_off(town: Town, renewal_first: bool) -> None:
    (old,) = town.issue("T-1", grant("N-1"))
    renewal = grant("N-1", BERT, supersedes=[old.identifier], valid_from="2026-06-01")
    part = grant("N-2", CARL, supersedes=[old.identifier], valid_from="2026-06-01")
    found = {v.number: v for v in town.issue("T-2", *((renewal, part) if renewal_first else (part, renewal)))}
    assert (found["N-1"].certificate, found["N-1"].version) == (old.certificate, 2)
    assert (found["N-2"].certificate == old.certificate, found["N-2"].version) == (False, 1)
    assert [a.kind for a in town.acts(old)] == [ActKind.ISSUED, ActKind.RENEWED]
    assert states(town, old, found["N-1"], found["N-2"]) == ["valid", "not_yet", "not_yet"]
    assert town.agrees()


# --- renewal ----------------------------------------------------------------------------------------------------------


def test_a_renewal_is_the_next_version_and_the_old_one_stays_valid_until_then(town: Town) -> None:
    (old,) = town.issue("T-1", grant("N-1", valid_until="2026-05-31"))
    (new,) = town.issue("T-2", grant("n 1", supersedes=[old.identifier], valid_from="2026-06-01"))
    assert (new.certificate, new.serial, new.version, new.case_number) == (old.certificate, old.serial, 2, "T-2")
    assert town.acts(new)[-1].kind is ActKind.RENEWED
    assert town.acts(new)[-1].effective_on == date(2026, 6, 1)
    assert states(town, old, new) == ["valid", "not_yet"]
    town.clock.at = town.clock.at.replace(month=5, day=31, hour=23, minute=59)
    assert states(town, old, new) == ["valid", "not_yet"]
    town.clock.at = town.clock.at.replace(month=6, day=1, hour=0, minute=0)
    assert states(town, old, new) == ["superseded", "valid"]
    assert [item["state"] for item in town.live("T-1")["certificates"]] == ["superseded"]
    assert [item["state"] for item in town.live("T-2")["certificates"]] == ["valid"]
    assert town.agrees()


@pytest.mark.parametrize("more", [{"supersedes": []}, {"supersedes": "both"}, {"supersedes": "other"}])
def test_only_exactly_one_and_the_same_is_renewed(town: Town, more: dict[str, object]) -> None:
    old, other = town.issue("T-1", grant("N-1"), grant("N-2"))
    named = {"both": [old.identifier, other.identifier], "other": [other.identifier]}
    supersedes = named.get(str(more["supersedes"]), [])
    found = refusal(town.push, "T-2", body(grant("N-1", supersedes=supersedes)))
    assert (found.code, places(found)) == ("number.taken", [("/certificates/0/number", "number.taken")])


def test_another_number_or_type_is_another_certificate(town: Town) -> None:
    (old,) = town.issue("T-1", grant("N-1"))
    (other,) = town.issue("T-2", grant("N-2", supersedes=[old.identifier]))
    assert (other.version, other.certificate == old.certificate) == (1, False)
    (card,) = town.issue("T-3", grant("N-2", type_code=t.CARD, supersedes=[other.identifier]))
    assert (card.version, card.certificate == other.certificate) == (1, False)


def test_a_renewal_ends_a_suspension_and_a_replacement_keeps_it_until_then(town: Town) -> None:
    one, two = town.issue("T-1", grant("N-1"), grant("N-2"))
    for version in (one, two):
        town.move("suspend", version)
    (renewed,) = town.issue("T-2", grant("N-1", supersedes=[one.identifier]))
    (replaced,) = town.issue("T-3", grant("N-3", supersedes=[two.identifier], valid_from="2026-06-01"))
    assert states(town, one, renewed) == ["superseded", "valid"]
    assert states(town, two, replaced) == ["suspended", "not_yet"]
    assert town.move("restore", two).state == "valid"
    town.clock.pass_days(90)
    assert states(town, two, replaced) == ["superseded", "valid"]
    assert town.agrees()


def test_a_renewal_may_follow_a_renewal_and_an_expiry(town: Town) -> None:
    (v1,) = town.issue("T-1", grant("N-1", valid_until="2026-03-05"))
    (v2,) = town.issue("T-2", grant("N-1", supersedes=[v1.identifier], valid_until="2027-03-05"))
    (v3,) = town.issue("T-3", grant("N-1", supersedes=[v2.identifier], valid_from="2027-03-06"))
    assert states(town, v1, v2, v3) == ["superseded", "valid", "not_yet"]
    assert [v.version for v in (v1, v2, v3)] == [1, 2, 3]
    assert town.agrees()


def test_a_renewal_that_begins_before_what_it_renews_ends_all_of_them(town: Town) -> None:
    (v1,) = town.issue("T-1", grant("N-1"))
    (v2,) = town.issue("T-2", grant("N-1", supersedes=[v1.identifier], valid_from="2026-09-01"))
    (v3,) = town.issue("T-3", grant("N-1", supersedes=[v2.identifier], valid_from="2026-06-01"))
    assert states(town, v1, v2, v3) == ["valid", "not_yet", "not_yet"]
    town.clock.at = town.clock.at.replace(month=6, day=1)
    assert states(town, v1, v2, v3) == ["superseded", "superseded", "valid"]
    assert town.agrees()


def test_a_revocation_reaches_every_version(town: Town) -> None:
    (v1,) = town.issue("T-1", grant("N-1"))
    (v2,) = town.issue("T-2", grant("N-1", supersedes=[v1.identifier], valid_from="2026-06-01"))
    town.move("revoke", v1)
    assert states(town, v1, v2) == ["revoked", "revoked"]
    assert refused(town.push, "T-3", body(grant("N-1", supersedes=[v2.identifier]))) == "certificate.move"
    assert town.agrees()


# --- what cannot be replaced ------------------------------------------------------------------------------------------


def test_what_another_authority_issued(town: Town) -> None:
    (foreign,) = town.issue("T-1", grant("H-1", type_code=t.HYGIENE), by=HEALER, matter_code=t.INSPECT)
    for by in (t.TRADER, t.AGENT):
        found = refusal(town.push, "T-2", body(grant("N-1", supersedes=[foreign.identifier])), by)
        assert (found.code, places(found)) == ("perm.not_issuer", [("/certificates/0/supersedes/0", "perm.not_issuer")])
    assert town.state(foreign) == "valid"


def test_what_does_not_exist(town: Town) -> None:
    (old,) = town.issue("T-1", grant("N-1"))
    for name in ("", "x" * 160, old.identifier[:-1], old.identifier.lower() + "0", old.code, old.identifier + " "):
        assert refused(town.push, "T-2", body(grant("N-2", supersedes=[name]))) == "certificate.not_found"


@pytest.mark.parametrize("how", ["replaced", "renewed", "replaced later", "renewed later", "corrected", "revoked"])
def test_what_has_ended_or_has_a_successor(town: Town, how: str) -> None:
    (old,) = town.issue("T-1", grant("N-1"))
    later = {"valid_from": "2026-06-01"} if "later" in how else {}
    if how == "revoked":
        town.move("revoke", old)
    elif how == "corrected":
        town.issue("T-1", grant("N-1", BERT), amendment=1)
    else:
        number = "N-2" if "replaced" in how else "N-1"
        town.issue("T-2", grant(number, supersedes=[old.identifier], **later))
    before = town.counts()
    for number in ("N-1", "N-3"):
        found = refusal(town.push, "T-3", body(grant(number, supersedes=[old.identifier])))
        assert found.code == "number.taken" if number == "N-1" and how == "x" else found.code == "certificate.move"
        assert places(found) == [("/certificates/0/supersedes/0", "certificate.move")]
    assert town.counts() == {**before, "audit": before["audit"] + 2}


def test_a_cases_own_certificates(town: Town) -> None:
    one, two = town.issue("T-1", grant("N-1"), grant("N-2"))
    content = body(grant("N-1"), grant("N-2", BERT, supersedes=[one.identifier]), amendment=1)
    found = refusal(town.push, "T-1", content)
    assert (found.code, places(found)) == ("case.conflict", [("/certificates/1/supersedes/0", "case.conflict")])
    assert states(town, one, two) == ["valid", "valid"]


# --- amendments of cases that replace ---------------------------------------------------------------------------------


def test_an_amendment_may_say_again_or_no_more_what_it_replaces(town: Town) -> None:
    (old,) = town.issue("T-1", grant("N-1"))
    (new,) = town.issue("T-2", grant("N-2", supersedes=[old.identifier]))
    assert town.issue("T-2", grant("N-2", supersedes=[old.identifier]), amendment=1) == [new]
    assert town.issue("T-2", grant("N-2"), amendment=2) == [new]
    (corrected,) = town.issue("T-2", grant("N-2", ANNA, BERT, supersedes=[old.identifier]), amendment=3)
    assert states(town, old, new, corrected) == ["superseded", "superseded", "valid"]
    assert len(town.acts(old)) == 2
    assert town.agrees()


def test_an_amendment_may_replace_one_more(town: Town) -> None:
    one, two = town.issue("T-1", grant("N-1"), grant("N-2"))
    (new,) = town.issue("T-2", grant("N-3", supersedes=[one.identifier]))
    assert town.issue("T-2", grant("N-3", supersedes=[one.identifier, two.identifier]), amendment=1) == [new]
    assert states(town, one, two, new) == ["superseded", "superseded", "valid"]
    assert town.agrees()


def test_a_second_case_cannot_replace_what_the_first_one_will(town: Town) -> None:
    (old,) = town.issue("T-1", grant("N-1"))
    with town.without_signer():
        assert town.push("T-2", body(grant("N-2", supersedes=[old.identifier]))).status == 202
        found = refusal(town.push, "T-3", body(grant("N-3", supersedes=[old.identifier])))
        assert (found.code, places(found)) == (
            "certificate.move",
            [("/certificates/0/supersedes/0", "certificate.move")],
        )
        assert refused(town.push, "T-3", body(grant("N-2"))) == "number.taken"
    assert town.push("T-2", body(grant("N-2", supersedes=[old.identifier]))).reply["issuance"] == "done"
    assert town.agrees()


def test_a_case_does_not_replace_its_own_former_versions_either(town: Town) -> None:
    (old,) = town.issue("T-1", grant("N-1"))
    town.issue("T-1", grant("N-1", BERT), amendment=1)
    for contents in (
        [grant("N-1", BERT), grant("N-2", supersedes=[old.identifier])],
        [grant("N-1", CARL, supersedes=[old.identifier])],
    ):
        assert refused(town.push, "T-1", body(*contents, amendment=2)) == "case.conflict"


def test_an_amendment_repeats_a_renewal_and_a_part_that_was_split_off(town: Town) -> None:
    (old,) = town.issue("T-1", grant("N-1"))
    contents = [grant("N-1", supersedes=[old.identifier]), grant("N-2", CARL, supersedes=[old.identifier])]
    issued = town.issue("T-2", *contents)
    assert town.issue("T-2", *contents, amendment=1) == issued
    assert town.agrees()

"""What a later push of a finished case does to its certificates."""

import copy
from datetime import date

import pytest

from hub.domain.certificate import ActKind, Standing
from tests import town as t
from tests.town import ANNA, BERT, CARL, Body, Town, body, grant, places, refusal, refused


def test_what_is_repeated_stays_and_what_is_changed_becomes_the_next_version(town: Town) -> None:
    kept, changed = town.issue("T-1", grant("N-1"), grant("N-2"))
    town.clock.pass_days(1)
    again, corrected = town.issue("T-1", grant("N-1"), grant("N-2", fields={"place": "西市"}), amendment=1)
    assert again == kept
    assert (corrected.certificate, corrected.serial, corrected.version) == (changed.certificate, changed.serial, 2)
    assert corrected.identifier != changed.identifier
    assert corrected.code != changed.code
    assert (town.state(changed), town.state(corrected)) == ("superseded", "valid")
    assert town.version(changed.identifier).dates.superseded_on == date(2026, 3, 11)
    assert [(a.kind, a.version, a.effective_on) for a in town.acts(corrected)] == [
        (ActKind.ISSUED, 1, date(2026, 3, 1)),
        (ActKind.CORRECTED, 2, date(2026, 3, 11)),
    ]
    assert [item["version"] for item in town.live("T-1")["certificates"]] == [1, 2]
    assert town.live("T-1")["amendment"] == 1
    assert town.agrees()


CHANGES: dict[str, Body] = {
    "a field": {"fields": {"place": "西市"}},
    "one more field": {"fields": {"place": "东市", "seats": 4}},
    "a holder's name": {"holders": [{**ANNA, "name": "安更"}]},
    "another holder": {"holders": [BERT]},
    "one more holder": {"holders": [ANNA, BERT]},
    "the day of issue": {"issued_on": "2026-03-02"},
    "the beginning": {"valid_from": "2026-03-02"},
    "the end": {"valid_until": "2027-03-01"},
    "the spelling of the number": {"number": "n 1"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_is_printed_counts_as_content(town: Town, name: str) -> None:
    (first,) = town.issue("T-1", grant("N-1"))
    (second,) = town.issue("T-1", {**grant("N-1"), **CHANGES[name]}, amendment=1)
    assert (second.certificate, second.version) == (first.certificate, 2)
    assert second.number == CHANGES[name].get("number", "N-1")
    assert town.agrees()


def test_what_is_only_spelt_otherwise_stays(town: Town) -> None:
    (first,) = town.issue("T-1", grant("N-1"))
    holder = {**ANNA, "name": f" {ANNA['name']}", "id_number": ANNA["id_number"].lower() + " "}
    same = {**grant(" N-1", holder), "valid_from": "2026-03-01", "edition": 1, "supersedes": []}
    (second,) = town.issue("T-1", same, amendment=1)
    assert second == first


def test_the_people_of_a_case_are_corrected_without_a_new_version(town: Town) -> None:
    (first,) = town.issue("T-1", grant("N-1"))
    assert town.issue("T-1", grant("N-1"), amendment=1, applicants=[ANNA, CARL]) == [first]
    assert len(town.rows("parties")) == 2


def test_a_certificate_is_added_and_order_follows_the_push(town: Town) -> None:
    (first,) = town.issue("T-1", grant("N-1"))
    added, again = town.issue("T-1", grant("N-0"), grant("N-1"), amendment=1)
    assert again == first
    assert (added.version, town.state(added)) == (1, "valid")
    assert [item["number"] for item in town.live("T-1")["certificates"]] == ["N-0", "N-1"]
    assert town.agrees()


def test_a_certificate_that_is_left_out_is_a_conflict(town: Town) -> None:
    town.issue("T-1", grant("N-1"), grant("N-2"))
    before = town.counts()
    for left in ([grant("N-1")], [grant("N-1"), grant("N-3")], [grant("N-1"), grant("N-2", type_code=t.CARD)]):
        found = refusal(town.push, "T-1", body(*left, amendment=1))
        assert (found.code, places(found)) == ("case.conflict", [("/certificates", "case.conflict")])
    assert town.counts() == {**before, "audit": before["audit"] + 3}


def test_amendments_only_rise(town: Town) -> None:
    town.issue("T-1", grant("N-1"))
    town.issue("T-1", grant("N-1", BERT), amendment=5)
    assert refused(town.push, "T-1", body(grant("N-1", CARL), amendment=4)) == "case.stale"
    assert refused(town.push, "T-1", body(grant("N-1", CARL), amendment=5)) == "case.conflict"
    assert refused(town.push, "T-1", body(grant("N-1", CARL))) == "case.stale"
    assert town.push("T-1", body(grant("N-1"))).status == 200  # said before
    (found,) = town.issue("T-1", grant("N-1", CARL), amendment=6)
    assert found.version == 3
    assert [town.state(v) for v in town.versions(found)] == ["superseded", "superseded", "valid"]
    assert town.agrees()


def test_an_amendment_that_goes_back_is_a_new_version(town: Town) -> None:
    (first,) = town.issue("T-1", grant("N-1"))
    town.issue("T-1", grant("N-1", BERT), amendment=1)
    (third,) = town.issue("T-1", grant("N-1"), amendment=2)
    assert (third.version, third.holders) == (3, first.holders)
    assert third.identifier != first.identifier


def test_a_correction_keeps_a_suspension(town: Town) -> None:
    (first,) = town.issue("T-1", grant("N-1"))
    town.move("suspend", first)
    (second,) = town.issue("T-1", grant("N-1", BERT), amendment=1)
    assert (town.state(first), town.state(second)) == ("superseded", "suspended")
    assert town.move("restore", second).state == "valid"
    assert town.agrees()


def test_a_revoked_certificate_is_repeated_but_not_corrected(town: Town) -> None:
    (first,) = town.issue("T-1", grant("N-1"))
    town.move("revoke", first)
    found = refusal(town.push, "T-1", body(grant("N-1", BERT), amendment=1))
    assert (found.code, places(found)) == ("certificate.move", [("/certificates/0", "certificate.move")])
    again, added = town.issue("T-1", grant("N-1"), grant("N-2"), amendment=1)
    assert (again.version, town.state(again), town.state(added)) == (1, "revoked", "valid")
    assert town.agrees()


def test_what_another_case_has_renewed_is_corrected_there(town: Town) -> None:
    (first,) = town.issue("T-1", grant("N-1"))
    (second,) = town.issue("T-2", grant("N-1", BERT, supersedes=[first.identifier]))
    found = refusal(town.push, "T-1", body(grant("N-1", CARL), amendment=1))
    assert (found.code, places(found)) == ("case.conflict", [("/certificates/0", "case.conflict")])
    assert town.issue("T-1", grant("N-1"), grant("N-2"), amendment=1)[0].version == 1
    (third,) = town.issue("T-2", grant("N-1", CARL, supersedes=[first.identifier]), amendment=1)
    assert [town.state(v) for v in (first, second, third)] == ["superseded", "superseded", "valid"]
    assert town.agrees()


def test_what_another_case_has_replaced_is_not_corrected(town: Town) -> None:
    (first,) = town.issue("T-1", grant("N-1"))
    town.issue("T-2", grant("N-2", supersedes=[first.identifier]))
    assert refused(town.push, "T-1", body(grant("N-1", BERT), amendment=1)) == "certificate.move"
    assert town.issue("T-1", grant("N-1"), amendment=1)
    assert town.agrees()


def test_what_another_case_will_replace_is_not_corrected(town: Town) -> None:
    (first,) = town.issue("T-1", grant("N-1"))
    town.issue("T-2", grant("N-2", supersedes=[first.identifier], valid_from="2026-06-01"))
    assert refused(town.push, "T-1", body(grant("N-1", BERT), amendment=1)) == "certificate.move"
    assert town.state(first) == "valid"


def test_an_expired_certificate_is_corrected(town: Town) -> None:
    (first,) = town.issue("T-1", grant("N-1", valid_until="2026-03-05"))
    assert town.state(first) == "expired"
    (second,) = town.issue("T-1", grant("N-1", valid_until="2036-03-05"), amendment=1)
    assert (town.state(first), town.state(second)) == ("superseded", "valid")


def test_the_number_of_a_correction_cannot_be_somebody_elses(town: Town) -> None:
    town.issue("T-1", grant("N-1"))
    town.issue("T-2", grant("N-2"))
    assert refused(town.push, "T-2", body(grant("N-2"), grant("N-1"), amendment=1)) == "number.taken"


# --- editions ---------------------------------------------------------------------------------------------------------


def new_edition(town: Town, *, required: bool) -> None:
    catalogue = copy.deepcopy(t.CATALOGUE)
    catalogue["types"][0]["fields"].append(
        {"name": "keeper", "label": "保管", "label_en": "Keeper", "type": "text", "required": required}
    )
    town.parts.registration.load_catalogue(catalogue)
    assert len(town.parts.catalogue().types[t.PERMIT].editions) == 2


@pytest.mark.parametrize("required", [False, True])
def test_a_newer_edition_leaves_what_is_repeated_alone(town: Town, required: bool) -> None:
    (first,) = town.issue("T-1", grant("N-1"))
    new_edition(town, required=required)
    assert town.issue("T-1", grant("N-1"), amendment=1) == [first]
    (named,) = town.issue("T-1", grant("N-1", edition=1), amendment=2)
    assert named == first


def test_an_edition_that_is_named_counts_as_content(town: Town) -> None:
    town.issue("T-1", grant("N-1"))
    new_edition(town, required=False)
    (second,) = town.issue("T-1", grant("N-1", edition=2), amendment=1)
    assert (second.version, second.edition) == (2, 2)


def test_a_correction_takes_the_newest_edition_that_it_fits(town: Town) -> None:
    town.issue("T-1", grant("N-1"), grant("N-2"))
    new_edition(town, required=True)
    full = {"place": "东市", "keeper": "安"}
    fits, old = town.issue("T-1", grant("N-1", fields=full), grant("N-2", BERT), amendment=1)
    assert [(v.version, v.edition) for v in (fits, old)] == [(2, 2), (2, 1)]
    assert refused(town.push, "T-2", body(grant("N-3"))) == "schema.invalid"
    assert refused(town.push, "T-1", body(grant("N-1"), grant("N-2"), grant("N-3"), amendment=2)) == "schema.invalid"
    assert refused(town.push, "T-1", body(grant("N-1"), grant("N-2", edition=2), amendment=2)) == "schema.invalid"
    assert town.agrees()


# --- what has not begun -----------------------------------------------------------------------------------------------


def renewed_from(town: Town, day: str) -> list[str]:
    """A certificate and its renewal by another case; their identifiers."""
    (first,) = town.issue("T-1", grant("N-1"))
    (second,) = town.issue("T-2", grant("N-1", supersedes=[first.identifier], valid_from=day))
    return [first.identifier, second.identifier]


@pytest.mark.parametrize("begins", ["2026-05-01", "2026-06-01", "2026-07-01", "2026-03-05"])
def test_a_renewal_that_will_begin_on_another_day_moves_the_end_of_what_it_renews(town: Town, begins: str) -> None:
    first, second = renewed_from(town, "2026-06-01")
    (third,) = town.issue("T-2", grant("N-1", BERT, supersedes=[first], valid_from=begins), amendment=1)
    turn = date.fromisoformat(begins)
    assert town.version(first).dates.superseded_on == turn
    assert town.state(town.version(second)) == "superseded"
    for day in (t.TODAY, date(2026, 4, 30), date(2026, 5, 1), date(2026, 6, 1), date(2026, 6, 30), date(2026, 7, 1)):
        states = [v.state(day).value for v in town.versions(third)]
        assert states == (["superseded", "superseded", "valid"] if turn <= day else ["valid", "superseded", "not_yet"])
    assert town.agrees()


@pytest.mark.parametrize("begins", ["2026-05-01", "2026-07-01", "2026-03-05"])
def test_a_replacement_that_will_begin_on_another_day_moves_the_end_of_what_it_replaces(
    town: Town, begins: str
) -> None:
    (old,) = town.issue("T-1", grant("N-1"))
    town.issue("T-2", grant("N-2", supersedes=[old.identifier], valid_from="2026-06-01"))
    (new,) = town.issue("T-2", grant("N-2", supersedes=[old.identifier], valid_from=begins), amendment=1)
    assert town.version(old.identifier).dates.superseded_on == date.fromisoformat(begins)
    assert (town.state(old), town.state(new)) in {("valid", "not_yet"), ("superseded", "valid")}
    assert town.acts(old)[-1].standing is (Standing.SUPERSEDED if begins < "2026-03-10" else Standing.ACTIVE)
    revision = town.version(old.identifier).revision
    town.issue("T-2", grant("N-2", supersedes=[old.identifier], valid_from=begins), amendment=2)
    assert town.version(old.identifier).revision == revision
    assert town.agrees()


def test_a_beginning_that_is_past_stays_where_it_was(town: Town) -> None:
    (old,) = town.issue("T-1", grant("N-1"))
    town.issue("T-2", grant("N-2", supersedes=[old.identifier]))
    town.issue("T-2", grant("N-2", supersedes=[old.identifier], valid_from="2026-09-01"), amendment=1)
    assert town.version(old.identifier).dates.superseded_on == date(2026, 3, 1)
    assert town.agrees()

"""Renewals: another case adds the next version of a certificate."""

from datetime import date

import pytest

from hub.domain.certificate import ActKind, Standing
from hub.verification import VerdictState
from tests.support import town as t
from tests.support.town import ANNA, BERT, CARD, CARL, TODAY, body, grant, refusal, refused
from tests.support.views import has_leaf_for_every_act, is_everywhere, is_signed, says

WEST = {"place": "西市"}

# --- renewal ---------------------------------------------------------------------------------------------------------


def test_a_renewal_is_the_next_version(town):
    [first] = town.issue("C-1", grant("许A-1"))
    pushed = grant("许a1", fields=WEST, issued_on="2026-03-10", supersedes=[first.identifier])
    [second] = town.issue("C-2", pushed)
    assert (second.home, second.certificate, second.serial) == (first.home, first.certificate, first.serial)
    assert (second.version, second.number, second.case_number) == (2, "许a1", "C-2")
    assert is_signed(town, second)
    assert says(second, {name: value for name, value in pushed.items() if name != "supersedes"})
    assert is_everywhere(town, first, "superseded")
    assert is_everywhere(town, second, "valid")
    assert has_leaf_for_every_act(town, first, ActKind.ISSUED, ActKind.RENEWED)
    assert [c["state"] for c in town.live("C-1")["certificates"]] == ["superseded"]
    assert town.agrees()


def test_a_renewal_may_be_for_another_client_of_the_authority(town):
    [first] = town.issue("C-1", grant("许-1"))
    found = town.push("C-1", body(grant("许-1", supersedes=[first.identifier])), t.AGENT)
    assert found.reply["certificates"][0]["version"] == 2
    assert town.live("C-1", t.AGENT)["case_number"] == "C-1"
    assert town.agrees()


def test_a_renewal_of_the_future_leaves_the_old_one_in_force_until_then(town):
    [first] = town.issue("C-1", grant("许-1", valid_until="2026-04-30"))
    renewed = grant("许-1", valid_from="2026-04-01", valid_until="2029-03-31", supersedes=[first.identifier])
    [second] = town.issue("C-2", renewed)
    assert town.version(first.identifier).dates.superseded_on == date(2026, 4, 1)
    assert is_everywhere(town, first, "valid")
    assert is_everywhere(town, second, "not_yet")
    town.clock.at = town.clock.at.replace(month=3, day=31, hour=23, minute=59)
    assert is_everywhere(town, first, "valid")
    town.clock.at = town.clock.at.replace(month=4, day=1, hour=0, minute=0)
    assert is_everywhere(town, first, "superseded")
    assert is_everywhere(town, second, "valid")
    assert town.agrees()


def test_a_renewal_after_the_end_is_one(town):
    [first] = town.issue("C-1", grant("许-1", valid_until="2026-03-05"))
    [second] = town.issue("C-2", grant("许-1", issued_on="2026-03-10", supersedes=[first.identifier]))
    assert (town.state(first), town.state(second)) == ("superseded", "valid")


def test_a_renewal_ends_a_suspension(town):
    [first] = town.issue("C-1", grant("许-1"))
    town.move("suspend", first, kind="lost")
    [second] = town.issue("C-2", grant("许-1", supersedes=[first.identifier]))
    assert is_everywhere(town, first, "superseded")
    assert is_everywhere(town, second, "valid")
    assert refused(town.move, "restore", second) == "certificate.move"
    assert town.agrees()


def test_a_suspended_one_stays_suspended_until_its_renewal_begins(town):
    [first] = town.issue("C-1", grant("许-1"))
    town.move("suspend", first, kind="lost")
    [second] = town.issue("C-2", grant("许-1", valid_from="2026-03-15", supersedes=[first.identifier]))
    assert is_everywhere(town, first, "suspended", "lost")
    assert is_everywhere(town, second, "not_yet")
    town.clock.pass_days(5)
    assert is_everywhere(town, first, "superseded")
    assert is_everywhere(town, second, "valid")
    assert town.agrees()


def test_a_renewal_is_of_one_certificate_with_its_own_number(town):
    first, other = town.issue("C-1", grant("许-1"), grant("许-2"))
    both = [first.identifier, other.identifier]
    for names in (both, both[::-1], [other.identifier], []):
        problem = refusal(town.push, "C-2", body(grant("许-1", supersedes=names)))
        assert (problem.code, [e.pointer for e in problem.errors]) == ("number.taken", ["/certificates/0/number"])
    [new] = town.issue("C-2", grant("许-1", type_code=CARD, supersedes=[first.identifier]))
    assert (new.version, new.certificate != first.certificate) == (1, True)
    assert town.agrees()


def test_one_version_is_renewed_once_by_one_case(town):
    [first] = town.issue("C-1", grant("许-1"))
    town.issue("C-2", grant("许-1", supersedes=[first.identifier]))
    assert refused(town.push, "C-3", body(grant("许-1", supersedes=[first.identifier]))) == "certificate.move"
    second = town.live("C-2")["certificates"][0]["identifier"]
    [third] = town.issue("C-3", grant("许-1", supersedes=[second]))
    assert third.version == 3
    assert town.agrees()


def test_holders_change_at_a_renewal_and_the_home_does_not(town):
    [first] = town.issue("C-1", grant("许-1", ANNA, BERT))
    [second] = town.issue("C-2", grant("许-1", CARL, BERT, supersedes=[first.identifier]))
    assert second.home == first.home == first.parties[0]
    assert second.home not in second.parties
    rows = {row["party"]: row for row in town.rows("holdings")}
    anna, bert, carl = first.parties[0], first.parties[1], second.parties[0]
    assert {party: (row["ordinal"], row["ended"]) for party, row in rows.items()} == {
        anna: (0, 1),
        bert: (1, 0),
        carl: (0, 0),
    }
    [third] = town.issue("C-3", grant("许-1", ANNA, supersedes=[second.identifier]))
    ended = {row["party"]: row["ended"] for row in town.rows("holdings")}
    assert ended == {anna: 0, bert: 1, carl: 1}
    town.move("suspend", third)
    [row] = [row for row in town.rows("holdings") if row["party"] == anna]
    assert row["standing"] == Standing.SUSPENDED
    assert town.agrees()


def test_every_old_identifier_answers_with_its_own_state(town):
    records = [town.issue("C-1", grant("许-1", valid_until="2026-03-31"))[0]]
    records += town.issue("C-1", grant("许-1", fields=WEST, valid_until="2026-03-31"), amendment=1)
    last = records[-1].identifier
    records += town.issue("C-2", grant("许-1", valid_from="2026-03-20", supersedes=[last]))
    assert [town.state(v) for v in records] == ["superseded", "valid", "not_yet"]
    for record in records:
        verdict = town.parts.verification.verify_code(record.code)
        assert verdict.certificate.version == record.version
        assert verdict.certificate.identifier == record.identifier
        assert verdict.state is VerdictState(town.state(record))
    town.clock.pass_days(10)
    assert [town.state(v) for v in records] == ["superseded", "superseded", "valid"]
    town.move("revoke", records[-1], kind="withdrawn")
    for record in records:
        assert is_everywhere(town, record, "revoked", "withdrawn")
    assert town.agrees()


# --- a successor that is itself corrected ----------------------------------------------------------------------------


@pytest.mark.parametrize("begins", ["2026-04-01", "2026-06-01"])
def test_an_old_version_ends_when_its_corrected_renewal_begins(town, begins):
    [first] = town.issue("C-1", grant("许-1"))
    renewed = grant("许-1", valid_from="2026-05-01", supersedes=[first.identifier])
    [second] = town.issue("C-2", renewed)
    [third] = town.issue("C-2", {**renewed, "valid_from": begins}, amendment=1)
    assert is_everywhere(town, second, "superseded")
    assert (town.state(first), town.state(third)) == ("valid", "not_yet")
    day = date.fromisoformat(begins)
    town.clock.pass_days((day - TODAY).days - 1)
    assert (town.state(first), town.state(third)) == ("valid", "not_yet")
    town.clock.pass_days(1)
    assert (town.state(first), town.state(third)) == ("superseded", "valid")
    assert town.agrees()


def test_versions_that_wait_for_one_another_end_one_after_the_other(town):
    """The third is corrected to begin before the second, and then after it again."""
    [first] = town.issue("C-1", grant("许-1"))
    [second] = town.issue("C-2", grant("许-1", valid_from="2026-04-01", supersedes=[first.identifier]))
    renewed = grant("许-1", valid_from="2026-06-01", supersedes=[second.identifier])
    town.issue("C-3", renewed)

    def ends():
        return [str(town.version(v.identifier).dates.superseded_on) for v in (first, second)]

    seen = [ends()]
    for amendment, day in enumerate(("2026-05-15", "2026-03-20", "2026-06-15"), 1):
        town.issue("C-3", {**renewed, "valid_from": day}, amendment=amendment)
        seen.append(ends())
    assert seen == [
        ["2026-04-01", "2026-06-01"],
        ["2026-04-01", "2026-05-15"],
        ["2026-03-20", "2026-03-20"],
        ["2026-04-01", "2026-06-15"],
    ]
    assert town.agrees()

"""Transitions and versions over time: which act affects which version, and which state has precedence."""

import pytest

from hub.domain.certificate import Standing
from tests.support.town import ANNA, BERT, grant, refused
from tests.support.views import is_everywhere

WEST = {"place": "西市"}


@pytest.fixture
def record(town):
    [found] = town.issue("C-1", grant("许-1"))
    return found


# --- versions --------------------------------------------------------------------------------------------------------


@pytest.fixture
def renewed(town, record):
    """(certificate in force until 20 March, its renewal)."""
    pushed = grant("许-1", fields=WEST, valid_from="2026-03-20", supersedes=[record.identifier])
    return [record, *town.issue("C-2", pushed)]


@pytest.mark.parametrize("named", [0, 1])
def test_a_suspension_reaches_the_renewal_that_has_not_begun(town, renewed, named):
    assert town.move("suspend", renewed[named], kind="lost").state == "suspended"
    assert [town.state(v) for v in renewed] == ["suspended", "suspended"]
    town.clock.pass_days(10)
    assert is_everywhere(town, renewed[0], "superseded")
    assert is_everywhere(town, renewed[1], "suspended", "lost")
    assert refused(town.move, "restore", renewed[0]) == "certificate.move"
    town.move("restore", renewed[1])
    assert is_everywhere(town, renewed[1], "valid")
    assert town.agrees()


@pytest.mark.parametrize("named", [0, 1])
def test_a_suspension_is_ended_before_the_renewal_begins(town, renewed, named):
    town.move("suspend", renewed[0])
    town.move("restore", renewed[named])
    assert is_everywhere(town, renewed[0], "valid")
    assert is_everywhere(town, renewed[1], "not_yet")
    assert town.agrees()


@pytest.mark.parametrize("named", [0, 1])
def test_a_revocation_reaches_every_version(town, renewed, named):
    town.move("revoke", renewed[named], kind="rescinded")
    for days in (0, 10):
        town.clock.pass_days(days)
        assert is_everywhere(town, renewed[0], "revoked", "rescinded")
        assert is_everywhere(town, renewed[1], "revoked", "rescinded")
    assert town.agrees()


def test_an_old_version_is_suspended_until_its_renewal_begins_and_may_be_restored(town, record):
    town.move("suspend", record, kind="lost")
    [second] = town.issue("C-2", grant("许-1", valid_from="2026-03-20", supersedes=[record.identifier]))
    assert is_everywhere(town, record, "suspended", "lost")
    assert is_everywhere(town, second, "not_yet")
    assert refused(town.move, "suspend", record, kind="withheld") == "certificate.move"
    assert refused(town.move, "restore", second) == "certificate.move"
    town.move("restore", record, kind="lost")
    assert is_everywhere(town, record, "valid")
    assert is_everywhere(town, second, "not_yet")
    town.clock.pass_days(10)
    assert is_everywhere(town, record, "superseded")
    assert is_everywhere(town, second, "valid")
    assert town.agrees()


def test_what_was_suspended_stays_so_when_its_renewal_is_itself_to_be_replaced(town, record):
    town.move("suspend", record, kind="lost")
    [second] = town.issue("C-2", grant("许-1", valid_from="2026-03-20", supersedes=[record.identifier]))
    [third] = town.issue("C-3", grant("许-2", valid_from="2026-03-25", supersedes=[second.identifier]))
    assert is_everywhere(town, record, "suspended", "lost")
    town.clock.pass_days(10)
    assert [town.state(v) for v in (record, second, third)] == ["superseded", "valid", "not_yet"]
    town.clock.pass_days(5)
    assert [town.state(v) for v in (record, second, third)] == ["superseded", "superseded", "valid"]
    assert town.agrees()


@pytest.mark.parametrize(("begins", "days"), [("2026-03-10", 0), ("2026-03-15", 5)])
def test_what_is_replaced_before_its_renewal_begins_ends_with_it(town, renewed, begins, days):
    first, second = renewed
    [third] = town.issue("C-3", grant("许-2", valid_from=begins, supersedes=[second.identifier]))
    if days:
        assert [town.state(v) for v in (first, second, third)] == ["valid", "not_yet", "not_yet"]
    town.clock.pass_days(days)
    assert is_everywhere(town, first, "superseded")
    assert is_everywhere(town, second, "superseded")
    assert is_everywhere(town, third, "valid")
    assert town.agrees()


def test_an_early_end_is_postponed_when_the_successor_begins_later_after_all(town, renewed):
    first, second = renewed
    replacing = grant("许-2", valid_from="2026-03-15", supersedes=[second.identifier])
    seen = []
    for amendment, day in enumerate(("2026-03-15", "2026-05-01", "2026-03-12")):
        town.issue("C-3", {**replacing, "valid_from": day}, amendment=amendment)
        seen.append([str(town.version(v.identifier).dates.superseded_on) for v in renewed])
    assert seen == [["2026-03-15", "2026-03-15"], ["2026-03-20", "2026-05-01"], ["2026-03-12", "2026-03-12"]]
    assert first.certificate == second.certificate
    assert town.agrees()


def test_what_is_replaced_from_today_on_has_ended_on_record(town, record):
    town.issue("C-2", grant("许-2", valid_from="2026-03-10", supersedes=[record.identifier]))
    assert town.version(record.identifier).standing is Standing.SUPERSEDED
    assert town.acts(record)[-1].standing is Standing.SUPERSEDED
    assert is_everywhere(town, record, "superseded")


# --- precedence ------------------------------------------------------------------------------------------------------


def test_a_life_goes_through_every_state(town):
    """not_yet, valid, suspended, valid, superseded, revoked; past its date, it is expired even if suspended."""
    pushed = grant("许-1", issued_on="2026-03-10", valid_from="2026-03-12", valid_until="2026-03-31")
    [first] = town.issue("C-1", pushed)
    seen = [town.state(first)]
    town.clock.pass_days(2)
    seen.append(town.state(first))
    town.move("suspend", first)
    seen.append(town.state(first))
    town.clock.at = town.clock.at.replace(day=31)
    seen.append(town.state(first))
    town.clock.pass_days(1)
    seen.append(town.state(first))
    renewal = grant("许-1", issued_on="2026-04-01", valid_until="2027-03-31", supersedes=[first.identifier])
    [second] = town.issue("C-2", renewal)
    seen += [town.state(first), town.state(second)]
    town.move("revoke", second)
    seen += [town.state(first), town.state(second)]
    assert seen == [
        *("not_yet", "valid", "suspended", "suspended", "expired"),
        *("superseded", "valid"),
        *("revoked", "revoked"),
    ]
    assert town.agrees()


@pytest.mark.parametrize("suspended", [False, True])
@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("revoked", [False, True])
def test_the_first_state_that_applies_is_shown_on_every_day(town, suspended, ends, revoked):
    """In force from day 3 to day 6, replaced from day 9 on."""
    [record] = town.issue("C-1", grant("许-1", valid_from="2026-03-13", valid_until="2026-03-16"))
    if suspended:
        town.move("suspend", record)
    if ends:
        town.issue("C-2", grant("许-2", BERT, ANNA, valid_from="2026-03-19", supersedes=[record.identifier]))
    if revoked:
        town.move("revoke", record)
    days = range(12)
    expected = []
    for day in days:
        if revoked:
            expected.append("revoked")
        elif ends and day >= 9:
            expected.append("superseded")
        elif day > 6:
            expected.append("expired")
        elif suspended:
            expected.append("suspended")
        else:
            expected.append("not_yet" if day < 3 else "valid")
    seen = []
    for _ in days:
        seen.append(town.state(record))
        assert town.parts.verification.verify_code(record.code).state.value == seen[-1]
        town.clock.pass_days(1)
    assert seen == expected
    assert town.agrees()

"""What depends on a day or an edition: when a superseded certificate ends, and which edition a correction uses."""

import copy
from datetime import date

import pytest

from hub.domain.certificate import Standing
from hub.domain.version import Version
from tests.support import town as t
from tests.support.town import ANNA, BERT, CARL, Town, body, grant, places, refusal, refused


def states(town: Town, *versions: Version) -> list[str]:
    return [town.state(version) for version in versions]


def test_the_people_of_a_case_are_corrected_without_a_new_version(town: Town) -> None:
    (first,) = town.issue("T-1", grant("N-1"))
    assert town.issue("T-1", grant("N-1"), amendment=1, applicants=[ANNA, CARL]) == [first]
    assert len(town.rows("parties")) == 2


def test_an_amendment_that_goes_back_is_a_new_version(town: Town) -> None:
    (first,) = town.issue("T-1", grant("N-1"))
    town.issue("T-1", grant("N-1", BERT), amendment=1)
    (third,) = town.issue("T-1", grant("N-1"), amendment=2)
    assert (third.version, third.holders) == (3, first.holders)
    assert third.identifier != first.identifier


def test_the_number_of_a_correction_cannot_be_another_certificates(town: Town) -> None:
    town.issue("T-1", grant("N-1"))
    town.issue("T-2", grant("N-2"))
    assert refused(town.push, "T-2", body(grant("N-2"), grant("N-1"), amendment=1)) == "number.taken"


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


def test_a_renewal_that_begins_before_what_it_renews_ends_all_of_them(town: Town) -> None:
    (v1,) = town.issue("T-1", grant("N-1"))
    (v2,) = town.issue("T-2", grant("N-1", supersedes=[v1.identifier], valid_from="2026-09-01"))
    (v3,) = town.issue("T-3", grant("N-1", supersedes=[v2.identifier], valid_from="2026-06-01"))
    assert states(town, v1, v2, v3) == ["valid", "not_yet", "not_yet"]
    town.clock.at = town.clock.at.replace(month=6, day=1)
    assert states(town, v1, v2, v3) == ["superseded", "superseded", "valid"]
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


def test_an_amendment_repeats_a_renewal_and_a_part_that_was_split_off(town: Town) -> None:
    (old,) = town.issue("T-1", grant("N-1"))
    contents = [grant("N-1", supersedes=[old.identifier]), grant("N-2", CARL, supersedes=[old.identifier])]
    issued = town.issue("T-2", *contents)
    assert town.issue("T-2", *contents, amendment=1) == issued
    assert town.agrees()

"""Pushing a case: values at the limits, their normal form, and which numbers are equal."""

import json
import unicodedata
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.domain.case import Person
from hub.domain.case_record import Case
from hub.domain.dates import SHANGHAI, show_moment
from hub.domain.numbers import citizen_check_character
from hub.domain.version import Version
from hub.store import cases, parties
from signing import glyphs
from tests.support import town as t
from tests.support.town import Body, Town

RARE = next(chr(code) for code in range(0x20000, 0x2A6D0) if not glyphs.missing(chr(code)))
"""A character of CJK extension B that can be drawn."""


def case_of(town: Town, number: str = "A-1", source: str = t.TRADE) -> Case:
    found = cases.find(town.parts.database.reader, town.parts.vault, source, number)
    assert found is not None
    return found


def issued(town: Town, number: str = "A-1", **more: Any) -> Version:
    return town.issue(number, t.grant(f"P-{number}", **more))[0]


def holder(id_type: str, id_number: str, name: str = "安试") -> Body:
    return {"name": name, "id_type": id_type, "id_number": id_number}


# --- times and days ---------------------------------------------------------------------------------------------------

MOMENTS = {
    "2026-03-01T09:00:00+08:00": datetime(2026, 3, 1, 1, tzinfo=UTC),
    "2026-03-01t01:00:00z": datetime(2026, 3, 1, 1, tzinfo=UTC),
    "2026-03-01T01:00:00-00:00": datetime(2026, 3, 1, 1, tzinfo=UTC),
    "2026-02-28T15:00:00-10:00": datetime(2026, 3, 1, 1, tzinfo=UTC),
    "2026-03-01T06:45:00+05:45": datetime(2026, 3, 1, 1, tzinfo=UTC),
    "2026-03-01T01:00:00.5Z": datetime(2026, 3, 1, 1, 0, 0, 500_000, tzinfo=UTC),
    "2026-03-01T01:00:00.123456789Z": datetime(2026, 3, 1, 1, 0, 0, 123_456, tzinfo=UTC),
    "2016-12-31T23:59:60Z": datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC),
    "2017-01-01T07:59:60.25+08:00": datetime(2016, 12, 31, 23, 59, 59, 250_000, tzinfo=UTC),
    "2024-02-29T00:00:00+08:00": datetime(2024, 2, 28, 16, tzinfo=UTC),
    "1900-01-01T00:00:00Z": datetime(1900, 1, 1, tzinfo=UTC),
    show_moment(t.NOW + timedelta(minutes=4)): (t.NOW + timedelta(minutes=4)).astimezone(UTC),
    show_moment(t.NOW + timedelta(minutes=5)): (t.NOW + timedelta(minutes=5)).astimezone(UTC),
}


def test_moments_have_a_zone_and_one_meaning(town: Town) -> None:
    for place, (text, moment) in enumerate(MOMENTS.items()):
        town.push(f"A-{place}", t.body(accepted_at=text, status="completed", completed_at=text))
        found = case_of(town, f"A-{place}")
        assert (found.accepted_at, found.completed_at) == (moment, moment)


def test_an_end_needs_no_moment_and_may_come_at_once(town: Town) -> None:
    town.push("A-1", t.body(status="refused"))
    assert case_of(town).completed_at is None
    same = {"accepted_at": "2026-03-01T09:00:00+08:00", "completed_at": "2026-03-01T01:00:00Z"}
    assert town.push("A-2", t.body(t.grant("P-2"), **same)).status == 201


@pytest.mark.parametrize(
    ("issued_on", "valid_from", "valid_until"),
    [
        ("2026-03-10", None, None),
        ("2026-03-10", None, "2026-03-10"),
        ("2026-03-01", "2026-03-01", "2026-03-01"),
        ("2026-03-01", "2026-06-01", "2026-06-01"),
        ("2026-03-01", "2027-01-01", None),
        ("2026-03-01", "2020-01-01", "2026-03-01"),
        ("1900-01-01", None, "1900-01-01"),
        ("2024-02-29", None, "9999-12-31"),
    ],
)
def test_days(town: Town, issued_on: str, valid_from: str | None, valid_until: str | None) -> None:
    days: Body = {"issued_on": issued_on, "valid_until": valid_until}
    if valid_from is not None:
        days["valid_from"] = valid_from
    found = issued(town, **days).dates
    assert found.issued_on == date.fromisoformat(issued_on)
    assert found.valid_from == date.fromisoformat(valid_from or issued_on)
    assert found.valid_until == (None if valid_until is None else date.fromisoformat(valid_until))


def test_today_is_a_day_in_shanghai(town: Town) -> None:
    town.clock.at = datetime(2026, 3, 11, 0, 30, tzinfo=SHANGHAI)  # in UTC it is still the tenth
    issued(town, issued_on="2026-03-11")
    town.clock.at = datetime(2026, 3, 11, 23, 59, 59, tzinfo=SHANGHAI)
    assert t.places(t.refusal(issued, town, "A-2", issued_on="2026-03-12")) == [
        ("/certificates/0/issued_on", "date.future")
    ]


# --- names, numbers and fields ----------------------------------------------------------------------------------------

LINES = {
    "two characters": ("李四", "李四"),
    "a middle dot": ("阿依古丽·买买提", "阿依古丽·买买提"),
    "an inner space": ("Anna  Maria", "Anna  Maria"),
    "spaces around": (" \t安试\u3000\n", "安试"),
    "decomposed": ("Jose\u0301", "José"),
    "a compatibility character": ("\uf900安", "豈安"),
    "full width": ("Ａｎｎａ", "Ａｎｎａ"),
    "brackets": ("榕商（集团）有限公司", "榕商（集团）有限公司"),
    "extension B": (f"安{RARE}", f"安{RARE}"),
}


@pytest.mark.parametrize("name", LINES)
def test_lines_are_composed_and_trimmed(town: Town, name: str) -> None:
    sent, kept = LINES[name]
    who = {**t.ANNA, "name": sent}
    body = t.body(t.grant(sent, who, fields={"place": sent}), applicants=[who], agent=who)
    body["related"] = [{**who, "relation": "other"}]
    town.push("A-1", body)
    assert {person.name for person in case_of(town).people} == {kept}
    identifier = town.live("A-1")["certificates"][0]["identifier"]
    version = town.version(identifier)
    assert (version.number, version.holders[0].name, version.fields["place"]) == (kept, kept, kept)
    assert unicodedata.is_normalized("NFC", kept)
    assert town.agrees()


def test_a_pair_of_surrogates_is_one_character(town: Town) -> None:
    raw = json.dumps(t.body(applicants=[{**t.ANNA, "name": f"安{RARE}"}]), ensure_ascii=True).encode()
    assert b"\\ud840" in raw
    town.push("A-1", raw)
    assert case_of(town).people[0].name == f"安{RARE}"


def test_every_kind_of_field(town: Town) -> None:
    fields = {"place": "试" * 20, "area": "-123456789012345.123456", "seats": 10**15 - 1, "opened_on": "1900-01-01"}
    fields |= {"row": "F12", "kind": "2"}
    assert dict(issued(town, fields=fields).fields) == fields
    fields |= {"area": "0", "seats": -(10**15) + 1}
    assert dict(issued(town, "A-2", fields=fields).fields) == fields
    assert dict(issued(town, "A-3", fields={"place": "试"}).fields) == {"place": "试"}


def test_an_edition_may_be_named(town: Town) -> None:
    assert issued(town, edition=1).edition == issued(town, "A-2").edition == 1


@pytest.mark.parametrize("spelt", ["p 7", "Ｐ－7", "P—7", " p7"])
def test_a_number_is_one_however_it_is_spelt(town: Town, spelt: str) -> None:
    town.issue("A-1", t.grant("P-7"))
    found = t.refusal(town.push, "A-2", t.body(t.grant(spelt, t.BERT)))
    assert t.places(found) == [("/certificates/0/number", "number.taken")]
    assert town.issue("A-3", t.grant(spelt, t.BERT, type_code=t.CARD))[0].number == spelt.strip()


# --- identity numbers -------------------------------------------------------------------------------------------------

ANNA_ID = t.ANNA["id_number"]
ANNA_15 = ANNA_ID[:6] + ANNA_ID[8:17]
X_ID = next(number for number in map(t.citizen, range(40)) if number.endswith("X"))


def with_check(digits: str) -> str:
    return digits + citizen_check_character(digits)


def residence(area: str) -> str:
    return with_check(f"{area}19880229101")


FIRM = t.firm(1)["id_number"]
FORMS: dict[str, tuple[str, str, str, str]] = {
    "18 digits": ("111", ANNA_ID, "111", ANNA_ID),
    "spaces": ("111", f" {ANNA_ID[:6]} {ANNA_ID[6:14]}\u3000{ANNA_ID[14:]}\t", "111", ANNA_ID),
    "dashes": ("111", f"{ANNA_ID[:6]}-{ANNA_ID[6:14]}—{ANNA_ID[14:]}", "111", ANNA_ID),
    "full width": ("111", "".join(chr(ord(c) + 0xFEE0) for c in X_ID), "111", X_ID),
    "a small x": ("111", X_ID.lower(), "111", X_ID),
    "15 digits": ("111", ANNA_15, "111", with_check(f"{ANNA_15[:6]}19{ANNA_15[6:]}")),
    "Hong Kong": ("111", residence("810000"), "111", residence("810000")),
    "Macao": ("111", residence("820000"), "111", residence("820000")),
    "Taiwan": ("111", residence("830000"), "111", residence("830000")),
    "a foreigner": ("111", residence("935156"), "111", residence("935156")),
    "a citizen as another": ("999", ANNA_ID, "111", ANNA_ID),
    "a resident as another": ("999", residence("830000"), "111", residence("830000")),
    "a foreigner as another, spaced": ("999", f"{residence('935156')[:9]} {residence('935156')[9:]}", "111", residence("935156")),
    "15 digits as another": ("999", ANNA_15, "999", ANNA_15),
    "18 digits that are none as another": ("999", "990102197013011007", "999", "990102197013011007"),
    "a body": ("001", FIRM, "001", FIRM),
    "a body in small letters": ("001", f"{FIRM[:8].lower()} {FIRM[8:].lower()}", "001", FIRM),
    "a Hong Kong permit": ("516", "h1234567800", "516", "H1234567800"),
    "a Macao permit": ("516", "M 1234 5678", "516", "M12345678"),
    "a passport": ("414", "e-1234567", "414", "E1234567"),
    "an officer": ("114", "军字第 1234567 号", "114", "军字第1234567号"),
    "brackets": ("114", "军（1）7号", "114", "军(1)7号"),
    "40 characters": ("999", "A" * 40, "999", "A" * 40),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_identity_numbers_have_one_form(town: Town, name: str) -> None:
    id_type, number, type_kept, kept = FORMS[name]
    who = holder(id_type, number)
    town.push("A-1", t.body(t.grant("P-1", who), applicants=[who], agent=who))
    assert {(p.id_type, p.id_number) for p in case_of(town).people} == {(type_kept, kept)}
    version = town.version(town.live("A-1")["certificates"][0]["identifier"])
    assert [(p.id_type, p.id_number) for p in version.holders] == [(type_kept, kept)]
    assert len(town.rows("parties")) == 1
    assert parties.find(town.parts.database.reader, town.parts.vault, Person("", type_kept, kept)) == version.parties[0]
    assert town.agrees()


SAME = [
    (holder("111", ANNA_ID), holder("999", ANNA_ID.lower(), "另一名")),
    (holder("111", ANNA_15), holder("111", with_check(f"{ANNA_15[:6]}19{ANNA_15[6:]}"))),
    (holder("516", "H1234567800"), holder("516", "H1234567801")),
    (holder("516", "M12345678"), holder("516", "M1234567803")),
]
OTHERS = [
    (holder("516", "H12345678"), holder("516", "H12345679")),
    (holder("414", "E1234567"), holder("413", "E1234567")),
    (holder("516", "H12345678"), holder("516", "M12345678")),
    (holder("516", "H12345678"), holder("414", "H12345678")),
    (holder("999", ANNA_15), holder("111", ANNA_15)),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_one_person_under_two_numbers(town: Town, first: Body, second: Body) -> None:
    town.push("A-1", t.body(applicants=[first]))
    town.push("A-2", t.body(applicants=[second]))
    assert case_of(town, "A-1").parties == case_of(town, "A-2").parties


@pytest.mark.parametrize(("first", "second"), OTHERS)
def test_two_people_under_one_number(town: Town, first: Body, second: Body) -> None:
    town.push("A-1", t.body(applicants=[first, second]))
    assert len(set(case_of(town).parties)) == 2


# --- how many ---------------------------------------------------------------------------------------------------------


def test_as_many_as_there_may_be(town: Town) -> None:
    people = [t.person(n) for n in range(20)]
    related = [{**who, "relation": "employee"} for who in people[11:]]
    town.push("A-1", t.body(applicants=people[:10], agent=people[10], related=related))
    assert len(set(case_of(town).parties)) == 20
    found = town.issue("A-2", *(t.grant(f"P-{n}", *people[: 20 if n == 0 else 1]) for n in range(50)))
    assert len({version.identifier for version in found}) == 50
    assert [version.number for version in found] == [f"P-{n}" for n in range(50)]
    assert len(found[0].holders) == 20


def test_how_many_people_is_a_setting(town_template: Path, tmp_path: Path) -> None:
    with t.open_copy(town_template, tmp_path / "town", max_people_a_case=2) as town:
        town.push("A-1", t.body(applicants=[t.ANNA], agent=t.BERT))
        found = t.refusal(town.push, "A-1", t.body(applicants=[t.ANNA, t.CARL], agent=t.BERT))
        assert t.places(found) == [("/applicants", "schema.invalid")]
        assert len(town.issue("A-2", t.grant("P-2", t.ANNA, t.BERT, t.CARL))[0].holders) == 3


def test_one_person_may_have_several_roles(town: Town) -> None:
    related = [{**t.ANNA, "relation": "owner"}, {**t.ANNA, "relation": "employee"}]
    town.push("A-1", t.body(applicants=[t.ANNA, t.ANNA], agent=t.ANNA, related=related))
    found = case_of(town)
    assert found.roles_of(found.parties[0]) == {"applicant", "agent", "related"}
    assert [p.relation for p in found.people] == [None, None, None, "owner", "employee"]


# --- naming people is looking them up ---------------------------------------------------------------------------------


def test_everyone_named_in_an_open_case_counts_once_a_day(town_template: Path, tmp_path: Path) -> None:
    with t.open_copy(town_template, tmp_path / "town", people_a_day_per_client=4) as town:
        related = [{**t.CARL, "relation": "parent"}]
        town.push("A-1", t.body(applicants=[t.ANNA], agent=t.BERT, related=related))
        town.push("A-1", t.body(applicants=[t.ANNA, t.BERT, t.CARL], accepted_by=t.STREET))
        town.push("A-2", t.body(applicants=[{**t.ANNA, "id_type": "999"}]))
        assert len(town.rows("seen")) == 6  # three people, for the client and for the whole hub
        town.push("A-3", t.body(applicants=[t.DORA]))
        for more in (
            {"applicants": [t.person(9)]},
            {"agent": t.person(9)},
            {"related": [t.person(9, relation="other")]},
        ):
            before = town.counts()
            found = t.refusal(town.push, "A-1", t.body(**more))
            assert (found.code, found.retry_after) == ("rate.limited", 14 * 3600 + 1)
            after = town.counts()
            assert {name for name in after if after[name] != before[name]} == {"audit"}
        assert case_of(town).people[0].name == "安试"
        assert town.push("A-1", t.body(applicants=[t.person(9)], status="withdrawn")).status == 200
        assert (
            town.push("A-1", t.body(applicants=[t.person(10)])).status == 200
        )  # after the end, no person counts as named
        assert town.push("A-4", t.body(t.grant("P-4", t.person(11)), applicants=[t.person(11)])).status == 201
        assert town.push("A-5", t.body(applicants=[t.person(9)]), t.COUNTER).status == 201  # another client


def test_all_clients_together_have_a_limit_and_each_has_a_tenth_of_it(town_template: Path, tmp_path: Path) -> None:
    systems = [t.caller(f"town-trade-{n}", t.TRADE) for n in range(11)]
    with t.open_copy(town_template, tmp_path / "town", people_a_day=10) as town:
        town.push("A-0", t.body(applicants=[t.person(0)]), systems[0])
        assert t.refused(town.push, "A-1", t.body(applicants=[t.person(1)]), systems[0]) == "rate.limited"
        for n in range(1, 10):
            town.push(f"A-{n}", t.body(applicants=[t.person(n)]), systems[n])
        assert t.refused(town.push, "A-10", t.body(applicants=[t.person(10)]), systems[10]) == "rate.limited"
        town.push("A-10", t.body(applicants=[t.person(3)]), systems[10])
        town.clock.pass_days(1)
        town.push("A-11", t.body(applicants=[t.person(10)]), systems[10])


# --- permanent ---------------------------------------------------------------------------------------------------------


def test_the_reply_is_the_same_after_a_renewal_and_a_correction(town: Town) -> None:
    content = t.body(t.grant("P-1"))
    first = town.push("A-1", content)
    town.push("A-1", t.body(t.grant("P-1", fields={"place": "西市"}), amendment=1))
    corrected = town.live("A-1")["certificates"][0]["identifier"]
    renewal = t.body(t.grant("P-1", issued_on="2026-03-09", supersedes=[corrected]))
    renewed = town.push("A-2", renewal)
    assert renewed.reply["certificates"][0]["version"] == 3
    for _ in range(2):
        again = town.push("A-1", content)
        assert (again.status, again.reply) == (200, first.reply)
        assert town.push("A-2", renewal).reply == renewed.reply
        town.clock.pass_days(400)
        town.move("revoke", renewed.reply["certificates"][0]["identifier"])
    assert len(town.rows("versions")) == 3

"""Who may push a case under which number, repeated pushes, and how a case continues."""

import json
from pathlib import Path
from typing import Any

import pytest

from hub.domain.caller import Caller
from tests.support import town as t
from tests.support.town import (
    ANNA,
    BERT,
    CARL,
    COUNTER,
    HEALER,
    TRADER,
    Body,
    Town,
    body,
    grant,
    places,
    raw,
    refusal,
    refused,
)

UNCHECKED = "schema.invalid"
GOOD = body(grant("N-1", ANNA, BERT, fields={"place": "东市", "seats": 4}), agent=BERT)

# --- case numbers -----------------------------------------------------------------------------------------------------

ID = ANNA["id_number"]
X = next(number for number in map(t.citizen, range(40)) if number.endswith("X"))
CASE_NUMBERS = [
    "A", "0", "a.b~c_d-e", "榕商〔2026〕7号", "(2026)闽01行审7号", "é", "9" * 64, "案" * 64, ID[:17], "350100202603100000017",
    ID[:10] + "13" + ID[12:],
]  # fmt: skip
NO_CASE_NUMBERS = [
    "", "9" * 65, "案" * 65, "a/b", "a b", " a", "a?", "a#", "a%20b", "a:b", "a\n", "a\x00", "（2026）7", "[2026]", "e\u0301", "١", "①",
    "\u3000", "a+b", "𝟙", "\u200b", "..\\",
    ID, ID.lower(), "-".join((ID[:6], ID[6:14], ID[14:])), f"T-{ID}", f"{ID}-1", f"T-2026-{ID}", f"2026-{ID[:6]}-{ID[6:14]}-{ID[14:]}",
    f"2026.{ID}.1", f"2026({ID})", f"〔2026〕{ID}号", f"A{ID}B", f"20260301{ID}", f"{ID}001", f"{X[:17]}-X", f"{X[:6]}.{X[6:]}-2", X.lower(), f"2026_{ID[:6]}.{ID[6:]}_7",
]  # fmt: skip


@pytest.mark.parametrize("number", CASE_NUMBERS)
def test_case_numbers(town: Town, number: str) -> None:
    assert town.push(number, body()).reply["case_number"] == number
    assert town.live(number)["status"] == "accepted"


@pytest.mark.parametrize("number", NO_CASE_NUMBERS)
def test_what_is_no_case_number(town: Town, number: str) -> None:
    before = town.counts()
    assert refused(town.push, number, body()) == UNCHECKED
    assert refused(town.live, number) == UNCHECKED
    assert places(refusal(town.push, "T-1", body(), source=number)) == [("/source", UNCHECKED)]
    assert town.counts() == before


# --- who may say it ---------------------------------------------------------------------------------------------------

CALLERS: dict[str, tuple[Caller, Body, str | None, str | None]] = {
    "the deciding authority": (TRADER, body(grant("N-1")), None, None),
    "a platform that acts for it": (t.AGENT, body(grant("N-1")), None, None),
    "a platform under the authority's source": (t.AGENT, body(grant("N-1")), t.TRADE, None),
    "a counter that takes in": (COUNTER, body(), None, None),
    "a counter that takes in by name": (COUNTER, body(accepted_by=t.STREET), None, None),
    "a counter that withdraws": (COUNTER, body(status="withdrawn"), None, None),
    "a counter that decides": (COUNTER, body(grant("N-1")), None, "perm.not_issuer"),
    "a counter that completes without a certificate": (COUNTER, body(status="completed"), None, "perm.not_issuer"),
    "a counter that refuses": (COUNTER, body(status="refused"), None, "perm.not_issuer"),
    "a counter that says another took it in": (COUNTER, body(accepted_by=t.HEALTH), None, "perm.case_required"),
    "a counter that names no accepting authority": (COUNTER, body(accepted_by="x"), None, "perm.case_required"),
    "the authority that says who took it in": (TRADER, body(accepted_by=t.STREET), None, None),
    "another authority that decides": (HEALER, body(grant("N-1")), None, "perm.not_issuer"),
    "another authority's source": (HEALER, body(), t.TRADE, "perm.case_required"),
    "a source without an owner": (TRADER, body(), "no-such-source", "perm.case_required"),
    "another's source and no such matter": (HEALER, body(matter_code="T-NONE"), t.TRADE, "perm.case_required"),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLERS)
def test_who_may_open_a_case(town: Town, name: str) -> None:
    by, content, source, code = CALLERS[name]
    before = town.counts()
    if code is None:
        assert town.push("T-1", content, by, source).status == 201
        assert town.rows("cases")[0]["source"] == (source or by.source)
    else:
        assert refused(town.push, "T-1", content, by, source) == code
        assert town.counts() == {**before, "audit": before["audit"] + 1}


def test_a_foreign_case_looks_like_an_absent_one(town: Town) -> None:
    town.push("T-1", body())
    for content in (body(), body(matter_code="T-NONE"), body(matter_code=t.INSPECT), body(status="withdrawn")):
        answers = [refusal(town.push, number, content, HEALER, t.TRADE) for number in ("T-1", "T-2")]
        assert {(found.code, found.detail) for found in answers} == {("perm.case_required", "")}
    assert {refused(town.live, number, HEALER, t.TRADE) for number in ("T-1", "T-2")} == {"case.not_found"}


def test_the_authority_that_took_in_and_the_one_that_decides_share_a_case(town: Town) -> None:
    assert town.push("T-1", body(), COUNTER).status == 201
    assert town.push("T-1", body(grant("N-1")), TRADER, t.STREET).status == 200
    assert [row["accepted_by"] for row in town.rows("cases")] == [t.STREET]
    for by in (COUNTER, TRADER):
        assert town.live("T-1", by, t.STREET)["issuance"] == "done"
    assert refused(town.live, "T-1", HEALER, t.STREET) == "case.not_found"


def test_who_took_a_case_in_is_said_by_them_or_by_who_decides(town: Town) -> None:
    town.push("T-1", body(), COUNTER)
    assert refused(town.push, "T-1", body(accepted_by=t.HEALTH), COUNTER) == "perm.case_required"
    assert refused(town.live, "T-1", HEALER, t.STREET) == "case.not_found"
    assert town.push("T-1", body(accepted_by=t.HEALTH), TRADER, t.STREET).status == 200
    assert town.live("T-1", HEALER, t.STREET)["status"] == "accepted"


def test_a_decision_is_undone_by_who_decides_alone(town: Town) -> None:
    town.push("T-1", body(), COUNTER)
    town.push("T-1", body(status="refused"), TRADER, t.STREET)
    for status in ("withdrawn", "refused", "completed"):
        assert refused(town.push, "T-1", body(status=status, amendment=1), COUNTER) == "perm.not_issuer"
    assert town.push("T-1", body(grant("N-1"), amendment=1), TRADER, t.STREET).reply["issuance"] == "done"


# --- what was said before ---------------------------------------------------------------------------------------------


def spelt_otherwise(content: Body) -> bytes:
    """The same RFC 8785 form: different key order, all escaped, on several lines."""

    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in sorted(value, reverse=True)}
        return [turned(item) for item in value] if isinstance(value, list) else value

    return json.dumps(turned(content), ensure_ascii=True, indent=3).replace("/", "\\/").encode()


@pytest.mark.parametrize("content", [GOOD, body(), body(status="refused")], ids=["granted", "accepted", "refused"])
def test_an_equal_push_is_always_answered_in_the_same_bytes(town: Town, content: Body) -> None:
    first = town.push("T-1", content)
    counts = town.counts()
    identifiers = [item["identifier"] for item in first.reply["certificates"]]
    for spelling in (raw(content), spelt_otherwise(content), raw(content) + b" \n"):
        found = town.push("T-1", spelling)
        assert found.status == 200
        assert json.dumps(found.reply) == json.dumps(first.reply)
    for identifier in identifiers:
        town.move("revoke", identifier)
    town.push("T-1", {**content, "status": "completed", "amendment": 5})
    town.clock.pass_days(4000)
    again = town.push("T-1", spelt_otherwise(content))
    assert (again.status, json.dumps(again.reply)) == (200, json.dumps(first.reply))
    assert town.counts()["certificates"] == counts["certificates"]


def test_bodies_that_look_alike_are_not_equal(town: Town) -> None:
    town.push("T-1", body())
    for content in (body(amendment=0), body(certificates=[]), body(agent=None), body(applicants=[ANNA, BERT])):
        assert town.push("T-1", content).status == 200
    assert len(town.rows("pushes")) == 5


def test_pushed_bytes_and_who_sent_them_are_kept(town: Town) -> None:
    kept = [raw(body()) + b"\n \t", spelt_otherwise(body(accepted_by=t.TRADE)), raw(GOOD)]
    for at, (content, by) in enumerate(zip(kept, (COUNTER, TRADER, t.AGENT), strict=True)):
        town.push("T-1", content, by, t.STREET)
        town.push("T-1", spelt_otherwise(json.loads(content)), TRADER, t.STREET)
        town.clock.pass_days(at + 1)
    assert town.pushed_bytes("T-1", t.STREET) == [
        ("town-street", kept[0]),
        ("town-trade", kept[1]),
        ("town-platform", kept[2]),
    ]


def test_one_body_under_two_case_numbers_is_two_pushes(town: Town) -> None:
    assert town.push("T-1", body()).status == town.push("T-2", body()).status == 201
    assert town.push("T-1", body(), t.AGENT).status == 201  # another source
    assert len(town.rows("cases")) == 3


# --- how a case goes --------------------------------------------------------------------------------------------------


def test_accepted_after_the_end_changes_nothing(town: Town) -> None:
    (found,) = town.issue("T-1", grant("N-1"))
    case, counts = town.rows("cases"), town.counts()
    for more in ({"amendment": 0}, {"amendment": 3}, {"applicants": [ANNA, CARL]}):
        told = town.push("T-1", body(**more))
        assert (told.status, told.reply["certificates"], told.reply["amendment"]) == (200, [], 0)
        assert town.push("T-1", body(**more)).reply == told.reply
    assert town.rows("cases") == case
    after = town.counts()
    assert {name for name in after if after[name] != counts[name]} == {"pushes", "audit"}
    assert town.state(found) == "valid"
    assert town.agrees()


ENDINGS: list[tuple[Body, Body, str | None]] = [
    (body(status="refused"), body(status="withdrawn"), "case.conflict"),
    (body(status="refused"), body(grant("N-1")), "case.conflict"),
    (body(status="refused", amendment=2), body(grant("N-1"), amendment=1), "case.stale"),
    (body(status="refused", amendment=2), body(grant("N-1"), amendment=3), None),
    (body(status="withdrawn"), body(status="refused", amendment=1), None),
    (body(grant("N-1")), body(grant("N-1"), grant("N-2")), "case.conflict"),
    (body(grant("N-1")), body(status="refused", amendment=1), "case.conflict"),
    (body(grant("N-1")), body(status="withdrawn", amendment=1), "case.conflict"),
    (body(grant("N-1")), body(status="completed", amendment=1), "case.conflict"),
    (body(status="completed"), body(grant("N-1"), amendment=1), None),
    (body(amendment=2), body(amendment=1, status="refused"), "case.stale"),
    (body(amendment=2), body(amendment=2, status="refused"), None),
    (body(), body(applicants=[BERT]), None),
    (body(), body(matter_code=t.REGISTER), "case.conflict"),
    (body(grant("N-1")), body(matter_code=t.REGISTER), "case.conflict"),
]


@pytest.mark.parametrize(("first", "second", "code"), ENDINGS)
def test_what_a_second_push_does(town: Town, first: Body, second: Body, code: str | None) -> None:
    town.push("T-1", first)
    before = town.counts()
    if code is None:
        assert town.push("T-1", second).status == 200
        assert town.live("T-1")["status"] == second["status"]
        assert town.live("T-1")["amendment"] == second.get("amendment", 0)
    else:
        assert refused(town.push, "T-1", second) == code
        assert town.counts() == {**before, "audit": before["audit"] + 1}
    assert town.agrees()


def test_naming_people_in_open_cases_counts(town_template: Path, tmp_path: Path) -> None:
    with t.open_copy(town_template, tmp_path / "town", people_a_day_per_client=3) as town:
        town.push("T-1", body(applicants=[t.person(n) for n in range(3)]))
        before = town.counts()
        found = refusal(town.push, "T-2", body(applicants=[t.person(3)]))
        assert (found.code, found.retry_after) == ("rate.limited", 14 * 3600 + 1)
        assert town.counts() == {**before, "audit": before["audit"] + 1}
        assert town.push("T-3", body(applicants=[t.person(2)])).status == 201
        assert town.push("T-4", body(grant("N-1", t.person(4)), applicants=[t.person(4)])).status == 201
        town.clock.pass_days(1)
        assert town.push("T-2", body(applicants=[t.person(3)])).status == 201


def test_replies_have_one_shape(town: Town) -> None:
    assert town.push("T-1", body()).reply == {
        "case_number": "T-1",
        "amendment": 0,
        "status": "accepted",
        "issuance": "none",
        "certificates": [],
    }
    assert town.push("T-1", body(status="withdrawn", amendment=2)).reply["status"] == "withdrawn"
    assert town.live("T-1")["amendment"] == 2

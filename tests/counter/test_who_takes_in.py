"""Who may take a case in: no counter gives itself access to people by opening cases of other authorities' matters."""

import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import cbor2
import pytest

from hub.case_records import CaseQuery
from hub.counter.lookup_body import LookupBody
from hub.domain.case import CaseStatus
from hub.domain.catalogue import Authority, Catalogue, Matter
from hub.ops.doctor import State, examine
from hub.ops.intake_upgrade import set_intake
from hub.store.case_use import By, out_of_line_by
from hub.wire import validate
from tests.support import town as t
from tests.support.town import Body, Town, caller, refused

HALL, FAR, OTHER = (t._uscc(f"11990102MB9A70{n}0{n}") for n in range(5, 8))
MATTER, LISTED, OWN = "T-HALL", "T-LISTED", "T-OWN"
CLERK, ANOTHER = {"id": "H1", "name": "韩试"}, {"id": "H2", "name": "何试"}
AT_HALL, AT_OTHER, AT_FAR = (caller(f"town-{n}", code) for n, code in (("hall", HALL), ("other", OTHER), ("far", FAR)))
SYSTEM = caller("town-system", t.PLATFORM, source="town-system", acts_for=frozenset({t.TRADE}))
_MATERIALS = [{"name": "许可证", "of": "applicant", "type_codes": [t.PERMIT]}]
_MATTER: Body = {"authority_code": t.TRADE, "yields": [t.PERMIT], "materials": _MATERIALS}


@pytest.fixture
def town(town_template: Path, tmp_path: Path) -> Iterator[Town]:
    with t.open_copy(town_template, tmp_path / "town") as found:
        found.parts.registration.load_catalogue(
            {
                "authorities": [
                    {"code": HALL, "region": "990102", "name": "试验区政务大厅", "kind": "centre"},
                    {"code": FAR, "region": "980000", "name": "外地政务大厅", "kind": "centre"},
                    {"code": OTHER, "region": "990102", "name": "试验区烟草局"},
                ],
                "matters": [
                    {"code": MATTER, "name": "大厅收件", "intake": "centres", **_MATTER},
                    {"code": LISTED, "name": "指定收件", "intake": [OTHER], **_MATTER},
                    {"code": OWN, "name": "自行收件", **_MATTER},
                ],
            }
        )
        registration = found.parts.registration
        for code in (HALL, FAR, OTHER):
            registration.add_clerk("韩试", code, "H1")
        registration.add_clerk("何试", HALL, "H2")
        registration.add_clerk("童试", t.TRADE, "T1")
        found.issue("许-1", t.grant("许-1", t.ANNA))
        yield found


def case(town: Town, number: str = "收-1") -> Body:
    (found,) = (row for row in town.rows("cases") if row["case_number"] == number)
    return found


def open_case(matter: str = MATTER, *people: Body, **more: Any) -> Body:
    return t.body(matter_code=matter, applicants=list(people) or [t.ANNA], **more)


def look_up(
    town: Town, by: Any, number: str, clerk: Body = CLERK, source: str | None = None, who: Body = t.ANNA
) -> Any:
    holder = {"id_type": who["id_type"], "id_number": who["id_number"]}
    body = {"case_number": number, "clerk": clerk, "holder": holder} | ({} if source is None else {"source": source})
    return town.parts.lookup.look_up(by, validate(LookupBody, body))


# --- who may ------------------------------------------------------------------------------------------------------------


def test_a_counter_cannot_open_a_case_of_a_foreign_matter_and_look_a_stranger_up(town: Town) -> None:
    for matter in (OWN, MATTER):
        assert refused(town.push, "攻-1", open_case(matter), AT_OTHER) == "perm.intake"
    assert refused(look_up, town, AT_OTHER, "攻-1") == "perm.case_required"


@pytest.mark.parametrize(
    ("by", "matter", "code"),
    [
        (AT_HALL, MATTER, None),
        (AT_FAR, MATTER, "perm.intake"),
        (AT_HALL, LISTED, "perm.intake"),
        (AT_OTHER, LISTED, None),
        (AT_HALL, OWN, "perm.intake"),
        (t.TRADER, OWN, None),
        (SYSTEM, OWN, None),
    ],
)
def test_a_matter_says_who_takes_it_in(town: Town, by: Any, matter: str, code: str | None) -> None:
    content = open_case(matter, clerk=CLERK) if by in (AT_HALL, AT_FAR) else open_case(matter)
    if code is None:
        assert town.push("收-1", content, by).status == 201
    else:
        assert refused(town.push, "收-1", content, by) == code
        assert [row["case_number"] for row in town.rows("cases")] == ["许-1"]


def test_what_a_platform_pushes_was_taken_in_by_who_decides(town: Town) -> None:
    town.push("收-1", open_case(OWN), SYSTEM)
    assert case(town)["accepted_by"] == t.TRADE
    assert refused(town.push, "收-2", open_case(OWN, accepted_by=t.PLATFORM), SYSTEM) == "perm.intake"


def test_who_decides_cannot_name_an_authority_that_may_not_take_in(town: Town) -> None:
    assert refused(town.push, "收-1", open_case(OWN, accepted_by=OTHER)) == "perm.intake"
    town.push("收-1", open_case(OWN))
    assert refused(town.push, "收-1", open_case(OWN, accepted_by=OTHER)) == "perm.intake"


@pytest.mark.parametrize(
    ("regions", "matter_region", "code", "may"),
    [
        (None, "990100", "990102", True),
        (None, "990100", "990200", False),
        (None, "990000", "990102", True),
        (None, "990102", "990100", False),
        (("990102", "990200"), "990100", "990211", True),
        (("990102",), "990100", "990103", False),
    ],
)
def test_centres_take_in_for_their_region(
    regions: tuple[str, ...] | None, matter_region: str, code: str, may: bool
) -> None:
    authorities = {
        "D": Authority("D", "决定", matter_region),
        "C": Authority("C", "中心", code, kind="centre"),
        "X": Authority("X", "部门", code),
    }
    matter = Matter("M", "事项", "D", 90, (), (), intake="centres", regions=regions)
    catalogue = Catalogue(authorities, {}, {"M": matter})
    assert catalogue.may_take_in(matter, "C") is may
    assert not catalogue.may_take_in(matter, "X")
    assert not catalogue.may_take_in(matter, "absent")
    assert catalogue.may_take_in(matter, "D")


def test_a_centre_names_its_clerk(town: Town) -> None:
    found = t.refusal(town.push, "收-1", open_case(), AT_HALL)
    assert t.places(found) == [("/clerk", "schema.invalid")]
    for clerk in ({"id": "H9", "name": "韩试"}, {"id": "H1", "name": "别人"}, {"id": "T1", "name": "童试"}):
        assert refused(town.push, "收-1", open_case(clerk=clerk), AT_HALL) == "perm.clerk"
    town.parts.registration.set_clerk_disabled(HALL, "H2", True)
    assert refused(town.push, "收-1", open_case(clerk=ANOTHER), AT_HALL) == "perm.clerk"
    assert town.push("收-1", open_case(clerk=CLERK), AT_HALL).status == 201
    assert case(town)["clerk"] == f"{HALL}|H1"
    assert town.push("收-1", open_case(MATTER, t.ANNA, t.BERT), AT_HALL).status == 200


def narrow(town: Town) -> None:
    town.parts.registration.load_catalogue(
        {"matters": [{"code": MATTER, "name": "大厅收件", "intake": "own", **_MATTER}]}
    )


def test_open_cases_of_an_authority_that_no_longer_takes_in_can_only_end(town: Town) -> None:
    town.push("收-1", open_case(clerk=CLERK), AT_HALL)
    assert look_up(town, AT_HALL, "收-1").entries
    narrow(town)
    for by, clerk in ((AT_HALL, CLERK), (t.TRADER, {"id": "T1", "name": "童试"})):
        assert refused(look_up, town, by, "收-1", clerk, HALL) == "perm.intake"
    assert refused(town.push, "收-1", open_case(MATTER, t.ANNA, t.BERT), AT_HALL) == "perm.intake"
    assert refused(town.push, "收-1", open_case(MATTER, t.BERT), AT_HALL) == "perm.intake"
    assert town.live("收-1", AT_HALL)["status"] == "accepted"
    assert town.push("收-1", open_case(status="withdrawn"), AT_HALL).status == 200


def test_who_decides_may_correct_the_people_of_a_case_taken_in_before(town: Town) -> None:
    town.push("收-1", open_case(clerk=CLERK), AT_HALL)
    narrow(town)
    assert town.push("收-1", open_case(MATTER, t.BERT), t.TRADER, HALL).status == 200
    assert town.push("收-1", open_case(MATTER, t.BERT, accepted_by=t.TRADE), t.TRADER, HALL).status == 200
    assert look_up(town, t.TRADER, "收-1", {"id": "T1", "name": "童试"}, HALL, t.BERT).unavailable


# --- limits -------------------------------------------------------------------------------------------------------------


def test_people_taken_in_for_others_have_a_limit_of_their_own(town_template: Path, tmp_path: Path) -> None:
    with t.open_copy(town_template, tmp_path / "few", people_taken_in_a_day_per_clerk=2) as town:
        town.parts.registration.add_clerk("许试", t.STREET, "S2")
        by = t.COUNTER
        one, two = {"id": "S1", "name": "秦试"}, {"id": "S2", "name": "许试"}
        town.push("收-1", t.body(applicants=[t.ANNA, t.BERT], clerk=one), by)
        assert refused(town.push, "收-2", t.body(applicants=[t.CARL], clerk=one), by) == "rate.limited"
        town.push("收-2", t.body(applicants=[t.ANNA], clerk=one), by)
        town.push("收-3", t.body(applicants=[t.CARL, t.DORA], clerk=two), by)
        found = t.refusal(town.push, "收-4", t.body(applicants=[t.person(9)]), by)
        assert (found.code, found.retry_after) == ("rate.limited", 14 * 3600 + 1), "two clerks, two people each"
        assert town.push("收-4", t.body(applicants=[t.person(9)])).status == 201, "who decides is not limited by it"


def test_a_case_names_a_limited_number_of_people_in_its_life(town_template: Path, tmp_path: Path) -> None:
    with t.open_copy(town_template, tmp_path / "few", max_people_a_case=3) as town:
        for n in range(3):
            town.push("收-1", t.body(applicants=[t.person(n)]))
        found = t.refusal(town.push, "收-1", t.body(applicants=[t.person(3)]))
        assert t.places(found) == [("/applicants", "schema.invalid")]
        town.push("收-1", t.body(applicants=[t.person(0), t.person(1)]))
        assert refused(town.push, "收-1", t.body(t.grant("许-9"), applicants=[t.person(4)])) == "schema.invalid"
        matter = {"code": t.GRANT, "name": "摊位许可", "authority_code": t.TRADE, "yields": [t.PERMIT], "max_people": 4}
        town.parts.registration.load_catalogue({"matters": [matter]})
        assert town.push("收-1", t.body(applicants=[t.person(3)])).status == 200


def test_when_a_case_was_taken_in_is_said_once(town: Town) -> None:
    first = open_case(OWN)
    town.push("收-1", first)
    before = case(town)["accepted_at"]
    later = {**first, "accepted_at": "2026-03-09T08:00:00+08:00"}
    assert town.push("收-1", later).status == 200
    assert town.counts()["pushes"] == 2, "an equal push"
    ended = {**later, "status": "refused", "completed_at": "2026-03-05T08:00:00+08:00"}
    assert town.push("收-1", ended).reply["status"] == "refused"
    earlier = {**first, "accepted_at": "2025-06-01T08:00:00+08:00", "completed_at": "2025-06-02T08:00:00+08:00"}
    assert town.push("收-1", {**earlier, "status": "refused", "amendment": 1}).reply["amendment"] == 1
    before_both = {**later, "status": "refused", "amendment": 2, "completed_at": "2024-06-02T08:00:00+08:00"}
    assert refused(town.push, "收-1", before_both) == "date.order"
    assert case(town)["accepted_at"] == before


# --- decisions and objections ------------------------------------------------------------------------------------------


def test_an_ending_by_who_took_the_case_in_is_no_decision(town: Town) -> None:
    both = caller("town-both", HALL, acts_for=frozenset({t.TRADE}))
    town.push("收-1", open_case(clerk=CLERK), AT_HALL)
    town.push("收-1", open_case(status="withdrawn"), AT_HALL)
    town.push("收-2", open_case(clerk=CLERK), both)
    town.push("收-2", open_case(status="refused"), both)
    town.push("收-3", open_case(clerk=CLERK), AT_HALL)
    town.push("收-3", open_case(status="refused"), t.TRADER, HALL)
    town.push("收-4", open_case(clerk=CLERK), AT_HALL)
    town.push("收-4", open_case(status="refused"), SYSTEM, HALL)
    decided = {row["case_number"]: row["decided"] for row in town.rows("cases")}
    assert decided == {"许-1": 1, "收-1": 0, "收-2": 0, "收-3": 1, "收-4": 1}


def objected(town: Town, by: Any, staff_number: str = "T1") -> None:
    town.parts.case_records.object_to(by, "收-1", HALL, (staff_number, "童试"), "没有这个申请人")


def test_an_objection_closes_a_case_for_lookups(town: Town) -> None:
    town.push("收-1", open_case(clerk=CLERK), AT_HALL)
    assert refused(objected, town, AT_HALL) == "perm.case_required"
    assert refused(objected, town, t.TRADER, "T9") == "perm.clerk"
    assert look_up(town, AT_HALL, "收-1").entries
    for _ in range(2):
        objected(town, t.TRADER)
    assert refused(look_up, town, AT_HALL, "收-1") == "perm.case_not_open"
    assert town.live("收-1", AT_HALL)["status"] == "accepted"
    assert town.push("收-1", open_case(MATTER, t.ANNA, t.BERT), AT_HALL).status == 200
    assert refused(look_up, town, AT_HALL, "收-1") == "perm.case_not_open", "it stays closed"
    outcomes = [row["outcome"] for row in town.rows("audit") if row["action"] == "case.objection"]
    assert outcomes == ["perm.case_required", "perm.clerk", "ok", "ok"]
    town.push("收-1", open_case(MATTER, t.ANNA, t.BERT, status="withdrawn"), AT_HALL)
    assert town.agrees()


def test_an_ended_case_needs_no_objection(town: Town) -> None:
    town.push("收-1", open_case(clerk=CLERK), AT_HALL)
    town.push("收-1", open_case(status="withdrawn"), AT_HALL)
    assert refused(objected, town, t.TRADER) == "case.conflict"


# --- one case under two numbers ----------------------------------------------------------------------------------------


def taken_over(number: str = "收-1", **more: Any) -> Body:
    return open_case(MATTER, taken_in_as={"source": HALL, "case_number": number}, **more)


def test_a_case_may_have_a_number_of_who_decides_too(town: Town) -> None:
    town.push("收-1", open_case(clerk=CLERK), AT_HALL)
    first = town.push("决-1", taken_over())
    assert (first.status, first.reply["case_number"]) == (200, "决-1")
    assert town.push("决-1", taken_over()).reply == first.reply
    assert len(town.rows("cases")) == 2
    assert look_up(town, AT_HALL, "收-1").entries
    assert look_up(town, t.TRADER, "决-1", {"id": "T1", "name": "童试"}).entries
    granted = town.push("决-1", taken_over(status="completed", certificates=[t.grant("许-2")])).reply
    assert (granted["case_number"], granted["issuance"]) == ("决-1", "done")
    assert town.live("收-1", AT_HALL)["certificates"] == town.live("决-1")["certificates"]
    assert town.live("收-1", AT_HALL)["case_number"] == "收-1"
    assert refused(look_up, town, AT_HALL, "收-1") == "perm.case_not_open", "it has one end"
    assert town.push("决-1", taken_over(status="completed", certificates=[t.grant("许-2")])).reply == granted
    assert town.agrees()


@pytest.mark.parametrize(
    "what",
    ["absent", "another applicant", "another matter", "who took it in", "a third authority", "taken over before"],
)
def test_what_cannot_be_taken_over_looks_absent(town: Town, what: str) -> None:
    town.push("收-1", open_case(clerk=CLERK), AT_HALL)
    content, by = taken_over(), t.TRADER
    if what == "absent":
        content = taken_over("收-9")
    elif what == "another applicant":
        content["applicants"] = [t.BERT]
    elif what == "another matter":
        content["matter_code"] = OWN
    elif what == "who took it in":
        by = AT_HALL
    elif what == "a third authority":
        by = t.HEALER
    else:
        town.push("决-1", content)
    before = town.counts()
    found = t.refusal(town.push, "决-2", content, by)
    assert (found.code, [e.pointer for e in found.errors]) == ("perm.case_required", ["/taken_in_as"])
    assert town.counts() == {**before, "audit": before["audit"] + 1}


def test_a_case_that_exists_is_not_made_another_one(town: Town) -> None:
    town.push("收-1", open_case(clerk=CLERK), AT_HALL)
    town.push("决-1", open_case())
    assert refused(town.push, "决-1", taken_over()) == "perm.case_required"
    assert refused(town.push, "收-1", taken_over(), t.TRADER, HALL) == "perm.case_required"


# --- what both authorities see -----------------------------------------------------------------------------------------


def test_both_authorities_list_their_cases(town: Town) -> None:
    for n in range(3):
        town.push(f"收-{n}", open_case(clerk=CLERK), AT_HALL)
    look_up(town, AT_HALL, "收-1")
    look_up(town, AT_HALL, "收-1")
    town.push("收-2", open_case(status="withdrawn"), AT_HALL)
    records = town.parts.case_records
    since = t.TODAY - timedelta(days=3650)

    def listed(by: Any, deciding: bool, status: CaseStatus | None = None) -> dict[str, int]:
        found = records.listed(by, CaseQuery(deciding, status, since, "")).cases
        return {case.case_number: case.lookups for case in found}

    assert listed(AT_HALL, deciding=False) == {"收-0": 0, "收-1": 2, "收-2": 0}
    assert listed(t.TRADER, deciding=True) == {"许-1": 0, "收-0": 0, "收-1": 2, "收-2": 0}
    assert listed(t.TRADER, deciding=True, status=CaseStatus.WITHDRAWN) == {"收-2": 0}
    assert listed(AT_HALL, deciding=True) == {}
    assert listed(AT_OTHER, deciding=False) == {}
    assert [row["outcome"] for row in town.rows("audit") if row["action"] == "case.list"] == ["ok"] * 5


def test_a_list_has_pages(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.case_records.PAGE", 2)
    for n in range(5):
        town.push(f"收-{n}", open_case(clerk=CLERK), AT_HALL)
    records, cursor, seen = town.parts.case_records, "", []
    while True:
        page = records.listed(AT_HALL, CaseQuery(False, None, t.TODAY - timedelta(days=900), cursor))
        seen.append([case.case_number for case in page.cases])
        if page.next is None:
            break
        cursor = page.next
    assert seen == [["收-0", "收-1"], ["收-2", "收-3"], ["收-4"]]
    for forged in (
        [2**70, HALL, "收-1"],
        [-(2**63) - 1, HALL, "收-1"],
        [1, "a\0", "收-1"],
        [1, HALL, "a\0"],
        [1.5, "", ""],
        7,
    ):
        made = base64.urlsafe_b64encode(cbor2.dumps(forged)).decode().rstrip("=")
        query = CaseQuery(False, None, t.TODAY, made)
        assert refused(records.listed, AT_HALL, query) == "schema.invalid"
    for wrong in ("x", "AAAA", "g2EBYQJhAw", "9f" * 40):
        query = CaseQuery(False, None, t.TODAY, wrong)
        assert refused(records.listed, AT_HALL, query) == "schema.invalid"


def test_the_people_of_a_case_are_masked_and_only_for_its_authorities(town: Town) -> None:
    town.push("收-1", open_case(clerk=CLERK), AT_HALL)
    for by in (AT_HALL, t.TRADER):
        detail = town.parts.cases.live(by, "收-1", HALL).detail
        assert detail is not None
        (person,) = detail.people
        assert (person.name, person.role) == ("安*", "applicant")
        assert person.id_number != t.ANNA["id_number"]
        assert person.id_number.count("*") == 16
    assert refused(town.live, "收-1", t.HEALER, HALL) == "case.not_found"


# --- alarm and upgrade -------------------------------------------------------------------------------------------------


def test_a_clerk_whose_cases_are_never_decided_stands_out(town: Town) -> None:
    for n in range(12):
        clerk = CLERK if n < 6 else ANOTHER
        town.push(f"收-{n}", open_case(clerk=clerk), AT_HALL)
        look_up(town, AT_HALL, f"收-{n}", clerk)
        if n < 6:
            town.push(f"收-{n}", open_case(status="withdrawn"), AT_HALL)
        else:
            town.push(f"收-{n}", open_case(status="refused"), t.TRADER, HALL)
    reader, now = town.parts.database.reader, town.clock.now()
    (found,) = out_of_line_by(reader, By.CLERK, now)
    assert (found.who, found.used, found.undecided) == (f"{HALL}|H1", 6, 6)
    (found,) = out_of_line_by(reader, By.CLIENT, now)
    assert (found.who, found.used, found.undecided) == ("town-hall", 12, 6)
    named = {f.name: f for f in examine(town.parts.settings, clock=town.clock)}["undecided"]
    assert (named.state, f"{HALL}|H1 6/6" in named.message) == (State.PROBLEM, True)


def test_an_upgrade_keeps_who_took_in_until_a_person_confirms(town: Town) -> None:
    town.push("收-1", open_case(clerk=CLERK), AT_HALL)
    town.push("收-2", open_case(clerk=CLERK), AT_HALL)
    town.push("收-2", open_case(status="refused"), t.TRADER, HALL)
    with town.parts.database.write() as writer:
        writer.run("UPDATE matters SET intake = NULL, confirmed = NULL", {})
    done = {one.matter.code: one for one in set_intake(town.parts.database, town.clock)}
    assert set(done) == {MATTER, LISTED, OWN, t.GRANT, t.REGISTER, t.INSPECT}
    assert [taken[1:] for taken in done[MATTER].taken_in] == [(HALL, 2, 1)]
    assert set_intake(town.parts.database, town.clock) == []
    matters = town.parts.catalogue("nothing").matters
    assert (matters[MATTER].intake, matters[MATTER].confirmed) == ((HALL,), False)
    assert (matters[LISTED].intake, matters[LISTED].confirmed) == ("own", False)
    finding = {f.name: f for f in examine(town.parts.settings, clock=town.clock)}["intake"]
    assert (finding.state, MATTER in finding.message) == (State.PROBLEM, True)
    assert look_up(town, AT_HALL, "收-1").entries, "the hall still works"
    town.parts.registration.load_catalogue(
        {"matters": [{"code": MATTER, "name": "大厅收件", "intake": "centres", **_MATTER}]}
    )
    matters = town.parts.catalogue("nothing").matters
    assert (matters[MATTER].intake, matters[MATTER].confirmed) == ("centres", True)
    town.parts.registration.load_catalogue({"matters": [{"code": LISTED, "name": "指定", **_MATTER}]})
    assert not town.parts.catalogue("nothing").matters[LISTED].confirmed, "a file that says nothing confirms nothing"

import re
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.counter import LookupResult
from hub.db.database import DatabaseUnavailable
from hub.domain.errors import Refusal
from tests.support import city as c
from tests.support import engines
from tests.support.city import City, open_copy, refused

ENROLMENT = ("gulou-education-counter", "GLJY-2026-RX-0415", "GLJY0033")
MORTGAGE = ("fz-natural-resources-counter", "榕不动产〔2026〕012007", "FZZR0212")
TAXI = ("fz-transport-counter", "榕交运〔2026〕0467", "FZJT0054")
SUBSISTENCE = ("gulou-rongyin-street", "榕荫便民〔2026〕0077", "RYJD0005")
PLATFORM = ("fz-approval-platform", "FZSP-2026-001544", "FZZX0023")
XIE = ("111", "990112197804234737", "谢望潮")
ESTATE = ("001", "91990112MA9P3C6891", "福州海湾里置业有限公司")


def shown(found: LookupResult) -> list[tuple[str, str]]:
    return [(entry.type_name, entry.state.value) for entry in found.entries]


def why_not(found: LookupResult) -> dict[str, str]:
    return {item.type_code: item.reason for item in found.unavailable}


# --- what is shown ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("open_case", c.STORY["open_cases"], ids=lambda o: f"{o['case_number']}-{o['holder']['name']}")
def test_every_open_case_of_the_city_can_be_worked_on(city: City, open_case: dict[str, Any]) -> None:
    holder = open_case["holder"]
    who = (holder["id_type"], holder["id_number"], holder["name"])
    found = city.look_up(open_case["client"], open_case["case_number"], open_case["clerk"], who)
    assert found.entries
    assert found.complete


def test_a_child_is_found_through_its_parents_case_with_names_and_number_masked(city: City) -> None:
    found = city.look_up(*ENROLMENT, c.CHILD)
    assert shown(found) == [("居民户口簿", "valid"), ("出生医学证明", "valid")]
    assert [entry.holder_names for entry in found.entries] == [("林*安", "陈*芷", "林*渝"), ("林*渝",)]
    assert all("*" in entry.number for entry in found.entries)
    assert [entry.authority_name for entry in found.entries] == ["福州市公安局", "福州市青榕妇幼保健院"]
    assert why_not(found) == {c.ID_CARD: "not_found", c.TITLE: "not_found"}
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{13}", found.lookup_id)


def test_types_may_be_narrowed_and_repeated(city: City) -> None:
    found = city.look_up(*ENROLMENT, c.CHEN, [c.TITLE, c.ID_CARD, c.TITLE])
    assert shown(found) == [("不动产权证书", "valid"), ("居民身份证", "valid")]
    assert found.entries[0].holder_names == ("林*安", "陈*芷")
    assert found.unavailable == ()


def test_a_number_is_found_however_it_is_typed(city: City) -> None:
    typed = ("111", " ９９０１０２-20190518 048x ", "")
    assert shown(city.look_up(*ENROLMENT, typed)) == shown(city.look_up(*ENROLMENT, c.CHILD))


def test_an_agent_is_looked_up_for_the_agents_materials_alone(city: City) -> None:
    found = city.look_up(*MORTGAGE, c.YOU)
    assert shown(found) == [("居民身份证", "valid")]
    assert found.unavailable == ()
    assert refused(city.look_up, *MORTGAGE, c.YOU, [c.TITLE]) == "perm.holder_not_in_case"
    assert refused(city.look_up, *MORTGAGE, c.YOU, [c.MARRIAGE]) == "perm.type_not_in_matter"
    assert refused(city.look_up, *MORTGAGE, c.YOU, [c.ID_CARD, c.LICENCE]) == "perm.holder_not_in_case"


def test_what_is_not_in_force_is_shown_with_its_reason(city: City) -> None:
    found = city.look_up(*TAXI, c.QIU)
    entry = next(entry for entry in found.entries if entry.type_code == c.DRIVING)
    assert (entry.state.value, entry.kind, str(entry.since)) == ("suspended", "withheld", "2026-08-21")
    assert shown(found)[0] == ("居民身份证", "valid")
    assert why_not(found) == {c.DRIVING: "suspended", c.CLEAN_RECORD: "not_found"}


def test_an_expired_revoked_and_superseded_one_each_say_so(city: City) -> None:
    xu = ("111", "990104199501301428", "许沅")
    found = city.look_up("gulou-market-counter", "鼓市监登〔2026〕0311", "GLSC0081", xu)
    assert why_not(found)[c.ID_CARD] == "expired"

    city.parts.lifecycle.revoke(
        c.caller("fz-public-security"),
        city.identifier(c.ID_CARD, c.CHEN),
        kind="cancelled",
        reason="注销",
        legal_basis="第一条",
    )
    found = city.look_up(*ENROLMENT, c.CHEN)
    entry = found.entries[-1]
    assert (entry.type_code, entry.state.value, entry.kind, entry.since) == (
        c.ID_CARD,
        "revoked",
        "cancelled",
        c.today(),
    )
    assert why_not(found)[c.ID_CARD] == "revoked"


def test_superseded_titles_satisfy_the_matter_that_asks_for_former_ones(city: City) -> None:
    body = {
        "matter_code": "FZZRZY-BDCZY",
        "status": "accepted",
        "applicants": [c.person(c.HUANG)],
        "related": [c.person(ESTATE, relation="owner")],
        "accepted_at": c.ago(1),
    }
    city.push("fz-natural-resources-counter", "转移-1", body)
    place = ("fz-natural-resources-counter", "转移-1", "FZZR0212")
    found = city.look_up(*place, ESTATE, [c.TITLE])
    assert [entry.state.value for entry in found.entries] == [
        "valid",
        "valid",
        "superseded",
        "superseded",
        "superseded",
    ]
    assert [str(entry.since) for entry in found.entries[2:]] == ["2025-07-28"] * 3
    assert found.unavailable == ()
    assert found.entries[0].holder_names == ("福州海湾里置业有限公司",)


def renew(city: City, old: str, case: str, holders: list[c.Person], days: int, **more: Any) -> str:
    """Renew a certificate from a later day on; returns the identifier."""
    version = city.version(old)
    body = {
        **more,
        "status": "completed",
        "applicants": [c.person(holders[0])],
        "accepted_at": c.ago(3),
        "completed_at": c.ago(0),
        "certificates": [
            {
                "type_code": version.type_code,
                "number": version.number,
                "holders": [c.person(who) for who in holders],
                "fields": dict(version.fields),
                "issued_on": c.today().isoformat(),
                "valid_from": (c.today() + timedelta(days=days)).isoformat(),
                "valid_until": (c.today() + timedelta(days=days + 1000)).isoformat(),
                "supersedes": [old],
            }
        ],
    }
    client = next(a["name"] for a in c.ACCOUNTS["clients"] if a["authority"] == version.authority)
    reply = city.push(client, case, body)
    return str(reply["certificates"][0]["identifier"])


def test_a_renewal_that_begins_later_is_shown_with_what_is_still_in_force(city: City) -> None:
    old = city.identifier(c.FOOD, c.MINYU)
    new = renew(city, old, "续-1", [c.MINYU], 20, matter_code="GLSCJG-SPJY")
    place = ("fuqing-education-counter", "园-1", "FQJY0027")
    body = {"matter_code": "FQJY-MBYEY", "status": "accepted", "applicants": [c.person(c.MINYU)]}
    city.push(place[0], place[1], {**body, "accepted_at": c.ago(0)})
    found = city.look_up(*place, c.MINYU, [c.FOOD])
    assert [(e.identifier, e.state.value) for e in found.entries] == [(old, "valid"), (new, "not_yet")]
    assert found.unavailable == ()
    city.clock.ahead = timedelta(days=21)
    found = city.look_up(*place, c.MINYU, [c.FOOD])
    assert [(e.identifier, e.state.value) for e in found.entries] == [(new, "valid")]


def test_a_holder_who_leaves_is_shown_it_until_the_day_and_who_joins_only_from_the_new_version(city: City) -> None:
    old = city.identifier(c.TITLE, c.CHEN)
    new = renew(city, old, "转-1", [c.LIN, c.CHILD], 20, matter_code="FZZRZY-BDCZY")
    assert [e.identifier for e in city.look_up(*ENROLMENT, c.CHEN, [c.TITLE]).entries] == [old]
    assert [e.identifier for e in city.look_up(*ENROLMENT, c.LIN, [c.TITLE]).entries] == [old, new]
    assert [e.identifier for e in city.look_up(*ENROLMENT, c.CHILD, [c.TITLE]).entries] == [new]
    city.clock.ahead = timedelta(days=21)
    gone = city.look_up(*ENROLMENT, c.CHEN, [c.TITLE])
    assert (gone.entries, why_not(gone)) == ((), {c.TITLE: "not_found"})
    assert [e.identifier for e in city.look_up(*ENROLMENT, c.LIN, [c.TITLE]).entries] == [new]


# --- rule 1: what is refused -----------------------------------------------------------------------------------------


def test_absent_unknown_and_foreign_cases_look_alike(city: City) -> None:
    client, case, clerk = ENROLMENT
    answers = []
    for who, number, more in (
        (client, None, {}),
        (client, "", {}),
        (client, "GLJY-2026-RX-9999", {}),
        (client, case, {"source": "11350100MB9A102558"}),
        ("fz-tobacco-counter", case, {"source": c.caller(client).source}),
        ("fz-public-security-counter", case, {}),
        (client, "FZSP-2026-001544", {"source": "fz-approval-platform"}),
    ):
        with pytest.raises(Refusal) as caught:
            city.look_up(who, number, clerk, c.CHILD, **more)  # type: ignore[arg-type]
        answers.append((caught.value.code, caught.value.detail, caught.value.errors, caught.value.retry_after))
    assert set(answers) == {("perm.case_required", "", (), None)}


def test_a_case_of_another_source_is_open_to_its_own_authorities(city: City) -> None:
    place = ("fz-transport-counter", PLATFORM[1], "FZJT0054")
    assert refused(city.look_up, *place, XIE) == "perm.case_required"
    assert shown(city.look_up(*place, XIE, source="fz-approval-platform")) == [("机动车驾驶证", "valid")]


def test_clerks_of_the_deciding_and_of_the_receiving_authority_may_both_ask(city: City) -> None:
    assert city.look_up(*PLATFORM, XIE).entries
    assert city.look_up(PLATFORM[0], PLATFORM[1], "FZJT0054", XIE).entries
    assert city.look_up(*SUBSISTENCE, c.GAO).entries
    assert city.look_up(SUBSISTENCE[0], SUBSISTENCE[1], "GLMZ0016", c.GAO).entries


def test_a_clerk_of_neither_authority_is_refused(city: City) -> None:
    client, case, _ = ENROLMENT
    for clerk in ("FZGA0361", "FZZX0019", "gljy0033", "GLJY9999"):
        assert refused(city.look_up, client, case, clerk, c.CHILD) == "perm.clerk"
    # A clerk of an authority that the client acts for, but not of this case.
    assert refused(city.look_up, PLATFORM[0], PLATFORM[1], "FZRS0140", XIE) == "perm.clerk"


def test_a_clerk_under_another_name_or_switched_off_is_refused(city: City) -> None:
    client, case, clerk = ENROLMENT
    authority = c.caller(client).authority
    assert refused(city.look_up, client, case, clerk, c.CHILD, name="佘知") == "perm.clerk"
    city.parts.registration.set_clerk_disabled(authority, clerk, True)
    assert refused(city.look_up, client, case, clerk, c.CHILD) == "perm.clerk"
    city.parts.registration.set_clerk_disabled(authority, clerk, False)
    assert city.look_up(client, case, clerk, c.CHILD).entries


@pytest.mark.parametrize("status", ["completed", "refused", "withdrawn"])
def test_a_case_that_has_ended_opens_nothing(city: City, status: str) -> None:
    client, case, clerk = ENROLMENT
    body = {"matter_code": "GLJY-RXBM", "applicants": [c.person(c.CHEN)], "accepted_at": c.ago(3)}
    body["related"] = [c.person(c.CHILD, relation="child")]
    assert city.look_up(client, case, clerk, c.CHILD).entries
    city.push(client, case, {**body, "status": status, "completed_at": c.ago(0)})
    assert refused(city.look_up, client, case, clerk, c.CHILD) == "perm.case_not_open"


def test_a_case_goes_stale_after_its_matters_days(city: City) -> None:
    city.clock.ahead = timedelta(days=30 - 1)  # accepted a day ago, open for 30
    assert city.look_up(*MORTGAGE, c.HUANG).entries
    city.clock.ahead = timedelta(days=30)
    assert refused(city.look_up, *MORTGAGE, c.HUANG) == "perm.case_not_open"


def test_people_whom_the_case_does_not_name_are_refused_known_or_not(city: City) -> None:
    for who in (c.GAO, c.HUANG, c.MINYU, c.NOBODY, ("414", "X90000217", "")):
        assert refused(city.look_up, *ENROLMENT, who) == "perm.holder_not_in_case"


def test_who_is_taken_out_of_the_case_is_no_longer_found(city: City) -> None:
    client, case, clerk = ENROLMENT
    body = {"matter_code": "GLJY-RXBM", "status": "accepted", "applicants": [c.person(c.CHEN)]}
    city.push(client, case, {**body, "accepted_at": c.ago(3)})
    assert refused(city.look_up, client, case, clerk, c.CHILD) == "perm.holder_not_in_case"


def test_types_that_the_matter_does_not_need_are_refused_whether_they_are_held_or_not(city: City) -> None:
    for types in ([c.MARRIAGE], [c.DRIVING], [c.TITLE, c.MARRIAGE], ["no-such-type"]):
        assert refused(city.look_up, *ENROLMENT, c.CHEN, types) == "perm.type_not_in_matter"


def test_the_first_refusal_in_the_order_of_the_rule_is_the_answer(city: City) -> None:
    client, case, _ = ENROLMENT
    city.clock.ahead = timedelta(days=400)
    assert refused(city.look_up, "fz-tobacco-counter", case, "x", c.NOBODY, ["x"]) == "perm.case_required"
    assert refused(city.look_up, client, case, "x", c.NOBODY, ["x"]) == "perm.clerk"
    assert refused(city.look_up, client, case, "GLJY0033", c.NOBODY, ["x"]) == "perm.case_not_open"
    city.clock.ahead = timedelta()
    assert refused(city.look_up, client, case, "GLJY0033", c.NOBODY, ["x"]) == "perm.holder_not_in_case"
    assert refused(city.look_up, client, case, "GLJY0033", c.CHEN, ["x"]) == "perm.type_not_in_matter"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"holder": {"id_type": "111", "id_number": "990102201905180481"}}, "id.checksum"),
        ({"holder": {"id_type": "111", "id_number": "99010220"}}, "id.length"),
        ({"holder": {"id_type": "001", "id_number": "91990102MA9R0K176C"}}, "uscc.checksum"),
        ({"holder": {"id_type": "998", "id_number": "1"}}, "schema.invalid"),
        ({"case_number": "A/B"}, "schema.invalid"),
        ({"case_number": f"窗口-{c.CHILD[1]}"}, "schema.invalid"),
        ({"source": c.CHILD[1]}, "schema.invalid"),
        ({"type_codes": []}, "schema.invalid"),
        ({"extra": 1}, "schema.invalid"),
        ({"clerk": {"id": "GLJY0033"}}, "schema.invalid"),
    ],
)
def test_malformed_requests_are_refused_and_do_not_reach_the_record(
    city: City, change: dict[str, Any], code: str
) -> None:
    from hub.wire import validate

    client, case, clerk = ENROLMENT
    body = {**city.body(case, clerk, holder={"id_type": c.CHILD[0], "id_number": c.CHILD[1]}), **change}

    def ask() -> None:
        from hub.counter import LookupBody

        city.parts.lookup.look_up(c.caller(client), validate(LookupBody, body))

    assert refused(ask) == code
    assert city.audit() == []


# --- limits ----------------------------------------------------------------------------------------------------------


def test_a_clerk_may_look_up_so_many_people_a_day(template: Path, tmp_path: Path) -> None:
    with open_copy(template, tmp_path / "data", people_a_day_per_clerk=2) as city:
        city.look_up(*ENROLMENT, c.CHILD)
        city.look_up(*ENROLMENT, c.CHEN)
        city.look_up(*ENROLMENT, c.CHILD)  # again the same people
        with pytest.raises(Refusal) as caught:
            city.look_up(*ENROLMENT, c.LIN)
        assert caught.value.code == "rate.limited"
        assert 0 < (caught.value.retry_after or 0) <= 86_400
        city.look_up(*ENROLMENT, c.CHEN)
        assert refused(city.look_up, *ENROLMENT, c.LIN) == "rate.limited"
        assert [row["outcome"] for row in city.audit()] == ["ok"] * 3 + ["rate.limited", "ok", "rate.limited"]
        city.clock.ahead = timedelta(days=1)
        assert city.look_up(*ENROLMENT, c.LIN).entries


@pytest.mark.parametrize("limit", ["people_a_day_per_client", "people_a_day"])
def test_a_client_and_the_whole_hub_have_limits_too(template: Path, tmp_path: Path, limit: str) -> None:
    with open_copy(template, tmp_path / "data", **{limit: 1}) as city:
        city.clock.ahead = timedelta(days=1)  # a day on which no person has been named yet
        city.look_up(*ENROLMENT, c.CHILD)
        assert refused(city.look_up, *ENROLMENT, c.CHEN) == "rate.limited"
        other = refused if limit == "people_a_day" else lambda call, *args: call(*args) and "ok"
        assert other(city.look_up, *MORTGAGE, c.YOU) == ("rate.limited" if other is refused else "ok")


def test_questions_at_once_do_not_pass_a_limit_together(template: Path, tmp_path: Path) -> None:
    with open_copy(template, tmp_path / "data", people_a_day_per_clerk=2) as city:
        outcomes: list[str] = []

        def ask(who: c.Person) -> None:
            try:
                city.look_up(*ENROLMENT, who)
                outcomes.append("ok")
            except Refusal as refusal:
                outcomes.append(refusal.code)

        threads = [threading.Thread(target=ask, args=(who,)) for who in (c.CHILD, c.CHEN, c.LIN)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["ok", "ok", "rate.limited"]
        assert sorted(row["outcome"] for row in city.audit()) == ["ok", "ok", "rate.limited"]


def test_a_refused_lookup_counts_no_one(template: Path, tmp_path: Path) -> None:
    with open_copy(template, tmp_path / "data", people_a_day_per_clerk=1) as city:
        for who in (c.GAO, c.HUANG, c.QIU):
            assert refused(city.look_up, *ENROLMENT, who) == "perm.holder_not_in_case"
        assert city.look_up(*ENROLMENT, c.CHILD).entries


# --- the record ------------------------------------------------------------------------------------------------------


def test_every_answer_and_every_refusal_is_on_record_without_anything_personal(city: City) -> None:
    client, case, clerk = ENROLMENT
    found = city.look_up(*ENROLMENT, c.CHILD)
    refused(city.look_up, client, "GLJY-0", clerk, c.CHILD)
    refused(city.look_up, client, case, "郑予舟", c.CHILD)
    refused(city.look_up, client, case, clerk, c.CHILD, name="林屿安")
    refused(city.look_up, *ENROLMENT, c.GAO)
    refused(city.look_up, *ENROLMENT, c.NOBODY)
    refused(city.look_up, *ENROLMENT, c.CHEN, [c.MARRIAGE])
    rows = city.audit()
    assert [row["outcome"] for row in rows] == [
        "ok",
        "perm.case_required",
        "perm.clerk",
        "perm.clerk",
        "perm.holder_not_in_case",
        "perm.holder_not_in_case",
        "perm.type_not_in_matter",
    ]
    assert {(row["action"], row["client"], row["request"]) for row in rows} == {("lookup", client, "request-1")}
    who = f"{c.caller(client).authority}|{clerk}"
    assert [row["clerk"] for row in rows] == [who, None, None, who, who, who, who]
    assert [row["party"] is None for row in rows] == [False] * 5 + [True, False]
    assert rows[0]["case_number"] == case
    text = repr(rows)
    for name in (c.CHILD, c.CHEN, c.GAO, c.NOBODY):
        assert name[1] not in text
        assert name[2] not in text
    assert "郑予舟" not in text
    from hub.counter.lookup import reference

    assert found.lookup_id == reference(rows[0]["id"])


def test_what_cannot_be_put_on_record_is_not_answered(city: City) -> None:
    with engines.tampering(city.parts) as writer:
        writer.run("ALTER TABLE audit RENAME TO elsewhere")
    for who in (c.CHILD, c.GAO):
        with pytest.raises(Exception, match=r"no such table|does not exist"):
            city.look_up(*ENROLMENT, who)
    counted = city.parts.database.reader.one("SELECT COUNT(*) AS n FROM seen WHERE scope = 1")
    assert counted is not None
    assert counted["n"] == 0


def test_without_a_database_there_is_no_answer(city: City) -> None:
    city.parts.ids.take("audit")
    found: list[BaseException] = []

    def ask() -> None:
        try:
            city.look_up(*ENROLMENT, c.CHILD)
        except DatabaseUnavailable as error:
            found.append(error)

    thread = threading.Thread(target=ask)  # a new thread needs a new connection
    with engines.away(city.parts):
        thread.start()
        thread.join()
    assert len(found) == 1


def test_a_case_that_changes_while_it_is_read_is_read_again(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    client, case, clerk = ENROLMENT
    from hub.counter import lookup

    original = lookup.unavailable
    changed: list[bool] = []

    def change_meanwhile(*args: Any) -> Any:
        if not changed:
            changed.append(True)
            body = {"matter_code": "GLJY-RXBM", "status": "withdrawn", "applicants": [c.person(c.CHEN)]}
            city.push(client, case, {**body, "accepted_at": c.ago(3)})
        return original(*args)

    monkeypatch.setattr(lookup, "unavailable", change_meanwhile)
    assert refused(city.look_up, client, case, clerk, c.CHEN) == "perm.case_not_open"
    assert [row["outcome"] for row in city.audit() if row["action"] == "lookup"] == ["perm.case_not_open"]

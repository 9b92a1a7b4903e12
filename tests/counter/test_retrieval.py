import re
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.counter import Taken
from hub.domain.errors import Refusal
from hub.store import retrievals
from signing import credential, identifier
from signing.keys import Purpose
from tests.support import city as c
from tests.support import engines
from tests.support.city import City, open_copy, refused

ENROLMENT = ("gulou-education-counter", "GLJY-2026-RX-0415", "GLJY0033")
MORTGAGE = ("fz-natural-resources-counter", "榕不动产〔2026〕012007", "FZZR0212")
TAXI = ("fz-transport-counter", "榕交运〔2026〕0467", "FZJT0054")
FORMER = ("fz-natural-resources-counter", "转移-1", "FZZR0212")
ESTATE = ("001", "91990112MA9P3C6891", "福州海湾里置业有限公司")


def revoke(city: City, wanted: str) -> None:
    version = city.version(wanted)
    client = next(a for a in c.ACCOUNTS["clients"] if a["authority"] == version.authority)
    city.parts.lifecycle.revoke(c.caller(client["name"]), wanted, kind="cancelled", reason="注销", legal_basis="第一条")


def rows(city: City) -> list[dict[str, Any]]:
    return [dict(row) for row in city.parts.database.reader.all("SELECT * FROM retrievals ORDER BY at")]


# --- what is given ---------------------------------------------------------------------------------------------------


def test_a_certificate_is_taken_with_the_fields_of_the_matter_alone(city: City) -> None:
    wanted = city.identifier(c.BIRTH, c.CHILD)
    taken = city.retrieve(*ENROLMENT, wanted)
    assert taken.created
    assert taken.state.value == "valid"
    assert re.fullmatch("[0-9]{6}-[A-HJKMNP-TV-Z][0-9A-HJKMNP-TV-Z]{11}", taken.receipt_number)
    assert dict(taken.fields) == {
        "sex": "2",
        "born_at": "2019-05-18 06:42",
        "mother_name": "陈沅芷",
        "father_name": "林屿安",
    }
    assert set(taken.version.fields) > set(taken.fields)
    assert [holder.name for holder in taken.version.holders] == ["林知渝"]


def test_the_credential_is_ours_and_discloses_nothing_more(city: City) -> None:
    taken = city.retrieve(*ENROLMENT, city.identifier(c.TITLE, c.CHEN))
    read = credential.read(taken.credential)
    assert set(read.fields) == set(taken.fields) == {"co_ownership", "location", "usage"}
    assert read.fields == dict(taken.fields)
    assert read.number == taken.version.number
    key = city.parts.keyring.public(read.kid, Purpose.CREDENTIAL)
    assert key is not None
    assert credential.is_signed_by(read, key)
    assert credential.read(taken.version.credential).fields.keys() - read.fields.keys() >= {"remarks", "area"}


def test_a_material_that_names_no_fields_shows_the_whole_face(city: City) -> None:
    taken = city.retrieve(*MORTGAGE, city.identifier(c.TITLE, c.HUANG))
    assert dict(taken.fields) == dict(taken.version.fields)
    assert taken.credential == taken.version.credential


def test_the_agent_gives_the_agents_materials_alone(city: City) -> None:
    assert city.retrieve(*MORTGAGE, city.identifier(c.ID_CARD, c.YOU)).created
    case = ("gulou-market-counter", "食-1", "GLSC0081")
    body = {"matter_code": "GLSCJG-SPJY", "status": "accepted", "applicants": [c.person(c.MINYU)]}
    body["agent"] = c.person(c.CHEN)
    city.push(case[0], case[1], {**body, "accepted_at": c.ago(0)})
    assert set(city.retrieve(*case, city.identifier(c.ID_CARD, c.CHEN)).fields) == {"issuing_organ"}
    body["related"] = [c.person(c.CHEN, relation="legal_representative")]
    case = (case[0], "食-2", case[2])
    city.push(case[0], case[1], {**body, "accepted_at": c.ago(0)})
    assert set(city.retrieve(*case, city.identifier(c.ID_CARD, c.CHEN)).fields) == {"issuing_organ"}


def test_what_an_agent_holds_for_others_materials_is_refused(city: City) -> None:
    body = {"matter_code": "FZZRZY-BDCDY", "status": "accepted", "applicants": [c.person(c.HUANG)]}
    case = ("fz-natural-resources-counter", "押-1", "FZZR0212")
    city.push(case[0], case[1], {**body, "agent": c.person(c.CHEN), "accepted_at": c.ago(0)})
    assert city.retrieve(*case, city.identifier(c.ID_CARD, c.CHEN)).created
    assert refused(city.retrieve, *case, city.identifier(c.TITLE, c.CHEN)) == "perm.holder_not_in_case"


def test_one_of_two_holders_in_the_case_is_enough(city: City) -> None:
    case = ("fz-human-resources-counter", "FZRS-CY-2026-0391", "FZRS0140")
    taken = city.retrieve(*case, city.identifier(c.MARRIAGE, c.LIN))
    assert [holder.name for holder in taken.version.holders] == ["林屿安", "陈沅芷"]
    assert dict(taken.fields) == {"registered_on": "2016-10-18"}


# --- receipts --------------------------------------------------------------------------------------------------------


def test_the_same_case_clerk_and_identifier_have_one_receipt_while_it_is_in_date(city: City) -> None:
    wanted = city.identifier(c.TITLE, c.CHEN)
    first = city.retrieve(*ENROLMENT, wanted)
    again = city.retrieve(*ENROLMENT, wanted)
    assert (again.receipt_number, again.created) == (first.receipt_number, False)
    assert (again.fields, again.credential) == (first.fields, first.credential)
    assert city.retrieve(*ENROLMENT, city.identifier(c.ID_CARD, c.CHEN)).receipt_number != first.receipt_number
    city.clock.ahead = timedelta(days=30)
    assert city.retrieve(*ENROLMENT, wanted).receipt_number == first.receipt_number
    city.clock.ahead = timedelta(days=31)
    later = city.retrieve(*ENROLMENT, wanted)
    assert later.created
    assert later.receipt_number != first.receipt_number
    assert city.retrieve(*ENROLMENT, wanted).receipt_number == later.receipt_number


def test_another_clerk_has_another_receipt(city: City) -> None:
    wanted = city.identifier(c.ID_CARD, c.HUANG)
    first = city.retrieve(*MORTGAGE, wanted)
    assert city.retrieve(MORTGAGE[0], MORTGAGE[1], "FZZR0218", wanted).receipt_number != first.receipt_number


def test_another_permission_has_another_receipt(city: City) -> None:
    wanted = city.identifier(c.ID_CARD, c.CHEN)
    first = city.retrieve(*ENROLMENT, wanted)
    with engines.tampering(city.parts) as writer:
        writer.run("UPDATE materials SET fields = 'address sex' WHERE matter = 'GLJY-RXBM' AND fields = 'address'")
        writer.run("UPDATE id_blocks SET next = next + 1 WHERE name = 'catalogue'")
    city.parts.catalogue.refresh()
    second = city.retrieve(*ENROLMENT, wanted)
    assert second.created
    assert second.receipt_number != first.receipt_number
    assert set(second.fields) == {"address", "sex"}


def test_equal_retrievals_at_once_have_one_receipt(city: City) -> None:
    wanted = city.identifier(c.TITLE, c.CHEN)
    taken: list[Taken] = []
    threads = [threading.Thread(target=lambda: taken.append(city.retrieve(*ENROLMENT, wanted))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.receipt_number for one in taken}) == 1
    assert sorted(one.created for one in taken) == [False] * 7 + [True]
    assert len(rows(city)) == 1


def test_a_receipt_keeps_who_took_what_and_why(city: City) -> None:
    wanted = city.identifier(c.BIRTH, c.CHILD)
    taken = city.retrieve(*ENROLMENT, wanted)
    (row,) = rows(city)
    version = city.version(wanted)
    assert row["receipt"] == taken.receipt_number
    assert (row["home"], row["certificate"], row["version"]) == (version.home, version.certificate, 1)
    assert (row["client"], row["clerk"], row["clerk_authority"]) == (
        ENROLMENT[0],
        ENROLMENT[2],
        c.caller(ENROLMENT[0]).authority,
    )
    assert (row["party"], row["state"], row["case_number"]) == (version.parties[0], "valid", ENROLMENT[1])
    kept = retrievals.read(city.parts.database.reader, city.parts.vault, (row["month"], row["receipt"]))
    assert kept.purpose == retrievals.Purpose(
        clerk_name=c.CLERKS[ENROLMENT[2]],
        authority_name="福州市鼓楼区教育局",
        matter_code="GLJY-RXBM",
        matter_name="义务教育阶段入学报名",
        materials=("出生医学证明",),
        fields=("born_at", "father_name", "mother_name", "sex"),
    )
    plain = repr({name: value for name, value in row.items() if name != "sealed"})
    for secret in (*c.CHILD[1:], c.CLERKS[ENROLMENT[2]], version.number):
        assert secret not in plain
        assert secret.encode() not in row["sealed"]


def test_receipt_numbers_never_read_as_a_citizens_number() -> None:
    from hub.domain import numbers
    from hub.runtime.clock import Clock

    made = {retrievals.new_number(Clock().now()) for _ in range(2000)}
    assert len(made) == 2000
    assert not any(numbers.contains_citizen_number(number) for number in made)


# --- states ----------------------------------------------------------------------------------------------------------


def test_a_state_that_the_matter_does_not_accept_is_not_given(city: City) -> None:
    assert refused(city.retrieve, *TAXI, city.identifier(c.DRIVING, c.QIU)) == "certificate.not_active"
    wanted = city.identifier(c.ID_CARD, c.CHEN)
    assert city.retrieve(*ENROLMENT, wanted).created
    revoke(city, wanted)
    assert refused(city.retrieve, *ENROLMENT, wanted) == "certificate.not_active"
    assert len(rows(city)) == 1


def open_former(city: City) -> list[str]:
    """A case of a matter that accepts superseded titles; returns the identifiers of three of them."""
    body = {"matter_code": "FZZRZY-BDCZY", "status": "accepted", "applicants": [c.person(c.HUANG)]}
    body["related"] = [c.person(ESTATE, relation="owner")]
    city.push(FORMER[0], FORMER[1], {**body, "accepted_at": c.ago(1)})
    found = city.look_up(*FORMER, ESTATE, [c.TITLE])
    return [entry.identifier for entry in found.entries if entry.state.value == "superseded"]


def test_a_state_that_the_matter_accepts_is_given_as_such(city: City) -> None:
    for wanted in open_former(city):
        taken = city.retrieve(*FORMER, wanted)
        assert (taken.state.value, str(taken.why.since)) == ("superseded", "2025-07-28")


def corrected(city: City) -> tuple[str, str]:
    """(former, current) identifier of the licence that was corrected."""
    reader = city.parts.database.reader
    row = reader.one(
        "SELECT home, certificate FROM versions WHERE version = 2 AND identifier LIKE :type", {"type": f"%{c.LICENCE}%"}
    )
    assert row is not None
    from hub.store import certificates

    versions = certificates.versions_of(reader, city.parts.vault, row["home"], row["certificate"])
    return versions[0].identifier, versions[1].identifier


def test_an_old_version_is_not_given_and_the_current_one_is(city: City) -> None:
    old, current = corrected(city)
    rongli = ("001", "91990112MA9P2H513X", "福州榕砺建设工程有限公司")
    case = ("fz-approval-platform", "FZSP-2026-001530", "FZZX0019")
    assert [entry.identifier for entry in city.look_up(*case, rongli, [c.LICENCE]).entries][:1] == [current]
    assert refused(city.retrieve, *case, old) == "certificate.not_active"
    assert city.retrieve(*case, current).created


def test_a_revocation_that_is_committed_first_is_honoured(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = city.identifier(c.ID_CARD, c.CHEN)
    original = retrievals.row_of
    done: list[bool] = []

    def revoke_meanwhile(*args: Any, **more: Any) -> Any:
        if not done:
            done.append(True)
            revoke(city, wanted)
        return original(*args, **more)

    monkeypatch.setattr(retrievals, "row_of", revoke_meanwhile)
    assert refused(city.retrieve, *ENROLMENT, wanted) == "certificate.not_active"
    assert rows(city) == []
    assert [row["outcome"] for row in city.audit() if row["action"] == "retrieval"] == ["certificate.not_active"]


# --- rule 1 ----------------------------------------------------------------------------------------------------------


def test_the_gate_is_the_one_of_lookups(city: City) -> None:
    client, case, clerk = ENROLMENT
    wanted = city.identifier(c.ID_CARD, c.CHEN)
    assert refused(city.retrieve, client, None, clerk, wanted) == "perm.case_required"
    assert refused(city.retrieve, client, "GLJY-0", clerk, wanted) == "perm.case_required"
    assert refused(city.retrieve, "fz-tobacco-counter", case, clerk, wanted) == "perm.case_required"
    assert refused(city.retrieve, client, case, "FZGA0361", wanted) == "perm.clerk"
    assert refused(city.retrieve, client, case, clerk, wanted, name="林屿安") == "perm.clerk"
    city.clock.ahead = timedelta(days=91)
    assert refused(city.retrieve, client, case, clerk, wanted) == "perm.case_not_open"


def test_unknown_and_foreign_identifiers_look_alike(city: City) -> None:
    foreign = city.identifier(c.ID_CARD, c.GAO)
    known = identifier.parse(foreign)
    unknown = identifier.build(known.type_code, known.authority_code, identifier.new_serial(), 1)
    next_version = identifier.build(known.type_code, known.authority_code, known.serial, 2)
    answers = []
    for wanted in (foreign, unknown, next_version):
        with pytest.raises(Refusal) as caught:
            city.retrieve(*ENROLMENT, wanted)
        answers.append((caught.value.code, caught.value.detail, caught.value.errors))
    assert set(answers) == {("perm.holder_not_in_case", "", ())}


def test_what_is_no_identifier_is_not_found(city: City) -> None:
    good = city.identifier(c.ID_CARD, c.CHEN)
    for wanted in ("x", good[:-1], good[:-1] + ("A" if good[-1] != "A" else "B"), good.lower(), "证" * 160):
        assert refused(city.retrieve, *ENROLMENT, wanted) == "certificate.not_found"


def test_types_that_the_matter_does_not_need_are_refused_for_every_holder(city: City) -> None:
    for who, type_code in ((c.CHEN, c.MARRIAGE), (c.MINYU, c.FOOD), (c.QIU, c.DRIVING)):
        assert refused(city.retrieve, *ENROLMENT, city.identifier(type_code, who)) == "perm.type_not_in_matter"


def test_people_are_counted_with_those_looked_up(template: Path, tmp_path: Path) -> None:
    with open_copy(template, tmp_path / "data", people_a_day_per_clerk=1) as city:
        city.look_up(*ENROLMENT, c.CHEN)
        assert city.retrieve(*ENROLMENT, city.identifier(c.ID_CARD, c.CHEN)).created
        wanted = city.identifier(c.BIRTH, c.CHILD)
        assert refused(city.retrieve, *ENROLMENT, wanted) == "rate.limited"
        assert len(rows(city)) == 1
        city.clock.ahead = timedelta(days=1)
        assert city.retrieve(*ENROLMENT, wanted).created


def test_every_answer_and_every_refusal_is_on_record_without_anything_personal(city: City) -> None:
    client, _, clerk = ENROLMENT
    mine, gao = city.identifier(c.ID_CARD, c.CHEN), city.identifier(c.ID_CARD, c.GAO)
    city.retrieve(*ENROLMENT, mine)
    city.retrieve(*ENROLMENT, mine)
    refused(city.retrieve, *ENROLMENT, gao)
    refused(city.retrieve, *ENROLMENT, "x")
    refused(city.retrieve, client, "GLJY-0", clerk, mine)
    refused(city.retrieve, *TAXI, city.identifier(c.DRIVING, c.QIU))
    found = city.audit()
    assert [row["outcome"] for row in found] == [
        "ok",
        "ok",
        "perm.holder_not_in_case",
        "certificate.not_found",
        "perm.case_required",
        "certificate.not_active",
    ]
    assert {row["action"] for row in found} == {"retrieval"}
    assert [row["certificate"] is not None for row in found] == [True, True, True, False, False, True]
    assert [row["party"] is not None for row in found] == [True, True, True, False, False, True]
    text = repr(found)
    for secret in (*c.CHEN[1:], *c.GAO[1:], *c.QIU[1:], *c.CLERKS.values()):
        assert secret not in text


def test_what_cannot_be_put_on_record_is_not_given(city: City) -> None:
    with engines.tampering(city.parts) as writer:
        writer.run("ALTER TABLE audit RENAME TO elsewhere")
    with pytest.raises(Exception, match=r"no such table|does not exist"):
        city.retrieve(*ENROLMENT, city.identifier(c.ID_CARD, c.CHEN))
    assert rows(city) == []

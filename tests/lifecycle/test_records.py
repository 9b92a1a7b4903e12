"""What an authority reads about its own certificates, what all clients read of the catalogue, and both over HTTP."""

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from hub.api.catalogue import AuthoritiesReply, MattersReply, TypesReply
from hub.api.certificates import CertificateReply
from hub.api.counter import LookupReply, RetrievalReply
from hub.app import create_app
from hub.domain.caller import Caller
from hub.records import Certificate
from hub.sample import loader
from signing import credential
from tests.support import city as c
from tests.support import engines
from tests.support.city import City, open_copy, refused
from tests.support.serving import served

PUBLIC_SECURITY = "fz-public-security"
ENROLMENT = ("gulou-education-counter", "GLJY-2026-RX-0415", "GLJY0033")


def read(city: City, caller: Caller, identifier: str) -> Certificate:
    return city.parts.records.read(caller, identifier)


# --- one's own certificates ------------------------------------------------------------------------------------------


def test_the_issuing_authority_reads_everything(city: City) -> None:
    wanted = city.identifier(c.ID_CARD, c.LIN)
    found = read(city, c.caller(PUBLIC_SECURITY), wanted)
    assert found.version.identifier == wanted
    assert found.version.holders[0].name == "林屿安"
    assert [act.kind.name for act in found.history] == ["ISSUED"]
    assert found.public_url == c.URL
    assert found.state.value == "valid"


def test_every_version_and_every_act_is_listed_in_order(city: City) -> None:
    row = city.parts.database.reader.one("SELECT identifier FROM versions WHERE case_number = '榕公证〔2022〕00571'")
    assert row is not None
    lost = read(city, c.caller(PUBLIC_SECURITY), row["identifier"])
    assert [(act.kind.name, act.subkind) for act in lost.history] == [
        ("ISSUED", None),
        ("SUSPENDED", "lost"),
        ("RESTORED", None),
    ]
    assert lost.history[1].grounds["document_number"] == "榕公挂失〔2025〕1187"
    assert str(lost.history[1].effective_on) == "2025-11-03"

    row = city.parts.database.reader.one(
        "SELECT identifier FROM versions WHERE case_number = '榕市监登〔2017〕00415' AND version = 1"
    )
    assert row is not None
    old = read(city, c.caller("fz-market-regulation"), row["identifier"])
    assert old.state.value == "superseded"
    assert [v.version for v in old.versions] == [1, 2]
    assert [act.kind.name for act in old.history] == ["ISSUED", "CORRECTED"]


SCOPES = {"manage": frozenset({"certificates:manage"}), "write": frozenset({"cases:write"})}


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({"scopes": SCOPES["manage"]}, True),
        ({"scopes": SCOPES["write"]}, True),
        ({"scopes": SCOPES["manage"], "source": "another"}, True),
        ({"scopes": SCOPES["write"], "source": "another"}, False),
        ({"scopes": frozenset({"certificates:lookup", "certificates:retrieve"})}, False),
        ({"scopes": SCOPES["manage"], "authority": "11350100MB9A11485X", "acts_for": {"11350100MB9A102558"}}, True),
        ({"scopes": SCOPES["manage"], "authority": "11350100MB9A11485X"}, False),
        # The source alone, without the authority, opens nothing.
        ({"scopes": SCOPES["write"], "authority": "11350100MB9A11485X"}, False),
    ],
)
def test_who_may_read_a_certificate(city: City, changes: dict[str, Any], allowed: bool) -> None:
    wanted = city.identifier(c.ID_CARD, c.LIN)
    if "acts_for" in changes:
        changes = {**changes, "acts_for": frozenset(changes["acts_for"])}
    who = c.caller(PUBLIC_SECURITY, **changes)
    if allowed:
        assert read(city, who, wanted).version.identifier == wanted
        assert city.parts.records.credential(who, wanted) == city.version(wanted).credential
    else:
        assert refused(read, city, who, wanted) == "certificate.not_found"
        assert refused(city.parts.records.credential, who, wanted) == "certificate.not_found"
    assert {row["outcome"] for row in city.audit()} == {"ok" if allowed else "certificate.not_found"}


def test_readings_are_on_record_and_hold_nothing_personal(city: City) -> None:
    wanted = city.identifier(c.ID_CARD, c.LIN)
    read(city, c.caller(PUBLIC_SECURITY), wanted)
    city.parts.records.credential(c.caller(PUBLIC_SECURITY), wanted)
    refused(read, city, c.caller("fz-tobacco"), wanted)
    refused(read, city, c.caller("fz-tobacco"), "x")
    rows = city.audit()
    assert [(row["action"], row["outcome"]) for row in rows] == [
        ("certificate.read", "ok"),
        ("certificate.credential", "ok"),
        ("certificate.read", "certificate.not_found"),
        ("certificate.read", "certificate.not_found"),
    ]
    assert [row["certificate"] is not None for row in rows] == [True, True, True, False]
    assert c.LIN[1] not in repr(rows)
    assert c.LIN[2] not in repr(rows)


def test_what_cannot_be_put_on_record_is_not_read(city: City) -> None:
    wanted = city.identifier(c.ID_CARD, c.LIN)
    with engines.tampering(city.parts) as writer:
        writer.run("ALTER TABLE audit RENAME TO elsewhere")
    with pytest.raises(Exception, match=r"no such table|does not exist"):
        read(city, c.caller(PUBLIC_SECURITY), wanted)


# --- over HTTP -------------------------------------------------------------------------------------------------------


@dataclass
class Web:
    city: City
    http: httpx.Client

    def token(self, client: str) -> dict[str, str]:
        key = (self.city.folder / "sample" / loader._key_file(client)).read_bytes()
        now = int(time.time())
        claims = {"iss": client, "sub": client, "aud": c.URL, "iat": now, "exp": now + 60, "jti": secrets.token_hex(8)}
        assertion = jwt.encode(claims, key, "ES256")
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
        }
        reply = self.http.post("/oauth/token", data=form)
        assert reply.status_code == 200, reply.text
        return {"Authorization": f"Bearer {reply.json()['access_token']}"}


@pytest.fixture(scope="module")
def web(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with (
        open_copy(template, tmp_path_factory.mktemp("web") / "data") as city,
        served(create_app(city.parts)) as address,
        httpx.Client(base_url=address, trust_env=False) as http,
    ):
        yield Web(city, http)


def test_a_counter_finds_a_certificate_and_takes_it_over_http(web: Web) -> None:
    client, case, clerk = ENROLMENT
    headers = web.token(client)
    body = web.city.body(case, clerk)
    reply = web.http.post(
        "/api/v1/lookups", json={**body, "holder": {"id_type": "111", "id_number": c.CHILD[1]}}, headers=headers
    )
    assert reply.status_code == 200
    found = LookupReply.model_validate_json(reply.text)
    assert found.complete
    assert set(reply.json()) == {"lookup_id", "entries", "unavailable", "complete"}
    assert c.CHILD[1] not in reply.text
    assert c.CHILD[2] not in reply.text

    wanted = next(entry.identifier for entry in found.entries if entry.type_code == c.BIRTH)
    first = web.http.post("/api/v1/retrievals", json={**body, "identifier": wanted}, headers=headers)
    again = web.http.post("/api/v1/retrievals", json={**body, "identifier": wanted}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    taken = RetrievalReply.model_validate_json(first.text)
    assert set(first.json()) == {"receipt_number", "state", "certificate", "credential", "copy"}
    assert again.json() == first.json()
    assert taken.certificate.holders[0].name == c.CHILD[2]
    assert credential.read(taken.credential).fields == taken.certificate.fields
    record = web.city.audit()[-1]
    assert (record["outcome"], record["request"]) == ("ok", again.headers["x-request-id"])


@pytest.mark.parametrize(
    ("client", "change", "status", "code"),
    [
        (
            "gulou-education-counter",
            {"holder": {"id_type": "111", "id_number": c.GAO[1]}},
            403,
            "perm.holder_not_in_case",
        ),
        ("gulou-education-counter", {"case_number": None}, 403, "perm.case_required"),
        ("gulou-education-counter", {"type_codes": [c.MARRIAGE]}, 403, "perm.type_not_in_matter"),
        ("gulou-education-counter", {"clerk": {"id": "FZGA0361", "name": "傅晴川"}}, 403, "perm.clerk"),
        ("gulou-education-counter", {"case_number": 7}, 422, "schema.invalid"),
        ("fz-tobacco-counter", {}, 403, "perm.case_required"),
        ("fz-public-security", {}, 403, "perm.scope"),
    ],
)
def test_refusals_come_as_problems_that_repeat_nothing(
    web: Web, client: str, change: dict[str, Any], status: int, code: str
) -> None:
    _, case, clerk = ENROLMENT
    holder = {"id_type": "111", "id_number": c.CHILD[1]}
    body = {**web.city.body(case, clerk), "holder": holder, **change}
    reply = web.http.post("/api/v1/lookups", json=body, headers=web.token(client))
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert reply.headers["content-type"].startswith("application/problem+json")
    for sent in (c.CHILD[1], c.GAO[1], "傅晴川", case):
        assert sent not in reply.text


def test_a_limit_says_when_to_come_back(template: Path, tmp_path: Path) -> None:
    client, case, clerk = ENROLMENT
    with (
        open_copy(template, tmp_path / "data", people_a_day_per_clerk=1) as city,
        served(create_app(city.parts)) as address,
        httpx.Client(base_url=address, trust_env=False) as http,
    ):
        headers = Web(city, http).token(client)
        body = city.body(case, clerk)
        replies = [
            http.post(
                "/api/v1/lookups", json={**body, "holder": {"id_type": "111", "id_number": who[1]}}, headers=headers
            )
            for who in (c.CHILD, c.CHEN)
        ]
    assert [reply.status_code for reply in replies] == [200, 429]
    assert replies[1].json()["code"] == "rate.limited"
    assert 0 < int(replies[1].headers["retry-after"]) <= 86_401


def test_a_department_reads_its_certificate_and_its_credential(web: Web) -> None:
    wanted = web.city.identifier(c.DRIVING, c.QIU)
    headers = web.token("fz-traffic-police")
    reply = web.http.get(f"/api/v1/certificates/{wanted}", headers=headers)
    assert reply.status_code == 200
    CertificateReply.model_validate_json(reply.text)
    found = reply.json()
    assert (found["state"], found["kind"], found["since"]) == ("suspended", "withheld", "2026-08-21")
    assert found["origin"] == "issued"
    assert found["versions"] == [{"identifier": wanted, "version": 1, "state": "suspended"}]
    assert [event["event"] for event in found["history"]] == ["issued", "suspended"]
    assert set(found["history"][1]) == {
        "event",
        "version",
        "kind",
        "reason",
        "legal_basis",
        "document_number",
        "effective_on",
        "recorded_at",
    }
    assert found["links"]["verify"].startswith(f"{c.URL}/v/")
    assert found["holders"] == [{"name": "邱景澜", "id_type": "111", "id_number": c.QIU[1]}]

    reply = web.http.get(f"/api/v1/certificates/{wanted}/credential", headers=headers)
    assert reply.headers["content-type"] == "application/dc+sd-jwt"
    assert credential.read(reply.text).claims.identifier == wanted

    unknown = web.http.get(f"/api/v1/certificates/{wanted[:-1]}", headers=headers)
    foreign = web.http.get(f"/api/v1/certificates/{wanted}", headers=web.token("fz-market-regulation"))
    assert (unknown.status_code, foreign.status_code) == (404, 404)
    for reply in (unknown, foreign):
        assert {**reply.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}


# --- the catalogue ---------------------------------------------------------------------------------------------------


def test_any_client_can_read_the_catalogue(web: Web) -> None:
    headers = web.token("fz-data-bureau")
    types = web.http.get("/api/v1/types", headers=headers)
    matters = web.http.get("/api/v1/matters", headers=headers)
    authorities = web.http.get("/api/v1/authorities", headers=headers)
    assert len(TypesReply.model_validate_json(types.text).types) >= 24
    assert len(MattersReply.model_validate_json(matters.text).matters) >= 20
    assert len(AuthoritiesReply.model_validate_json(authorities.text).authorities) >= 14
    assert {
        "code": "11350100MB9A10335U",
        "name": "福州市公安局交通警察支队",
        "name_en": "Fuzhou Traffic Police",
        "region": "350100",
        "kind": "department",
    } in authorities.json()["authorities"]


def test_one_type_with_an_edition(web: Web) -> None:
    headers = web.token("fz-data-bureau")
    card = web.http.get(f"/api/v1/types/{c.ID_CARD}", headers=headers).json()
    assert (card["name"], card["kind"], card["number_personal"], card["edition"]) == ("居民身份证", "licence", True, 1)
    assert card["editions"] == [{"edition": 1, "from": c.today().isoformat()}]
    sex = card["fields"][0]
    assert (sex["name"], sex["type"], sex["required"], sex["masked"]) == ("sex", "code", True, True)
    assert sex["codes"][0] == {"code": "1", "label": "男", "label_en": "Male"}
    assert [field["masked"] for field in card["fields"][-2:]] == [False, True]
    assert card["fields"][-1] == {
        "name": "photo",
        "label": "照片",
        "label_en": "Photo",
        "type": "photo",
        "required": False,
        "masked": True,
    }
    units = web.http.get(f"/api/v1/types/{c.TITLE}", headers=headers).json()["fields"][-1]
    assert (units["name"], units["type"], len(units["columns"])) == ("units", "table", 6)
    unit, *_, shared = units["columns"]
    assert unit == {
        "name": "unit",
        "label": "部位",
        "label_en": "Unit",
        "type": "text",
        "required": True,
        "max_length": 30,
    }
    assert (shared["name"], shared["type"], shared["required"]) == ("shared_area", "decimal", False)
    assert web.http.get(f"/api/v1/types/{c.ID_CARD}?edition=1", headers=headers).json() == card
    for address, status, code in (
        (f"/api/v1/types/{c.ID_CARD}?edition=2", 422, "type.unknown"),
        (f"/api/v1/types/{c.ID_CARD}?edition=one", 422, "schema.invalid"),
        (f"/api/v1/types/{c.ID_CARD}?edition=١", 422, "schema.invalid"),
        (f"/api/v1/types/{c.ID_CARD}?other=1", 422, "schema.invalid"),
        ("/api/v1/types/unknown", 404, "page.not_found"),
        ("/api/v1/matters/unknown", 404, "page.not_found"),
    ):
        reply = web.http.get(address, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (status, code), address


def test_one_matter_with_its_materials(web: Web) -> None:
    matter = web.http.get("/api/v1/matters/FZGA-SFZ", headers=web.token("fz-data-bureau")).json()
    assert matter["authority_code"] == "11350100MB9A102558"
    assert matter["open_days"] == 60
    assert matter["yields"] == [c.ID_CARD]
    assert matter["materials"][1] == {
        "name": "原居民身份证",
        "name_en": "Former identity card",
        "of": "applicant",
        "type_codes": [c.ID_CARD],
        "accepts": ["valid", "suspended", "expired"],
        "fields": None,
    }


def test_a_new_edition_is_listed_with_the_old_one(city: City) -> None:
    from hub.api import catalogue

    content = c.yaml.safe_load((c.SAMPLE / "city.yaml").read_text(encoding="utf-8"))
    card = next(item for item in content["types"] if item["code"] == c.ID_CARD)
    card["fields"].append({"name": "remarks", "label": "备注", "type": "text", "required": False})
    city.parts.registration.load_catalogue(json.loads(json.dumps(content)))
    kind = city.parts.catalogue().types[c.ID_CARD]
    told = catalogue._type(kind, kind.editions[0])
    day = c.today().isoformat()
    assert told["editions"] == [{"edition": 1, "from": day, "until": day}, {"edition": 2, "from": day}]
    assert (told["edition"], len(told["fields"])) == (1, 6)


def test_the_catalogue_needs_a_token(web: Web) -> None:
    for address in ("/api/v1/types", "/api/v1/matters", "/api/v1/authorities", f"/api/v1/types/{c.ID_CARD}"):
        reply = web.http.get(address)
        assert (reply.status_code, reply.json()["code"]) == (401, "auth.missing")

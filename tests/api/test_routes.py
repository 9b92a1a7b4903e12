"""Every route of the hub, in one table: without a token, with an expired one, without the scope, from another
department, and with a correct call. A route that is not in the table fails the test."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest

from hub.access.assertion import sign_assertion
from hub.app import create_app
from hub.web.endpoint import Endpoint
from tests.support import city as c
from tests.support.city import City, open_copy
from tests.support.serving import served

OTHER = "cangshan-health"
ISSUER = "fz-public-security"
COUNTER = "fz-tobacco-counter"
SEARCHER = "fz-market-regulation"
WITHOUT_SCOPES = "fz-data-bureau"
CASE = {"case_number": "榕烟许〔2026〕0182", "clerk": {"id": "FZYC0107", "name": "郑予舟"}}
ACT = {"reason": "理由", "legal_basis": "依据"}
PUSH = {
    "matter_code": "FZGA-WFZZM",
    "status": "accepted",
    "applicants": [c.person(c.QIU)],
    "accepted_at": "2026-01-05T09:00:00+08:00",
}
OFFICER = {"id": "FZGA0361", "name": "傅晴川"}
ANY = "any"


@dataclass(frozen=True)
class Row:
    """A correct call of a route, its caller, and the answer to another department's client with every scope."""

    client: str = ""
    path: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    status: int = 200
    other: tuple[int, str] | None = None
    recorded: bool = True
    query: str = ""


def table(certificate: str, receipt: str = "") -> dict[str, Row]:
    own = {"identifier": certificate}
    holder = {"id_type": c.LIN[0], "id_number": c.LIN[1]}
    case = {"case_number": "R-1"}
    return {
        "PUT /api/v1/cases/{case_number}": Row(ISSUER, case, PUSH, 201, (403, "perm.case_required")),
        "GET /api/v1/cases/{case_number}": Row(ISSUER, case, None, 200, (404, "case.not_found")),
        "GET /api/v1/cases": Row(ISSUER, query="?role=deciding"),
        "POST /api/v1/cases/{case_number}/objection": Row(
            ISSUER, case, {"officer": OFFICER, "reason": "没有这个申请人"}, 200, (403, "perm.case_required")
        ),
        "POST /api/v1/lookups": Row(COUNTER, {}, {**CASE, "holder": holder}, 200, (403, "perm.case_required")),
        "POST /api/v1/retrievals": Row(COUNTER, {}, {**CASE, **own}, 200, (403, "perm.case_required")),
        "GET /api/v1/certificates/{identifier}": Row(ISSUER, own, None, 200, (404, "certificate.not_found")),
        "GET /api/v1/certificates/{identifier}/credential": Row(ISSUER, own, None, 200, (404, "certificate.not_found")),
        "GET /api/v1/certificates/{identifier}/document.pdf": Row(
            ISSUER, own, None, 200, (404, "certificate.not_found")
        ),
        "GET /api/v1/retrievals/{receipt_number}/copy.pdf": Row(
            COUNTER, {"receipt_number": receipt}, None, 200, (404, "certificate.not_found")
        ),
        "POST /api/v1/certificates/{identifier}/suspension": Row(
            ISSUER, own, {"kind": "lost", **ACT}, 200, (403, "perm.not_issuer")
        ),
        "POST /api/v1/certificates/{identifier}/restoration": Row(ISSUER, own, ACT, 200, (403, "perm.not_issuer")),
        "POST /api/v1/certificates/{identifier}/revocation": Row(
            ISSUER, own, {"kind": "rescinded", **ACT}, 200, (403, "perm.not_issuer")
        ),
        "GET /api/v1/directory": Row(SEARCHER, recorded=False),
        "GET /api/v1/types": Row(ANY),
        "GET /api/v1/types/{code}": Row(ANY, {"code": c.ID_CARD}),
        "GET /api/v1/matters": Row(ANY),
        "GET /api/v1/matters/{code}": Row(ANY, {"code": "FZGA-WFZZM"}),
        "GET /api/v1/authorities": Row(ANY),
    }


PUBLIC = {
    "GET /",
    "GET /v",
    "POST /v",
    "GET /v/{code}",
    "POST /api/v1/verifications",
    "POST /oauth/token",
    "GET /.well-known/jwks.json",
    "GET /status/{list}",
    "GET /x509/trust.json",
    "GET /x509/{name}.crl",
    "GET /livez",
    "GET /readyz",
    "GET /metrics",
    "GET /docs",
    "GET /docs/{name}",
    "GET /openapi.json",
}


@dataclass
class Hub:
    city: City
    address: str
    endpoints: dict[str, Endpoint]
    certificate: str
    receipt: str

    def token(self, client: str, *, scopes: frozenset[str] | None = None, age: timedelta = timedelta()) -> str:
        """A real token of a sample client, issued `age` ago, with all or some of its scopes."""
        key = (self.city.folder / "sample" / "keys" / f"{client}.pem").read_bytes()
        self.city.clock.ahead = -age
        try:
            assertion = sign_assertion(key, client, c.URL, self.city.clock.now())
            wanted = None if scopes is None else " ".join(sorted(scopes))
            return self.city.parts.access.issue_token(assertion, wanted)[0]
        finally:
            self.city.clock.ahead = timedelta()

    def call(self, name: str, row: Row, token: str | None) -> httpx.Response:
        method, _, path = name.partition(" ")
        for key, value in row.path.items():
            path = path.replace(f"{{{key}}}", value)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        content = None
        if row.body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(row.body).encode()
        return httpx.request(method, self.address + path + row.query, headers=headers, content=content)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("routes")
    c.load_city(folder / "template")
    with open_copy(folder / "template", folder / "data") as city:
        registration = city.parts.registration
        scopes = ("cases:write", "certificates:lookup", "certificates:retrieve", "certificates:manage")
        _, key = registration.add_client("other-department", c.caller(OTHER).authority, scopes=scopes)
        (city.folder / "sample" / "keys" / "other-department.pem").write_bytes(key)
        app = create_app(city.parts)
        endpoints = {f"{e.method} {e.path}": e for e in app.state.endpoints}
        certificate = city.identifier(c.ID_CARD, c.LIN)
        taken = city.retrieve(COUNTER, CASE["case_number"], "FZYC0107", certificate)
        with served(app) as address:
            yield Hub(city, address, endpoints, certificate, taken.receipt_number)


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_every_route_is_in_the_table_or_on_the_public_list(hub: Hub) -> None:
    public = {name for name, endpoint in hub.endpoints.items() if endpoint.is_public}
    assert public == PUBLIC
    assert set(hub.endpoints) - public == set(table(""))


def test_only_declared_endpoints_are_routed(hub: Hub) -> None:
    for path in ("/admin", "/redoc", "/api", "/api/v1", "/static/x", "/docs/../app.py", "/api/v1/directory/x"):
        assert problem(httpx.get(hub.address + path)) == (404, "page.not_found"), path


@pytest.mark.parametrize("name", sorted(table("")))
def test_no_token_and_expired_and_forged(hub: Hub, name: str) -> None:
    row = table(hub.certificate, hub.receipt)[name]
    assert problem(hub.call(name, row, None)) == (401, "auth.missing")
    expired = hub.token(ISSUER, age=timedelta(minutes=12))
    assert problem(hub.call(name, row, expired)) == (401, "auth.expired")
    good = hub.token(ISSUER)
    head, _, signature = good.rpartition(".")
    forged = head + "." + ("A" if signature[0] != "A" else "B") + signature[1:]
    assert problem(hub.call(name, row, forged)) == (401, "auth.invalid")
    assert problem(hub.call(name, row, "x")) == (401, "auth.invalid")


@pytest.mark.parametrize("name", sorted(name for name, row in table("").items() if row.client != ANY))
def test_a_token_without_the_scope_is_refused_on_record(hub: Hub, name: str) -> None:
    hub.city.forget()
    client = ISSUER if name == "GET /api/v1/directory" else WITHOUT_SCOPES
    answer = hub.call(name, table(hub.certificate, hub.receipt)[name], hub.token(client))
    assert problem(answer) == (403, "perm.scope")
    assert [(row["client"], row["outcome"]) for row in hub.city.audit()] == [(client, "perm.scope")]


@pytest.mark.parametrize("name", sorted(name for name, row in table("").items() if row.other is not None))
def test_another_department_is_refused_on_record(hub: Hub, name: str) -> None:
    row = table(hub.certificate, hub.receipt)[name]
    path = {**row.path}
    if "case_number" in path:
        path["case_number"] = "榕公无犯〔2026〕00918"
    hub.city.forget()
    call = f"{name}?source={c.caller(ISSUER).source}" if "{case_number}" in name else name
    answer = hub.call(call, Row(row.client, path, row.body), hub.token("other-department"))
    assert problem(answer) == row.other
    assert [(r["client"], r["outcome"]) for r in hub.city.audit()] == [("other-department", row.other[1])]


def test_a_disabled_client_is_out_at_once(hub: Hub) -> None:
    token = hub.token("fuqing-education")
    row = table("")["GET /api/v1/types"]
    assert hub.call("GET /api/v1/types", row, token).status_code == 200
    hub.city.parts.registration.set_client_disabled("fuqing-education", True)
    deadline = time.monotonic() + 10
    while hub.call("GET /api/v1/types", row, token).status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert problem(hub.call("GET /api/v1/types", row, token)) == (401, "auth.invalid")


def test_as_it_should_be_and_on_record(hub: Hub) -> None:
    rows = table(hub.certificate, hub.receipt)
    for name, row in rows.items():
        hub.city.forget()
        answer = hub.call(name, row, hub.token(ISSUER if row.client == ANY else row.client))
        assert answer.status_code == row.status, (name, answer.text)
        if row.client != ANY and row.recorded:
            assert [r["outcome"] for r in hub.city.audit()] == ["ok"], name

"""`POST /oauth/token` as integrators use it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hub.access import ASSERTION_TYPE
from hub.access.caches import FAILURES_A_MINUTE
from hub.api.tokens import routes
from hub.app import create_app
from hub.domain.errors import TITLES, Refusal
from tests.support.auth import Auth, open_auth
from tests.support.serving import served


@pytest.fixture
def auth(tmp_path: Path) -> Iterator[Auth]:
    with open_auth(tmp_path) as found:
        yield found


@pytest.fixture
def http(auth: Auth) -> Iterator[httpx.Client]:
    with served(create_app(auth.parts)) as address, httpx.Client(base_url=address, trust_env=False) as client:
        yield client


def form(auth: Auth, **changes: Any) -> dict[str, str]:
    fields = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": auth.assertion(),
    }
    return {name: value for name, value in (fields | changes).items() if value is not ...}


def test_a_token_over_http(auth: Auth, http: httpx.Client) -> None:
    reply = http.post("/oauth/token", data=form(auth, scope="cases:write", client_id="a-client", extra="1"))
    assert reply.status_code == 200, reply.text
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["content-type"].startswith("application/json")
    content = reply.json()
    assert set(content) == {"access_token", "token_type", "expires_in", "scope"}
    assert (content["token_type"], content["expires_in"], content["scope"]) == ("Bearer", 600, "cases:write")
    assert auth.access.caller(content["access_token"]).scopes == {"cases:write"}


@pytest.mark.parametrize(
    ("changes", "status", "error", "stable"),
    [
        ({"grant_type": ...}, 400, "invalid_request", "schema.invalid"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", "schema.invalid"),
        ({"grant_type": ""}, 400, "invalid_request", "schema.invalid"),
        ({"client_assertion": ...}, 401, "invalid_client", "auth.missing"),
        ({"client_assertion": ""}, 401, "invalid_client", "auth.missing"),
        ({"client_assertion": "x"}, 401, "invalid_client", "auth.invalid"),
        ({"client_assertion": "x" * 100_000}, 401, "invalid_client", "auth.invalid"),
        ({"client_assertion": "证照"}, 401, "invalid_client", "auth.invalid"),
        ({"client_assertion_type": ...}, 400, "invalid_request", "schema.invalid"),
        ({"client_assertion_type": "urn:x"}, 400, "invalid_request", "schema.invalid"),
        ({"client_id": "b-client"}, 401, "invalid_client", "auth.invalid"),
        ({"scope": "audit:read"}, 400, "invalid_scope", "perm.scope"),
        ({"scope": "cases:write\x00"}, 400, "invalid_scope", "perm.scope"),
    ],
)
def test_refusals_have_the_form_of_rfc_6749(
    auth: Auth, http: httpx.Client, changes: dict[str, Any], status: int, error: str, stable: str
) -> None:
    reply = http.post("/oauth/token", data=form(auth, **changes))
    assert (reply.status_code, reply.json()["error"], reply.json()["code"]) == (status, error, stable)
    assert reply.json()["error_description"].isascii()
    assert reply.json()["detail"]
    assert reply.headers["cache-control"] == "no-store"


def test_what_the_door_refuses_has_its_code_over_http(auth: Auth, http: httpx.Client) -> None:
    at = int(auth.clock.now().timestamp())
    used = form(auth)
    assert http.post("/oauth/token", data=used).status_code == 200
    seen = [
        used,
        form(auth, client_assertion=auth.assertion(iat=at - 300, exp=at - 200)),
        form(auth, client_assertion=auth.assertion(iat=at + 100, exp=at + 200)),
    ]
    answers = [http.post("/oauth/token", data=fields) for fields in seen]
    assert {a.status_code for a in answers} == {401}
    assert [a.json()["code"] for a in answers] == ["auth.replayed", "auth.expired", "auth.clock_skew"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"grant_type",
        b"grant_type=%FF",
        b"grant_type=client_credentials&grant_type=client_credentials",
        b"scope=&scope=cases:write",
        "grant_type=证".encode(),
        b"&".join(b"a%d=1" % i for i in range(30)),
        b"{}",
    ],
)
def test_no_form_is_an_invalid_request(http: httpx.Client, raw: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = http.post("/oauth/token", content=raw, headers=headers)
    assert reply.status_code in {400, 401}
    assert reply.json()["error"] in {"invalid_request", "invalid_client"}


def test_a_form_with_a_field_twice_is_refused_even_when_both_agree(auth: Auth, http: httpx.Client) -> None:
    raw = urlencode(form(auth)) + "&client_assertion_type=" + ASSERTION_TYPE
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = http.post("/oauth/token", content=raw, headers=headers)
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")
    assert auth.used() == 0


def test_json_and_large_bodies_and_get_are_refused(http: httpx.Client) -> None:
    assert http.post("/oauth/token", json={"grant_type": "client_credentials"}).status_code in {400, 415, 422}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert http.post("/oauth/token", content=b"a=" + b"x" * 300_000, headers=headers).status_code == 413
    assert http.get("/oauth/token").status_code == 405


def test_too_many_failures_are_a_429_that_says_when(auth: Auth, http: httpx.Client) -> None:
    wrong = ec.generate_private_key(ec.SECP256R1())
    text = pyjwt.encode(pyjwt.decode(auth.assertion(), options={"verify_signature": False}), wrong, algorithm="ES256")
    for _ in range(FAILURES_A_MINUTE):
        assert http.post("/oauth/token", data=form(auth, client_assertion=text)).status_code == 401
    reply = http.post("/oauth/token", data=form(auth, client_assertion=text))
    assert (reply.status_code, reply.json()["code"], reply.headers["retry-after"]) == (429, "rate.limited", "2")


def test_every_refusal_that_the_frame_may_make_fits_the_form() -> None:
    [endpoint] = routes.endpoints
    for stable in TITLES:
        assert endpoint.refuse is not None
        answer = endpoint.refuse(Refusal(stable))
        assert {"error", "error_description", "code"} <= set(answer.content)

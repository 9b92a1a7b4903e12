"""Access tokens that are bound to a key (RFC 9449), over HTTP: what is taken, what is refused, and an independent client."""

import hashlib
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hub.access import ASSERTION_TYPE
from hub.access.assertion import read_key
from hub.access.dpop import jwk_of, thumbprint
from hub.app import create_app
from hub.domain.errors import Refusal
from hub.store import keys as key_store
from signing.encoding import base64url
from signing.keys import kid_of
from tests import judges
from tests.support.auth import BUREAU, SCOPES, Auth, open_auth
from tests.support.serving import served

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
CALL = "/api/v1/types"


@dataclass
class Hub:
    """A served hub whose public address is the one it listens on, with a client that must bind its tokens."""

    auth: Auth
    http: httpx.Client
    address: str

    def form(self, client: str, **claims: Any) -> dict[str, str]:
        assertion = self.auth.assertion(client, aud=self.address, **claims)
        return {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        }

    def proof(self, method: str, path: str, key: Any = KEY, *, token: str | None = None, **changes: Any) -> str:
        """A proof; the changes of claims and header members, `header_…`; None leaves a member out."""
        now = int(time.time())
        claims = {"jti": str(uuid.uuid4()), "htm": method, "htu": self.address + path, "iat": now}
        if token is not None:
            claims["ath"] = base64url.encode(hashlib.sha256(token.encode()).digest())
        header: dict[str, Any] = {"typ": "dpop+jwt"}
        if isinstance(key, ec.EllipticCurvePrivateKey):
            header["jwk"] = jwk_of(key.public_key())
        for name, value in changes.items():
            target, member = (header, name[7:]) if name.startswith("header_") else (claims, name)
            target[member] = value
            if value is None:
                del target[member]
        return pyjwt.encode(claims, key, algorithm=header.pop("alg", "ES256"), headers=header)

    def ask(self, client: str = "bound", proof: str | None = None) -> httpx.Response:
        headers = {} if proof is None else {"DPoP": proof}
        return self.http.post("/oauth/token", data=self.form(client), headers=headers)

    def token(self, client: str = "bound", key: Any = KEY) -> str:
        reply = self.ask(client, self.proof("POST", "/oauth/token", key))
        assert reply.status_code == 200, reply.text
        assert reply.json()["token_type"] == "DPoP"
        return str(reply.json()["access_token"])

    def call(self, token: str, proof: str | None, scheme: str = "DPoP", path: str = CALL) -> httpx.Response:
        headers = [("Authorization", f"{scheme} {token}")] + ([("DPoP", proof)] if proof is not None else [])
        return self.http.get(path, headers=headers)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with open_auth(tmp_path) as auth, served(create_app(auth.parts)) as address:
        with auth.parts.database.write() as writer:
            key_store.set_public_url(writer, address, 2_000_000_000_000_000)
        auth.keys["bound"] = auth.parts.registration.add_client("bound", BUREAU, scopes=SCOPES, dpop=True)[1]
        with httpx.Client(base_url=address, trust_env=False) as http:
            yield Hub(auth, http, address)


def test_a_bound_token_serves_with_a_new_proof_every_time(hub: Hub) -> None:
    token = hub.token()
    claims = pyjwt.decode(token, options={"verify_signature": False})
    assert claims["cnf"] == {"jkt": thumbprint(KEY.public_key())}
    for _ in range(2):
        assert hub.call(token, hub.proof("GET", CALL, token=token)).status_code == 200
    proof = hub.proof("GET", CALL, token=token)
    assert hub.call(token, proof).status_code == 200
    replayed = hub.call(token, proof)
    assert (replayed.status_code, replayed.json()["code"]) == (401, "auth.replayed")


def test_a_proof_serves_once_also_across_calls_and_processes(hub: Hub) -> None:
    token = hub.token()
    one = {"jti": "the same"}
    assert hub.call(token, hub.proof("GET", CALL, token=token, **one)).status_code == 200
    again = hub.call(token, hub.proof("GET", "/api/v1/matters", token=token, **one), path="/api/v1/matters")
    assert again.json()["code"] == "auth.replayed"
    with hub.auth.parts.database.write() as writer:
        assert writer.one("SELECT COUNT(*) AS n FROM jtis WHERE client = 'bound'")["n"] == 3  # type: ignore[index]
    assert hub.ask("bound", hub.proof("POST", "/oauth/token", **one)).json()["code"] == "auth.replayed"


def test_the_proof_of_a_large_request_is_used_once(hub: Hub) -> None:
    token, path = hub.token(), "/api/v1/cases/C-1"
    headers = {
        "Authorization": f"DPoP {token}",
        "DPoP": hub.proof("PUT", path, token=token),
        "Content-Type": "application/json",
    }
    large = b" " * (hub.auth.settings.max_public_body_bytes + 1) + b"{}"
    for code in ("schema.invalid", "auth.replayed"):
        assert hub.http.put(path, content=large, headers=headers).json()["code"] == code


def test_a_client_that_must_bind_its_tokens_gets_no_other(hub: Hub) -> None:
    refused = hub.ask("bound")
    assert (refused.status_code, refused.json()["code"]) == (401, "auth.invalid")
    assert refused.json()["error"] == "invalid_dpop_proof"
    assert "DPoP" in refused.json()["detail"]


def test_a_client_may_bind_its_tokens_and_need_not(hub: Hub) -> None:
    plain = hub.ask("a-client")
    assert plain.json()["token_type"] == "Bearer"
    token = plain.json()["access_token"]
    assert hub.call(token, None, "Bearer").status_code == 200
    assert hub.call(token, hub.proof("GET", CALL, token=token)).json()["code"] == "auth.invalid"
    bound = hub.token("a-client")
    assert hub.call(bound, hub.proof("GET", CALL, token=bound)).status_code == 200
    assert hub.call(bound, hub.proof("GET", CALL, token=bound), "Bearer").json()["code"] == "auth.invalid"


@pytest.mark.parametrize("scheme", ["Bearer", "DPoP", "bearer"])
def test_a_bound_token_without_its_proof_is_refused(hub: Hub, scheme: str) -> None:
    refused = hub.call(hub.token(), None, scheme)
    assert (refused.status_code, refused.json()["code"]) == (401, "auth.invalid")
    assert refused.headers["www-authenticate"].startswith("DPoP" if scheme == "DPoP" else "Bearer")
    assert "error=" in refused.headers["www-authenticate"]


def test_who_sends_no_token_is_told_both_schemes(hub: Hub) -> None:
    assert hub.http.get(CALL).headers["www-authenticate"] == 'Bearer realm="hub", DPoP algs="ES256"'


JWK = jwk_of(KEY.public_key())
WRONG: dict[str, dict[str, Any]] = {
    "another method": {"htm": "POST"},
    "no method": {"htm": None},
    "another path": {"htu": "{hub}/api/v1/matters"},
    "another host": {"htu": "https://elsewhere.example" + CALL},
    "another port": {"htu": "http://127.0.0.1:1" + CALL},
    "a user in the address": {"htu": "http://user@127.0.0.1" + CALL},
    "no address": {"htu": None},
    "an address that is a number": {"htu": 1},
    "an address that is none": {"htu": "http://[" + CALL},
    "stale": {"iat": int(time.time()) - 600},
    "a time as a text": {"iat": str(int(time.time()))},
    "no time": {"iat": None},
    "no jti": {"jti": None},
    "an empty jti": {"jti": ""},
    "a jti that is too long": {"jti": "x" * 513},
    "no hash of the token": {"ath": None},
    "the hash of another token": {"ath": base64url.encode(hashlib.sha256(b"x").digest())},
    "another key": {"key": OTHER},
    "the key of someone else in the header": {"header_jwk": jwk_of(OTHER.public_key())},
    "no key": {"header_jwk": None},
    "a private key": {"header_jwk": JWK | {"d": base64url.encode(b"1" * 32)}},
    "a point that is not on the curve": {"header_jwk": JWK | {"y": JWK["x"]}},
    "a coordinate that is too long": {"header_jwk": JWK | {"x": "AAAA" + JWK["x"]}},
    "another curve": {"header_jwk": JWK | {"crv": "P-384"}},
    "a symmetric key": {"header_jwk": {"kty": "oct", "k": "AAAA"}},
    "a key that is a text": {"header_jwk": "key"},
    "another type": {"header_typ": "JWT"},
    "no type": {"header_typ": None},
    "a key from elsewhere": {"header_jku": "https://elsewhere.example"},
    "a critical member": {"header_crit": ["exp"]},
    "another algorithm": {"key": rsa.generate_private_key(65537, 2048), "header_alg": "RS256", "header_jwk": JWK},
    "no algorithm": {"key": "", "header_alg": "none", "header_jwk": JWK},
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_proofs_are_refused(hub: Hub, name: str) -> None:
    token = hub.token()
    changes = {k: v.format(hub=hub.address) if k == "htu" and isinstance(v, str) else v for k, v in WRONG[name].items()}
    refused = hub.call(token, hub.proof("GET", CALL, token=token, **changes))
    assert (refused.status_code, refused.json()["code"]) == (401, "auth.invalid")
    assert refused.headers["www-authenticate"] == 'DPoP algs="ES256", error="invalid_dpop_proof"'
    assert refused.json()["detail"].startswith("DPoP 证明")
    if "ath" not in changes and changes.get("key") is not OTHER:
        wrong = changes | ({"htm": "GET"} if "htm" in changes else {})
        asked = hub.ask("bound", hub.proof("POST", "/oauth/token", **wrong))
        assert (asked.status_code, asked.json()["error"]) == (401, "invalid_dpop_proof")


@pytest.mark.parametrize("noise", ["x", "a.b.c", "é.é.é", "ey" * 5000])
def test_noise_is_no_proof(hub: Hub, noise: str) -> None:
    token = hub.token()
    headers = {"Authorization": f"DPoP {token}".encode(), "DPoP": noise.encode()}
    refused = hub.http.get(CALL, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "auth.invalid")


def test_two_proofs_are_none(hub: Hub) -> None:
    token = hub.token()
    proofs = [("DPoP", hub.proof("GET", CALL, token=token)) for _ in range(2)]
    assert hub.http.get(CALL, headers=[("Authorization", f"DPoP {token}"), *proofs]).json()["code"] == "auth.invalid"


def test_a_proof_from_the_future_names_the_clock(hub: Hub) -> None:
    token = hub.token()
    at = int(time.time())
    assert hub.call(token, hub.proof("GET", CALL, token=token, iat=at + 50)).status_code == 200
    assert hub.call(token, hub.proof("GET", CALL, token=token, iat=at - 100)).status_code == 200
    assert hub.call(token, hub.proof("GET", CALL, token=token, iat=at + 300)).json()["code"] == "auth.clock_skew"


def test_addresses_are_compared_in_their_normal_form_without_the_query(hub: Hub) -> None:
    token = hub.token()
    path = "/api/v1/types?edition=1"
    for htu in (f"{hub.address}{CALL}?x=1#y", hub.address.replace("http", "HTTP") + "/api/v1/%74ypes"):
        assert hub.call(token, hub.proof("GET", CALL, token=token, htu=htu)).status_code == 200
    assert hub.call(token, hub.proof("GET", CALL, token=token), path=path).status_code in {200, 422}


def test_head_needs_a_proof_for_head(hub: Hub) -> None:
    token = hub.token()
    for method, status in (("HEAD", 200), ("GET", 401)):
        headers = {"Authorization": f"DPoP {token}", "DPoP": hub.proof(method, CALL, token=token)}
        assert hub.http.head(CALL, headers=headers).status_code == status


def test_a_refused_proof_is_not_used_up_and_nothing_is_written_for_it(hub: Hub) -> None:
    token = hub.token()
    before = hub.auth.used()
    for changes in ({"htm": "POST"}, {"key": OTHER}):
        hub.call(token, hub.proof("GET", CALL, token=token, jti="once", **changes))
    assert hub.auth.used() == before
    assert hub.call(token, hub.proof("GET", CALL, token=token, jti="once")).status_code == 200


def test_tokens_from_before_a_client_had_to_bind_them_are_refused(hub: Hub) -> None:
    token = hub.ask("a-client").json()["access_token"]
    with hub.auth.parts.database.write() as writer:
        writer.run("UPDATE clients SET dpop = 1 WHERE client = 'a-client'", {})
        writer.run("UPDATE id_blocks SET next = next + 1 WHERE name = 'clients'", {})
    hub.auth.access._clients.refresh()
    with pytest.raises(Refusal) as caught:
        hub.auth.access.caller(token)
    assert caught.value.code == "auth.invalid"


@pytest.mark.parametrize(("client", "bound"), [("bound", True), ("a-client", True), ("a-client", False)])
def test_an_independent_client_library_gets_tokens_and_calls(hub: Hub, client: str, bound: bool) -> None:
    pem = hub.auth.keys[client]
    calls = [
        ["GET", CALL],
        ["GET", "/api/v1/matters"],
        ["POST", "/api/v1/lookups", "{}"],
        ["GET", "/api/v1/directory?q=x"],
    ]
    done = judges.run_client(
        hub=hub.address,
        client_id=client,
        kid=kid_of(read_key(pem).public_key()),
        private_key=pem.decode(),
        bound=bound,
        calls=calls,
    )
    assert done["token_type"] == ("dpop" if bound else "bearer")
    assert ("cnf" in done["claims"]) is bound
    scheme = "dpop" if bound else "bearer"
    assert done["statuses"] == [200, 200, 422, [403, [[scheme, "insufficient_scope"]]]]

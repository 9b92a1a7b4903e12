"""From assertion to token to caller, with a real database, real keys, and over HTTP."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt as pyjwt
import pytest

from hub.access.assertion import read_key, sign_assertion
from hub.access.caches import FAILURES_A_MINUTE, FAILURES_OF_ADDRESS, FailedLogins, Verified, VerifiedTokens
from hub.domain.errors import Refusal
from hub.keys.generate import KeyRequest
from hub.parts import keys_folder, open_parts
from hub.store import clients as client_store
from hub.store import keys as key_store
from signing.encoding import base64url
from signing.errors import KeyMissing
from signing.keys import Purpose, kid_of
from tests.support.auth import BUREAU, HUB, SCOPES, Auth, open_auth


@pytest.fixture
def auth(tmp_path: Path) -> Iterator[Auth]:
    with open_auth(tmp_path) as found:
        yield found


def refusal(work: Any, *args: Any, **kw: Any) -> Refusal:
    with pytest.raises(Refusal) as error:
        work(*args, **kw)
    return error.value


def outcome(auth: Auth, token: str) -> str:
    try:
        auth.access.caller(token)
    except Refusal as refused:
        return refused.code
    return "taken"


def code(work: Any, *args: Any, **kw: Any) -> str:
    return refusal(work, *args, **kw).code


# --- assertions ---------------------------------------------------------------------------------------------------------


def test_a_client_gets_a_token_and_is_known_by_it(auth: Auth) -> None:
    token, seconds, scopes = auth.access.issue_token(auth.assertion())
    assert (seconds, scopes) == (600, set(SCOPES))
    caller = auth.access.caller(token)
    assert (caller.client_id, caller.authority, caller.source) == ("a-client", BUREAU, BUREAU)
    assert caller.scopes == set(SCOPES)


def test_the_token_is_an_rfc_9068_token_that_the_published_key_verifies(auth: Auth) -> None:
    token = auth.token(scope="cases:write")
    key = auth.parts.keyring.active(Purpose.ACCESS_TOKEN)
    assert pyjwt.get_unverified_header(token) == {"alg": "ES256", "typ": "at+jwt", "kid": key.kid}
    jwk = pyjwt.PyJWK.from_dict(key.jwk())
    claims = pyjwt.decode(token, jwk, audience=HUB, issuer=HUB, options={"strict_aud": True})
    assert claims["sub"] == claims["client_id"] == "a-client"
    assert claims["exp"] - claims["iat"] == 600
    assert claims["scope"] == "cases:write"
    assert len(claims["jti"]) >= 20


def test_for_one_release_the_key_id_may_be_left_out(auth: Auth) -> None:
    auth.access.issue_token(auth.assertion(headers={}))


def test_the_hubs_own_signer_makes_valid_assertions(auth: Auth) -> None:
    signed = sign_assertion(auth.keys["a-client"], "a-client", auth.access.issuer(), auth.clock.now())
    assert auth.access.issue_token(signed)[1] == 600


def test_an_assertion_serves_once(auth: Auth) -> None:
    assertion = auth.assertion()
    auth.access.issue_token(assertion)
    assert code(auth.access.issue_token, assertion) == "auth.replayed"
    again = auth.assertion(jti="the same")
    auth.access.issue_token(again)
    assert code(auth.access.issue_token, auth.assertion(jti="the same")) == "auth.replayed"


def test_the_same_jti_of_two_clients_is_no_replay(auth: Auth) -> None:
    auth.add("b-client")
    auth.access.issue_token(auth.assertion("a-client", jti="1"))
    auth.access.issue_token(auth.assertion("b-client", jti="1"))


def test_twenty_at_once_with_one_assertion_get_one_token(auth: Auth) -> None:
    assertion = auth.assertion()
    start = threading.Barrier(20)

    def try_it(_: int) -> str:
        start.wait()
        try:
            return auth.access.issue_token(assertion)[0]
        except Refusal as refused:
            return refused.code

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(try_it, range(20)))
    assert sorted(answers)[:19] == ["auth.replayed"] * 19
    assert sum(answer.startswith("ey") for answer in answers) == 1


def test_a_used_assertion_is_remembered_by_other_processes_and_until_it_has_expired(auth: Auth) -> None:
    assertion = auth.assertion()
    auth.access.issue_token(assertion)
    with open_parts(auth.settings, clock=auth.clock) as other:
        assert code(other.access.issue_token, assertion) == "auth.replayed"
        auth.clock.ahead = timedelta(seconds=119)
        assert code(other.access.issue_token, assertion) == "auth.replayed"
        auth.clock.ahead = timedelta(seconds=121)
        assert code(other.access.issue_token, assertion) == "auth.expired"


def test_what_can_no_longer_be_replayed_is_forgotten(auth: Auth) -> None:
    for _ in range(5):
        auth.token()
    assert auth.used() == 5
    auth.clock.ahead = timedelta(seconds=130)
    auth.token()
    assert auth.used() == 1


def test_no_jti_is_kept_as_it_was_sent(auth: Auth) -> None:
    auth.access.issue_token(auth.assertion(jti="990121198307073910"))
    assert auth.parts.database.reader.one("SELECT 1 FROM jtis WHERE jti LIKE '%990121%'") is None


@pytest.mark.parametrize(
    ("claims", "wanted"),
    [
        ({"iat": 1, "exp": 60}, "auth.expired"),
        ({"aud": HUB + "/oauth/token"}, "auth.invalid"),
        ({"aud": "http://127.0.0.1:8080"}, "auth.invalid"),
        ({"iss": "b-client"}, "auth.invalid"),
        ({"sub": "b-client"}, "auth.invalid"),
        ({"iss": HUB}, "auth.invalid"),
        ({"jti": ""}, "auth.invalid"),
        ({"exp": 2_000_000_000}, "auth.invalid"),
    ],
)
def test_wrong_claims_are_refused_and_nothing_is_written(auth: Auth, claims: dict[str, Any], wanted: str) -> None:
    assert code(auth.access.issue_token, auth.assertion(**claims)) == wanted
    assert auth.used() == 0


def test_clock_skew_has_its_own_code(auth: Auth) -> None:
    at = int(auth.clock.now().timestamp())
    assert code(auth.access.issue_token, auth.assertion(iat=at + 90, exp=at + 150)) == "auth.clock_skew"
    auth.access.issue_token(auth.assertion(iat=at + 50, exp=at + 110))
    auth.access.issue_token(auth.assertion(iat=at - 110, exp=at - 50))


def test_an_address_that_was_printed_once_is_no_audience_any_more(auth: Auth) -> None:
    with auth.parts.database.write() as writer:
        key_store.set_public_url(writer, "https://new.example", 2_000_000_000_000_000)
    assert code(auth.access.issue_token, auth.assertion()) == "auth.invalid"
    auth.access.issue_token(auth.assertion(aud="https://new.example"))


def test_an_access_token_is_no_assertion_and_an_assertion_no_access_token(auth: Auth) -> None:
    assert code(auth.access.issue_token, auth.token()) == "auth.invalid"
    assert code(auth.access.caller, auth.assertion()) == "auth.invalid"


def test_unknown_client_unknown_key_and_wrong_signature_look_alike(auth: Auth) -> None:
    stranger = auth.parts.registration.add_client("stranger", BUREAU, scopes=SCOPES)[1]
    auth.parts.registration.set_client_disabled("stranger", True)
    attempts = [
        auth.assertion("unknown-client", auth.keys["a-client"]),
        auth.assertion("a-client", stranger),
        auth.assertion("a-client", stranger, headers={"kid": kid_of(read_key(auth.keys["a-client"]).public_key())}),
        auth.assertion("stranger", stranger),
    ]
    refusals = [refusal(auth.access.issue_token, attempt) for attempt in attempts]
    assert {(r.code, r.detail) for r in refusals} == {("auth.invalid", refusals[0].detail)}
    nameless = [
        auth.assertion("unknown-client", auth.keys["a-client"], headers={}),
        auth.assertion("a-client", stranger, headers={}),
        auth.assertion("stranger", stranger, headers={}),
    ]
    refusals = [refusal(auth.access.issue_token, attempt) for attempt in nameless]
    assert {(r.code, r.detail) for r in refusals} == {("auth.invalid", refusals[0].detail)}
    assert "kid" in refusals[0].detail


def test_unauthenticated_requests_do_not_reach_the_writer(auth: Auth) -> None:
    """Another process holds the write lock indefinitely: every refusal still comes immediately."""
    used = auth.assertion()
    auth.access.issue_token(used)
    attempts = {
        used: "auth.replayed",
        auth.assertion("unknown-client", auth.keys["a-client"]): "auth.invalid",
        auth.assertion(iat=1, exp=60): "auth.expired",
        auth.assertion() + "AA": "auth.invalid",
    }
    with auth.parts.database.write(), ThreadPoolExecutor(1) as pool:
        for attempt, wanted in attempts.items():
            assert pool.submit(code, auth.access.issue_token, attempt).result(timeout=5) == wanted


def test_scopes_are_those_asked_for_within_those_of_the_client(auth: Auth) -> None:
    assert auth.access.caller(auth.token(scope="cases:write")).scopes == {"cases:write"}
    assert auth.access.caller(auth.token(scope="")).scopes == set(SCOPES)
    for wanted in ("audit:read", "cases:write audit:read", "everything"):
        assertion = auth.assertion()
        assert code(auth.access.issue_token, assertion, wanted) == "perm.scope"
        auth.access.issue_token(assertion, "cases:write")


def test_while_tokens_cannot_be_signed_the_assertion_is_not_used_up(auth: Auth) -> None:
    kid = auth.parts.keyring.active(Purpose.ACCESS_TOKEN).kid
    file = keys_folder(auth.settings) / f"access_token-{kid}.pem"
    away = file.rename(file.with_suffix(".away"))
    assertion = auth.assertion()
    with pytest.raises(KeyMissing):
        auth.access.issue_token(assertion)
    away.rename(file)
    auth.access.issue_token(assertion)


# --- keys of clients ----------------------------------------------------------------------------------------------------


def test_keys_of_a_client_overlap_while_they_are_rotated(auth: Auth) -> None:
    auth.clock.ahead = timedelta(seconds=1)  # the new key is younger
    old, new = auth.keys["a-client"], auth.parts.registration.add_client_key("a-client")
    until = auth.clock.now() + timedelta(hours=1)
    old_kid = kid_of(read_key(old).public_key())
    auth.parts.registration.retire_client_key("a-client", old_kid, until)
    auth.parts.registration.retire_client_key("a-client", old_kid, until + timedelta(days=1))
    with open_parts(auth.settings, clock=auth.clock) as fresh:
        for pem in (old, new):
            fresh.access.issue_token(auth.assertion(pem=pem))
        fresh.access.issue_token(auth.assertion(pem=old, headers={}))
        assert code(fresh.access.issue_token, auth.assertion(pem=new, headers={})) == "auth.invalid"
        auth.clock.ahead = timedelta(hours=1, seconds=2)
        assert code(fresh.access.issue_token, auth.assertion(pem=old)) == "auth.invalid"
        assert code(fresh.access.issue_token, auth.assertion(pem=old, headers={})) == "auth.invalid"
        fresh.access.issue_token(auth.assertion(pem=new))
        fresh.access.issue_token(auth.assertion(pem=new, headers={}))


def test_a_named_key_is_the_one_that_must_have_signed(auth: Auth) -> None:
    other = auth.parts.registration.add_client_key("a-client")
    kid = kid_of(read_key(auth.keys["a-client"]).public_key())
    assert code(auth.access.issue_token, auth.assertion(pem=other, headers={"kid": kid})) == "auth.invalid"


# --- access tokens ------------------------------------------------------------------------------------------------------


def test_a_token_ends_after_ten_minutes_to_the_second(auth: Auth) -> None:
    token = auth.token()
    assert auth.access.caller(token)
    auth.clock.ahead = timedelta(seconds=598)
    assert auth.access.caller(token)
    auth.clock.ahead = timedelta(seconds=601)
    assert code(auth.access.caller, token) == "auth.expired"
    assert code(auth.access.caller, token) == "auth.expired"


def test_a_disabled_client_is_out_of_running_processes_within_a_second(
    auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = auth.token()
    assertion = auth.assertion()
    assert auth.access.caller(token)
    with open_parts(auth.settings) as other:
        other.registration.set_client_disabled("a-client", True)
    assert client_store.REFRESH_S < 1
    ahead = SimpleNamespace(monotonic=lambda: time.monotonic() + client_store.REFRESH_S)
    monkeypatch.setattr(client_store, "time", ahead)
    assert outcome(auth, token) == "auth.invalid"
    assert code(auth.access.issue_token, assertion) == "auth.invalid"


def test_a_new_client_is_known_to_running_processes_at_once(auth: Auth) -> None:
    auth.token()
    with open_parts(auth.settings) as other:
        auth.keys["new-client"] = other.registration.add_client("new-client", BUREAU, scopes=SCOPES)[1]
    assert auth.access.caller(auth.token("new-client")).client_id == "new-client"


def forged(
    auth: Auth, kid: str, *, purpose: Purpose = Purpose.ACCESS_TOKEN, typ: str = "at+jwt", **changes: Any
) -> str:
    """A token forged with the private key folder."""
    at = int(auth.clock.now().timestamp())
    claims = {"iss": HUB, "aud": HUB, "sub": "a-client", "client_id": "a-client", "iat": at, "exp": at + 600}
    claims |= {"jti": "x", "scope": "cases:write audit:read"} | changes
    header = {"alg": "ES256", "typ": typ, "kid": kid}
    text = ".".join(base64url.encode(json.dumps(part).encode()) for part in (header, claims))
    return f"{text}.{base64url.encode(auth.parts.keyring.folder.sign(kid, purpose, text.encode()))}"


def test_a_token_never_gives_more_than_the_client_has(auth: Auth) -> None:
    kid = auth.parts.keyring.active(Purpose.ACCESS_TOKEN).kid
    assert auth.access.caller(forged(auth, kid)).scopes == {"cases:write"}


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://other.example"},
        {"iss": "https://other.example"},
        {"client_id": "b-client"},
        {"client_id": None},
        {"scope": ["cases:write"]},
        {"sub": "gone", "client_id": "gone"},
        {"exp": 2_000_000_000},
        {"jti": 1},
        {"typ": "JWT"},
        {"typ": "AT+JWT"},
    ],
)
def test_wrong_access_tokens_are_refused(auth: Auth, changes: dict[str, Any]) -> None:
    kid = auth.parts.keyring.active(Purpose.ACCESS_TOKEN).kid
    assert code(auth.access.caller, forged(auth, kid, **changes)) == "auth.invalid"


def test_no_other_key_of_the_hub_signs_access_tokens(auth: Auth) -> None:
    for purpose in (Purpose.CREDENTIAL, Purpose.STATUS, Purpose.LEDGER):
        kid = auth.parts.keyring.active(purpose).kid
        assert code(auth.access.caller, forged(auth, kid, purpose=purpose)) == "auth.invalid"


def test_noise_is_no_token(auth: Auth) -> None:
    for noise in ("", "x", "a.b.c", "é.é.é", "\udcff", "ey" * 5000, auth.token() + "A"):
        assert code(auth.access.caller, noise) == "auth.invalid"


def test_a_retired_key_verifies_what_it_signed_and_nothing_that_is_younger(auth: Auth) -> None:
    old = auth.parts.keyring.active(Purpose.ACCESS_TOKEN).kid
    token = auth.token()
    auth.parts.signing_keys.replace(KeyRequest(Purpose.ACCESS_TOKEN))
    with open_parts(auth.settings, clock=auth.clock) as fresh:
        assert fresh.access.caller(token).client_id == "a-client"
        assert pyjwt.get_unverified_header(fresh.access.issue_token(auth.assertion())[0])["kid"] != old
        auth.clock.ahead = timedelta(seconds=70)
        assert code(fresh.access.caller, forged(auth, old)) == "auth.invalid"


# --- memories -----------------------------------------------------------------------------------------------------------


def test_failed_logins_are_slowed_down_and_recover(auth: Auth) -> None:
    stranger = read_key(auth.keys["a-client"])
    wrong = pyjwt.encode({}, stranger, algorithm="ES256")
    pem = auth.parts.registration.add_client("stranger", BUREAU, scopes=SCOPES)[1]
    for _ in range(FAILURES_A_MINUTE):
        assert code(auth.access.issue_token, auth.assertion(pem=pem, headers={})) == "auth.invalid"
    refused = refusal(auth.access.issue_token, auth.assertion(pem=pem, headers={}))
    assert (refused.code, refused.retry_after) == ("rate.limited", 2)
    assert code(auth.access.issue_token, wrong) == "auth.invalid"  # in no client's name
    auth.access.issue_token(auth.assertion())
    auth.access.issue_token(auth.assertion(headers={}))
    auth.access.issue_token(auth.assertion("stranger", pem))
    auth.clock.ahead = timedelta(seconds=3)
    assert code(auth.access.issue_token, auth.assertion(pem=pem, headers={})) == "auth.invalid"
    auth.clock.ahead = timedelta(seconds=63)
    auth.access.issue_token(auth.assertion(headers={}))


def test_memories_have_a_limit() -> None:
    tokens = VerifiedTokens(size=3)
    for i in range(10):
        tokens.put(bytes([i]), Verified(str(i), frozenset(), i))
        tokens.get(b"\x00")
    assert [tokens.get(bytes([i])) is not None for i in range(10)] == [True] + [False] * 7 + [True] * 2


def test_an_address_that_fails_in_many_names_is_limited_and_a_clock_set_back_frees_none(auth: Auth) -> None:
    failed = FailedLogins(auth.parts.shared)
    now = datetime.now(UTC)
    for i in range(FAILURES_OF_ADDRESS):
        failed.count(str(i), "192.0.2.1", now)
    for at in (now, now - timedelta(hours=1)):
        assert refusal(failed.count, "another", "192.0.2.1", at).retry_after == 1
    failed.count("another", "192.0.2.2", now)
    failed.count("another", "192.0.2.1", now + timedelta(seconds=1))

"""From an assertion to a token to a caller: on a real database, with real keys, and over HTTP."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest

from hub.access.assertion import read_key, sign_assertion
from hub.access.caches import FAILURES_A_MINUTE, FailedLogins, Verified, VerifiedTokens
from hub.domain.errors import Refusal
from hub.keys.generate import Wanted
from hub.parts import keys_folder, open_parts
from hub.store import clients as client_store
from hub.store import keys as key_store
from signing.encoding import base64url
from signing.errors import KeyMissing
from signing.keys import Purpose, kid_of
from tests.support.door import BUREAU, HUB, SCOPES, Door, open_door


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with open_door(tmp_path) as found:
        yield found


def refusal(work: Any, *args: Any, **kw: Any) -> Refusal:
    with pytest.raises(Refusal) as error:
        work(*args, **kw)
    return error.value


def outcome(door: Door, token: str) -> str:
    try:
        door.access.caller(token)
    except Refusal as refused:
        return refused.code
    return "taken"


def code(work: Any, *args: Any, **kw: Any) -> str:
    return refusal(work, *args, **kw).code


# --- assertions ---------------------------------------------------------------------------------------------------------


def test_a_client_gets_a_token_and_is_known_by_it(door: Door) -> None:
    token, seconds, scopes = door.access.issue_token(door.assertion())
    assert (seconds, scopes) == (600, set(SCOPES))
    caller = door.access.caller(token)
    assert (caller.client_id, caller.authority, caller.source) == ("a-client", BUREAU, BUREAU)
    assert caller.scopes == set(SCOPES)


def test_the_token_is_an_rfc_9068_token_that_the_published_key_verifies(door: Door) -> None:
    token = door.token(scope="cases:write")
    key = door.parts.keyring.active(Purpose.ACCESS_TOKEN)
    assert pyjwt.get_unverified_header(token) == {"alg": "ES256", "typ": "at+jwt", "kid": key.kid}
    jwk = pyjwt.PyJWK.from_dict(key.jwk())
    claims = pyjwt.decode(token, jwk, audience=HUB, issuer=HUB, options={"strict_aud": True})
    assert claims["sub"] == claims["client_id"] == "a-client"
    assert claims["exp"] - claims["iat"] == 600
    assert claims["scope"] == "cases:write"
    assert len(claims["jti"]) >= 20


def test_the_key_id_may_be_left_out(door: Door) -> None:
    door.parts.registration.add_client_key("a-client")
    door.access.issue_token(door.assertion(headers={}))


def test_the_hubs_own_signer_makes_what_the_door_takes(door: Door) -> None:
    signed = sign_assertion(door.keys["a-client"], "a-client", door.access.issuer(), door.clock.now())
    assert door.access.issue_token(signed)[1] == 600


def test_an_assertion_serves_once(door: Door) -> None:
    assertion = door.assertion()
    door.access.issue_token(assertion)
    assert code(door.access.issue_token, assertion) == "auth.replayed"
    again = door.assertion(jti="the same")
    door.access.issue_token(again)
    assert code(door.access.issue_token, door.assertion(jti="the same")) == "auth.replayed"


def test_the_same_jti_of_two_clients_is_no_replay(door: Door) -> None:
    door.add("b-client")
    door.access.issue_token(door.assertion("a-client", jti="1"))
    door.access.issue_token(door.assertion("b-client", jti="1"))


def test_twenty_at_once_with_one_assertion_get_one_token(door: Door) -> None:
    assertion = door.assertion()
    start = threading.Barrier(20)

    def try_it(_: int) -> str:
        start.wait()
        try:
            return door.access.issue_token(assertion)[0]
        except Refusal as refused:
            return refused.code

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(try_it, range(20)))
    assert sorted(answers)[:19] == ["auth.replayed"] * 19
    assert sum(answer.startswith("ey") for answer in answers) == 1


def test_a_used_assertion_is_remembered_by_other_processes_and_until_it_has_expired(door: Door) -> None:
    assertion = door.assertion()
    door.access.issue_token(assertion)
    with open_parts(door.settings, clock=door.clock) as other:
        assert code(other.access.issue_token, assertion) == "auth.replayed"
        door.clock.ahead = timedelta(seconds=119)
        assert code(other.access.issue_token, assertion) == "auth.replayed"
        door.clock.ahead = timedelta(seconds=121)
        assert code(other.access.issue_token, assertion) == "auth.expired"


def test_what_can_no_longer_be_replayed_is_forgotten(door: Door) -> None:
    for _ in range(5):
        door.token()
    assert door.used() == 5
    door.clock.ahead = timedelta(seconds=130)
    door.token()
    assert door.used() == 1


def test_no_jti_is_kept_as_it_was_sent(door: Door) -> None:
    door.access.issue_token(door.assertion(jti="990121198307073910"))
    assert door.parts.database.reader.one("SELECT 1 FROM jtis WHERE jti LIKE '%990121%'") is None


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
def test_wrong_claims_are_refused_and_nothing_is_written(door: Door, claims: dict[str, Any], wanted: str) -> None:
    assert code(door.access.issue_token, door.assertion(**claims)) == wanted
    assert door.used() == 0


def test_a_clock_that_differs_too_much_is_told_so(door: Door) -> None:
    at = int(door.clock.now().timestamp())
    assert code(door.access.issue_token, door.assertion(iat=at + 90, exp=at + 150)) == "auth.clock_skew"
    door.access.issue_token(door.assertion(iat=at + 50, exp=at + 110))
    door.access.issue_token(door.assertion(iat=at - 110, exp=at - 50))


def test_an_address_that_was_printed_once_is_no_audience_any_more(door: Door) -> None:
    with door.parts.database.write() as writer:
        key_store.set_public_url(writer, "https://new.example", 2_000_000_000_000_000)
    assert code(door.access.issue_token, door.assertion()) == "auth.invalid"
    door.access.issue_token(door.assertion(aud="https://new.example"))


def test_an_access_token_is_no_assertion_and_an_assertion_no_access_token(door: Door) -> None:
    assert code(door.access.issue_token, door.token()) == "auth.invalid"
    assert code(door.access.caller, door.assertion()) == "auth.invalid"


def test_unknown_client_unknown_key_and_wrong_signature_look_alike(door: Door) -> None:
    stranger = door.parts.registration.add_client("stranger", BUREAU, scopes=SCOPES)[1]
    door.parts.registration.set_client_disabled("stranger", True)
    attempts = [
        door.assertion("nobody", door.keys["a-client"]),
        door.assertion("a-client", stranger),
        door.assertion("a-client", stranger, headers={}),
        door.assertion("a-client", stranger, headers={"kid": kid_of(read_key(door.keys["a-client"]).public_key())}),
        door.assertion("stranger", stranger),
    ]
    refusals = [refusal(door.access.issue_token, attempt) for attempt in attempts]
    assert {(r.code, r.detail) for r in refusals} == {("auth.invalid", refusals[0].detail)}


def test_strangers_do_not_reach_the_writer(door: Door) -> None:
    """The writer is held by somebody else, for as long as it takes: every refusal still comes at once."""
    used = door.assertion()
    door.access.issue_token(used)
    attempts = {
        used: "auth.replayed",
        door.assertion("nobody", door.keys["a-client"]): "auth.invalid",
        door.assertion(iat=1, exp=60): "auth.expired",
        door.assertion() + "AA": "auth.invalid",
    }
    with door.parts.database.write(), ThreadPoolExecutor(1) as pool:
        for attempt, wanted in attempts.items():
            assert pool.submit(code, door.access.issue_token, attempt).result(timeout=5) == wanted


def test_scopes_are_those_asked_for_within_those_of_the_client(door: Door) -> None:
    assert door.access.caller(door.token(scope="cases:write")).scopes == {"cases:write"}
    assert door.access.caller(door.token(scope="")).scopes == set(SCOPES)
    for wanted in ("audit:read", "cases:write audit:read", "everything"):
        assertion = door.assertion()
        assert code(door.access.issue_token, assertion, wanted) == "perm.scope"
        door.access.issue_token(assertion, "cases:write")


def test_while_tokens_cannot_be_signed_the_assertion_is_not_used_up(door: Door) -> None:
    kid = door.parts.keyring.active(Purpose.ACCESS_TOKEN).kid
    file = keys_folder(door.settings) / f"access_token-{kid}.pem"
    away = file.rename(file.with_suffix(".away"))
    assertion = door.assertion()
    with pytest.raises(KeyMissing):
        door.access.issue_token(assertion)
    away.rename(file)
    door.access.issue_token(assertion)


# --- keys of clients ----------------------------------------------------------------------------------------------------


def test_keys_of_a_client_overlap_while_they_are_rotated(door: Door) -> None:
    old, new = door.keys["a-client"], door.parts.registration.add_client_key("a-client")
    until = door.clock.now() + timedelta(hours=1)
    old_kid = kid_of(read_key(old).public_key())
    door.parts.registration.retire_client_key("a-client", old_kid, until)
    door.parts.registration.retire_client_key("a-client", old_kid, until + timedelta(days=1))
    with open_parts(door.settings, clock=door.clock) as fresh:
        for pem in (old, new):
            fresh.access.issue_token(door.assertion(pem=pem))
            fresh.access.issue_token(door.assertion(pem=pem, headers={}))
        door.clock.ahead = timedelta(hours=1, seconds=1)
        assert code(fresh.access.issue_token, door.assertion(pem=old)) == "auth.invalid"
        assert code(fresh.access.issue_token, door.assertion(pem=old, headers={})) == "auth.invalid"
        fresh.access.issue_token(door.assertion(pem=new))


def test_a_named_key_is_the_one_that_must_have_signed(door: Door) -> None:
    other = door.parts.registration.add_client_key("a-client")
    kid = kid_of(read_key(door.keys["a-client"]).public_key())
    assert code(door.access.issue_token, door.assertion(pem=other, headers={"kid": kid})) == "auth.invalid"


# --- access tokens ------------------------------------------------------------------------------------------------------


def test_a_token_ends_after_ten_minutes_to_the_second(door: Door) -> None:
    token = door.token()
    assert door.access.caller(token)
    door.clock.ahead = timedelta(seconds=598)
    assert door.access.caller(token)
    door.clock.ahead = timedelta(seconds=601)
    assert code(door.access.caller, token) == "auth.expired"
    assert code(door.access.caller, token) == "auth.expired"


def test_a_disabled_client_is_out_of_running_processes_within_two_seconds(door: Door) -> None:
    token = door.token()
    assertion = door.assertion()
    assert door.access.caller(token)
    with open_parts(door.settings) as other:
        other.registration.set_client_disabled("a-client", True)
    began = time.monotonic()
    while outcome(door, token) == "taken" and time.monotonic() - began < 3:
        time.sleep(0.05)
    assert outcome(door, token) == "auth.invalid"
    assert time.monotonic() - began < client_store.REFRESH_S + 0.5
    assert code(door.access.issue_token, assertion) == "auth.invalid"


def test_a_new_client_is_known_to_running_processes_at_once(door: Door) -> None:
    door.token()
    with open_parts(door.settings) as other:
        door.keys["new-client"] = other.registration.add_client("new-client", BUREAU, scopes=SCOPES)[1]
    assert door.access.caller(door.token("new-client")).client_id == "new-client"


def forged(
    door: Door, kid: str, *, purpose: Purpose = Purpose.ACCESS_TOKEN, typ: str = "at+jwt", **changes: Any
) -> str:
    """A token as somebody would make it who has the key folder."""
    at = int(door.clock.now().timestamp())
    claims = {"iss": HUB, "aud": HUB, "sub": "a-client", "client_id": "a-client", "iat": at, "exp": at + 600}
    claims |= {"jti": "x", "scope": "cases:write audit:read"} | changes
    header = {"alg": "ES256", "typ": typ, "kid": kid}
    text = ".".join(base64url.encode(json.dumps(part).encode()) for part in (header, claims))
    return f"{text}.{base64url.encode(door.parts.keyring.folder.sign(kid, purpose, text.encode()))}"


def test_a_token_never_gives_more_than_the_client_has(door: Door) -> None:
    kid = door.parts.keyring.active(Purpose.ACCESS_TOKEN).kid
    assert door.access.caller(forged(door, kid)).scopes == {"cases:write"}


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
def test_wrong_access_tokens_are_refused(door: Door, changes: dict[str, Any]) -> None:
    kid = door.parts.keyring.active(Purpose.ACCESS_TOKEN).kid
    assert code(door.access.caller, forged(door, kid, **changes)) == "auth.invalid"


def test_no_other_key_of_the_hub_signs_access_tokens(door: Door) -> None:
    for purpose in (Purpose.CREDENTIAL, Purpose.STATUS, Purpose.LEDGER):
        kid = door.parts.keyring.active(purpose).kid
        assert code(door.access.caller, forged(door, kid, purpose=purpose)) == "auth.invalid"


def test_noise_is_no_token(door: Door) -> None:
    for noise in ("", "x", "a.b.c", "é.é.é", "\udcff", "ey" * 5000, door.token() + "A"):
        assert code(door.access.caller, noise) == "auth.invalid"


def test_a_retired_key_verifies_what_it_signed_and_nothing_that_is_younger(door: Door) -> None:
    old = door.parts.keyring.active(Purpose.ACCESS_TOKEN).kid
    token = door.token()
    door.parts.signing_keys.replace(Wanted(Purpose.ACCESS_TOKEN))
    with open_parts(door.settings, clock=door.clock) as fresh:
        assert fresh.access.caller(token).client_id == "a-client"
        assert pyjwt.get_unverified_header(fresh.access.issue_token(door.assertion())[0])["kid"] != old
        door.clock.ahead = timedelta(seconds=70)
        assert code(fresh.access.caller, forged(door, old)) == "auth.invalid"


# --- memories -----------------------------------------------------------------------------------------------------------


def test_failed_logins_are_slowed_down_and_recover(door: Door) -> None:
    stranger = read_key(door.keys["a-client"])
    wrong = pyjwt.encode({}, stranger, algorithm="ES256")
    pem = door.parts.registration.add_client("stranger", BUREAU, scopes=SCOPES)[1]
    for _ in range(FAILURES_A_MINUTE):
        assert code(door.access.issue_token, door.assertion(pem=pem, headers={})) == "auth.invalid"
    refused = refusal(door.access.issue_token, door.assertion(pem=pem, headers={}))
    assert (refused.code, refused.retry_after) == ("rate.limited", 2)
    assert code(door.access.issue_token, wrong) == "auth.invalid"  # without a name there is no cryptography either
    door.access.issue_token(door.assertion())  # the client names its key, which strangers do not know
    door.access.issue_token(door.assertion("stranger", pem))
    door.clock.ahead = timedelta(seconds=3)
    assert code(door.access.issue_token, door.assertion(pem=pem, headers={})) == "auth.invalid"
    door.clock.ahead = timedelta(seconds=63)
    door.access.issue_token(door.assertion(headers={}))


def test_memories_have_a_limit() -> None:
    tokens = VerifiedTokens(size=3)
    for i in range(10):
        tokens.put(bytes([i]), Verified(str(i), frozenset(), i))
        tokens.get(b"\x00")
    assert [tokens.get(bytes([i])) is not None for i in range(10)] == [True] + [False] * 7 + [True] * 2
    failed = FailedLogins()
    now = datetime.now(UTC)
    for i in range(30_000):
        failed.count((str(i), ""), now)
    assert len(failed._buckets) == 10_000
    failed.count(("29999", ""), now - timedelta(hours=1))
    failed.require(("29999", ""), now - timedelta(hours=2))

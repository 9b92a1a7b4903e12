"""Failures in a client's name limit failures alone: an assertion that verifies always gets its token."""

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from hub.access import ASSERTION_TYPE
from hub.access.assertion import read_key
from hub.app import create_app
from hub.domain.errors import Refusal
from signing.keys import kid_of
from tests.support.auth import BUREAU, SCOPES, Auth, open_auth
from tests.support.serving import served

FLOODERS = 8


@pytest.fixture
def auth(tmp_path: Path) -> Iterator[Auth]:
    with open_auth(tmp_path) as found:
        yield found


@pytest.fixture
def stranger(auth: Auth) -> bytes:
    """The key of an unrelated client."""
    return auth.parts.registration.add_client("stranger", BUREAU, scopes=SCOPES)[1]


def bad(auth: Auth, stranger: bytes) -> list[str]:
    """One attempt of each kind in the client's name; the last needs no key at all."""
    own = {"kid": kid_of(read_key(auth.keys["a-client"]).public_key())}
    return [
        auth.assertion(pem=stranger, headers=own),
        auth.assertion(pem=stranger, headers={}),
        auth.assertion(pem=stranger),
        auth.assertion(aud="https://elsewhere.example", pem=stranger, headers=own),
        auth.assertion(iat=1, exp=60, pem=stranger, headers=own),
        auth.assertion()[:-8] + "AAAAAAAA",
    ]


def code(auth: Auth, assertion: str) -> str:
    try:
        auth.access.issue_token(assertion)
    except Refusal as refusal:
        return refusal.code
    return "token"


@pytest.mark.parametrize("headers", [None, {}], ids=["with a key id", "without"])
def test_a_stranger_who_fails_in_a_clients_name_does_not_lock_it_out(
    auth: Auth, stranger: bytes, headers: dict[str, str] | None
) -> None:
    attempts = bad(auth, stranger)
    for number in range(240):
        assert code(auth, attempts[number % len(attempts)]) in {"auth.invalid", "auth.expired", "rate.limited"}
        assert code(auth, auth.assertion(headers=headers)) == "token"


def test_failures_beyond_the_allowance_are_told_to_wait_and_a_replay_stays_refused(auth: Auth, stranger: bytes) -> None:
    used = auth.assertion()
    assert code(auth, used) == "token"
    assert code(auth, used) == "auth.replayed"
    seen = Counter(code(auth, auth.assertion(pem=stranger, headers={})) for _ in range(60))
    assert seen == {"auth.invalid": 29, "rate.limited": 31}
    assert code(auth, used) == "rate.limited"
    assert code(auth, auth.assertion()) == "token"


def test_every_good_assertion_passes_while_strangers_flood_from_the_same_address(auth: Auth, stranger: bytes) -> None:
    def post(http: httpx.Client, assertion: str) -> httpx.Response:
        form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE}
        return http.post("/oauth/token", data={**form, "client_assertion": assertion}, timeout=60)

    attempts, stop = bad(auth, stranger), threading.Event()
    seen: Counter[str] = Counter()

    def flood(address: str) -> None:
        with httpx.Client(base_url=address, trust_env=False) as http:
            while not stop.is_set():
                for attempt in attempts:
                    reply = post(http, attempt)
                    seen[f"{reply.status_code} {reply.json()['code']}"] += 1

    with served(create_app(auth.parts)) as address, httpx.Client(base_url=address, trust_env=False) as http:
        threads = [threading.Thread(target=flood, args=(address,)) for _ in range(FLOODERS)]
        for thread in threads:
            thread.start()
        try:
            while sum(seen.values()) < 100:
                assert all(thread.is_alive() for thread in threads)
            answers = [post(http, auth.assertion()).status_code for _ in range(50)]
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert answers == [200] * 50
    assert set(seen) <= {"401 auth.invalid", "401 auth.expired", "429 rate.limited"}
    assert seen["429 rate.limited"] > 0


def test_without_a_key_id_the_older_key_is_meant(auth: Auth) -> None:
    auth.clock.ahead = timedelta(seconds=1)
    newer = auth.parts.registration.add_client_key("a-client")
    assert code(auth, auth.assertion(headers={})) == "token"
    assert code(auth, auth.assertion(pem=newer, headers={})) == "auth.invalid"
    assert code(auth, auth.assertion(pem=newer)) == "token"
    auth.parts.registration.retire_client_key("a-client", kid_of(read_key(auth.keys["a-client"]).public_key()))
    auth.parts.access._clients.refresh()
    assert code(auth, auth.assertion(pem=newer, headers={})) == "token"

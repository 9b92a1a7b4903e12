"""Limits by address: whose address counts, how many files and how much CPU time it has."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import ValidationError

from hub.domain.errors import Refusal
from hub.runtime.shared_file import SharedFile
from hub.runtime.token_buckets import MAX_KEYS, Limited, TokenBuckets
from hub.settings import Settings
from hub.web.allowances import Allowances
from hub.web.request_body import Room
from hub.web.senders import Senders

PROXIES = Settings(proxy_addresses="10.1.0.7, 10.2.0.0/24,fd00:1::/64").proxy_addresses


def sender(peer: str | None, *told: str, proxies: str = PROXIES, name: str = "x-real-ip") -> str:
    headers = [(name.encode(), value.encode()) for value in told]
    return Senders(proxies).of({"client": None if peer is None else (peer, 4711), "headers": headers})


def test_only_a_configured_proxy_says_whose_request_it_passes_on() -> None:
    for proxy in ("10.1.0.7", "10.2.0.99", "::ffff:10.1.0.7", "fd00:1::5"):
        assert sender(proxy, "203.0.113.9") == "203.0.113.9"
    for stranger in ("10.1.0.8", "10.2.1.1", "127.0.0.1", "203.0.113.1"):
        assert sender(stranger, "203.0.113.9") == stranger
    assert sender("10.1.0.7", "203.0.113.9", proxies="") == "10.1.0.7"
    assert sender(None, "203.0.113.9") == ""


def test_no_other_header_counts_and_none_that_is_ambiguous() -> None:
    for name in ("x-forwarded-for", "forwarded", "x-client-ip", "true-client-ip"):
        assert sender("10.1.0.7", "203.0.113.9", name=name) == "10.1.0.7"
    for told in ((), ("",), ("x",), ("203.0.113.9, 203.0.113.8",), ("203.0.113.9", "203.0.113.8"), ("\xff",)):
        assert sender("10.1.0.7", *told) == "10.1.0.7"


def test_a_site_with_ipv6_is_one_sender() -> None:
    found = {sender("10.1.0.7", address) for address in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9")}
    assert found == {"2001:db8:1:2::/64"} != {sender("2001:db8:1:3::1")}
    assert sender("::ffff:203.0.113.9") == "203.0.113.9"


@pytest.mark.parametrize("wrong", ["0.0.0.0/0", "10.0.0.1,::/0", "proxy", "10.0.0.1/8", "10.0.0.300"])
def test_a_proxy_setting_that_trusts_everyone_or_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError):
        Settings(proxy_addresses=wrong)


class Watch:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def refused(allowances: Allowances, address: str) -> int | None:
    """The seconds to wait, or None if the address has a place."""
    try:
        with allowances.place(address):
            return None
    except Refusal as refusal:
        return refusal.retry_after if refusal.code == "rate.limited" else -1


@pytest.fixture
def shared() -> Iterator[SharedFile]:
    found = SharedFile()
    yield found
    found.close()


def test_an_address_has_its_places_and_takes_nobody_elses(shared: SharedFile) -> None:
    allowances = Allowances(shared, 2, 30.0)
    with allowances.place("a"):
        with allowances.place("a"):
            assert (refused(allowances, "a"), refused(allowances, "b")) == (1, None)
        assert refused(allowances, "a") is None
    with pytest.raises(KeyError), allowances.place("a"):
        raise KeyError
    assert not allowances._files._held


def test_cpu_time_is_charged_and_comes_back_within_a_minute(shared: SharedFile) -> None:
    watch = Watch()
    allowances = Allowances(shared, 2, 30.0, watch)
    allowances.spend("a", 29.75)
    assert refused(allowances, "a") is None
    allowances.spend("a", 10.25)  # 10 below zero, at half a second a second
    assert (refused(allowances, "a"), refused(allowances, "b")) == (21, None)
    watch.now += 20
    assert refused(allowances, "a") == 1
    watch.now += 1
    assert refused(allowances, "a") is None
    watch.now += 3600
    allowances.spend("a", 30.25)
    assert refused(allowances, "a") == 1, "an idle hour is worth no more than a minute"


def test_the_memory_for_addresses_is_limited_and_that_of_other_limits_is_apart(shared: SharedFile) -> None:
    spent = TokenBuckets(shared, Limited.CHECKER_TIME, 30.0)
    spent.take("a", 30.0, 1.0)
    flooded = TokenBuckets(shared, Limited.LOGINS_FROM_ADDRESS, 30.0)
    for number in range(2 * MAX_KEYS):
        flooded.take(str(number), 30.0, 2.0 + number)
    now = 2.0 + 2 * MAX_KEYS
    remembered = sum(flooded.tokens(str(number), now) < 30.0 for number in range(2 * MAX_KEYS - 50, 2 * MAX_KEYS))
    assert remembered == 50, "the newest stay"
    assert spent.tokens("a", 1.0) == 0.0


PROCESS = """
import sys
from hub.domain.errors import Refusal
from hub.runtime.shared_file import SharedFile
from hub.web.allowances import Allowances

allowances = Allowances(SharedFile(int(sys.argv[1])), 2, 30.0)
for line in sys.stdin:
    try:
        if line == "spend\\n":
            allowances.spend("a", 100.0)
        else:
            place = allowances.place("a")
            place.__enter__()
        print("yes", flush=True)
    except Refusal as refusal:
        print(refusal.code, flush=True)
"""


@contextmanager
def process(shared: SharedFile) -> Iterator["subprocess.Popen[str]"]:
    """Another process of the same server."""
    command = [sys.executable, "-c", PROCESS, str(shared.number)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(shared.number,), text=True
    ) as child:
        yield child
        child.kill()


def ask(child: "subprocess.Popen[str]", what: str) -> str:
    assert child.stdin
    assert child.stdout
    child.stdin.write(f"{what}\n")
    child.stdin.flush()
    return child.stdout.readline().strip()


def test_the_processes_of_a_server_share_places_and_cpu_time(shared: SharedFile) -> None:
    allowances = Allowances(shared, 2, 30.0)
    with process(shared) as one, process(shared) as other:
        assert ask(one, "place") == "yes"
        with allowances.place("a"):
            assert (ask(other, "place"), refused(allowances, "a"), refused(allowances, "b")) == (
                "rate.limited",
                1,
                None,
            )
        assert ask(other, "place") == "yes"
        assert refused(allowances, "a") == 1
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        assert refused(allowances, "a") is None, "the places of a killed process are free"
        assert ask(one, "spend") == "yes"
        assert refused(allowances, "a") in range(130, 145)


def test_a_sender_may_hold_a_part_of_the_room_for_files() -> None:
    room = Room(100, 60)
    room.take(60, "a")
    with pytest.raises(Refusal) as caught:
        room.take(1, "a")
    assert caught.value.code == "rate.limited"
    room.take(40, "b")
    with pytest.raises(Refusal) as caught:
        room.take(1, "c")
    assert caught.value.code == "database.unavailable"
    room.give_back(60, "a")
    room.take(60, "c")
    room.give_back(60, "c")
    room.give_back(40, "b")
    assert not room._held_by

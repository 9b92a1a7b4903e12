"""What `scripts/test --quick` leaves out: servers, long sweeps, and tests that would start after its time is up."""

import os
import time

import pytest

QUICK = "HUB_QUICK" in os.environ
_UNTIL = float(os.environ.get("HUB_QUICK", "inf"))


def leaves_out(item: pytest.Item) -> bool:
    return QUICK and ("[postgresql" in item.nodeid or item.get_closest_marker("slow") is not None)


def skip_servers() -> None:
    if QUICK:
        pytest.skip("scripts/test --quick starts no servers")


def skip_when_time_is_up() -> None:
    if time.time() > _UNTIL:
        pytest.skip("the time of scripts/test --quick is up")

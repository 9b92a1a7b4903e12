"""Clients with a journal, and processes killed at random: whatever was acknowledged is there, once, as acknowledged."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.domain.version import Version
from hub.parts import Parts, open_parts
from hub.worker import finish_due
from tests.faults import acts
from tests.faults import scene as s
from tests.faults.child import settings_of
from tests.faults.forkserver import ForkServer, fork_server
from tests.faults.journal import Journal, item

SECONDS = 180.0 if os.environ.get("HUB_LONG") else 6.0
PUSHERS = 3
KILL_EVERY_S = 0.12


@pytest.fixture(scope="module")
def forkserver() -> Iterator[ForkServer]:
    with fork_server() as found:
        yield found


class ProcessGroup:
    """Processes that are killed and restarted."""

    def __init__(self, forkserver: ForkServer, orders: list[dict[str, Any]]) -> None:
        self._forkserver, self._orders = forkserver, orders
        self._running = {n: forkserver.start(**order) for n, order in enumerate(orders)}
        self.killed: Counter[str] = Counter()

    def kill_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(random.uniform(0.2, 1.8) * KILL_EVERY_S)
            n = random.choice(list(self._running))
            os.kill(self._running[n], signal.SIGKILL)
            ended = self._forkserver.end(self._running[n])
            assert ended.killed, ended
            self.killed[self._orders[n]["act"]] += 1
            self._running[n] = self._forkserver.start(**self._orders[n])

    def finish(self) -> None:
        for pid in self._running.values():
            ended = self._forkserver.end(pid)
            assert ended.signal is None
            assert "value" in ended.value, ended.value


def test_what_was_acknowledged_survives_every_kill(forkserver: ForkServer, tmp_path: Path) -> None:
    data, stop = s.make(tmp_path / "data").folder, tmp_path / "stop"
    books = [str(tmp_path / f"journal-{index}") for index in range(PUSHERS)]
    shared = {"data": str(data)}
    orders = [
        {**shared, "act": "pusher", "with": {"journal": book, "index": index, "stop": str(stop)}}
        for index, book in enumerate(books)
    ]
    acted = tmp_path / "journal-acts"
    orders.append({**shared, "act": "revoker", "with": {"journal": str(acted), "books": books, "stop": str(stop)}})
    orders.append({**shared, "act": "worker", "with": {"stop": str(stop)}})
    processes = ProcessGroup(forkserver, orders)
    processes.kill_for(SECONDS)
    stop.touch()
    processes.finish()
    assert set(processes.killed) == {"pusher", "revoker", "worker"}
    with open_parts(settings_of(data), clock=s.Later()) as parts:
        assert finish_due(parts) == 0  # every push was eventually answered, so no intent is open
        acknowledged = Acknowledged(books, acted)
        assert acknowledged.answers > 50
        acknowledged.hold(parts)


class Acknowledged:
    """The acknowledgements recorded in the journals."""

    def __init__(self, books: list[str], acted: Path) -> None:
        self.pushes = {(index, n): e for index, book in enumerate(books) for n, e in enumerate(Journal(book).lines())}
        self.acts = [entry for entry in Journal(acted).lines() if "done" in entry]
        self.answers = len(self.pushes) + len(self.acts)
        self._last: dict[str, int] = {}
        self._replaced: set[str] = set()
        for (index, n), entry in self.pushes.items():
            for granted in entry.get("reply", {"certificates": []})["certificates"]:
                key = certificate_of(granted["identifier"])
                self._last[key] = max(self._last.get(key, 0), granted["version"])
            if n % 4 == 3 and "reply" in entry:
                before = self.pushes[index, n - 3].get("reply", {"certificates": []})
                self._replaced |= {certificate_of(granted["identifier"]) for granted in before["certificates"]}

    def hold(self, parts: Parts) -> None:
        s.picture(parts)
        self._nothing_else(parts)
        by_identifier = {version.identifier: version for version in s.versions(parts)}
        today = parts.clock.today()
        for identifier in self._identifiers():
            version = by_identifier[identifier]
            assert version.state(today).value in self._states(version), (identifier, self._acts_of(identifier))
        self._same_answers(parts)

    def _nothing_else(self, parts: Parts) -> None:
        """Every version and every case was acknowledged; a refused case does not exist."""
        known = {version.identifier for version in s.versions(parts) if version.case_number.startswith("J-")}
        assert known == set(self._identifiers())
        numbers = Counter((v.number, v.version) for v in s.versions(parts))
        assert set(numbers.values()) == {1}
        answered = {entry["case"] for entry in self.pushes.values() if "reply" in entry}
        rows = parts.database.reader.all("SELECT case_number FROM cases WHERE case_number LIKE 'J-%'")
        assert {row["case_number"] for row in rows} == answered
        row = parts.database.reader.one("SELECT COUNT(*) AS n FROM audit WHERE action = 'case.push'")
        assert row is not None
        assert row["n"] >= len(self.pushes)

    def _identifiers(self) -> list[str]:
        replies = [entry["reply"] for entry in self.pushes.values() if "reply" in entry]
        return [granted["identifier"] for reply in replies for granted in reply["certificates"]]

    def _acts_of(self, identifier: str) -> list[dict[str, Any]]:
        key = certificate_of(identifier)
        return [entry for entry in self.acts if certificate_of(entry["done"]["identifier"]) == key]

    def _states(self, version: Version) -> set[str]:
        """The possible states: more than one only for an act performed without an answer, and refused when repeated."""
        found = self._acts_of(version.identifier)
        done = [entry["done"]["act"] for entry in found if "refused" not in entry]
        unsure = {entry["done"]["act"] for entry in found if "refused" in entry and entry["again"]}
        key = certificate_of(version.identifier)
        if "revoke" in done:
            return {"revoked"}
        if version.version < self._last[key] or key in self._replaced:
            standing = {"superseded"}
        else:
            standing = {"suspended" if done[-1:] == ["suspend"] else "valid"}
            standing |= {"suspended"} if "suspend" in unsure else set()
            standing |= {"valid"} if "restore" in unsure else set()
        return standing | ({"revoked"} if "revoke" in unsure else set())

    def _same_answers(self, parts: Parts) -> None:
        """Repeating a push returns the acknowledged reply, byte for byte."""
        for index, n in random.sample(sorted(self.pushes), min(60, len(self.pushes))):
            entry = self.pushes[index, n]
            done = [self.pushes[index, before] for before in range(n)]
            case, body = item(index, n, done)
            if "reply" in entry:
                assert parts.cases.push(acts.c.caller(acts.CLIENT), case, acts.raw(body)).reply == entry["reply"]


def certificate_of(identifier: str) -> str:
    """The part of an identifier that all versions of a certificate share."""
    return identifier.rsplit(".", 2)[0]

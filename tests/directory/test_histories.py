"""Random histories with kills at any point: directory and repository always give the same answer."""

import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

import pytest

from hub.counter.holdings import Holdings
from hub.db import sqlite
from hub.directory import Directory
from hub.directory.engines import index_folder
from hub.directory.entries import entries_of
from hub.ops.init import initialise
from hub.parts import Parts, open_parts
from hub.settings import Settings
from hub.store import certificates, changes, directory_source, ledger
from indexer.embedded.engine import EmbeddedDirectory
from indexer.errors import DirectoryUnavailable
from tests.support.histories import TYPES, Life, Someone, people

HISTORIES = 2_000
IN_A_WORLD = 8
ACTS = 50
TODAY = date(2026, 11, 24)


class Killed(BaseException):
    """Simulates the end of the process."""


class World:
    """A few people and certificates, and two workers that may be killed at any step."""

    def __init__(self, parts: Parts, rng: random.Random) -> None:
        self.parts = parts
        self.rng = rng
        self.people = people(rng, 6)
        self.lives: list[Life] = []
        self.today = TODAY
        self.directory = EmbeddedDirectory(index_folder(parts.settings))
        self.holdings = Holdings(database=parts.database, vault=parts.vault, directory=self.directory)
        self.workers = [self._worker(), self._worker()]
        self.asked = self.by_directory = self.acted = 0

    def _worker(self) -> Directory:
        parts = self.parts
        return Directory(
            database=parts.database,
            vault=parts.vault,
            clock=parts.clock,
            catalogue=parts.catalogue,
            directory=EmbeddedDirectory(index_folder(parts.settings)),
            at_step=self._at_step,
        )

    def _at_step(self, _: str) -> None:
        """Between any two steps: a kill, another worker, another change, or a query."""
        dice = self.rng.random()
        if dice < 0.15:
            raise Killed
        if dice < 0.3 and self._depth < 2:
            self._feed(self.rng.choice(self.workers))
        elif dice < 0.5:
            self.happen()
        elif dice < 0.6:
            self.ask()
        elif dice < 0.7 and self._depth < 2:
            self.happen()
            with self.parts.database.write() as writer:
                ledger.sequence(writer, 100)
            self._feed(self.rng.choice(self.workers))

    _depth = 0

    def _feed(self, worker: Directory) -> None:
        self._depth += 1
        try:
            with suppress(Killed, DirectoryUnavailable):
                worker.feed()
        finally:
            self._depth -= 1

    def happen(self) -> None:
        """One to three changes in one commit."""
        prepared = []
        for life in self.rng.sample(self.lives, min(len(self.lives), self.rng.choice((1, 1, 3)))):
            change = life.step(self.today)
            if change is not None:
                prepared.append(change)
        if len(self.lives) < IN_A_WORLD and self.rng.random() < 0.5:
            life = Life(self.parts, self.rng, self.people)
            prepared.append(life.issue(self.today))
            self.lives.append(life)
        with self.parts.database.write() as writer:
            for change in prepared:
                changes.apply(writer, change)

    def act(self) -> None:
        self.acted += 1
        dice = self.rng.random()
        if dice < 0.45:
            self.happen()
        elif dice < 0.55:
            self.today += timedelta(days=self.rng.choice((0, 1, 2, 7)))
        elif dice < 0.75:
            with self.parts.database.write() as writer:
                ledger.sequence(writer, self.rng.choice((1, 2, 100)))
        elif dice < 0.97:
            self._feed(self.rng.choice(self.workers))
        elif dice < 0.972:
            with suppress(Killed, DirectoryUnavailable):
                self.rng.choice(self.workers).rebuild()
        elif dice < 0.998:
            self.workers[0] = self._worker()
        else:
            self._lose_a_file()
        self.ask()

    def end(self) -> None:
        """When no change is pending, every entry matches the rows."""
        settle(self.parts)
        name, picture = self.directory.current(), self.parts.catalogue()
        assert name is not None
        for one in directory_source.of_keys(
            self.parts.database.reader, self.parts.vault, [life.key for life in self.lives]
        ):
            for entry in entries_of(one, picture):
                assert self.directory.find(name, entry.key) == entry

    def _lose_a_file(self) -> None:
        """A generation or the pointer to the current one is lost, or its file is replaced."""
        folder = index_folder(self.parts.settings)
        chosen = [path for path in folder.glob("*") if path.suffix == ".db" or path.name == "current"]
        for path in self.rng.sample(chosen, min(len(chosen), 2)):
            if self.rng.random() < 0.5:
                path.unlink()
            else:
                path.with_name("new").write_bytes(b"garbage" * 500)
                path.with_name("new").replace(path)

    def ask(self) -> None:
        """Query one party and some types, on this day or a later one, with and without the directory."""
        one: Someone = self.rng.choice(self.people)
        types = tuple(self.rng.sample(TYPES, self.rng.choice((1, 3, 3))))
        today = self.today + timedelta(days=self.rng.choice((0, 0, 0, 1, 5, 30)))
        parts = self.parts
        expected = certificates.of_party(parts.database.reader, parts.vault, one.party, types, today)
        self.holdings._down_until = 0.0
        self.asked += 1
        self.by_directory += self.holdings._keys(one.party, types, today) is not None
        assert self.holdings.of_party(one.party, types, today) == expected


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    unsafe = tuple(p.replace("synchronous=FULL", "synchronous=OFF") for p in sqlite._PRAGMAS)
    monkeypatch.setattr(sqlite, "_PRAGMAS", unsafe)  # nothing here is about power cuts
    settings = Settings(data_dir=tmp_path / "data", public_url="https://hub.example")
    initialise(settings)
    with open_parts(settings) as found:
        yield found


def test_two_thousand_histories(parts: Parts) -> None:
    rng = random.Random(20261124)
    asked = by_directory = happened = 0
    for _ in range(HISTORIES // IN_A_WORLD):
        world = World(parts, rng)
        while len(world.lives) < IN_A_WORLD or world.acted < ACTS:
            world.act()
        world.end()
        asked += world.asked
        by_directory += world.by_directory
        happened += sum(len(life.acts) for life in world.lives)
    settle(parts)
    report = parts.directory.compare()
    assert report is not None
    assert (report.differences, report.pending, report.certificates) == ([], 0, HISTORIES)
    assert by_directory > asked * 0.8
    assert happened > 3 * HISTORIES
    fed = {entry.key: entry for entry in entries(parts)}
    parts.directory.rebuild()
    assert {entry.key: entry for entry in entries(parts)} == fed


def settle(parts: Parts) -> None:
    """Like a worker, which tries again after its generation broke."""
    for _ in range(5):
        with suppress(DirectoryUnavailable):
            while parts.directory.sequence() + parts.directory.feed():
                pass
            return


def entries(parts: Parts) -> Iterator[object]:
    directory = EmbeddedDirectory(index_folder(parts.settings))
    name, place = directory.current(), (-1, -1, -1)
    assert name
    while found := directory.walk(name, place, 500):
        yield from found
        place = found[-1].key

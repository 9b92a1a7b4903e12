"""Kills while a hub on PostgreSQL is created, by `hub init`, `hub migrate --to` and `hub restore`.

At statements from the first to the last and around every commit; when another process starts again, the result is
complete.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub.backup import BackupFolder
from hub.db import engines as store_engines
from hub.ops.check import check
from hub.parts import Parts, open_parts
from hub.settings import Settings
from hub.store import keys as key_store
from hub.store.keys import SigningState
from hub.vault import KeyPurpose
from signing.keys import Purpose
from tests.faults import acts
from tests.faults import scene as s
from tests.faults.acts import Body
from tests.faults.child import settings_of
from tests.faults.forkserver import Ended
from tests.faults.servers import Servers
from tests.faults.stories import Killed, settle
from tests.faults.sweeps import around_commits, noted, settled
from tests.faults.trial import Trial
from tests.store.test_migrate_to_postgres import rows_in_file
from tests.support import engines as data_engines
from tests.support import migrations
from tests.support.copies import rows_of

SPREAD = 8
DERIVED = {"id_blocks", "cursors"}


def _commits_and_some(points: list[str]) -> list[int]:
    """All points around commits, and evenly spaced statements from the first to the last."""
    return sorted({*around_commits(points), *range(1, len(points) + 1, max(1, len(points) // SPREAD))})


@dataclass
class Beginning:
    """A place for a new hub: a data directory and an empty database."""

    trial: Trial
    data: Path
    url: str
    embedded: Settings
    copy: Path
    order: Body = field(init=False)

    def __post_init__(self) -> None:
        self.order = self.begin()

    def begin(self) -> Body:
        """The order that is killed."""
        raise NotImplementedError

    def again(self) -> None:
        """Another process runs it once more."""
        ended = self.run()
        assert "value" in ended.value, ended

    def is_whole(self) -> None:
        """Everything is there, once."""
        raise NotImplementedError

    def run(self, **more: Any) -> Ended:
        return self.trial.forkserver.one(data=str(self.data), servers=True, **self.order, **more)


class Init(Beginning):
    """`hub init`: tables, rights, data keys, signing keys, public address."""

    def begin(self) -> Body:
        data_engines.on_servers(self.data, self.url, {})
        return {"act": "initialise"}

    def is_whole(self) -> None:
        settings = settings_of(self.data)
        assert migrations.differences(store_engines.place_of(settings)) == []
        with open_parts(settings) as parts:
            active = [key.public.purpose for key in parts.keyring.all() if key.state is SigningState.ACTIVE]
            assert sorted(active) == sorted(Purpose(purpose) for purpose in Purpose if purpose is not Purpose.DOCUMENT)
            purposes = [key.purpose for key in key_store.data_keys(parts.database.reader)]
            assert sorted(purposes) == sorted(KeyPurpose)
            assert key_store.public_urls(parts.database.reader) == [settings.public_url]
            parts.registration.load_catalogue(acts.CATALOGUE)
            body = acts.completed(acts.certificate(s.E, s.NEW))
            assert acts.push(parts, "K-NEW", body)["reply"]["issuance"] == "done"
            assert check(parts).findings == []


class Move(Beginning):
    """`hub migrate --to`: moves an embedded hub."""

    def begin(self) -> Body:
        shutil.copytree(self.embedded.data_dir, self.data)
        return {"act": "move", "url": self.url}

    def is_whole(self) -> None:
        file = self.embedded.model_copy(update={"data_dir": self.data})
        with open_parts(file.model_copy(update={"database_url": self.url})) as parts:
            assert rows_of(parts) == rows_in_file(file)
            assert check(parts).findings == []


class Restore(Beginning):
    """`hub restore`: restores a backup of that hub."""

    def begin(self) -> Body:
        master = self.embedded.data_dir / "master.key"
        return {"act": "restore", "master": str(master), "url": self.url, "with": {"folder": str(self.copy)}}

    def is_whole(self) -> None:
        more = {"data_dir": self.data, "database_url": self.url, "master_key_file": Path(self.order["master"])}
        with open_parts(self.embedded) as former, open_parts(self.embedded.model_copy(update=more)) as parts:
            was, now = rows_of(former), rows_of(parts)
            assert {name: now[name] for name in now.keys() - DERIVED} == {
                name: was[name] for name in was.keys() - DERIVED
            }
            assert check(parts).findings == []


BEGINNINGS: dict[str, type[Beginning]] = {"hub init": Init, "hub migrate --to": Move, "hub restore": Restore}


def beginnings(trial: Trial) -> None:
    """Each with kills around every commit, and at statements from the first to the last."""
    with trial.servers() as servers:
        embedded = settings_of(s.make(trial.folder / "embedded").folder)
        with open_parts(embedded) as parts:
            _filled(parts)
            parts.backup.run(BackupFolder(trial.folder / "copy"))
        for name in BEGINNINGS:
            with _beginning(trial, servers, embedded, name) as found:
                ended = found.run()
                assert "value" in ended.value, ended
                found.is_whole()
            for n in _commits_and_some(ended.value["points"]):
                killed = Killed(ended.value["points"], n)
                with _beginning(trial, servers, embedded, name) as found, noted(trial, name, killed):
                    assert found.run(kill_at=n).killed
                    settle(killed)
                    found.again()
                    found.is_whole()
    settled(trial)


def _filled(parts: Parts) -> None:
    while parts.directory.sequence():
        pass
    acts.render(parts)


@contextmanager
def _beginning(trial: Trial, servers: Servers, embedded: Settings, name: str) -> Iterator[Beginning]:
    database = servers.database
    base = database.create()
    data = trial.folder / base / "data"
    data.parent.mkdir()
    try:
        yield BEGINNINGS[name](trial, data, database.url(base), embedded, trial.folder / "copy")
    finally:
        shutil.rmtree(data.parent)
        database.drop(base)

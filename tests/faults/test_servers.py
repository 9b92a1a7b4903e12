"""A database server and a search cluster, killed, disconnected and restarted under processes that are killed too.

The short form of `python -m tests.faults`: clients write down every answer; at the end, everything acknowledged is
there once, verifies, has its state in every view, and is in the directory.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.db.database import DatabaseUnavailable
from hub.parts import open_parts
from hub.store import ledger
from tests.faults import acts, steps
from tests.faults import scene as s
from tests.faults.acts import certificate, completed
from tests.faults.child import settings_of
from tests.faults.forkserver import ForkServer, fork_server
from tests.faults.rows import ROWS, Row
from tests.faults.servers import Servers, servers
from tests.faults.trial import Trial
from tests.support import engines, postgres

SETTLED_S = 10.0
LONG = bool(os.environ.get("HUB_LONG"))
LOSES_COMMIT = """
CREATE FUNCTION lose_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
  $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER lose_commit AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION lose_commit();
"""


@pytest.fixture(scope="module")
def forkserver() -> Iterator[ForkServer]:
    with fork_server() as found:
        yield found


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers for one row after another: every fault is repaired."""
    with servers(tmp_path_factory.mktemp("servers")) as found:
        yield found


@pytest.mark.parametrize("row", [row for row in ROWS if LONG or row.short_s], ids=lambda row: row.name)
@pytest.mark.timeout(900)
def test_acknowledged_work_survives_every_fault(
    forkserver: ForkServer, running: Servers, row: Row, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = Trial(forkserver, tmp_path, row.long_s if LONG else row.short_s, running)
    row.work(trial)
    with capsys.disabled():
        told = f"{trial.answers} answers ({trial.again} told to come again) " if trial.answers else ""
        print(f"\n  {row.name}: {told}held through {trial.tried.total()} faults:")
        for name, times in sorted(trial.tried.items()):
            print(f"    {times:4} x {name}")


@pytest.mark.parametrize("story", ["index", "retrieve"])
def test_killed_around_every_commit(forkserver: ForkServer, running: Servers, tmp_path: Path, story: str) -> None:
    steps.story_around_commits(Trial(forkserver, tmp_path, 0.0, running), story)


@pytest.mark.parametrize("table", ["intents", "versions"])
def test_a_commit_that_the_server_has_not_made_is_not_answered(tmp_path: Path, table: str) -> None:
    """The connection is lost during COMMIT: the first and the second one of an issuance."""
    scene = s.make(tmp_path / "template", engines.POSTGRESQL)
    data = scene.copy(tmp_path / "data")
    name = engines.name_of(settings_of(data))
    body = completed(certificate(s.E, s.NEW))
    with open_parts(settings_of(data), clock=s.Later()) as parts:
        with postgres.shared().connect(name) as owner:
            owner.execute(LOSES_COMMIT.format(table=table))
            with pytest.raises(DatabaseUnavailable):
                acts.push(parts, "K-COMMIT", body)
            owner.execute(f"DROP TRIGGER lose_commit ON {table}; DROP FUNCTION lose_commit()")
        engines.wait_for(parts)
        before = s.case(parts, "K-COMMIT")
        assert before is None if table == "intents" else before is not None
        assert [v.number for v in s.versions(parts)].count(s.E) == 0
        answer = acts.push(parts, "K-COMMIT", body)
        assert answer["reply"]["issuance"] == "done"
        assert acts.push(parts, "K-COMMIT", body)["reply"] == answer["reply"]
        s.picture(parts, "K-COMMIT")
        assert [v.number for v in s.versions(parts)].count(s.E) == 1
    engines.give_back_all()


@pytest.mark.parametrize("point", ["before COMMIT", "in COMMIT", "after COMMIT"])
def test_a_reader_misses_no_change_when_a_sequencer_is_killed(
    forkserver: ForkServer, tmp_path: Path, point: str
) -> None:
    """Killed after assigning positions: they are committed with their rows or not at all, and late commits follow.

    The late transaction took the lowest entry number long before, and stays open all the while.
    """
    data = s.make(tmp_path / "template", engines.POSTGRESQL).copy(tmp_path / "data")
    settings = settings_of(data)
    with open_parts(settings) as parts, postgres.shared().connect(engines.name_of(settings)) as late:
        waiting = s.count(parts, "outbox")
        assert waiting > 3
        with late.transaction():
            late.execute(
                "INSERT INTO outbox (entry, home, certificate, revision, kind, leaf) VALUES (0, 7, 7, 1, 1, '')"
            )
            assert forkserver.one(data=str(data), act="index", servers=True, kill_step=point).killed
            deadline = time.monotonic() + SETTLED_S
            first = 0 if point == "before COMMIT" else waiting - 1  # one is its certificate's second change
            while s.count(parts, "ledger") != first:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert s.count(parts, "outbox") == waiting - first
            while parts.directory.sequence():
                pass
            read = ledger.after(parts.database.reader, 0, 100)
            assert [one.position for one in read] == list(range(1, waiting + 1))
        assert parts.directory.sequence() == 1
        found = ledger.after(parts.database.reader, waiting, 100)
        assert [(one.position, one.home, one.certificate) for one in found] == [(waiting + 1, 7, 7)]
    engines.give_back_all()

"""A database server and a search cluster that are killed, cut off and started again, under processes that are killed too.

The short form of `python -m tests.faults`: clients write down every answer; at the end whatever was acknowledged is
there once, verifies, has its state in every form, and stands in the directory.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.parts import open_parts
from hub.store.database import DatabaseUnavailable
from tests import engines, postgres
from tests.faults import acts
from tests.faults import scene as s
from tests.faults.acts import certificate, completed
from tests.faults.child import settings_of
from tests.faults.rows import AGAIN, ANSWERS, ROWS, Row, Tried
from tests.faults.stage import Stage, stage

LONG = bool(os.environ.get("HUB_LONG"))
LOSES_COMMIT = """
CREATE FUNCTION lose_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
  $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER lose_commit AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION lose_commit();
"""


@pytest.fixture(scope="module")
def theatre() -> Iterator[Stage]:
    with stage() as found:
        yield found


@pytest.mark.parametrize("row", [row for row in ROWS if LONG or row.short_s], ids=lambda row: row.name)
@pytest.mark.timeout(900)
def test_what_was_acknowledged_is_there_whatever_failed(
    theatre: Stage, row: Row, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = Tried()
    row.work(theatre, tmp_path, row.long_s if LONG else row.short_s, tried)
    answers, again = tried.pop(ANSWERS), tried.pop(AGAIN, 0)
    with capsys.disabled():
        print(f"\n  {row.name}: {answers} answers ({again} {AGAIN}) held through {tried.total()} faults:")
        for name, times in sorted(tried.items()):
            print(f"    {times:4} x {name}")


@pytest.mark.parametrize("table", ["intents", "versions"])
def test_a_commit_that_the_server_has_not_made_is_not_answered(tmp_path: Path, table: str) -> None:
    """The connection is lost in COMMIT, of the first and of the second one of an issue."""
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

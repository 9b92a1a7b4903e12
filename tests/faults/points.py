"""Every point to kill a process at: before each statement, around each commit and each request, and at named steps."""

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from hub.db.database import Writer
from hub.db.postgres import PostgresDatabase
from hub.db.sqlite import SqliteDatabase
from indexer.elastic.client import _Node

BEFORE_COMMIT, IN_COMMIT, AFTER_COMMIT = "before COMMIT", "in COMMIT", "after COMMIT"
_GENERATION = re.compile(r"-g[0-9]+")  # another one in every rebuild
_VERB = re.compile(r"\s*(\w+(?: (?:INTO|FROM|IMMEDIATE))?(?: \w+)?)")


class Points:
    """Counts the points passed after `begin`, and kills the process at the ordered one."""

    def __init__(self, kill_at: int | None, kill_step: str | None, kill_nth: int = 1) -> None:
        """kill_at: the number of the point; kill_step: its name, when it is passed for the `kill_nth` time."""
        self.seen: list[str] = []
        self._kill_at = kill_at
        self._kill_step = kill_step
        self._to_come = kill_nth
        self._begun = False

    def begin(self) -> None:
        """Start counting."""
        self._begun = True

    def reach(self, point: str, last: Callable[[], object] = lambda: None) -> None:
        """Pass a point; `last`: the last thing that a process killed here does."""
        if not self._begun:
            return
        self.seen.append(point)
        self._to_come -= point == self._kill_step
        if len(self.seen) == self._kill_at or (point == self._kill_step and not self._to_come):
            last()
            os.kill(os.getpid(), signal.SIGKILL)


def trace_file(points: Points, pages: int | None) -> None:
    """Make every statement of the embedded writer's connection a point, and every end of a write."""
    connect, write = SqliteDatabase._connect, SqliteDatabase.write

    def traced(self: SqliteDatabase) -> Any:
        connection = connect(self)

        def before(sql: str) -> None:
            if self._writer is connection and self._writing_thread == threading.get_ident():
                points.reach(_verb(sql))

        connection.set_trace_callback(before)
        if pages is not None:
            connection.execute(f"PRAGMA max_page_count={pages}")
        return connection

    @contextmanager
    def written(self: SqliteDatabase, *, exclusive: bool = False) -> Iterator[Writer]:
        with write(self, exclusive=exclusive) as writer:
            yield writer
        points.reach(AFTER_COMMIT)

    SqliteDatabase._connect = traced  # type: ignore[method-assign]
    SqliteDatabase.write = written  # type: ignore[method-assign]


def trace_servers(points: Points) -> None:
    """Make every statement and every request to a server a point; a COMMIT counts as three points, a request as two."""
    execute, copy, commit = psycopg.Cursor.execute, psycopg.Cursor.copy, psycopg.Connection.commit
    control, perform = PostgresDatabase._control, _Node.perform_request

    def around(connection: Any, work: Callable[[], Any]) -> Any:
        points.reach(BEFORE_COMMIT)
        points.reach(IN_COMMIT, lambda: _send_commit(connection.pgconn))
        found = work()
        points.reach(AFTER_COMMIT)
        return found

    def executed(self: Any, query: Any, *values: Any, **more: Any) -> Any:
        points.reach(f"before {_verb(query.decode() if isinstance(query, bytes) else str(query))}")
        return execute(self, query, *values, **more)

    def controlled(self: PostgresDatabase, connection: Any, text: str) -> Any:
        if text == "COMMIT":
            return around(connection, lambda: control(self, connection, text))
        points.reach(f"before {_verb(text)}")
        return control(self, connection, text)

    def copied(self: Any, statement: Any, *values: Any, **more: Any) -> Any:
        points.reach("before COPY")
        return copy(self, statement, *values, **more)

    def committed(self: Any) -> Any:
        return around(self, lambda: commit(self))

    def performed(self: _Node, method: str, target: str, **more: Any) -> Any:
        request = f"request {method} {_GENERATION.sub('-g', target.partition('?')[0])}"
        points.reach(f"before {request}")
        found = perform(self, method, target, **more)
        points.reach(f"after {request}")
        return found

    psycopg.Cursor.execute = executed  # type: ignore[method-assign]
    psycopg.Cursor.copy = copied  # type: ignore[method-assign]
    psycopg.Connection.commit = committed  # type: ignore[method-assign]
    PostgresDatabase._control = controlled  # type: ignore[method-assign]
    _Node.perform_request = performed  # type: ignore[method-assign]


def _send_commit(connection: Any) -> None:
    """The server receives the COMMIT, and no client reads its reply."""
    connection.send_query(b"COMMIT")
    while connection.flush():
        pass


def _verb(sql: str) -> str:
    found = _VERB.match(sql)
    return found.group(1) if found else sql[:20]


def kind_of(point: str) -> str:
    """A point's name in a table: its kind, without names of tables and indexes."""
    if point in (BEFORE_COMMIT, IN_COMMIT, AFTER_COMMIT):
        return point
    for begins, kind in (("step", "between statements"), ("before request", ""), ("after request", "")):
        if point.startswith(begins):
            return kind or begins
    return "before statement"

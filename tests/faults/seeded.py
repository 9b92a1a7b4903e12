"""Bugs planted in a child on purpose, to prove that the fault tests detect them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hub.db import sqlite
from hub.db.database import Writer
from hub.db.sqlite import SqliteWriter
from hub.domain import case as case_rules
from hub.domain.certificate import ActKind
from hub.store import changes, intents, pushes
from hub.store import publish as publishing
from hub.store import reserve as reserving


def guard_ignored() -> None:
    """Publish although another process has already taken the intent."""
    delete = intents.delete
    intents.delete = lambda writer, intent: delete(writer, intent) or True


def reply_before_publication() -> None:
    """Store the reply of a push with its reservation: it says `done` before anything is published."""
    row_of = pushes.row_of

    def early(vault: Any, received: Any, reply: Any) -> Any:
        push = received.push
        done = case_rules.reply(push.case_number, push.amendment, push.status, "done", [])
        return row_of(vault, received, reply or done)

    pushes.row_of = early


def commit_for_each() -> None:
    """Publish the certificates of a case one by one."""
    apply = changes.apply

    def alone(writer: Writer, change: Any) -> None:
        apply(writer, change)
        writer._connection.execute("COMMIT")
        writer._connection.execute("BEGIN IMMEDIATE")

    publishing.changes.apply = alone  # type: ignore[attr-defined]


def no_flush() -> None:
    """Let the engine acknowledge a commit before it is on disk."""
    sqlite._PRAGMAS = tuple(p.replace("synchronous=FULL", "synchronous=OFF") for p in sqlite._PRAGMAS)


def succession_unclaimed() -> None:
    """Do not record, when reserving, that a version has a successor."""
    reserving._claim = lambda writer, claim: None


def last_writer_wins() -> None:
    """Change a certificate even if it has changed since it was read."""
    run = SqliteWriter.run
    SqliteWriter.run = lambda self, sql, values=None: run(  # type: ignore[method-assign]
        self, sql.replace(" AND revision = :expected", ""), values
    )


def number_unregistered() -> None:
    """Reserve no number."""
    commit = reserving.commit_rows

    def without(writer: Any, vault: Any, reservation: Any) -> None:
        commit(writer, vault, replace(reservation, claims=replace(reservation.claims, numbers=[])))

    reserving.commit_rows = without


def act_swallowed() -> None:
    """Answer a revocation, record it in the audit log, and do not perform it."""
    apply = changes.apply

    def selective(writer: Writer, change: Any) -> None:
        if change.act.kind != ActKind.REVOKED:
            apply(writer, change)

    changes.apply = selective


def plant(name: str) -> None:
    BUGS[name]()


BUGS: dict[str, Callable[[], None]] = {
    bug.__name__: bug
    for bug in (
        guard_ignored,
        reply_before_publication,
        commit_for_each,
        no_flush,
        succession_unclaimed,
        last_writer_wins,
        number_unregistered,
        act_swallowed,
    )
}

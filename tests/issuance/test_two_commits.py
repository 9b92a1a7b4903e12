"""Reserve and publish against a concurrent change: each guard fails once, and nothing else is written.

On PostgreSQL both are one statement, whose parts would all be written if they did not depend on its guards: the loser
of an ON CONFLICT gets no row, and an UPDATE or DELETE that matches nothing is no error. So the tests also inspect the
open transaction before it is rolled back.
"""

import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy.dialects import postgresql

from hub.db import writable_cte
from hub.db.database import Conflict, Writer
from hub.db.tables import metadata
from hub.domain.errors import Refusal
from hub.store import publish, reserve
from hub.store.publish import KeyRetired
from hub.store.reserve import Reservation
from hub.vault import StaleKeys
from tests.support import engines
from tests.support import town as t
from tests.support.town import BERT, CARL, Town, body, grant

WRITTEN = (
    *("pushes", "cases", "blind_index", "parties", "handles", "intents", "audit"),
    *("certificates", "versions", "holdings", "acts", "outbox"),
)
TWO = body(grant("N-1"), grant("N-2", BERT, CARL, valid_until="2027-01-01"))


class Left(Exception):  # noqa: N818
    """Ends the transaction: the result of the call, and the tables whose rows differ."""

    def __init__(self, came: object, changed: set[str]) -> None:
        super().__init__(came)
        self.came, self.changed = came, changed


def rows_of(writer: Writer) -> dict[str, list[Any]]:
    return {name: sorted(map(repr, map(tuple, writer.all(f"SELECT * FROM {name}")))) for name in WRITTEN}


def left(
    town: Town, monkeypatch: pytest.MonkeyPatch, module: ModuleType, spoil: Callable[..., object], content: t.Body
) -> Left:
    """Push, and change something in the transaction of `reserve` or `publish` first; everything is rolled back."""
    real = module.commit_rows

    def after(writer: Writer, *given: Any) -> object:
        spoil(writer, *given)
        rows = rows_of(writer)
        try:
            came: object = real(writer, *given)
        except (Conflict, StaleKeys, KeyRetired) as error:
            came = type(error)
        except Refusal as refusal:
            came = t.places(refusal)
        now = rows_of(writer)
        raise Left(came, {table for table in WRITTEN if now[table] != rows[table]})

    with monkeypatch.context() as patched:
        patched.setattr(module, "commit_rows", after)
        counts = town.counts()
        with pytest.raises(Left) as found:
            town.push("T-1", content)
        if module is reserve:
            assert town.counts() == counts
    return found.value


def new_key(writer: Writer, *_: object) -> None:
    row = writer.one("SELECT MAX(number) + 1 AS number FROM data_keys")
    assert row is not None
    values = {"number": row["number"], "purpose": "digest", "state": 1, "created_at": 1, "wrapped": b""}
    writer.insert("data_keys", values)


def doing(text: str) -> Callable[..., None]:
    def do(writer: Writer, *_: object) -> None:
        assert writer.run(text) == 1

    return do


# --- publish ---------------------------------------------------------------------------------------------------------

PUBLISH: dict[str, tuple[Callable[..., object], object, set[str]]] = {
    "keys": (new_key, StaleKeys, set()),
    "intent": (doing("DELETE FROM intents"), False, set()),
    "voided": (doing("UPDATE intents SET voided = 1"), False, set()),
    "signing key": (
        doing("UPDATE signing_keys SET state = 3 WHERE kid IN (SELECT key_ids FROM intents)"),
        KeyRetired,
        {"intents"},
    ),
    "case": (doing("UPDATE cases SET revision = revision + 1"), Conflict, {"intents"}),
}
"""What was done before, what comes of it, and what a guard may have changed by then."""


@pytest.mark.parametrize("guard", PUBLISH)
def test_nothing_is_published_past_a_guard(
    town: Town, monkeypatch: pytest.MonkeyPatch, engine: str, guard: str
) -> None:
    spoil, came, changed = PUBLISH[guard]
    found = left(town, monkeypatch, publish, spoil, TWO)
    assert found.came == came
    if engine == engines.POSTGRESQL or came is False:
        assert found.changed <= changed
    assert town.rows("certificates") == []
    assert town.push("T-1", TWO).reply["issuance"] == "done"
    assert len(town.rows("certificates")) == 2
    assert town.agrees()


# --- reserve ---------------------------------------------------------------------------------------------------------


def taken(writer: Writer, reservation: Reservation) -> None:
    _, rows = reservation.claims.numbers[1]
    writer.insert_many("blind_index", [row._replace(target=1) for row in rows])


RESERVE: dict[str, tuple[Callable[..., object], object, set[str]]] = {
    "keys": (new_key, StaleKeys, set()),
    "push": (lambda writer, _, given: writer.insert("pushes", given.push), Conflict, set()),
    "case": (lambda writer, _, given: writer.insert("cases", given.case), Conflict, {"pushes"}),
    "number": (
        lambda writer, _, given: taken(writer, given),
        [("/certificates/1/number", "number.taken")],
        {"pushes", "cases", "blind_index"},
    ),
}


@pytest.mark.parametrize("guard", RESERVE)
def test_nothing_is_reserved_past_a_guard(town: Town, monkeypatch: pytest.MonkeyPatch, engine: str, guard: str) -> None:
    spoil, came, changed = RESERVE[guard]
    found = left(town, monkeypatch, reserve, spoil, TWO)
    assert found.came == came
    if engine == engines.POSTGRESQL:
        assert found.changed <= changed
    assert len(town.issue("T-1", *TWO["certificates"])) == 2
    assert town.agrees()


def test_a_case_that_has_moved_on_keeps_all_else_away(town: Town, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    town.push("T-1", body())
    found = left(town, monkeypatch, reserve, doing("UPDATE cases SET revision = revision + 1"), TWO)
    assert found.came is Conflict
    if engine == engines.POSTGRESQL:
        assert found.changed <= {"pushes"}
    assert len(town.issue("T-1", *TWO["certificates"])) == 2


# --- others meanwhile ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "came"), [("accepted_by = accepted_by", None), ("revision = revision + 1", Conflict)]
)
def test_a_locked_case_is_checked_again(
    town: Town, monkeypatch: pytest.MonkeyPatch, engine: str, change: str, came: object
) -> None:
    """On PostgreSQL, the statement waits for the row and checks its new state; SQLite has no concurrent writer."""
    real, seen = publish.commit_rows, []
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with town.parts.database.write() as writer:
            assert writer.run(f"UPDATE cases SET {change}") == 1
            held.set()
            go.wait(5)
            time.sleep(0.2)

    def beside(writer: Writer, *given: Any) -> object:
        if not seen:
            seen.append(None)
            if engine == engines.POSTGRESQL:
                holder.start()
                assert held.wait(5)
                go.set()
            else:
                writer.run(f"UPDATE cases SET {change}")
        try:
            return real(writer, *given)
        except Conflict:
            seen.append(Conflict)
            raise

    holder = threading.Thread(target=hold)
    monkeypatch.setattr(publish, "commit_rows", beside)
    assert len(town.issue("T-1", *TWO["certificates"])) == 2
    if engine == engines.POSTGRESQL:
        holder.join()
    assert seen[1:] == ([] if came is None else [came])
    assert town.agrees()


# --- the text --------------------------------------------------------------------------------------------------------


def test_every_column_that_may_be_null_has_its_type_in_the_statement() -> None:
    for name in WRITTEN:
        found = {
            column.name: column.type.compile(postgresql.dialect()).split(" COLLATE")[0]
            for column in metadata.tables[name].columns
            if column.nullable
        }
        assert writable_cte.MAY_BE_NULL.get(name, {}) == found, name

"""The child process: opens the hub like any of its processes, suffers the ordered fault, and performs the ordered act.

An order is a dictionary: `data` (the data directory), `act` (a name in `acts.ACTS`) with its values in `with`, and
`kill_at` (the number of the point at which it is killed), `kill_step` (the name of a step), `servers` (requests to
servers are points too), `hold` (a step to stop before until a file appears), `limit_file` (RLIMIT_FSIZE), `pages`
(PRAGMA max_page_count), `clock` (a file with its clock's skew in seconds), `patience_s` (how long to wait for a
server), `user` (switch to another user), `seeded` (a planted bug).
"""

import os
import resource
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hub.backup import BackupFolder
from hub.backup.to_postgres import migrate
from hub.db.database import DatabaseUnavailable
from hub.db.schema import WrongSchema
from hub.domain.errors import Refusal
from hub.ops.init import initialise
from hub.parts import Parts, open_parts, restore_into
from hub.runtime.clock import Clock
from hub.settings import Settings
from hub.vault import VaultError
from signing.errors import KeyMissing
from tests.faults import acts, journal, seeded
from tests.faults.points import Points, trace_file, trace_servers
from tests.support import city as c
from tests.support import engines


class Stepped(Clock):
    """The machine's clock with a skew: the number of seconds currently in a file."""

    def __init__(self, file: str) -> None:
        self._file = Path(file)

    def now(self) -> datetime:
        """The current time with the skew."""
        return super().now() + timedelta(seconds=float(self._file.read_text() or 0))


def _step(points: Points, hold: dict[str, str] | None) -> Callable[[str], None]:
    def at_step(name: str) -> None:
        points.reach(f"step {name}")
        if hold is not None and name == hold["at"]:
            Path(hold["reached"]).touch()
            while not Path(hold["go"]).exists():
                time.sleep(0.001)

    return at_step


def settings_of(folder: Path) -> Settings:
    """Files next to the folder name the database and the directory, if they are on servers."""
    return Settings(
        data_dir=folder,
        database_url=engines.url_beside(folder),
        **engines.index_beside(folder),
        public_url=c.URL,
        people_a_day_per_client=1_000_000,
        people_a_day=10_000_000,
        people_a_day_per_clerk=1_000_000,
    )


_WHOLE = ("initialise", "restore", "move")
"""Acts that open what they need themselves, and can be killed from their first statement on."""


def perform(order: dict[str, Any], meet: Callable[[], None]) -> dict[str, Any]:
    """Perform the order; returns the result or the error, and in `points` all points passed."""
    points = Points(order.get("kill_at"), order.get("kill_step"), order.get("kill_nth", 1))
    trace_file(points, order.get("pages"))
    if order.get("servers"):
        trace_servers(points)
    for name in order.get("seeded", ()):
        seeded.plant(name)
    if "limit_file" in order:
        limit = int(order["limit_file"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if "user" in order:
        os.setuid(order["user"])
    settings = settings_of(Path(order["data"]))
    found: dict[str, Any]
    try:
        if order["act"] in _WHOLE:
            points.begin()
        if order["act"] == "initialise":
            initialise(settings)
            return {"value": None, "points": points.seen}
        if order["act"] == "restore":
            into = Settings(
                data_dir=settings.data_dir, master_key_file=Path(order["master"]), database_url=order.get("url")
            )
            made = restore_into(into, _step(points, order.get("hold"))).run(BackupFolder(Path(order["with"]["folder"])))
            return {"value": made.backup, "points": points.seen}
        if order["act"] == "move":
            done = migrate(settings, order["url"], at_step=_step(points, order.get("hold")))
            return {"value": done.rows, "points": points.seen}
        with _opened(settings, _step(points, order.get("hold")), order) as parts:
            points.begin()
            meet()
            found = {"value": (acts.ACTS | journal.ACTS)[order["act"]](parts, **order.get("with", {}))}
    except Exception as error:
        found = said(error)
    return {**found, "points": points.seen}


@contextmanager
def _opened(settings: Settings, at_step: Callable[[str], None], order: dict[str, Any]) -> Iterator[Parts]:
    """Open the hub's parts; with patience, wait for a server that is down."""
    deadline = time.monotonic() + order.get("patience_s", 0.0)
    clock = Stepped(order["clock"]) if "clock" in order else None
    with ExitStack() as stack:
        while True:
            try:
                parts = stack.enter_context(open_parts(settings, clock=clock, at_step=at_step))
                break
            except DatabaseUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield parts


def said(error: Exception) -> dict[str, Any]:
    """A refusal or a known fault, by name; everything else is a bug."""
    if isinstance(error, Refusal):
        return {"refused": error.code, "retry_after": error.retry_after}
    if isinstance(error, DatabaseUnavailable | KeyMissing | VaultError | WrongSchema | OSError):
        return {"fault": type(error).__name__, "text": str(error)}
    return {"error": "".join(traceback.format_exception(error))}

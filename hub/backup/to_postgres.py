"""`hub migrate --to`: move an embedded database to PostgreSQL, with every row; keys and files stay in place.

First the embedded database is closed to all other processes; then everything is copied in one transaction, read back,
compared and committed. If killed, the next run starts again or finds the move complete; the file is never changed.
"""

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from hub.backup import NotPossible
from hub.backup.place import exclusive_lock
from hub.db import engines, migrated_marker, schema, table_copy
from hub.db.database import Database, DatabaseUnavailable, Reader
from hub.db.fill import BlankServer, Filling
from hub.db.migrated_marker import Mark
from hub.db.sqlite import SqliteDatabase
from hub.runtime.progress import Progress, silent
from hub.settings import Settings


@dataclass(frozen=True, slots=True)
class Migration:
    """to: host, port and database. rows: verified rows of each table; empty if the move was complete before."""

    to: str
    rows: dict[str, int]


class Differs(Exception):  # noqa: N818 (names the finding)
    """The data read back from the server differs from the embedded database; nothing was committed."""

    def __init__(self, table: str) -> None:
        super().__init__(table)
        self.table = table


def migrate(
    settings: Settings,
    url: str,
    progress: Progress = silent,
    at_step: Callable[[str], None] = lambda _: None,
) -> Migration:
    """Move the embedded database to an empty one on a server; the URL names its owner.

    Calls `progress` with (rows copied and compared so far, twice the number of rows). at_step: for crash tests. The
    caller makes sure that no service is running. Raises NotPossible, WrongDatabase, WrongSchema, DatabaseUnavailable
    and Differs; then the embedded database is unchanged, unless the connection was lost during the commit: in that case
    another run finds out.
    """
    if not engines.is_embedded(settings):
        raise NotPossible(
            "设置了 HUB_DATABASE_URL；hub migrate --to 只迁移内嵌数据库，请先去掉这个设置。",
            "HUB_DATABASE_URL is set, but --to moves the embedded database: unset that variable.",
            is_setting=True,
        )
    place = engines.place_of(settings.model_copy(update={"database_url": url}))
    if isinstance(place, Path):  # pragma: no cover - a URL always names a server
        raise TypeError("url")
    path, blank = engines.embedded_path(settings), BlankServer(place)
    with exclusive_lock(settings.data_dir):
        mark = _begun(settings, path, blank)
        if mark is not None and mark.done:
            return Migration(mark.to, {})
        with closing(SqliteDatabase(path, migrating=True)) as source:
            schema.require(source)
            if mark is None:
                blank.require_empty()
                mark = migrated_marker.begin(path, blank.name)
            at_step("begun")
            rows = (
                {} if blank.is_filled(mark.mark) else _copy(source, path, blank, mark, _RowCounter(progress, at_step))
            )
        migrated_marker.finish(path, mark)
    return Migration(mark.to, rows)


def _begun(settings: Settings, path: Path, blank: BlankServer) -> Mark | None:
    mark = migrated_marker.find(path)
    if not path.exists():
        raise NotPossible(
            f"数据目录 {settings.data_dir} 里没有可以迁移的内嵌数据库。",
            "There is no embedded database to move in the data directory (HUB_DATA_DIR).",
            is_setting=True,
        )
    if mark is not None and mark.to != blank.name:
        raise NotPossible(
            f"迁移的目标是 {mark.to}：请用同一个目标再运行一次；要放弃，请先确认那个数据库没有启用，"
            f"再删除 {migrated_marker.path_of(path).name}。",
            f"A move to {mark.to} was started or is complete: use the same target again. To cancel it, make sure that"
            f" the target database is not in use, and delete {migrated_marker.path_of(path).name}.",
            is_setting=True,
        )
    return mark


class _RowCounter:
    """Counts rows for the progress display."""

    def __init__(self, progress: Progress, at_step: Callable[[str], None]) -> None:
        self._progress = progress
        self.at_step = at_step
        self._done = 0
        self.total = 0

    def count(self, rows: int) -> None:
        """Count more rows."""
        self._done += rows
        self._progress(self._done, self.total)
        self.at_step("some rows")


def _copy(source: Database, path: Path, blank: BlankServer, mark: Mark, counter: _RowCounter) -> dict[str, int]:
    """Copy and compare; returns the number of rows of each table."""
    try:
        with source.write():  # waits for a write that was in progress when the mark was made
            pass
        with source.snapshot() as reader, blank.filling(mark.mark) as filling:
            found = {shape.name: _table(reader, filling, shape, counter) for shape in table_copy.shapes()}
            counter.at_step("copied")
            counter.total = 2 * sum(rows for rows, _ in found.values())
            _compare(filling, found, counter)
            counter.at_step("compared")
    except BaseException:
        with suppress(DatabaseUnavailable, OSError):
            if not blank.is_filled(mark.mark):
                migrated_marker.give_up(path)
        raise
    counter.at_step("kept")
    return {name: rows for name, (rows, _) in found.items()}


def _compare(filling: Filling, wanted: dict[str, tuple[int, str]], counter: _RowCounter) -> None:
    for shape in table_copy.shapes():
        if table_copy.digest(filling.reader, shape, counter.count) != wanted[shape.name]:
            raise Differs(shape.name)


def _table(reader: Reader, filling: Filling, shape: table_copy.Shape, counter: _RowCounter) -> tuple[int, str]:
    digest = table_copy.Digest()
    for rows in table_copy.batches(reader, shape):
        filling.put(shape, rows)
        digest.add(rows)
        counter.count(len(rows))
    return digest.value

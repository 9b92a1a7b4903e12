"""`hub migrate --to`: an embedded hub becomes one on PostgreSQL, with every row; keys and files stay where they are.

The embedded database is closed to everybody first, then all of it is copied in one transaction, read back and compared,
and kept. Killed anywhere, it is begun again, or found to be done; the file itself is never changed.
"""

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from hub.backup import NotPossible
from hub.backup.place import alone
from hub.db import engines, migrated_marker, schema, table_copy
from hub.db.database import Database, DatabaseUnavailable, Reader
from hub.db.fill import BlankServer, Filling
from hub.db.migrated_marker import Mark
from hub.db.sqlite import SqliteDatabase
from hub.runtime.progress import Progress, silent
from hub.settings import Settings


@dataclass(frozen=True, slots=True)
class Migration:
    """to: host, port and database. rows: of every table, as compared; empty where all had been done before."""

    to: str
    rows: dict[str, int]


class Differs(Exception):  # noqa: N818 (what was found)
    """What was read back from the server is not what the embedded database has; nothing was kept."""

    def __init__(self, table: str) -> None:
        super().__init__(table)
        self.table = table


def migrate(
    settings: Settings,
    url: str,
    progress: Progress = silent,
    at_step: Callable[[str], None] = lambda _: None,
) -> Migration:
    """Move the embedded hub of these settings to an empty database, whose owner the URL names.

    `progress` is told rows copied and compared so far, and twice all of them. at_step: for crash tests. The caller sees
    to it that nothing serves. Raises NotPossible, WrongDatabase, WrongSchema, DatabaseUnavailable and Differs; then the
    embedded hub is as it was, unless the server went away at the end: then only another attempt can tell.
    """
    if not engines.is_embedded(settings):
        raise NotPossible(
            "HUB_DATABASE_URL 已设置:hub migrate --to 只迁移内嵌数据库,请先去掉它。",
            "HUB_DATABASE_URL is set: --to moves the embedded database; leave that variable out.",
            is_setting=True,
        )
    place = engines.place_of(settings.model_copy(update={"database_url": url}))
    if isinstance(place, Path):  # pragma: no cover - a URL is a server's
        raise TypeError("url")
    path, blank = engines.embedded_path(settings), BlankServer(place)
    with alone(settings.data_dir):
        mark = _begun(settings, path, blank)
        if mark is not None and mark.done:
            return Migration(mark.to, {})
        with closing(SqliteDatabase(path, migrating=True)) as source:
            schema.require(source)
            if mark is None:
                blank.require_empty()
                mark = migrated_marker.begin(path, blank.name)
            at_step("begun")
            rows = {} if blank.is_filled(mark.mark) else _copy(source, path, blank, mark, _Watching(progress, at_step))
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
            f"迁移的目标是 {mark.to}:请用同一目标再次运行;若要放弃,请确认那个数据库没有启用,"
            f"再删除 {migrated_marker.path_of(path).name}。",
            f"It was moved to {mark.to}, or that was begun: name the same one again. To give that up, make sure that"
            f" nobody uses that database, and remove {migrated_marker.path_of(path).name}.",
            is_setting=True,
        )
    return mark


class _Watching:
    """Counts rows for whoever looks on."""

    def __init__(self, progress: Progress, at_step: Callable[[str], None]) -> None:
        self._progress = progress
        self.at_step = at_step
        self._done = 0
        self.total = 0

    def told(self, rows: int) -> None:
        """So many rows more."""
        self._done += rows
        self._progress(self._done, self.total)
        self.at_step("some rows")


def _copy(source: Database, path: Path, blank: BlankServer, mark: Mark, watching: _Watching) -> dict[str, int]:
    """Copy and compare; how many rows each table has."""
    try:
        with source.write():  # whoever was writing when the mark was made has come to an end
            pass
        with source.snapshot() as reader, blank.filling(mark.mark) as filling:
            found = {shape.name: _table(reader, filling, shape, watching) for shape in table_copy.shapes()}
            watching.at_step("copied")
            watching.total = 2 * sum(rows for rows, _ in found.values())
            _compare(filling, found, watching)
            watching.at_step("compared")
    except BaseException:
        with suppress(DatabaseUnavailable, OSError):
            if not blank.is_filled(mark.mark):
                migrated_marker.give_up(path)
        raise
    watching.at_step("kept")
    return {name: rows for name, (rows, _) in found.items()}


def _compare(filling: Filling, wanted: dict[str, tuple[int, str]], watching: _Watching) -> None:
    for shape in table_copy.shapes():
        if table_copy.digest(filling.reader, shape, watching.told) != wanted[shape.name]:
            raise Differs(shape.name)


def _table(reader: Reader, filling: Filling, shape: table_copy.Shape, watching: _Watching) -> tuple[int, str]:
    digest = table_copy.Digest()
    for rows in table_copy.batches(reader, shape):
        filling.put(shape, rows)
        digest.add(rows)
        watching.told(len(rows))
    return digest.value

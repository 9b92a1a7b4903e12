"""A marker file next to an embedded database that is being, or has been, moved to a server: the file must not be used.

A process that opens the database fails at once, and one that already has it open fails at its next write. The marker is
written before the first row is copied, so that no write acknowledged during or after the copy is missing on the server.
"""

import json
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hub.db.database import WrongDatabase
from hub.runtime.fsync import sync_folder


@dataclass(frozen=True, slots=True)
class Mark:
    """to: host, port and database. mark: stored in that database once it is filled. done: whether it is filled."""

    to: str
    mark: str
    done: bool = False


def path_of(database: Path) -> Path:
    """The path of an embedded database's marker."""
    return database.with_name(f"{database.name}.moved")


def find(database: Path) -> Mark | None:
    """The marker's content, or None; raises WrongDatabase if it cannot be read."""
    try:
        content = json.loads(path_of(database).read_text(encoding="utf-8"))
        return Mark(str(content["to"]), str(content["mark"]), content["done"] is True)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        name = path_of(database).name
        raise WrongDatabase(f"数据目录里的 {name} 读不出来。", f"{name} in the data directory cannot be read") from None


def begin(database: Path, to: str) -> Mark:
    """From now on, no other process can use the file."""
    return _write(database, Mark(to, secrets.token_hex(16)))


def finish(database: Path, mark: Mark) -> Mark:
    """Record that everything is on the server."""
    return _write(database, replace(mark, done=True))


def give_up(database: Path) -> None:
    """The move failed: make the file usable again."""
    path_of(database).unlink(missing_ok=True)
    sync_folder(database.parent)


def require_not(database: Path) -> None:
    """Raise WrongDatabase for a file that is being moved, or was."""
    found = require_finished(database)
    if found is not None:
        raise WrongDatabase(
            f"这个数据目录的数据库已迁到 PostgreSQL（{found.to}）：请设置 HUB_DATABASE_URL。",
            f"The database of this data directory was moved to PostgreSQL at {found.to}: set HUB_DATABASE_URL",
        )


def require_finished(database: Path) -> Mark | None:
    """The marker of a file that was moved, None for one that was not; raises WrongDatabase while a move is unfinished.

    Until then, the target database must not be used either.
    """
    found = find(database)
    if found is None or found.done:
        return found
    raise WrongDatabase(
        f"这个数据目录的数据库正在迁往 PostgreSQL（{found.to}），还没有完成：请再运行一次 hub migrate --to。",
        f"The database of this data directory is being moved to PostgreSQL at {found.to}; the move is not finished:"
        " run `hub migrate --to` again",
    )


def _write(database: Path, mark: Mark) -> Mark:
    path = path_of(database)
    draft = path.with_name(f"{path.name}.new")
    try:
        with draft.open("w", encoding="utf-8") as file:
            json.dump(asdict(mark), file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return mark

"""What lies beside an embedded database that is being moved to a server, or was: nobody uses the file any more.

Whoever opens the database is told, and who has it open, at the next write. The mark is made before the first row is
copied: nothing that is acknowledged meanwhile or later can be missing on the server.
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
    """to: host, port and database. mark: what that database has when it is filled. done: whether it is."""

    to: str
    mark: str
    done: bool = False


def path_of(database: Path) -> Path:
    """Where the mark of an embedded database lies."""
    return database.with_name(f"{database.name}.moved")


def find(database: Path) -> Mark | None:
    """The mark, or None; raises WrongDatabase where it cannot be read."""
    try:
        content = json.loads(path_of(database).read_text(encoding="utf-8"))
        return Mark(str(content["to"]), str(content["mark"]), content["done"] is True)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        name = path_of(database).name
        raise WrongDatabase(f"{name} 无法读取。", f"{name} in the data directory cannot be read") from None


def begin(database: Path, to: str) -> Mark:
    """From now on nobody else uses the file."""
    return _write(database, Mark(to, secrets.token_hex(16)))


def finish(database: Path, mark: Mark) -> Mark:
    """Everything is on the server."""
    return _write(database, replace(mark, done=True))


def give_up(database: Path) -> None:
    """Nothing came of it: the file is as good as before."""
    path_of(database).unlink(missing_ok=True)
    sync_folder(database.parent)


def require_not(database: Path) -> None:
    """Raise WrongDatabase for a file that is being moved, or was."""
    found = require_finished(database)
    if found is not None:
        raise WrongDatabase(
            f"这个数据目录的数据库已迁到 PostgreSQL({found.to}):请设置 HUB_DATABASE_URL。",
            f"The database of this data directory was moved to PostgreSQL at {found.to}: set HUB_DATABASE_URL",
        )


def require_finished(database: Path) -> Mark | None:
    """The mark of a file that was moved, None of one that was not; raises WrongDatabase in between.

    Then nobody uses the database that it is moved to either.
    """
    found = find(database)
    if found is None or found.done:
        return found
    raise WrongDatabase(
        f"这个数据目录的数据库正在迁往 PostgreSQL({found.to}),尚未完成:请再次运行 hub migrate --to。",
        f"The database of this data directory is being moved to PostgreSQL at {found.to}, and that is not finished:"
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

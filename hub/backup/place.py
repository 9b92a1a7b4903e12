"""Where a backup is stored, and where one is restored: what may exist before, and what is removed after a failure.

A backup is restored into a data directory (keys and documents) and a database: the embedded one, or one on a server.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hub.backup import manifest
from hub.db.database import DatabaseUnavailable
from hub.db.fill import Blank
from hub.runtime.fsync import sync_folder

RESTORING = ".restoring"
_LOCK = ".init.lock"
_MARK = "mark"
_SYNC_AT_ONCE = 64
_README = """\
电子证照共享平台的备份。 A backup of a certificate hub.

data/  数据行和 PDF 文件，都已加密。 Rows and PDF files, all encrypted.
keys/  打开 data/ 的密钥和签名私钥，已用主密钥加密。 The keys for data/ and the private signing keys, encrypted with
       the master key. Store this folder on another medium: data/ cannot be read without it and the master key.

主密钥不在里面：请另外保存，不要和这份备份放在一起。
The master key is not included: store it in a third place, never with this backup.

恢复 To restore: HUB_DATA_DIR=... HUB_MASTER_KEY_FILE=... hub restore DIR [--keys KEYS_DIR]
没有 data/manifest.json 就是没有做完的备份，不能用。 A backup without data/manifest.json is incomplete and unusable.
"""


class NotPossible(Exception):  # noqa: N818 (an answer to the operator)
    """The operation is not possible at present and nothing was changed; messages in Chinese and English.

    is_setting: a setting must be changed, not an argument.
    """

    def __init__(self, message: str, message_en: str, *, is_setting: bool = False) -> None:
        super().__init__(message_en)
        self.message = message
        self.message_en = message_en
        self.is_setting = is_setting


class Writing:
    """Writes new files (mode 0600) and syncs them in batches, which is faster than one at a time."""

    def __init__(self) -> None:
        self._open: list[int] = []
        self._folders: set[Path] = set()

    def write(self, path: Path, content: bytes) -> None:
        """Write a new file; it is durable after `finish`."""
        if path.parent not in self._folders:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folders |= {path.parent, path.parent.parent}
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._open.append(handle)
        remaining = memoryview(content)
        while remaining:
            remaining = remaining[os.write(handle, remaining) :]
        if len(self._open) >= _SYNC_AT_ONCE:
            self._sync()

    def finish(self) -> None:
        """Sync everything to disk."""
        self._sync()
        for folder in self._folders:
            sync_folder(folder)

    def give_up(self) -> None:
        """Close open files."""
        while self._open:
            os.close(self._open.pop())

    def _sync(self) -> None:
        for handle in self._open:
            os.fsync(handle)
        self.give_up()

    @contextmanager
    def whole(self) -> Iterator[Self]:
        """Finish if the block succeeds."""
        try:
            yield self
            self.finish()
        finally:
            self.give_up()


@dataclass(frozen=True, slots=True)
class BackupFolder:
    """The folder of a backup; its keys part may be in a different folder."""

    folder: Path
    keys_folder: Path | None = None

    @property
    def tables(self) -> Path:
        """The rows, one file per table."""
        return self.folder / "data" / "tables"

    @property
    def documents(self) -> Path:
        """The PDF files, as in the data directory."""
        return self.folder / "data" / "documents"

    @property
    def manifest(self) -> Path:
        """The manifest; it exists when everything else does."""
        return self.folder / "data" / manifest.NAME

    @property
    def keys(self) -> Path:
        """The keys part."""
        return (self.keys_folder or self.folder / "keys") / "keys.sealed"

    @property
    def is_on_one_medium(self) -> bool:
        """Whether both parts are on the same file system."""
        return self.keys.stat().st_dev == self.manifest.stat().st_dev

    def begin(self) -> None:
        """Create the folders, for this user only; raises NotPossible if they are not empty or stay open to others."""
        for folder in filter(None, (self.folder, self.keys_folder)):
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise self._taken(folder)
        for folder in (self.folder, self.tables.parent, self.tables, self.documents, self.keys.parent):
            _own(folder)
        with Writing().whole() as writing:
            writing.write(self.folder / "README.txt", _README.encode())

    def _taken(self, folder: Path) -> NotPossible:
        if self.tables.exists() and not self.manifest.exists():
            return NotPossible(
                f"{folder} 里是一份没有做完的备份，请删除后重做，或者另选目录。",
                "The folder has an unfinished backup: delete it and start again, or choose another folder.",
            )
        return NotPossible(
            f"{folder} 不是空目录，不会覆盖；请另选目录。", "The folder is not empty and will not be overwritten."
        )

    def clear(self) -> None:
        """Remove what a failed attempt has written, as far as possible; the manifest first."""
        with suppress(OSError):
            self.manifest.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        for file in (self.keys, self.folder / "README.txt"):
            with suppress(OSError):
                file.unlink(missing_ok=True)
        with suppress(OSError):
            self.keys.parent.rmdir()


def _own(folder: Path) -> None:
    """Create a folder, or take one that exists, with mode 0700; raises NotPossible if others could still read it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(PermissionError):  # of another user; some file systems have fixed modes
        folder.chmod(0o700)
    if folder.stat().st_mode & 0o077:
        raise NotPossible(
            f"{folder} 对其他用户开放，权限又改不了，没有做备份；请另选目录，或在其中新建一个。",
            f"Other users can read {folder}, and its mode cannot be changed; no backup was made."
            " Choose another directory, or a new one in it.",
        )


@dataclass(frozen=True, slots=True)
class Target:
    """Where a backup is restored. `.restoring` exists in the data directory from the first change to the last.

    It names the target database and contains a mark that the database gets once it is filled.
    """

    data_dir: Path
    database: Blank
    keys: Path
    documents: Path
    master_key: Path

    @property
    def staging(self) -> Path:
        """Exists until the restore is complete; a new embedded database is built in it."""
        return self.data_dir / RESTORING

    def exclusive_lock(self) -> AbstractContextManager[None]:
        """Exclude other restores and `hub init`; raises NotPossible."""
        return exclusive_lock(self.data_dir)

    def is_complete(self) -> bool:
        """Whether an earlier restore has filled the database, so that only `.restoring` must be removed.

        Raises NotPossible if it was started with a different database, DatabaseUnavailable if the state is unknown.
        """
        name, mark = self._begun()
        if not mark:
            return self.staging.exists() and self.database.is_filled("")
        if name != self.database.name:
            raise NotPossible(
                f"这里有一次没有做完的恢复，数据库是 {name}：请用同样的设置再运行一次 hub restore，或者清空数据目录。",
                f"A restore into {name} was interrupted: run it again with the same setting, or empty the data"
                " directory.",
                is_setting=True,
            )
        return self.database.is_filled(mark)

    def begin(self) -> str:
        """Create the staging folder and return the mark of this attempt.

        The remains of a killed restore are removed first. Raises NotPossible and WrongDatabase if anything but the
        master key and empty tables exists.
        """
        if self.staging.exists():
            self.clear()
        others = sorted(entry.name for entry in self.data_dir.iterdir() if not self._may_be_there(entry))
        if others:
            raise NotPossible(
                f"数据目录 {self.data_dir} 不是空的（{others[0]}），只能恢复到空目录。",
                "The data directory is not empty; a backup is restored into an empty one (HUB_DATA_DIR).",
                is_setting=True,
            )
        self.database.require_empty()
        mark = secrets.token_hex(16)
        self.staging.mkdir(mode=0o700)
        writing = Writing()
        with writing.whole():
            writing.write(self.staging / _MARK, f"{self.database.name}\n{mark}\n".encode())
        sync_folder(self.data_dir)
        return mark

    def _begun(self) -> tuple[str, str]:
        """The database and the mark of the attempt in progress; empty if there is none."""
        try:
            name, mark = (self.staging / _MARK).read_text(encoding="utf-8").splitlines()
        except (FileNotFoundError, ValueError):
            return "", ""
        return name, mark

    def _may_be_there(self, entry: Path) -> bool:
        if entry.name == _LOCK or entry == self.master_key or entry.name.startswith(f"{self.master_key.name}.former-"):
            return True
        mounted = {self.keys.name, self.documents.name, "lost+found"}  # mounted media
        return entry.name in mounted and entry.is_dir() and not any(entry.iterdir())

    def give_up(self, mark: str) -> None:
        """After an error, remove what was written, unless the database is filled or its state is unknown."""
        with suppress(OSError, DatabaseUnavailable):
            if not self.database.is_filled(mark):
                self.clear()

    def clear(self) -> None:
        """Remove what an attempt has written; the staging folder last, because it records the attempt."""
        for folder in (self.keys, self.documents):
            if folder.is_dir():
                for entry in folder.iterdir():
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
                with suppress(OSError):  # another medium stays mounted
                    folder.rmdir()
        self.documents.with_name(f"{self.documents.name}.lock").unlink(missing_ok=True)
        shutil.rmtree(self.staging)

    def sync(self) -> None:
        """Sync everything but the database to disk."""
        for folder in (self.keys, self.documents, self.staging):
            sync_folder(folder)

    def leave(self) -> None:
        """Remove the staging folder once the database is filled. Renaming it first makes the removal atomic."""
        sync_folder(self.data_dir)
        done = self.staging.with_name(f"{RESTORING}.done")
        self.staging.rename(done)
        sync_folder(self.data_dir)
        shutil.rmtree(done)


@contextmanager
def exclusive_lock(data_dir: Path) -> Iterator[None]:
    """Exclude other commands that create or replace a data directory; raises NotPossible."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(data_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotPossible(
                "另一个命令正在使用这个数据目录，请等它结束。", "Another command is using this data directory."
            ) from None
        yield
    finally:
        os.close(handle)


def is_unfinished(data_dir: Path, database: Path | None) -> bool:
    """Whether a restore into this data directory was started but not finished. database: the embedded one, if any."""
    return (data_dir / RESTORING).exists() and (database is None or not database.exists())

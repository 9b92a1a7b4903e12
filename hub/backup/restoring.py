"""Restore a backup into an empty data directory and an empty database, completely or not at all.

Everything is staged and verified against the manifest. The database comes last: a file is renamed into place, or a
server's transaction is committed. If killed before that, the next attempt cleans up and starts again; after that, the
hub is complete.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cbor2

from hub.backup import manifest
from hub.backup.making import KEPT_APART
from hub.backup.manifest import Manifest, TableFile
from hub.backup.place import BackupFolder, NotPossible, Target, Writing
from hub.backup.rows import Damaged, read_rows
from hub.db import schema, table_copy
from hub.db.database import Reader
from hub.db.fill import Filling, load
from hub.db.table_copy import Row, Shape
from hub.runtime.progress import Progress, silent
from hub.store import documents, ids, ledger
from hub.store import keys as key_store
from hub.store.documents import DocumentDamaged, Files
from hub.vault import MasterKey, Vault
from signing.errors import KeyMissing
from signing.keys import KeyFolder, Purpose


@dataclass(frozen=True, slots=True)
class _Opened:
    """An opened backup that matches this release and this master key."""

    place: BackupFolder
    manifest: Manifest
    master: MasterKey
    secret: bytes
    kept_apart: TableFile
    kept_rows: list[Row]
    files: dict[str, bytes]


class Restore:
    """Restores backups into one target. `at_step` is called with the name of each step, for crash tests."""

    def __init__(self, target: Target, at_step: Callable[[str], None] = lambda _: None) -> None:
        self._target = target
        self._at_step = at_step

    def run(self, place: BackupFolder, progress: Progress = silent) -> Manifest:
        """Restore a backup; returns its manifest. Calls `progress` with (rows and files done, total).

        Raises NotPossible, VaultError for a different master key, Damaged, WrongDatabase, DatabaseUnavailable and
        OSError; then everything is unchanged. The exception: a server that became unreachable may have committed, which
        the next run detects.
        """
        opened = self._open(place)
        target = self._target
        with target.exclusive_lock():
            if target.is_complete():
                target.leave()  # killed before its last step
                return opened.manifest
            mark = target.begin()
            self._at_step("begun")
            try:
                with target.database.filling(mark) as filling:
                    self._fill(filling, opened, progress)
                    target.sync()
                    self._at_step("filled")
            except BaseException:
                target.give_up(mark)
                raise
            self._at_step("kept")
            target.leave()
        return opened.manifest

    # --- before anything is written -----------------------------------------------------------------------------------

    def _open(self, place: BackupFolder) -> _Opened:
        found = _manifest_of(place)
        master = MasterKey.read(self._target.master_key)
        try:
            sealed = place.keys.read_bytes()
        except FileNotFoundError:
            raise NotPossible(
                f"找不到密钥部分 {place.keys}，请用 --keys 指明它所在的目录。",
                "The keys part is missing: pass its folder with --keys.",
            ) from None
        if hashlib.sha256(sealed).hexdigest() != found.keys_sha256:
            raise NotPossible(
                "密钥部分已损坏，或者属于另一份备份。", "The keys part is damaged, or belongs to another backup."
            )
        content = cbor2.loads(master.open_keys(sealed))
        if content["backup"] != found.backup or not found.is_whole(content["secret"]):
            raise Damaged(manifest.NAME)
        rows = [tuple(row) for row in content["rows"]]
        apart = TableFile(KEPT_APART, tuple(content["columns"]), len(rows), 0, "")
        self._require_columns((*found.tables, apart))
        return _Opened(place, found, master, content["secret"], apart, rows, content["files"])

    @staticmethod
    def _require_columns(tables: Sequence[TableFile]) -> None:
        """Rows are restored unchanged, so tables and columns must match this release."""
        if {table.name: table.columns for table in tables} != {s.name: s.columns for s in table_copy.shapes()}:
            raise _other_release()

    # --- the copy -----------------------------------------------------------------------------------------------------

    def _fill(self, filling: Filling, opened: _Opened, progress: Progress) -> None:
        self._load(filling, opened, progress)
        self._at_step("rows")
        vault = Vault(opened.master, lambda: key_store.data_keys(filling.reader))
        self._write_keys(opened, vault)
        self._at_step("keys")
        self._write_documents(filling.reader, opened, vault, progress)

    def _load(self, filling: Filling, opened: _Opened, progress: Progress) -> None:
        total = _total(opened)
        done = 0

        def count(rows: int) -> None:
            nonlocal done
            done += rows
            progress(done, total)
            self._at_step("some rows")

        load(filling, self._tables(opened), count)
        with filling.write() as writer:
            ids.skip_ahead(writer)
            for generation in ledger.consumers(writer, ledger.OF_DIRECTORY):
                ledger.forget(writer, generation)

    @staticmethod
    def _tables(opened: _Opened) -> Iterator[tuple[Shape, Sequence[str], Iterator[list[Row]]]]:
        shapes = {shape.name: shape for shape in table_copy.shapes()}
        yield shapes[KEPT_APART], opened.kept_apart.columns, iter([opened.kept_rows])
        for table in opened.manifest.tables:
            path = opened.place.tables / f"{table.name}.rows"
            yield shapes[table.name], table.columns, read_rows(path, opened.secret, table)

    def _write_keys(self, opened: _Opened, vault: Vault) -> None:
        keys = self._target.keys
        keys.mkdir(mode=0o700, exist_ok=True)
        writing = Writing()
        with writing.whole():
            for name, content in opened.files.items():
                writing.write(keys / name, content)
        folder = KeyFolder(keys, vault.key_files_passphrase)
        for name in opened.files:
            purpose, _, kid = name.removesuffix(".pem").partition("-")
            try:
                folder.file(kid, Purpose(purpose))
            except KeyMissing:
                raise Damaged(name) from None

    def _write_documents(self, reader: Reader, opened: _Opened, vault: Vault, progress: Progress) -> None:
        """Copy every referenced file, after comparing its content with the digest in its row."""
        target = self._target.documents
        target.mkdir(mode=0o700, exist_ok=True)
        checking = Files(vault, opened.place.documents)
        shape = next(shape for shape in table_copy.shapes() if shape.name == documents.LABEL)
        total = _total(opened)
        done = total - opened.manifest.documents
        writing = Writing()
        with writing.whole():
            for batch in table_copy.batches(reader, shape):
                for row in batch:
                    document = documents.of_row(dict(zip(shape.columns, row, strict=True)))
                    try:
                        writing.write(target / document.file, checking.sealed(document))
                    except DocumentDamaged:
                        raise Damaged(document.file) from None
                done += len(batch)
                progress(done, total)
                self._at_step("some documents")


def _total(opened: _Opened) -> int:
    return len(opened.kept_rows) + opened.manifest.rows + opened.manifest.documents


def _manifest_of(place: BackupFolder) -> Manifest:
    """The manifest; raises NotPossible for a backup that this release cannot restore."""
    try:
        text = place.manifest.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        if place.tables.exists():
            raise NotPossible(
                "这份备份没有做完，不能恢复。", "This backup was not finished and cannot be restored."
            ) from None
        raise NotPossible(f"{place.folder} 里没有备份。", "There is no backup in this folder.") from None
    except UnicodeDecodeError:
        raise Damaged(manifest.NAME) from None
    try:
        found = manifest.read(text)
    except ValueError:
        raise NotPossible(
            "这份备份的格式，本版本不认识；请换用新版本。", "This release does not support the format of this backup."
        ) from None
    if found.schema != schema.HEAD:
        raise _other_release(found)
    return found


def _other_release(found: Manifest | None = None) -> NotPossible:
    which = "" if found is None else f"（{found.hub}，{found.schema}）"
    return NotPossible(
        f"这份备份来自数据库结构不同的版本{which}：请用那个版本恢复，再用新版本运行 hub migrate。",
        "This backup was made by a release with a different schema: restore it with that release, then run"
        " `hub migrate` with the newer one.",
        is_setting=True,
    )

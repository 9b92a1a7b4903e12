"""Make an online backup: the database in one snapshot, then the files that its rows reference.

Documents are written once, before their rows, and none is removed while the folder lock is held; so every row of the
snapshot has its file. Each file is opened and compared with the digest in its row: a backup contains nothing that could
not be restored. The private signing keys are read inside the snapshot.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

import cbor2

from hub import __version__
from hub.backup import manifest
from hub.backup.manifest import Manifest, TableFile
from hub.backup.place import BackupFolder, NotPossible, Writing
from hub.backup.rows import RowsWriter, read_rows
from hub.db import schema, table_copy
from hub.db.database import Database, Reader
from hub.db.table_copy import Row, Shape
from hub.keys.keyring import Keyring
from hub.runtime.clock import Clock
from hub.runtime.fsync import sync_folder
from hub.runtime.progress import Progress, silent
from hub.store import documents, ledger
from hub.store import keys as key_store
from hub.store.documents import DocumentDamaged, Documents
from hub.store.keys import SigningState
from hub.vault import MasterKey, WrappedKey
from signing.errors import KeyMissing

KEPT_APART = "data_keys"
"""The table stored with the keys, apart from the rows that these keys decrypt."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """The content of the snapshot."""

    taken_at: str
    ledger: int
    tables: tuple[TableFile, ...]
    data_keys: list[WrappedKey]
    keys: bytes


class Backup:
    """Makes backups of one hub. `at_step` is called with the name of each step, for crash tests."""

    def __init__(
        self,
        *,
        database: Database,
        engine: str,
        clock: Clock,
        keyring: Keyring,
        documents: Documents,
        master_key: Path,
        data_dir: Path,
        at_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._engine = engine
        self._clock = clock
        self._keyring = keyring
        self._documents = documents
        self._master_key = master_key
        self._data_dir = data_dir
        self._at_step = at_step

    def run(self, place: BackupFolder, progress: Progress = silent) -> Manifest:
        """Make a complete backup in an empty place; calls `progress` with (rows and files done, total so far).

        Raises NotPossible, DocumentDamaged for a missing or damaged file, DatabaseUnavailable and OSError; then the
        place is cleared.
        """
        self._refuse_nearby(place)
        place.begin()
        try:
            return self._make(place, progress)
        except BaseException:
            place.clear()
            raise

    def _refuse_nearby(self, place: BackupFolder) -> None:
        folders = [folder.resolve() for folder in (place.folder, place.keys.parent)]
        if any(folder.is_relative_to(self._data_dir.resolve()) for folder in folders):
            raise NotPossible("备份不能放在数据目录里，请另选目录。", "A backup must be outside the data directory.")
        if any(self._master_key.resolve().is_relative_to(folder) for folder in folders):
            raise NotPossible(
                "备份不能和主密钥放在一起，请另选目录。", "A backup must not be stored with the master key."
            )

    def _make(self, place: BackupFolder, progress: Progress) -> Manifest:
        secret, name = secrets.token_bytes(32), secrets.token_hex(16)
        with self._documents.held():
            with self._database.snapshot() as reader:
                schema.require(self._database)  # a newer schema may have data that this release does not know
                rows = self._rows(reader, place, secret, name, progress)
            self._at_step("rows")
            done = sum(table.rows for table in rows.tables)
            size = self._copy_documents(place, secret, rows, lambda n, total: progress(done + n, done + total))
        self._at_step("documents")
        master = MasterKey.read(self._master_key)
        keys = master.seal_keys(rows.data_keys[0], rows.keys)
        with Writing().whole() as writing:
            writing.write(place.keys, keys)
        self._at_step("keys")
        made = Manifest(
            format=manifest.FORMAT,
            backup=name,
            hub=__version__,
            schema=schema.HEAD,
            engine=self._engine,
            taken_at=rows.taken_at,
            finished_at=self._moment(),
            ledger=rows.ledger,
            master_key=MasterKey.name_in(keys),
            keys_sha256=hashlib.sha256(keys).hexdigest(),
            documents=_table(rows, "documents").rows,
            document_bytes=size,
            tables=rows.tables,
        ).signed(secret)
        self._finish(place, made)
        return made

    def _moment(self) -> str:
        return self._clock.now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _finish(self, place: BackupFolder, made: Manifest) -> None:
        """Rename the manifest into place, which completes the backup."""
        for folder in (place.tables, place.documents, place.folder, place.keys.parent):
            sync_folder(folder)
        draft = place.manifest.with_suffix(".new")
        with Writing().whole() as writing:
            writing.write(draft, made.text().encode())
        self._at_step("manifest")
        draft.rename(place.manifest)
        sync_folder(place.manifest.parent)

    # --- the snapshot -------------------------------------------------------------------------------------------------

    def _rows(self, reader: Reader, place: BackupFolder, secret: bytes, name: str, progress: Progress) -> _Rows:
        taken_at = self._moment()  # before the first read, which starts the snapshot
        data_keys = key_store.data_keys(reader)
        kept = {shape.name: shape for shape in table_copy.shapes()}[KEPT_APART]
        keys = {
            "backup": name,
            "secret": secret,
            "columns": list(kept.columns),
            "rows": [list(row) for batch in table_copy.batches(reader, kept) for row in batch],
            "files": self._private_keys(reader),
        }
        self._at_step("snapshot")
        tables: list[TableFile] = []
        for shape in table_copy.shapes():
            if shape is not kept:
                count_rows = _after(sum(table.rows for table in tables), progress)
                tables.append(_write(reader, shape, place, secret, count_rows))
                self._at_step(f"table {shape.name}")
        return _Rows(taken_at, ledger.head(reader), tuple(tables), data_keys, cbor2.dumps(keys))

    def _private_keys(self, reader: Reader) -> dict[str, bytes]:
        """The files of all recorded keys; raises NotPossible if the file of a key in use is missing or bad.

        The files are already encrypted, and encrypted again as part of the keys part.
        """
        files: dict[str, bytes] = {}
        for key in key_store.signing_keys(reader):
            public = key.public
            try:
                files[f"{public.purpose.value}-{public.kid}.pem"] = self._keyring.folder.file(
                    public.kid, public.purpose
                )
            except KeyMissing:
                if key.state is SigningState.RETIRED:
                    continue  # retired, or being retired
                raise NotPossible(
                    f"签名密钥 {public.kid}（{public.purpose.value}）的私钥丢失或打不开，没有做备份。",
                    f"The private part of signing key {public.kid} is missing or unreadable; no backup was made.",
                ) from None
        return files

    # --- documents ----------------------------------------------------------------------------------------------------

    def _copy_documents(self, place: BackupFolder, secret: bytes, rows: _Rows, progress: Progress) -> int:
        """Copy every file that the rows of the backup reference; returns the number of bytes."""
        table = _table(rows, "documents")
        done = size = 0
        with Writing().whole() as writing:
            for batch in read_rows(place.tables / f"{table.name}.rows", secret, table):
                for row in batch:
                    size += self._copy(place, writing, table, row)
                done += len(batch)
                progress(done, table.rows)
                self._at_step("some documents")
        return size

    def _copy(self, place: BackupFolder, writing: Writing, table: TableFile, row: Row) -> int:
        document = documents.of_row(dict(zip(table.columns, row, strict=True)))
        try:
            sealed = self._documents.sealed(document)
        except DocumentDamaged as damage:
            raise DocumentDamaged(f"{damage}: {document.file}") from None
        writing.write(place.documents / document.file, sealed)
        return len(sealed)


def _after(done: int, progress: Progress) -> Callable[[int], None]:
    return lambda more: progress(done + more, 0)


def _table(rows: _Rows, name: str) -> TableFile:
    return next(table for table in rows.tables if table.name == name)


def _write(
    reader: Reader, shape: Shape, place: BackupFolder, secret: bytes, count_rows: Callable[[int], None]
) -> TableFile:
    writer = RowsWriter(place.tables / f"{shape.name}.rows", secret, shape.name, packed=not shape.sealed)
    try:
        for batch in table_copy.batches(reader, shape):
            writer.add(batch)
            count_rows(writer.rows)
        size, digest = writer.close()
    finally:
        writer.give_up()
    return TableFile(shape.name, shape.columns, writer.rows, size, digest)

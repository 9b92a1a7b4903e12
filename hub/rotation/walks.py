"""The long part of a rotation, as generators of small batches that can be abandoned and restarted at any point.

A walk does not record its progress. When restarted, it finds the remaining work from the rows themselves.
"""

from collections.abc import Iterator, Sequence

from hub.db.database import Database
from hub.store import documents as document_store
from hub.store import keys as key_store
from hub.store import reseal as store
from hub.store.documents import Document, Documents
from hub.store.reseal import SealedColumn, Source, Texts
from hub.store.retry import retry_on_conflict
from hub.store.sealing import RowKey
from hub.vault import KeyState, Vault

BATCH = 200
FILES_BATCH = 20
DROP_BATCH = 2_000
SealedRows = list[tuple[RowKey, bytes]]


class Walks:
    """Walks over one database; each yields the number of rows of every batch."""

    def __init__(self, database: Database, vault: Vault, documents: Documents) -> None:
        self._database = database
        self._vault = vault
        self._documents = documents

    def reseal(self, number: int, retired: Sequence[int]) -> Iterator[int]:
        """Re-encrypt everything with key `number`; the retired keys then become spent.

        Repeats while writers with old keys have added rows behind the walk. Rows and files that cannot be decrypted are
        left unchanged, and their key stays retired.
        """
        remaining, damaged = 1, 0
        while remaining > damaged:
            damaged = 0
            for column in store.COLUMNS:
                after: RowKey | None = None
                while found := store.sealed_otherwise(self._database.reader, column, number, after, BATCH):
                    damaged += self._reseal(column, found)
                    after = found[-1][0]
                    yield len(found)
            file = ""
            while files := document_store.sealed_otherwise(self._database.reader, number, file, FILES_BATCH):
                damaged += sum(not self._reseal_file(document) for document in files)
                file = files[-1].file
                yield len(files)
            rows = store.sealed_rows(self._database.reader)
            remaining = sum(count for old, count in rows.items() if old != number)
        with self._database.write(exclusive=True) as writer:
            for old in retired:
                if not rows.get(old):
                    store.change_state(writer, old, KeyState.RETIRED, KeyState.SPENT)
        yield 0

    def _reseal(self, column: SealedColumn, found: SealedRows) -> int:
        def once() -> int:
            fresh = [(key, sealed, store.reseal(self._vault, column, key, sealed)) for key, sealed in found]
            with self._database.write() as writer:
                key_store.require_current(writer, self._vault)
                for key, before, after in fresh:
                    if after is not None:
                        store.swap(writer, column, key, before, after)
            return sum(after is None for _, _, after in fresh)

        return retry_on_conflict(self._vault, once)

    def _reseal_file(self, document: Document) -> bool:
        return retry_on_conflict(self._vault, lambda: self._documents.reseal(document))

    def publish(self, old: int, new: int) -> Iterator[int]:
        """Add a hash under `new`, which all writers already write, for every hash under `old`; then read `new`.

        `new` becomes active only if both keys have equally many rows of each kind, so a rotation never loses a party.
        """
        for source in store.TEXT_SOURCES:
            after: RowKey | None = ()
            while after is not None:
                after, rows = self._copy(source, after, old, new)
                yield rows
        counts = store.blind_rows(self._database.reader)
        kinds = {kind for kind, _ in counts}
        if all(counts.get((kind, old), 0) == counts.get((kind, new), 0) for kind in kinds):
            with self._database.write(exclusive=True) as writer:
                if store.change_state(writer, new, KeyState.NEXT, KeyState.ACTIVE):
                    store.change_state(writer, old, KeyState.ACTIVE, KeyState.RETIRED)
        yield 0

    def _copy(self, source: Source, after: RowKey, old: int, new: int) -> tuple[RowKey | None, int]:
        last, damaged, texts = source(self._database.reader, self._vault, after, BATCH)
        hashes = [(kind, self._vault.blind(old, text), self._vault.blind(new, text)) for kind, text in _once(texts)]
        if hashes:
            with self._database.write() as writer:
                for kind, before, twin in hashes:
                    store.copy_blind(writer, kind, (old, before), (new, twin))
        return last, len(texts) + damaged

    def drop(self, old: int) -> Iterator[int]:
        """Delete the hashes of a blind key that is no longer read; the key then becomes spent."""
        for kind in store.BLIND_KINDS:
            gone = DROP_BATCH
            while gone == DROP_BATCH:
                with self._database.write() as writer:
                    gone = store.drop_blind(writer, kind, old, DROP_BATCH)
                yield gone
        with self._database.write(exclusive=True) as writer:
            store.change_state(writer, old, KeyState.RETIRED, KeyState.SPENT)
        yield 0


def _once(texts: Texts) -> Texts:
    return list(dict.fromkeys(texts))

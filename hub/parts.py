"""The one place that builds everything; the web app, the worker, the commands and the tests all call it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hub.clock import Clock
from hub.keyring import Keyring
from hub.settings import Settings
from hub.store import keys as key_store
from hub.store import schema
from hub.store.audit import Audit
from hub.store.database import Database
from hub.store.ids import Ids
from hub.vault import MasterKey, Vault
from signing.keys import KeyFolder


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that runs, built once a process and shared by its threads."""

    settings: Settings
    clock: Clock
    database: Database
    ids: Ids
    vault: Vault
    audit: Audit
    keyring: Keyring


def database_path(settings: Settings) -> Path:
    """Where the embedded database lies."""
    return settings.data_dir / "hub.db"


def keys_folder(settings: Settings) -> Path:
    """Where the private signing keys lie, encrypted."""
    return settings.data_dir / "keys"


@contextmanager
def open_parts(settings: Settings, *, clock: Clock | None = None) -> Iterator[Parts]:
    """Build everything on an initialised data directory, and close it again.

    Raises schema.WrongSchema before `hub init` or `hub migrate`, VaultError for a missing or another master key.
    """
    clock = clock or Clock()
    database = Database(database_path(settings))
    try:
        schema.require(database)
        master = MasterKey.read(settings.master_key_path)
        vault = Vault(master, lambda: key_store.data_keys(database.reader))
        ids = Ids(database)
        keyring = Keyring(database, KeyFolder(keys_folder(settings), vault.key_files_passphrase))
        yield Parts(
            settings=settings,
            clock=clock,
            database=database,
            ids=ids,
            vault=vault,
            audit=Audit(database, ids, clock),
            keyring=keyring,
        )
    finally:
        database.close()

"""The one place that builds everything; the web app, the worker, the commands and the tests all call it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hub.access import Access
from hub.clock import Clock
from hub.directory import Directory
from hub.holdings import Holdings
from hub.intake import Intake
from hub.issuance import Issuance
from hub.keyring import Keyring
from hub.lifecycle import Lifecycle
from hub.lookup import Lookup
from hub.records import Records
from hub.registration import Registration
from hub.retrieval import Retrieval
from hub.rotation import Rotation
from hub.settings import Settings
from hub.signing_keys import SigningKeys
from hub.store import keys as key_store
from hub.store import schema
from hub.store.audit import Audit
from hub.store.catalogue import CatalogueCache
from hub.store.database import Database
from hub.store.ids import Ids
from hub.vault import MasterKey, Vault
from hub.verification import Verification
from indexer.embedded import EmbeddedDirectory
from signing import glyphs
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
    signing_keys: SigningKeys
    catalogue: CatalogueCache
    access: Access
    registration: Registration
    intake: Intake
    issuance: Issuance
    lifecycle: Lifecycle
    directory: Directory
    lookup: Lookup
    retrieval: Retrieval
    records: Records
    verification: Verification
    rotation: Rotation


def database_path(settings: Settings) -> Path:
    """Where the embedded database lies."""
    return settings.data_dir / "hub.db"


def keys_folder(settings: Settings) -> Path:
    """Where the private signing keys lie, encrypted."""
    return settings.data_dir / "keys"


def index_folder(settings: Settings) -> Path:
    """Where the embedded directory lies; it can be thrown away."""
    return settings.data_dir / "index"


@contextmanager
def open_parts(
    settings: Settings, *, clock: Clock | None = None, at_step: Callable[[str], None] = lambda _: None
) -> Iterator[Parts]:
    """Build everything on an initialised data directory, and close it again.

    at_step: told the name of each step of an issuance, for crash tests. Raises schema.WrongSchema before `hub init` or
    `hub migrate`, VaultError for a missing or another master key.
    """
    database = Database(database_path(settings))
    try:
        schema.require(database)
        yield _build(settings, clock or Clock(), database, at_step)
    finally:
        database.close()


def _build(settings: Settings, clock: Clock, database: Database, at_step: Callable[[str], None]) -> Parts:
    vault = Vault(MasterKey.read(settings.master_key_path), lambda: key_store.data_keys(database.reader))
    folder = KeyFolder(keys_folder(settings), vault.key_files_passphrase)
    ids = Ids(database)
    audit = Audit(database, ids, clock)
    keyring = Keyring(database, folder)
    catalogue = CatalogueCache(database)
    index = EmbeddedDirectory(index_folder(settings))
    signing_keys = SigningKeys(database, folder, keys_folder(settings), clock)
    return Parts(
        settings=settings,
        clock=clock,
        database=database,
        ids=ids,
        vault=vault,
        audit=audit,
        keyring=keyring,
        signing_keys=signing_keys,
        catalogue=catalogue,
        access=Access(database=database, clock=clock, keyring=keyring),
        registration=Registration(
            database=database,
            clock=clock,
            vault=vault,
            catalogue=catalogue,
            signing_keys=signing_keys,
            missing_glyphs=glyphs.missing,
        ),
        intake=Intake(
            database=database,
            vault=vault,
            clock=clock,
            catalogue=catalogue,
            audit=audit,
            settings=settings,
            missing_glyphs=glyphs.missing,
        ),
        issuance=Issuance(
            database=database,
            vault=vault,
            clock=clock,
            ids=ids,
            audit=audit,
            keyring=keyring,
            catalogue=catalogue,
            at_step=at_step,
        ),
        lifecycle=Lifecycle(database=database, vault=vault, clock=clock, ids=ids, audit=audit),
        directory=Directory(database=database, vault=vault, clock=clock, catalogue=catalogue, directory=index),
        lookup=Lookup(
            database=database,
            vault=vault,
            clock=clock,
            audit=audit,
            catalogue=catalogue,
            settings=settings,
            holdings=Holdings(database=database, vault=vault, directory=index),
        ),
        retrieval=Retrieval(
            database=database, vault=vault, clock=clock, audit=audit, catalogue=catalogue, settings=settings
        ),
        records=Records(database=database, vault=vault, clock=clock, audit=audit, catalogue=catalogue),
        verification=Verification(database=database, vault=vault, clock=clock, keyring=keyring, catalogue=catalogue),
        rotation=Rotation(
            database=database,
            vault=vault,
            clock=clock,
            settings=settings,
            signing_keys=signing_keys,
            keyring=keyring,
        ),
    )

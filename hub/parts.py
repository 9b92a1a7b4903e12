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
from hub.rendering import Rendering
from hub.rendition import Rendition
from hub.retrieval import Retrieval
from hub.rotation import Rotation
from hub.settings import Settings
from hub.signing_keys import SigningKeys
from hub.store import keys as key_store
from hub.store import schema
from hub.store.audit import Audit
from hub.store.catalogue import CatalogueCache
from hub.store.database import Database
from hub.store.documents import Documents
from hub.store.ids import Ids
from hub.vault import MasterKey, Vault
from hub.verification import Verification
from hub.x509_publication import X509Publication
from indexer.embedded import EmbeddedDirectory
from signing import glyphs
from signing.keys import KeyFolder
from signing.pdf.checking import Checkers


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
    documents: Documents
    rendition: Rendition
    access: Access
    registration: Registration
    intake: Intake
    issuance: Issuance
    lifecycle: Lifecycle
    directory: Directory
    lookup: Lookup
    retrieval: Retrieval
    records: Records
    rendering: Rendering
    checkers: Checkers
    verification: Verification
    x509: X509Publication
    rotation: Rotation


def database_path(settings: Settings) -> Path:
    """Where the embedded database lies."""
    return settings.data_dir / "hub.db"


def keys_folder(settings: Settings) -> Path:
    """Where the private signing keys lie, encrypted."""
    return settings.data_dir / "keys"


def documents_folder(settings: Settings) -> Path:
    """Where the PDFs lie, sealed; a backup of the database needs them beside it."""
    return settings.data_dir / "documents"


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
    checkers = Checkers(settings.files_at_once, settings.file_deadline_s)
    try:
        schema.require(database)
        yield _build(settings, clock or Clock(), database, checkers, at_step)
    finally:
        checkers.close()
        database.close()


def _build(
    settings: Settings, clock: Clock, database: Database, checkers: Checkers, at_step: Callable[[str], None]
) -> Parts:
    vault = Vault(MasterKey.read(settings.master_key_path), lambda: key_store.data_keys(database.reader))
    folder = KeyFolder(keys_folder(settings), vault.key_files_passphrase)
    ids = Ids(database)
    audit = Audit(database, ids, clock)
    keyring = Keyring(database, folder)
    catalogue = CatalogueCache(database)
    index = EmbeddedDirectory(index_folder(settings))
    signing_keys = SigningKeys(database, folder, keys_folder(settings), clock)
    documents = Documents(database, vault, documents_folder(settings), at_step)
    rendition = Rendition(
        database=database, vault=vault, clock=clock, keyring=keyring, catalogue=catalogue, documents=documents
    )
    publication = X509Publication(database=database, keyring=keyring, clock=clock)
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
        documents=documents,
        rendition=rendition,
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
            database=database,
            vault=vault,
            clock=clock,
            audit=audit,
            catalogue=catalogue,
            settings=settings,
            rendition=rendition,
        ),
        records=Records(
            database=database, vault=vault, clock=clock, audit=audit, catalogue=catalogue, rendition=rendition
        ),
        rendering=Rendering(database=database, vault=vault, rendition=rendition),
        checkers=checkers,
        verification=Verification(
            database=database,
            vault=vault,
            clock=clock,
            keyring=keyring,
            catalogue=catalogue,
            checkers=checkers,
            publication=publication,
        ),
        x509=publication,
        rotation=Rotation(
            database=database,
            vault=vault,
            clock=clock,
            settings=settings,
            signing_keys=signing_keys,
            keyring=keyring,
            documents=documents,
        ),
    )

"""The composition root: builds all services, for the web app, the worker, the commands and the tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hub.access import Access
from hub.backup import Backup, Restore, Target
from hub.backup.place import RESTORING, is_unfinished
from hub.case_records import CaseRecords
from hub.cases import Cases
from hub.counter import Lookup, Retrieval
from hub.counter.holdings import Holdings
from hub.db import engines, migrated_marker, schema
from hub.db.database import Database, WrongDatabase
from hub.db.fill import blank
from hub.directory import Directory
from hub.directory import engines as directory_engines
from hub.documents.render_queue import Rendering
from hub.documents.rendition import Rendition
from hub.intake import Intake
from hub.issuance import Issuance
from hub.keys.generate import SigningKeys
from hub.keys.keyring import Keyring
from hub.keys.x509_publication import X509Publication
from hub.lifecycle import Lifecycle
from hub.records import Records
from hub.registration import Registration
from hub.rotation import Rotation
from hub.runtime.clock import Clock
from hub.runtime.shared_file import SharedFile
from hub.settings import Settings
from hub.store import keys as key_store
from hub.store.audit import Audit
from hub.store.catalogue import CatalogueCache
from hub.store.documents import Documents
from hub.store.ids import Ids
from hub.vault import MasterKey, Vault
from hub.verification import Verification
from indexer.engine import DirectoryEngine
from signing import glyphs
from signing.keys import KeyFolder
from signing.pdf.check.checking import Checkers


@dataclass(frozen=True, slots=True)
class Parts:
    """All services, built once per process and shared by its threads."""

    settings: Settings
    clock: Clock
    shared: SharedFile
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
    cases: Cases
    case_records: CaseRecords
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
    backup: Backup


def keys_folder(settings: Settings) -> Path:
    """The folder of the private signing keys, which are encrypted."""
    return settings.data_dir / "keys"


def documents_folder(settings: Settings) -> Path:
    """The folder of the PDFs, which are sealed; a backup of the database needs it too."""
    return settings.data_dir / "documents"


def restore_into(settings: Settings, at_step: Callable[[str], None] = lambda _: None) -> Restore:
    """The service that restores a backup to the place given by these settings. Nothing needs to exist but the master
    key and, on a server, an empty database. Raises WrongDatabase for settings that name no valid place.
    """
    target = Target(
        data_dir=settings.data_dir,
        database=blank(engines.place_of(settings), settings.data_dir / RESTORING),
        keys=keys_folder(settings),
        documents=documents_folder(settings),
        master_key=settings.master_key_path,
    )
    return Restore(target, at_step)


def require_whole(settings: Settings) -> None:
    """Raise WrongDatabase if a restore, or a move to a server, was begun but not completed."""
    embedded = engines.embedded_path(settings)
    migrated_marker.require_finished(embedded)
    if is_unfinished(settings.data_dir, embedded if engines.is_embedded(settings) else None):
        raise WrongDatabase(
            "这里有一次没有做完的恢复：请再运行一次 hub restore，或者清空数据目录。",
            "A restore into this data directory was interrupted: run `hub restore` again, or empty the directory",
        )


@contextmanager
def open_parts(
    settings: Settings,
    *,
    clock: Clock | None = None,
    at_step: Callable[[str], None] = lambda _: None,
    patient: bool = True,
    shared: int | None = None,
) -> Iterator[Parts]:
    """Build everything on an initialised data directory, and close it at the end.

    at_step: called with the name of each step of an issuance, for crash tests. patient: statements may take minutes;
    those of API requests may not. shared: the file descriptor of the SharedFile that the processes of a server share;
    None for a process of its own. Raises schema.WrongSchema before `hub init` or `hub migrate`, VaultError for a
    missing or wrong master key, WrongDatabase and DatabaseUnavailable, and WrongServer for the directory's server.
    """
    place = engines.place_of(settings, patient=patient)
    require_whole(settings)
    database = engines.opened(place)
    file = SharedFile(shared)
    checkers = Checkers(settings.files_at_once, settings.file_deadline_s, settings.file_wall_clock_s)
    try:
        schema.require_usable(database)
        with directory_engines.opened(settings) as directory_engine:
            yield _parts(
                _ground(settings, clock or Clock(), file, database, directory_engine, at_step), checkers, at_step
            )
    finally:
        checkers.close()
        database.close()
        file.close()


@dataclass(frozen=True, slots=True)
class _Ground:
    """What the services depend on."""

    settings: Settings
    clock: Clock
    shared: SharedFile
    database: Database
    ids: Ids
    vault: Vault
    audit: Audit
    keyring: Keyring
    signing_keys: SigningKeys
    catalogue: CatalogueCache
    directory_engine: DirectoryEngine
    documents: Documents
    rendition: Rendition
    publication: X509Publication


def _ground(
    settings: Settings,
    clock: Clock,
    shared: SharedFile,
    database: Database,
    directory_engine: DirectoryEngine,
    at_step: Callable[[str], None],
) -> _Ground:
    if not key_store.data_keys(database.reader):
        raise schema.WrongSchema("the database has no keys yet: run `hub init`")
    vault = Vault(MasterKey.read(settings.master_key_path), lambda: key_store.data_keys(database.reader))
    folder = KeyFolder(keys_folder(settings), vault.key_files_passphrase)
    ids = Ids(database)
    keyring = Keyring(database, folder)
    catalogue = CatalogueCache(database)
    documents = Documents(database, vault, documents_folder(settings), at_step)
    return _Ground(
        settings=settings,
        clock=clock,
        shared=shared,
        database=database,
        ids=ids,
        vault=vault,
        audit=Audit(database, ids, clock),
        keyring=keyring,
        signing_keys=SigningKeys(database, folder, keys_folder(settings), clock),
        catalogue=catalogue,
        directory_engine=directory_engine,
        documents=documents,
        rendition=Rendition(
            database=database, vault=vault, clock=clock, keyring=keyring, catalogue=catalogue, documents=documents
        ),
        publication=X509Publication(database=database, keyring=keyring, clock=clock),
    )


def _parts(g: _Ground, checkers: Checkers, at_step: Callable[[str], None]) -> Parts:
    intake, issuance = _intake(g), _issuance(g, at_step)
    case_records = CaseRecords(database=g.database, vault=g.vault, clock=g.clock, audit=g.audit)
    return Parts(
        settings=g.settings,
        clock=g.clock,
        shared=g.shared,
        database=g.database,
        ids=g.ids,
        vault=g.vault,
        audit=g.audit,
        keyring=g.keyring,
        signing_keys=g.signing_keys,
        catalogue=g.catalogue,
        documents=g.documents,
        rendition=g.rendition,
        access=Access(database=g.database, clock=g.clock, keyring=g.keyring, shared=g.shared),
        registration=_registration(g),
        intake=intake,
        issuance=issuance,
        cases=Cases(
            database=g.database, vault=g.vault, audit=g.audit, intake=intake, issuance=issuance, records=case_records
        ),
        case_records=case_records,
        lifecycle=Lifecycle(database=g.database, vault=g.vault, clock=g.clock, ids=g.ids, audit=g.audit),
        directory=Directory(
            database=g.database, vault=g.vault, clock=g.clock, catalogue=g.catalogue, directory=g.directory_engine
        ),
        lookup=_lookup(g),
        retrieval=_retrieval(g),
        records=Records(
            database=g.database,
            vault=g.vault,
            clock=g.clock,
            audit=g.audit,
            catalogue=g.catalogue,
            rendition=g.rendition,
        ),
        rendering=Rendering(database=g.database, vault=g.vault, rendition=g.rendition),
        checkers=checkers,
        verification=Verification(
            database=g.database,
            vault=g.vault,
            clock=g.clock,
            keyring=g.keyring,
            catalogue=g.catalogue,
            checkers=checkers,
            publication=g.publication,
        ),
        x509=g.publication,
        rotation=Rotation(
            database=g.database,
            vault=g.vault,
            clock=g.clock,
            settings=g.settings,
            signing_keys=g.signing_keys,
            keyring=g.keyring,
            documents=g.documents,
        ),
        backup=Backup(
            database=g.database,
            engine="sqlite" if engines.is_embedded(g.settings) else "postgresql",
            clock=g.clock,
            keyring=g.keyring,
            documents=g.documents,
            master_key=g.settings.master_key_path,
            data_dir=g.settings.data_dir,
            at_step=at_step,
        ),
    )


def _lookup(g: _Ground) -> Lookup:
    return Lookup(
        database=g.database,
        vault=g.vault,
        clock=g.clock,
        audit=g.audit,
        catalogue=g.catalogue,
        settings=g.settings,
        holdings=Holdings(database=g.database, vault=g.vault, directory=g.directory_engine),
    )


def _retrieval(g: _Ground) -> Retrieval:
    return Retrieval(
        database=g.database,
        vault=g.vault,
        clock=g.clock,
        audit=g.audit,
        catalogue=g.catalogue,
        settings=g.settings,
        rendition=g.rendition,
    )


def _registration(g: _Ground) -> Registration:
    return Registration(
        database=g.database,
        clock=g.clock,
        vault=g.vault,
        catalogue=g.catalogue,
        signing_keys=g.signing_keys,
        missing_glyphs=glyphs.missing,
    )


def _intake(g: _Ground) -> Intake:
    return Intake(
        database=g.database,
        vault=g.vault,
        clock=g.clock,
        catalogue=g.catalogue,
        audit=g.audit,
        settings=g.settings,
        missing_glyphs=glyphs.missing,
    )


def _issuance(g: _Ground, at_step: Callable[[str], None]) -> Issuance:
    return Issuance(
        database=g.database,
        vault=g.vault,
        clock=g.clock,
        ids=g.ids,
        audit=g.audit,
        keyring=g.keyring,
        catalogue=g.catalogue,
        at_step=at_step,
    )

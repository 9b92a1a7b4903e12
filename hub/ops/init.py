"""`hub init`: create everything that a data directory needs before the first request; existing parts are kept.

Each part is created only if it is missing, the private part before the public row. It is safe to kill at any point, to
repeat, and to run concurrently (file lock).
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hub.db import engines, schema
from hub.db.database import Conflict, Database
from hub.directory import Busy, Directory
from hub.directory import engines as directory_engines
from hub.domain.dates import to_micros
from hub.keys.generate import KeyRequest, SigningKeys, base_keys
from hub.ops.intake_upgrade import IntakeSet, set_intake
from hub.parts import keys_folder, require_whole
from hub.runtime.clock import Clock
from hub.settings import Settings
from hub.store import catalogue as catalogue_store
from hub.store import keys as key_store
from hub.store.catalogue import CatalogueCache
from hub.vault import KeyPurpose, KeyState, MasterKey, Vault
from indexer.errors import DirectoryUnavailable
from signing.keys import KeyFolder, Purpose


@dataclass(frozen=True, slots=True)
class Initialised:
    """What was created; all false or 0 if everything existed."""

    migrated: bool
    master_key: Path
    master_key_made: bool
    data_keys_made: int
    signing_keys_made: int
    public_url: str
    intake_set: tuple[IntakeSet, ...] = ()


def initialise(settings: Settings, clock: Clock | None = None) -> Initialised:
    """Create or complete the data directory, the database and all keys.

    Raises VaultError if the master key is missing or does not belong to this database, WrongDatabase if a restore or a
    move to a server was interrupted, and DatabaseUnavailable.
    """
    clock = clock or Clock()
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _lock(settings.data_dir / ".init.lock"):
        require_whole(settings)
        place = engines.place_of(settings)
        migrated = schema.migrate(place)
        database = engines.opened_as_owner(place)
        try:
            master, master_made = _master_key(database, settings.master_key_path)
            data_keys = _data_keys(database, master, clock)
            vault = Vault(master, lambda: key_store.data_keys(database.reader))
            url = keep_public_url(database, settings, clock)
            folder = KeyFolder(keys_folder(settings), vault.key_files_passphrase)
            maker = SigningKeys(database, folder, keys_folder(settings), clock)
            made = sum(maker.ensure(group) for group in base_keys())
            made += maker.ensure(document_keys(database))
            intake_set = tuple(set_intake(database, clock))
            _directory(settings, database, vault, clock)
        finally:
            database.close()
    return Initialised(migrated, settings.master_key_path, master_made, data_keys, made, url, intake_set)


def keep_public_url(database: Database, settings: Settings, clock: Clock) -> str:
    """Record HUB_PUBLIC_URL; returns the address that is printed from now on.

    The first start records any value. Later only an explicitly set value replaces it; old addresses stay valid
    permanently.
    """
    known = key_store.public_urls(database.reader)
    wanted = settings.public_url
    explicit = "public_url" in settings.model_fields_set
    if known and (not explicit or wanted == known[0]):
        return known[0]
    with database.write(exclusive=True) as writer:
        key_store.set_public_url(writer, wanted, to_micros(clock.now()))
    return wanted


def document_keys(database: Database) -> list[KeyRequest]:
    """The document key of every authority in the catalogue."""
    found = catalogue_store.read(database.reader).authorities.values()
    return [KeyRequest(Purpose.DOCUMENT, authority.code, authority.name) for authority in found]


def _master_key(database: Database, path: Path) -> tuple[MasterKey, bool]:
    """Create one only for a database without keys; with any other database it would decrypt nothing."""
    if path.exists() or key_store.data_keys(database.reader):
        return MasterKey.read(path), False
    return MasterKey.create(path), True


def _data_keys(database: Database, master: MasterKey, clock: Clock) -> int:
    existing = key_store.data_keys(database.reader)
    missing = [purpose for purpose in KeyPurpose if all(key.purpose is not purpose for key in existing)]
    if not missing:
        return 0
    first = max((key.number for key in existing), default=0) + 1
    made = [master.new_key(number, purpose, KeyState.ACTIVE) for number, purpose in enumerate(missing, first)]
    with database.write(exclusive=True) as writer:
        if key_store.data_keys(writer) != existing:
            raise Conflict  # another machine runs init on the same database and has created its keys
        for key in made:
            key_store.add_data_key(writer, key, to_micros(clock.now()))
    return len(made)


def _directory(settings: Settings, database: Database, vault: Vault, clock: Clock) -> None:
    """Build a first generation if there is none. If that fails now, the worker does it later."""
    with directory_engines.opened(settings) as engine:
        directory = Directory(
            database=database, vault=vault, clock=clock, catalogue=CatalogueCache(database), directory=engine
        )
        with suppress(Busy, DirectoryUnavailable):
            if engine.current() is None:
                directory.rebuild()


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)

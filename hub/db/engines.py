"""Which of the two engines the settings name; the driver of the other one is not even loaded."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hub.db import migrated_marker
from hub.db.database import Database
from hub.db.sqlite import SqliteDatabase
from hub.settings import Settings

if TYPE_CHECKING:
    from hub.db.postgres_server import Address

LONG_STATEMENT_S = 600.0
"""For background work and commands: walks of everything, which nobody waits for at a counter."""


def is_embedded(settings: Settings) -> bool:
    """Whether the database is the file in the data directory."""
    return settings.database_url is None


def embedded_path(settings: Settings) -> Path:
    """Where the embedded database lies."""
    return settings.data_dir / "hub.db"


def place_of(settings: Settings, *, patient: bool = True) -> "Path | Address":
    """Where the database is. patient: statements may take minutes; a server's requests may not.

    Raises WrongDatabase where the settings cannot be read as a place, and for a file that was moved to a server.
    """
    if settings.database_url is None:
        migrated_marker.require_not(embedded_path(settings))
        return embedded_path(settings)
    from hub.db import postgres_server
    from hub.db.postgres_pool import Limits

    limits = Limits(
        connections=settings.database_connections,
        wait_s=settings.database_wait_s,
        statement_s=settings.database_statement_s,
        lock_s=settings.database_lock_s,
        connect_s=settings.database_connect_s,
    )
    if patient:
        limits = replace(limits, statement_s=LONG_STATEMENT_S, wait_s=max(limits.wait_s, limits.connect_s))
    return postgres_server.address(
        settings.database_url, settings.database_password_file, settings.database_service_role, limits
    )


def opened(place: "Path | Address") -> Database:
    """The database at a place, for whoever serves; raises WrongDatabase and DatabaseUnavailable."""
    if isinstance(place, Path):
        return SqliteDatabase(place)
    from hub.db import postgres_server

    return postgres_server.opened(place)


def opened_as_owner(place: "Path | Address") -> Database:
    """The same for `hub init`, which may do more than the service."""
    if isinstance(place, Path):
        return SqliteDatabase(place)
    from hub.db import postgres_server

    return postgres_server.opened_as_owner(place)


def beyond_need(place: "Path | Address") -> list[str]:
    """Tables on which whoever serves may do more than it must; none for a file."""
    if isinstance(place, Path):
        return []
    from hub.db import postgres_server

    return postgres_server.beyond_need(place)


def lacks_service_role(place: "Path | Address") -> bool:
    """Whether a server has no role that the service could work as, so that it works as the owner of the tables."""
    if isinstance(place, Path):
        return False
    from hub.db import postgres_server

    return postgres_server.lacks_service_role(place)

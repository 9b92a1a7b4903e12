"""Selects the configured database engine; the driver of the other one is not even loaded."""

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
"""Statement timeout for background work and commands: full scans, which no counter waits for."""


def is_embedded(settings: Settings) -> bool:
    """Whether the database is the file in the data directory."""
    return settings.database_url is None


def embedded_path(settings: Settings) -> Path:
    """The path of the embedded database."""
    return settings.data_dir / "hub.db"


def place_of(settings: Settings, *, patient: bool = True) -> "Path | Address":
    """Where the database is. patient: statements may take minutes; those of API requests may not.

    Raises WrongDatabase for settings that name no valid place, and for a file that was moved to a server.
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
    """Open the database at a place, for the service; raises WrongDatabase and DatabaseUnavailable."""
    if isinstance(place, Path):
        return SqliteDatabase(place)
    from hub.db import postgres_server

    return postgres_server.opened(place)


def opened_as_owner(place: "Path | Address") -> Database:
    """Open it for `hub init`, which needs more privileges than the service."""
    if isinstance(place, Path):
        return SqliteDatabase(place)
    from hub.db import postgres_server

    return postgres_server.opened_as_owner(place)


def beyond_need(place: "Path | Address") -> list[str]:
    """The tables on which the service's role has more privileges than it needs; none for a file."""
    if isinstance(place, Path):
        return []
    from hub.db import postgres_server

    return postgres_server.beyond_need(place)


def lacks_service_role(place: "Path | Address") -> bool:
    """Whether a server has no role for the service, so that the service connects as the owner of the tables."""
    if isinstance(place, Path):
        return False
    from hub.db import postgres_server

    return postgres_server.lacks_service_role(place)

"""Data directories on either database engine: made once as a template, and copied for every test.

A test module runs on both engines if the fixture that makes its template uses the fixture `engine`.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hub.db import engines
from hub.db.database import DatabaseUnavailable, Writer
from hub.parts import Parts
from hub.settings import Settings
from tests.support import postgres

SQLITE, POSTGRESQL = "sqlite", "postgresql"

_templates: dict[Path, postgres.Template] = {}
_keeping: set[Path] = set()
_lent: list[tuple[postgres.Template, str]] = []


def make(engine: str, settings: Settings, fill: Callable[[Settings], None]) -> None:
    """Create a data directory filled by `fill`, and for PostgreSQL a database for it."""
    if engine == SQLITE:
        fill(settings)
        return
    cluster = postgres.shared()
    name = cluster.create()
    fill(settings.model_copy(update={"database_url": cluster.url(name)}))
    _templates[settings.data_dir] = postgres.Template(cluster, name)


def also(template: Path, copy: Path) -> None:
    """Register a folder as a plain copy of a template's."""
    if template in _templates:
        _templates[copy] = _templates[template]


def keep(folder: Path) -> None:
    """Turn the copy in this folder into a template once it is closed."""
    _keeping.add(folder)


@contextmanager
def copied(template: Path, folder: Path, **settings: Any) -> Iterator[Settings]:
    """Settings for a private copy; its database is returned at the end."""
    shutil.copytree(template, folder)
    kept = _templates.get(template)
    if kept is None:
        yield Settings(data_dir=folder, **settings)
        return
    name = kept.lend()
    yield Settings(data_dir=folder, database_url=postgres.shared().url(name), **settings)
    if folder in _keeping:
        _templates[folder] = postgres.Template(postgres.shared(), name)
    else:
        kept.give_back(name)


def _beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.database")


def url_beside(folder: Path) -> str | None:
    """The database that `copy_beside` copied for a folder, or None for the embedded one."""
    place = _beside(folder)
    return place.read_text(encoding="utf-8") if place.exists() else None


def on_servers(folder: Path, database_url: str, index: dict[str, Any]) -> None:
    """Let every process of the fault tests use these servers for the database and directory of a folder's hub."""
    _beside(folder).write_text(database_url, encoding="utf-8")
    _index_beside(folder).write_text(json.dumps(index), encoding="utf-8")


def _index_beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.index")


def index_beside(folder: Path) -> dict[str, Any]:
    """The directory settings stored by `on_servers`; none for the embedded one."""
    place = _index_beside(folder)
    return dict(json.loads(place.read_text(encoding="utf-8"))) if place.exists() else {}


def copy_beside(template: Path, folder: Path) -> None:
    """A copy that other processes find by its folder alone; `give_back_all` returns it."""
    shutil.copytree(template, folder)
    kept = _templates.get(template)
    if kept is not None:
        name = kept.lend()
        _lent.append((kept, name))
        _beside(folder).write_text(postgres.shared().url(name), encoding="utf-8")


def give_back_all() -> None:
    """Return everything copied by `copy_beside`."""
    while _lent:
        kept, name = _lent.pop()
        kept.give_back(name)


def environment(settings: Settings) -> dict[str, str]:
    """The environment of another process on the same data."""
    found = {"HUB_DATA_DIR": str(settings.data_dir), "HUB_PUBLIC_URL": settings.public_url}
    return found if settings.database_url is None else {**found, "HUB_DATABASE_URL": settings.database_url}


@contextmanager
def tampering(parts: Parts) -> Iterator[Writer]:
    """A write with more privileges than the service has."""
    place = engines.place_of(parts.settings)
    if isinstance(place, Path):
        with parts.database.write() as writer:
            yield writer
        return
    owner = engines.opened_as_owner(place)
    try:
        with owner.write() as writer:
            yield writer
    finally:
        owner.close()


def lose(parts: Parts) -> None:
    """Remove the database under a running process, permanently."""
    place = engines.place_of(parts.settings)
    if isinstance(place, Path):
        parts.database.close()
        for file in place.parent.glob(place.name + "*"):
            file.unlink()
        return
    postgres.shared().drop(name_of(parts.settings))


@contextmanager
def away(parts: Parts) -> Iterator[None]:
    """Make the database unavailable until the block ends: to new connections, and on a server to existing ones."""
    place = engines.place_of(parts.settings)
    if isinstance(place, Path):
        place.rename(place.with_name("away.db"))
        try:
            yield
        finally:
            place.with_name("away.db").rename(place)
        return
    name = name_of(parts.settings)
    with postgres.shared().connect() as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [name])
        try:
            yield
        finally:
            connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def name_of(settings: Settings) -> str:
    """The database's name."""
    assert settings.database_url is not None
    return settings.database_url.rpartition("/")[2]


def wait_for(parts: Parts, seconds: float = 10.0) -> None:
    """Wait until the database answers again."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            parts.database.revision()
            return
        except DatabaseUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.05)

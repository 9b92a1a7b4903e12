"""A backup to inspect, restore and damage; made once, copied by tests that change it."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.backup import BackupFolder, Manifest
from hub.db import table_copy
from hub.parts import Parts, open_parts, restore_into
from hub.settings import Settings
from tests.support import city as c

HUB = [sys.executable, "-m", "hub"]


@dataclass(frozen=True)
class Copied:
    """A city that was backed up, its backup, and its master key in a folder of its own."""

    city: Path
    folder: Path
    master: Path
    manifest: Manifest

    def copy(self, to: Path) -> Path:
        """A private copy of the backup."""
        shutil.copytree(self.folder, to)
        return to


def settings_of(data: Path, master: Path, **more: Any) -> Settings:
    return Settings(data_dir=data, master_key_file=master, public_url=c.URL, **more)


def restored(folder: Path, data: Path, master: Path, keys: Path | None = None, **more: Any) -> Settings:
    settings = settings_of(data, master, **more)
    restore_into(settings).run(BackupFolder(folder, keys))
    return settings


def rows_of(parts: Parts) -> dict[str, list[table_copy.Row]]:
    reader = parts.database.reader
    return {s.name: [row for some in table_copy.batches(reader, s) for row in some] for s in table_copy.shapes()}


def hub(
    *args: object, data: Path, master: Path | None = None, url: str | None = None
) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HUB_DATA_DIR": str(data)}
    if url is not None:
        env["HUB_DATABASE_URL"] = url
    if master is not None:
        env["HUB_MASTER_KEY_FILE"] = str(master)
    return subprocess.run([*HUB, *map(str, args)], env=env, capture_output=True, text=True, check=False)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def make(root: Path) -> Copied:
    """The sample city with some PDFs, backed up."""
    city = root / "city"
    c.load_city(city)
    with open_parts(Settings(data_dir=city, public_url=c.URL)) as parts:
        while parts.directory.sequence():
            pass
        parts.rendering.step()
        made = parts.backup.run(BackupFolder(root / "copy"))
    master = root / "elsewhere" / "master.key"
    master.parent.mkdir()
    shutil.copy(city / "master.key", master)
    return Copied(city, root / "copy", master, made)

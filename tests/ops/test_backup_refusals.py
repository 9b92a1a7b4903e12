"""Backups that are damaged, of another release or master key, or would overwrite something are refused as a whole."""

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.backup import BackupFolder, Damaged, NotPossible
from hub.backup import manifest as manifests
from hub.parts import open_parts
from hub.store.documents import DocumentDamaged
from tests.support.copies import Copied, files, hub, names, restored, settings_of

# --- damage ----------------------------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: random.randrange(path.stat().st_size)])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * 30)


DAMAGE: dict[str, Callable[[Path], None]] = {"flip": flip, "cut": cut, "lengthen": lengthen, "remove": Path.unlink}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("what", ["tables/certificates.rows", "tables/seen.rows", "documents", "keys"])
def test_all_damage_is_found_and_nothing_is_restored(copied: Copied, tmp_path: Path, kind: str, what: str) -> None:
    folder = copied.copy(tmp_path / "copy")
    chosen = folder / "data" / what if what != "keys" else folder / "keys"
    DAMAGE[kind](random.choice(files(chosen)) if chosen.is_dir() else chosen)
    with pytest.raises((Damaged, NotPossible)):
        restored(folder, tmp_path / "new", copied.master)
    assert names(tmp_path / "new") in ([], [".init.lock"])
    settings = restored(copied.folder, tmp_path / "new", copied.master)
    with open_parts(settings) as parts:
        assert parts.database.reader.one("SELECT 1 FROM certificates")


def test_files_of_two_tables_are_not_taken_for_each_other(copied: Copied, tmp_path: Path) -> None:
    folder = copied.copy(tmp_path / "copy")
    tables = folder / "data" / "tables"
    shutil.copy(tables / "seen.rows", tables / "seen_counts.rows")
    with pytest.raises(Damaged):
        restored(folder, tmp_path / "new", copied.master)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"taken_at": "2020-01-01T00:00:00.000Z"}, Damaged),
        ({"ledger": 1}, Damaged),
        ({"mac": "0" * 64}, Damaged),
        ({"schema": "0002"}, NotPossible),
        ({"format": "certificate-hub-backup/2"}, NotPossible),
        ({"more": 1}, NotPossible),
        ({"keys_sha256": "00"}, NotPossible),
    ],
)
def test_a_manifest_says_what_was_made_or_nothing(
    copied: Copied, tmp_path: Path, change: dict[str, Any], told: type[Exception]
) -> None:
    folder = copied.copy(tmp_path / "copy")
    path = folder / "data" / manifests.NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(told):
        restored(folder, tmp_path / "new", copied.master)
    assert not (tmp_path / "new" / "hub.db").exists()


def test_rows_cannot_be_left_out(copied: Copied, tmp_path: Path) -> None:
    """A manifest without the table of acts: revocations would be lost."""
    folder = copied.copy(tmp_path / "copy")
    path = folder / "data" / manifests.NAME
    content = json.loads(path.read_text())
    [acts] = [table for table in content["tables"] if table["name"] == "acts"]
    with_none = replace(manifests.read(path.read_text()), ledger=0)
    acts["rows"] = 0
    path.write_text(json.dumps(content))
    with pytest.raises(Damaged):
        restored(folder, tmp_path / "new", copied.master)
    path.write_text(with_none.signed(os.urandom(32)).text())
    with pytest.raises(Damaged):
        restored(folder, tmp_path / "new", copied.master)


@pytest.mark.parametrize("kind", ["flip", "cut", "remove"])
def test_no_backup_is_made_of_a_damaged_document(copied: Copied, tmp_path: Path, kind: str) -> None:
    city = tmp_path / "city"
    shutil.copytree(copied.city, city)
    DAMAGE[kind](random.choice([path for path in files(city / "documents") if not path.name.startswith(".")]))
    with (
        open_parts(settings_of(city, copied.master)) as parts,
        pytest.raises(DocumentDamaged, match=r"[0-9a-f]{2}/[0-9a-f]{32}"),
    ):
        parts.backup.run(BackupFolder(tmp_path / "copy"))
    assert names(tmp_path / "copy") == []


@pytest.mark.parametrize("kind", ["flip", "remove"])
def test_no_backup_is_made_without_a_key_that_signs(copied: Copied, tmp_path: Path, kind: str) -> None:
    city = tmp_path / "city"
    shutil.copytree(copied.city, city)
    [path] = (city / "keys").glob("status-*.pem")
    path.write_text("nothing") if kind == "flip" else path.unlink()
    with open_parts(settings_of(city, copied.master)) as parts, pytest.raises(NotPossible, match="signing key"):
        parts.backup.run(BackupFolder(tmp_path / "copy"))
    assert names(tmp_path / "copy") == []


# --- permitted places ------------------------------------------------------------------------------------------------


def test_a_newer_schema_and_a_used_place_are_reported_in_a_sentence(copied: Copied, tmp_path: Path) -> None:
    newer = copied.copy(tmp_path / "newer")
    path = newer / "data" / manifests.NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": "0099"}))
    done = hub("restore", newer, data=tmp_path / "new", master=copied.master)
    assert (done.returncode, done.stdout) == (4, "")
    assert "0099" in done.stderr
    assert "Traceback" not in done.stderr
    assert hub("restore", copied.folder, data=copied.city).returncode == 4
    again = hub("backup", copied.folder, data=copied.city)
    assert again.returncode == 1
    assert "not empty" in again.stderr
    (path).unlink()
    unfinished = hub("restore", newer, data=tmp_path / "new", master=copied.master)
    assert unfinished.returncode == 1
    assert "not finished" in unfinished.stderr


def test_only_an_empty_place_is_filled(copied: Copied, tmp_path: Path) -> None:
    for name in ("hub.db", "keys/some.pem", "documents/ab/file", "notes.txt"):
        data = tmp_path / name.replace("/", "-")
        (data / name).parent.mkdir(parents=True)
        (data / name).write_text("mine")
        with pytest.raises(NotPossible, match="not empty"):
            restored(copied.folder, data, copied.master)
        assert (data / name).read_text() == "mine"
        assert not (data / ".restoring").exists()
    inside = tmp_path / "inside"
    inside.mkdir()
    for folder in ("keys", "documents", "lost+found"):
        (inside / folder).mkdir()
    shutil.copy(copied.master, inside / "master.key")
    restored(copied.folder, inside, inside / "master.key")
    assert (inside / "hub.db").exists()


def test_a_backup_is_made_in_an_empty_place(copied: Copied, tmp_path: Path) -> None:
    with open_parts(settings_of(copied.city, copied.master)) as parts:
        for place in (
            BackupFolder(copied.folder),
            BackupFolder(tmp_path / "a", copied.folder / "keys"),
            BackupFolder(copied.master),
        ):
            with pytest.raises((NotPossible, NotADirectoryError)):
                parts.backup.run(place)
    assert files(copied.folder)
    assert copied.master.read_text()

"""A backup contains everything and reveals nothing; it is restored completely, with its master key, to an empty place."""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hub.backup import BackupFolder, Damaged, NotPossible
from hub.db import table_copy
from hub.ops.check import check
from hub.ops.init import initialise
from hub.parts import open_parts
from hub.settings import Settings
from hub.store import documents, ids, reseal
from hub.vault import KeyPurpose, MasterKey, VaultError
from hub.verification import VerdictState
from hub.worker import finish_due
from signing import qr
from signing.keys import Purpose
from tests.support import city as c
from tests.support import town as t
from tests.support.city import City, open_copy
from tests.support.copies import Copied, files, hub, names, restored, rows_of, settings_of
from tests.support.town import BERT, Town, body, grant
from tests.support.views import identifiers

SKIPPED = ("id_blocks", "cursors")


# --- whole -----------------------------------------------------------------------------------------------------------


def test_the_commands_bring_everything_back(copied: Copied, tmp_path: Path) -> None:
    folder, keys, data = tmp_path / "copy", tmp_path / "keys", tmp_path / "new"
    made = hub("backup", folder, "--keys", keys, "--json", data=copied.city)
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert told["documents"] == copied.manifest.documents > 0
    assert told["tables"]["certificates"] > 50
    assert names(folder) == ["README.txt", "data"]
    assert names(keys) == ["keys.sealed"]
    done = hub("restore", folder, "--keys", keys, "--json", data=data, master=copied.master)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == told
    assert told["taken_at"] in done.stderr
    assert hub("check", data=data, master=copied.master).returncode == 0
    assert sorted(names(data)) == sorted(
        [".init.lock", "documents", "documents.lock", "hub.db", "hub.db.lock", "index", "keys"]
        if (data / "documents.lock").exists()
        else [".init.lock", "documents", "hub.db", "hub.db.lock", "index", "keys"]
    )


def test_every_row_file_and_key_is_back_and_works(copied: Copied, tmp_path: Path) -> None:
    settings = restored(copied.folder, tmp_path / "new", copied.master)
    with open_parts(settings_of(copied.city, copied.master)) as before, open_parts(settings) as parts:
        was, now = rows_of(before), rows_of(parts)
        assert {name: rows for name, rows in now.items() if name not in SKIPPED} == {
            name: rows for name, rows in was.items() if name not in SKIPPED
        }
        assert {row[0] for row in now["cursors"]} == {
            row[0] for row in was["cursors"] if not str(row[0]).startswith("directory:")
        }
        assert check(parts).findings == []
        for row in parts.database.reader.all("SELECT * FROM documents"):
            content = parts.documents.read(documents.of_row(row))
            assert parts.verification.verify_file(content).state in {
                VerdictState.VALID,
                VerdictState.EXPIRED,
                VerdictState.SUPERSEDED,
                VerdictState.SUSPENDED,
                VerdictState.REVOKED,
            }
        assert names(settings.data_dir / "keys") == [n for n in names(copied.city / "keys") if n.endswith(".pem")]
        for key in parts.keyring.all():
            assert parts.keyring.folder.file(key.public.kid, key.public.purpose)


def test_every_table_is_in_it(copied: Copied) -> None:
    assert {table.name for table in copied.manifest.tables} | {"data_keys"} == {s.name for s in table_copy.shapes()}
    for shape in table_copy.shapes():
        assert shape.key
        assert set(shape.key) <= set(shape.columns)


def test_large_rows_are_read_a_few_at_a_time(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(7):
        town.issue(f"C-{n}", grant(f"许-{n}"))
    versions = next(s for s in table_copy.shapes() if s.name == "versions")
    whole = list(table_copy.batches(town.parts.database.reader, versions))
    size = len(whole[0][0][versions.columns.index("sealed")])
    monkeypatch.setattr(table_copy, "BYTES", 2 * size)
    few = list(table_copy.batches(town.parts.database.reader, versions))
    assert max(map(len, few)) <= 3
    monkeypatch.setattr(table_copy, "ROWS", 1)
    single = list(table_copy.batches(town.parts.database.reader, versions))
    assert [row for some in few for row in some] == [row for some in single for row in some] == whole[0]
    assert table_copy.batch(town.parts.database.reader, versions, versions.key_of(whole[0][-1])) == []


# --- apart, and telling nothing --------------------------------------------------------------------------------------


def test_no_part_of_it_tells_anything(copied: Copied) -> None:
    """Not even what the database stores unencrypted: names of organisations, case numbers, keyed hashes, data keys."""
    with open_parts(settings_of(copied.city, copied.master)) as parts:
        reader = parts.database.reader
        words = [row["organisation"] for row in reader.all("SELECT organisation FROM certificates")]
        words += [row["case_number"] for row in reader.all("SELECT case_number FROM cases")]
        words += [row["identifier"] for row in reader.all("SELECT identifier FROM versions")]
        hashes = [row["hash"] for row in reader.all("SELECT hash FROM blind_index")]
        wrapped = [row["wrapped"] for row in reader.all("SELECT wrapped FROM data_keys")]
    canaries = [word.encode() for word in words if word] + hashes + wrapped
    canaries += [person[1].encode() for person in (c.LIN, c.CHEN, c.GAO, c.MINYU)]
    canaries += [copied.master.read_bytes().strip(), bytes.fromhex(copied.master.read_text()), b"PRIVATE KEY"]
    assert len(canaries) > 200
    for path in files(copied.folder):
        content = path.read_bytes()
        assert not any(canary in content for canary in canaries), path


def modes(*folders: Path) -> tuple[set[str], set[str]]:
    """The modes of these folders and all in them, and of the files."""
    paths = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    found = [(path.is_dir(), oct(path.stat().st_mode & 0o777)) for path in paths]
    return {mode for is_folder, mode in found if is_folder}, {mode for is_folder, mode in found if not is_folder}


@pytest.fixture
def open_to_all() -> Iterator[None]:
    """New files and folders are open to all users, where the program does not say otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_to_all")
def test_no_other_user_reads_a_backup(town: Town, tmp_path: Path) -> None:
    """In folders that are new and in folders that were open to all."""
    town.issue("C-1", grant("许-1"))
    town.parts.directory.sequence()
    town.parts.rendering.step()
    for name, keys in (("new", None), ("open", None), ("apart", "keys"), ("open-apart", "open-keys")):
        folder, keys_folder = tmp_path / name, tmp_path / keys if keys else None
        for existing in filter(None, (folder, keys_folder)):
            if existing.name.startswith("open"):
                existing.mkdir(mode=0o777)
        made = town.parts.backup.run(BackupFolder(folder, keys_folder))
        assert made.documents
        assert modes(*filter(None, (folder, keys_folder))) == ({"0o700"}, {"0o600"})


def test_a_folder_that_stays_open_to_others_is_refused(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    folder = tmp_path / "of-another-user"
    folder.mkdir()
    folder.chmod(0o755)
    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(NotPossible, match="Choose another directory"):
        town.parts.backup.run(BackupFolder(folder))
    assert names(folder) == []


def test_neither_part_is_of_use_without_the_other(copied: Copied, tmp_path: Path) -> None:
    alone = copied.copy(tmp_path / "alone")
    shutil.rmtree(alone / "keys")
    with pytest.raises(NotPossible, match="keys part"):
        restored(alone, tmp_path / "new", copied.master)
    with open_parts(settings_of(copied.city, copied.master)) as parts:
        parts.backup.run(BackupFolder(tmp_path / "other"))
    with pytest.raises(NotPossible, match="another backup"):
        restored(copied.folder, tmp_path / "new", copied.master, tmp_path / "other" / "keys")
    mixed = copied.copy(tmp_path / "mixed")
    shutil.copy(tmp_path / "other" / "data" / "manifest.json", mixed / "data" / "manifest.json")
    shutil.copy(tmp_path / "other" / "keys" / "keys.sealed", mixed / "keys" / "keys.sealed")
    with pytest.raises(Damaged):
        restored(mixed, tmp_path / "new", copied.master)
    assert names(tmp_path / "new") == [".init.lock"]


def test_the_master_key_is_the_only_one_that_opens_it(copied: Copied, tmp_path: Path) -> None:
    other = tmp_path / "other.key"
    MasterKey.create(other)
    done = hub("restore", copied.folder, data=tmp_path / "new", master=other)
    assert done.returncode == 4
    assert copied.manifest.master_key in done.stderr
    assert MasterKey.read(other).name in done.stderr
    assert hub("restore", copied.folder, data=tmp_path / "new").returncode == 4, "no master key at all"
    assert names(tmp_path / "new") == []


def test_a_backup_from_before_a_new_master_key_wants_the_former_one(copied: Copied, tmp_path: Path) -> None:
    shutil.copytree(copied.city, tmp_path / "city")
    with open_parts(Settings(data_dir=tmp_path / "city", public_url=c.URL)) as parts:
        former = parts.rotation.rotate_master()
        parts.backup.run(BackupFolder(tmp_path / "later"))
    assert former.name.endswith(copied.manifest.master_key)
    with pytest.raises(VaultError, match=copied.manifest.master_key):
        restored(copied.folder, tmp_path / "new", tmp_path / "city" / "master.key")
    settings = restored(copied.folder, tmp_path / "new", former)
    restored(tmp_path / "later", tmp_path / "new-2", tmp_path / "city" / "master.key")
    with open_parts(settings) as parts:
        assert check(parts).findings == []


@pytest.mark.parametrize("where", ["data", "next to the master key"])
def test_it_is_never_stored_with_what_it_must_be_kept_from(copied: Copied, tmp_path: Path, where: str) -> None:
    shutil.copytree(copied.city, tmp_path / "city")
    key = tmp_path / "safe" / "key"
    MasterKey.create(key)
    shutil.copy(copied.master, key)
    with open_parts(settings_of(tmp_path / "city", key)) as parts, pytest.raises(NotPossible):
        parts.backup.run(BackupFolder(tmp_path / "city" / "backup" if where == "data" else tmp_path / "safe"))


# --- what must never come again --------------------------------------------------------------------------------------


def test_numbers_given_out_after_the_backup_are_not_given_again(town: Town, tmp_path: Path) -> None:
    town.issue("C-1", grant("许-1"))
    made = tmp_path / "copy"
    town.parts.backup.run(BackupFolder(made))
    lost = [town.issue(f"C-{n}", grant(f"许-{n}"))[0] for n in range(2, 9)]
    with open_parts(town.parts.settings) as other:
        assert all(other.ids.take(name) for name in ids.NAMES)
    reached = {row["name"]: row["next"] for row in town.rows("id_blocks")}
    settings = restored(made, tmp_path / "new", town.folder / "master.key")
    with open_parts(settings, clock=town.clock) as parts:
        again = Town(tmp_path / "new", parts, town.clock)
        assert {name: parts.ids.take(name) > reached[name] + 2**30 for name in ids.NAMES} == dict.fromkeys(
            ids.NAMES, True
        )
        anew = [again.issue(f"C-{n}", grant(f"许-{n}"))[0] for n in range(2, 9)]
        assert not {v.identifier for v in lost} & {v.identifier for v in anew}
        assert not {v.code for v in lost} & {v.code for v in anew}
        assert min(v.version_key for v in anew) >> 17 > max(v.version_key for v in lost) >> 17, "other status lists"
        for version in lost:
            assert parts.verification.verify_code(version.code).state is VerdictState.NOT_FOUND
            printed = qr.text(t.URL, version.code, version.digits)
            assert parts.verification.verify_qr(printed).state is VerdictState.UNKNOWN, "genuine, and not on record"
        assert again.agrees()


def test_a_gap_in_the_numbers_is_no_use_of_the_seal_key(town: Town, tmp_path: Path) -> None:
    town.issue("C-1", grant("许-1"))
    settings = restored_of(town, tmp_path)
    with open_parts(settings, clock=town.clock) as parts:
        Town(tmp_path / "new", parts, town.clock).issue("C-2", grant("许-2"))
        reader = parts.database.reader
        assert reseal.has_actions_after(reader, 202601, 2)
        assert not reseal.has_actions_after(reader, 202601, 2**24)
        assert not reseal.has_actions_after(reader, 202604, 1)


def restored_of(town: Town, tmp_path: Path) -> Settings:
    town.parts.backup.run(BackupFolder(tmp_path / "copy"))
    return restored(tmp_path / "copy", tmp_path / "new", town.folder / "master.key")


def test_what_was_decided_and_not_signed_is_issued_as_promised(town: Town, tmp_path: Path) -> None:
    with town.without_signer():
        content = body(grant("许-1"), grant("许-2", BERT))
        assert town.push("C-1", content).status == 202
    settings = restored_of(town, tmp_path)
    done = town.push("C-1", content)  # what the former hub did after the backup
    was = [town.version(identifier) for identifier in identifiers(done.reply)]
    papers = [town.parts.rendition.of_version(version) for version in was]
    town.clock.at += timedelta(hours=3)
    with open_parts(settings, clock=town.clock) as parts:
        assert check(parts).findings != [], "waits too long"
        assert finish_due(parts) == 1
        again = Town(tmp_path / "new", parts, town.clock)
        assert again.push("C-1", content).reply == done.reply, "to the last digit of its signatures: it may be printed"
        assert [parts.rendition.of_version(again.version(version.identifier)) for version in was] == papers
        for version in was:
            assert parts.verification.verify_credential(version.credential).state is VerdictState.VALID
            assert (
                parts.verification.verify_qr(qr.text(t.URL, version.code, version.digits)).state is VerdictState.VALID
            )
        assert again.agrees()


def test_former_addresses_and_used_assertions_are_remembered(copied: Copied, tmp_path: Path) -> None:
    city = tmp_path / "city"
    shutil.copytree(copied.city, city)
    initialise(Settings(data_dir=city, public_url="https://new.example", master_key_file=copied.master))
    with open_parts(settings_of(city, copied.master)) as parts:
        with parts.database.write() as writer:
            writer.insert("jtis", {"client": "another-client", "jti": "once", "expires_at": 2**60})
        parts.backup.run(BackupFolder(tmp_path / "copy"))
    done = hub("restore", tmp_path / "copy", data=tmp_path / "new", master=copied.master)
    assert done.returncode == 0
    with open_parts(settings_of(tmp_path / "new", copied.master)) as parts:
        urls = {row["url"] for row in parts.database.reader.all("SELECT url FROM public_urls")}
        assert urls == {"https://new.example", c.URL}
        assert parts.database.reader.one("SELECT 1 FROM jtis WHERE jti = 'once'")


# --- concurrent work -----------------------------------------------------------------------------------------------


def test_files_may_be_reencrypted_meanwhile(copied: Copied, tmp_path: Path) -> None:
    """A rotation moves every file to another name while the former names are being copied."""
    city = tmp_path / "city"
    shutil.copytree(copied.city, city)
    settings = settings_of(city, copied.master)
    was = {path.name for path in files(city / "documents")}
    rotated = []

    def rotate(step: str) -> None:
        if step != "rows":
            return
        with open_parts(settings) as other:
            other.rotation.begin(KeyPurpose.SEAL)
            for _ in other.rotation.run():
                pass
            assert other.rotation.is_complete()
            assert was <= {path.name for path in files(city / "documents")}, "held"
            assert other.documents.sweep(other.clock.now() + timedelta(days=1), everything=True) == 0
            rotated.append(len(was))

    with open_parts(settings, at_step=rotate) as parts:
        parts.backup.run(BackupFolder(tmp_path / "copy"))
        assert rotated
        assert parts.documents.sweep(parts.clock.now() + timedelta(days=1), everything=True) == len(was)
        assert check(parts).findings == []
    with open_parts(restored(tmp_path / "copy", tmp_path / "new", copied.master)) as parts:
        assert check(parts).findings == []


def test_a_key_that_is_replaced_and_retired_meanwhile_is_in_it(copied: Copied, tmp_path: Path) -> None:
    with open_copy(copied.city, tmp_path / "city") as city:
        retire_after_snapshot(city, tmp_path)
    with open_parts(restored(tmp_path / "copy", tmp_path / "new", copied.master)) as parts:
        kid = parts.keyring.active(Purpose.CREDENTIAL).kid
        assert parts.keyring.sign(kid, Purpose.CREDENTIAL, b"something")


def retire_after_snapshot(city: City, tmp_path: Path) -> None:
    def retire(step: str) -> None:
        if step == "snapshot":
            former = city.parts.keyring.active(Purpose.CREDENTIAL).kid
            city.parts.rotation.replace(Purpose.CREDENTIAL)
            city.parts.rotation.retire(former)

    with open_parts(city.parts.settings, at_step=retire) as parts:
        parts.backup.run(BackupFolder(tmp_path / "copy"))


def test_what_comes_after_the_snapshot_is_not_in_it(town: Town, tmp_path: Path) -> None:
    [first] = town.issue("C-1", grant("许-1"))

    def go_on(step: str) -> None:
        if step == "table acts":
            town.move("revoke", first)
            town.issue("C-2", grant("许-2"))

    with open_parts(town.parts.settings, clock=town.clock, at_step=go_on) as parts:
        parts.backup.run(BackupFolder(tmp_path / "copy"))
    assert town.state(first) == "revoked"
    settings = restored(tmp_path / "copy", tmp_path / "new", town.folder / "master.key")
    with open_parts(settings, clock=town.clock) as parts:
        again = Town(tmp_path / "new", parts, town.clock)
        assert len(again.rows("certificates")) == 1
        assert again.state(first) == "valid", "as of the backup: the revocation has to be repeated"
        assert again.move("revoke", first).state.value == "revoked"
        assert again.agrees()


def test_a_restored_file_is_a_database_of_its_own(copied: Copied, tmp_path: Path) -> None:
    """No WAL next to it, and `PRAGMA integrity_check` finds nothing."""
    settings = restored(copied.folder, tmp_path / "new", copied.master)
    assert names(settings.data_dir) == [".init.lock", "documents", "hub.db", "keys"]
    connection = sqlite3.connect(settings.data_dir / "hub.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_cases_are_answered_as_they_were(copied: Copied, tmp_path: Path) -> None:
    index = json.loads((copied.city / "sample" / "index.json").read_text())
    former = shutil.copytree(copied.city, tmp_path / "city")
    settings = restored(copied.folder, tmp_path / "new", copied.master)
    with open_parts(settings_of(former, copied.master)) as before, open_parts(settings) as parts:
        for item in index["cases"]:
            caller = c.caller(item["client_id"])
            raw = (copied.city / "sample" / item["body_file"]).read_bytes()
            was = before.cases.push(caller, item["case_number"], raw)
            assert parts.cases.push(caller, item["case_number"], raw) == was

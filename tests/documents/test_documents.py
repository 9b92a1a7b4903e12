"""Documents at rest: one file and one row, whichever process races, dies or runs out of disk space in between."""

import errno
import hashlib
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from hub.db.database import DatabaseUnavailable, StorageFull
from hub.domain.certificate import State
from hub.ops.check import check
from hub.parts import documents_folder, open_parts
from hub.store import certificates, documents
from hub.store.documents import DocumentDamaged, DocumentKey, Documents, Kind
from hub.vault import KeyPurpose, KeyState
from tests.support import engines
from tests.support.city import City, sealing_key

CONTENT = b"%PDF-1.7 " + os.urandom(60_000)
WHOLE_DAY = timedelta(days=1)


def key_of(city: City, number: int = 0) -> DocumentKey:
    """A certificate by its position in the order of issue; the first ones have never been corrected."""
    order = "SELECT home, certificate FROM certificates ORDER BY certificate"
    home, certificate = city.parts.database.reader.all(order)[number]
    return DocumentKey(home, certificate, 1)


def files(city: City) -> list[Path]:
    return sorted(path for path in (city.folder / "documents").rglob("*") if path.is_file())


def rows(city: City) -> int:
    return len(city.parts.database.reader.all("SELECT 1 FROM documents"))


def test_what_is_kept_is_found_by_its_key_and_by_its_digest(city: City) -> None:
    key, now = key_of(city), city.clock.now()
    assert city.parts.documents.keep(key, CONTENT, now) == CONTENT
    found = documents.find(city.parts.database.reader, key)
    assert found is not None
    assert (found.size, found.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).digest())
    assert found.recorded_at == now
    assert documents.by_digest(city.parts.database.reader, found.sha256) == found
    assert city.parts.documents.read(found) == CONTENT
    assert documents.by_digest(city.parts.database.reader, hashlib.sha256(b"").digest()) is None


def test_the_file_is_encrypted_private_and_randomly_named(city: City) -> None:
    key = key_of(city)
    city.parts.documents.keep(key, CONTENT, city.clock.now())
    (path,) = files(city)
    assert len(path.name) == 32
    assert path.parent.name == path.name[:2]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == path.parent.parent.stat().st_mode & 0o777 == 0o700
    sealed = path.read_bytes()
    assert CONTENT[9:200] not in sealed
    assert len(sealed) == len(CONTENT) + 33
    (row,) = city.parts.database.reader.all("SELECT key_number FROM documents")
    assert row["key_number"] == city.parts.vault.key_number(sealed) == sealing_key(city.parts)


def test_of_many_at_once_one_wins_and_all_are_given_its_bytes(city: City) -> None:
    key, barrier = key_of(city), threading.Barrier(8)

    def keep(number: int) -> bytes:
        barrier.wait()
        return city.parts.documents.keep(key, CONTENT + bytes([number]), city.clock.now())

    with ThreadPoolExecutor(8) as pool:
        given = set(pool.map(keep, range(8)))
    assert len(given) == 1
    assert rows(city) == len(files(city)) == 1
    found = documents.find(city.parts.database.reader, key)
    assert found is not None
    assert {city.parts.documents.read(found)} == given


KILLED = """
import os, sys
from pathlib import Path
from hub.parts import open_parts
from hub.settings import Settings
from hub.store import certificates
def step(name):
    if name == "written":
        os.kill(os.getpid(), 9)
with open_parts(Settings(data_dir=Path(sys.argv[1])), at_step=step) as parts:
    home, certificate = parts.database.reader.one("SELECT home, certificate FROM certificates ORDER BY certificate")
    parts.rendition.of_version(certificates.by_key(parts.database.reader, parts.vault, home, certificate, 1))
"""


def test_a_crash_between_file_and_row_leaves_what_a_sweep_removes(city: City) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(city.folder)],
        capture_output=True,
        check=False,
        env=os.environ | engines.environment(city.parts.settings),
    )
    assert done.returncode == -9, done.stderr
    (left,) = files(city)
    assert rows(city) == 0
    assert check(city.parts).is_good  # it may be on its way to its row
    key = key_of(city)
    version = certificates.by_key(city.parts.database.reader, city.parts.vault, key.home, key.certificate, 1)
    assert version is not None
    made = city.parts.rendition.of_version(version)
    now = city.clock.now()
    assert city.parts.documents.sweep(now + timedelta(minutes=55), everything=True) == 0
    city.clock.ahead = timedelta(hours=2)
    assert [finding.what for finding in check(city.parts).findings] == ["file without a document record"]
    assert city.parts.documents.sweep(now + timedelta(minutes=65), everything=True) == 1
    assert not left.exists()
    assert len(files(city)) == rows(city) == 1
    assert city.parts.rendition.of_version(version) == made
    assert check(city.parts).is_good


def test_sweeps_go_round_all_the_folders(city: City) -> None:
    city.parts.documents.keep(key_of(city), CONTENT, city.clock.now())
    for name in ("00", "7f", "ff"):
        (city.folder / "documents" / name).mkdir(exist_ok=True)
        (city.folder / "documents" / name / ("x" * 32)).write_bytes(b"left")
    later = city.clock.now() + WHOLE_DAY
    assert [city.parts.documents.sweep(later) for _ in range(256)].count(1) == 3
    assert len(files(city)) == 1


DAMAGES = {
    "gone": (lambda path: path.unlink(), "document is missing"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-1]), "cannot be decrypted"),
    "emptied": (lambda path: path.write_bytes(b""), "cannot be decrypted"),
    "a bit": (
        lambda path: path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1])),
        "cannot be decrypted",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_tampered_file_is_never_given_out_nor_made_again(city: City, name: str) -> None:
    damage, told = DAMAGES[name]
    key = key_of(city)
    version = certificates.by_key(city.parts.database.reader, city.parts.vault, key.home, key.certificate, 1)
    assert version is not None
    city.parts.rendition.of_version(version)
    (path,) = files(city)
    damage(path)
    for _ in range(2):
        with pytest.raises(DocumentDamaged, match=told):
            city.parts.rendition.of_version(version)
    assert rows(city) == 1
    assert len(files(city)) <= 1
    assert [told in finding.what for finding in check(city.parts).findings] == [True]


def test_files_of_two_documents_cannot_be_exchanged(city: City) -> None:
    for number in (0, 1):
        city.parts.documents.keep(key_of(city, number), CONTENT, city.clock.now())
    one, two = files(city)
    held = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(held)
    for number in (0, 1):
        found = documents.find(city.parts.database.reader, key_of(city, number))
        assert found is not None
        with pytest.raises(DocumentDamaged):
            city.parts.documents.read(found)


def test_a_row_that_says_otherwise_is_found_out(city: City) -> None:
    city.parts.documents.keep(key_of(city), CONTENT, city.clock.now())
    with engines.tampering(city.parts) as writer:
        writer.run("UPDATE documents SET sha256 = :other", {"other": b"\0" * 32})
    found = documents.find(city.parts.database.reader, key_of(city))
    assert found is not None
    with pytest.raises(DocumentDamaged, match="does not match its row"):
        city.parts.documents.read(found)


def test_the_check_finds_another_credential(city: City) -> None:
    with city.parts.database.snapshot() as reader:
        keys = [key_of(city, number) for number in (0, 1)]
        one, two = (certificates.by_key(reader, city.parts.vault, k.home, k.certificate, 1) for k in keys)
    assert one is not None
    assert two is not None
    strange = city.parts.rendition.of_version(two)
    city.parts.documents.keep(keys[0], strange, city.clock.now())
    report = check(city.parts)
    assert report.documents == 2
    assert [finding.what for finding in report.findings] == ["version 1: the PDF contains a different credential"]
    assert report.findings[0].where == one.identifier


# --- no room ----------------------------------------------------------------------------------------------------------


@contextmanager
def small_volume(folder: Path) -> Iterator[None]:
    """A separate file system for the documents."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("this user may not mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_reported_and_leaves_nothing(city: City) -> None:
    folder = documents_folder(city.parts.settings)
    with small_volume(folder):
        city.parts.documents.keep(key_of(city), CONTENT, city.clock.now())
        for _ in range(3):
            with pytest.raises(StorageFull):
                city.parts.documents.keep(key_of(city, 1), CONTENT * 2, city.clock.now())
        assert (rows(city), len(files(city))) == (1, 1)
        city.parts.documents.keep(key_of(city, 2), CONTENT[:20_000], city.clock.now())
    assert rows(city) == 2


def test_a_limit_on_files_is_no_room_either(city: City) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        with pytest.raises(StorageFull):
            city.parts.documents.keep(key_of(city), CONTENT, city.clock.now())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (rows(city), files(city)) == (0, [])
    assert city.parts.documents.keep(key_of(city), CONTENT, city.clock.now()) == CONTENT


def test_a_disk_error_is_reported_without_a_path(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_handle: int) -> None:
        raise OSError(errno.EIO, "input/output error", "/secret")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(DatabaseUnavailable, match=r"^a document cannot be written: EIO$"):
        city.parts.documents.keep(key_of(city), CONTENT, city.clock.now())
    assert files(city) == []


def test_a_database_that_refuses_leaves_no_file(city: City) -> None:
    with engines.away(city.parts):
        if city.parts.settings.database_url is None:
            city.parts.database.close()
        with pytest.raises(DatabaseUnavailable):
            city.parts.documents.keep(key_of_missing(), CONTENT, city.clock.now())
    engines.wait_for(city.parts)
    assert len(files(city)) <= 1  # where nothing can be asked, the sweep decides
    city.parts.documents.sweep(city.clock.now() + WHOLE_DAY, everything=True)
    assert files(city) == []


def key_of_missing() -> DocumentKey:
    return DocumentKey(1, 1, 1)


# --- keys -------------------------------------------------------------------------------------------------------------


def kept(city: City, count: int) -> dict[DocumentKey, bytes]:
    made = {key_of(city, number): os.urandom(5_000) for number in range(count)}
    made[DocumentKey(1, 1, 1, Kind.COPY, "202611-X")] = b"copy"
    for key, content in made.items():
        city.parts.documents.keep(key, content, city.clock.now())
    return made


def all_read(city: City, made: dict[DocumentKey, bytes]) -> bool:
    reader = city.parts.database.reader
    found = {key: documents.find(reader, key) for key in made}
    return all(row is not None and city.parts.documents.read(row) == made[key] for key, row in found.items())


def test_files_are_reencrypted_when_the_seal_key_changes(city: City) -> None:
    made = kept(city, 30)
    old = sealing_key(city.parts)
    before = {path.name for path in files(city)}
    new = city.parts.rotation.begin(KeyPurpose.SEAL)
    assert all_read(city, made)
    list(city.parts.rotation.run())
    assert city.parts.rotation.is_complete()
    assert documents.count_by_key(city.parts.database.reader) == {new: 31}
    assert len(files(city)) == 31
    assert before.isdisjoint(path.name for path in files(city))
    assert {city.parts.vault.key_number(path.read_bytes()) for path in files(city)} == {new}
    assert all_read(city, made)
    states = {key.number: key.state for key in city.parts.rotation.data_keys()}
    assert states[old] is KeyState.SPENT
    assert city.parts.rotation.rows().get(old, 0) == 0


def test_a_key_that_a_damaged_file_needs_is_not_spent(city: City) -> None:
    kept(city, 3)
    old = sealing_key(city.parts)
    files(city)[0].write_bytes(b"damaged")
    city.parts.rotation.begin(KeyPurpose.SEAL)
    list(city.parts.rotation.run())
    assert not city.parts.rotation.is_complete()
    assert documents.count_by_key(city.parts.database.reader)[old] == 1
    assert {key.number: key.state for key in city.parts.rotation.data_keys()}[old] is KeyState.RETIRED


def test_readers_and_makers_continue_while_files_are_reencrypted(city: City) -> None:
    made = kept(city, 40)
    stop = threading.Event()
    faults: list[BaseException] = []

    def read() -> None:
        while not stop.is_set():
            try:
                assert all_read(city, made)
            except BaseException as fault:
                faults.append(fault)
                return

    def make() -> dict[DocumentKey, bytes]:
        more = {}
        for number in range(40, 70):
            more[key_of(city, number)] = city.parts.documents.keep(key_of(city, number), CONTENT, city.clock.now())
        return more

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            new = city.parts.rotation.begin(KeyPurpose.SEAL)
            maker = pool.submit(make)
            list(city.parts.rotation.run())
            more = maker.result()
        finally:
            stop.set()  # otherwise the readers outlive a failure, and crash when the database is closed
        for reader in readers:
            reader.result()
    assert faults == []
    list(city.parts.rotation.run())
    assert set(documents.count_by_key(city.parts.database.reader)) == {new}
    assert all_read(city, made | more)
    assert len(files(city)) == rows(city)


def test_a_copied_data_directory_reads_its_documents(city: City, tmp_path: Path) -> None:
    made = kept(city, 2)
    with open_parts(city.parts.settings) as parts:
        for key, content in made.items():
            found = documents.find(parts.database.reader, key)
            assert found is not None
            other = Documents(parts.database, parts.vault, documents_folder(parts.settings))
            assert other.read(found) == content


def test_states_have_distinct_words() -> None:
    """Every state that may be printed on a copy has a text."""
    from hub.documents import sheets

    assert set(sheets._STATES) == set(State) - {State.VALID}

"""Key rotation while processes push and look up, and killed at every point."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hub.db.database import DatabaseUnavailable
from hub.db.sealed_columns import SEALED
from hub.domain.case import Person
from hub.ops import check as checking
from hub.parts import Parts, open_parts
from hub.rotation import CannotRotate
from hub.rotation import rotation as rotation_module
from hub.rotation import walks as walks_module
from hub.store import intents, parties
from hub.store import keys as key_store
from hub.store import reseal as store
from hub.store.retry import retry_on_conflict
from hub.vault import KeyPurpose, KeyState, MasterKey, StaleKeys, VaultError, next_master_key
from signing.keys import Purpose
from tests.support import city as c
from tests.support import engines
from tests.support.city import City, open_copy, sealing_key
from tests.support.paths import ROOT

ENROLMENT = ("gulou-education-counter", "GLJY-2026-RX-0415", "GLJY0033")
NEW = Person("测试人", "111", "990102195001011300")
SEAL, BLIND = KeyPurpose.SEAL, KeyPurpose.BLIND


@pytest.fixture(scope="module")
def sealed_template(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Path:
    """A city with a row in every sealed column: a retrieval and an open intent too."""
    folder = tmp_path_factory.mktemp("city") / "data"
    c.load_city(folder, engine)
    with open_copy(folder, folder.with_name("made")) as city:
        city.retrieve(*ENROLMENT, city.identifier(c.HOUSEHOLD, c.CHILD))
        with no_signing(city):
            reply = city.push("fz-public-security", "CS-1", completed("CS-1"))
            assert reply["issuance"] == "pending"
        engines.keep(city.folder)
    return folder.with_name("made")


@pytest.fixture
def city(sealed_template: Path, tmp_path: Path) -> Iterator[City]:
    with open_copy(sealed_template, tmp_path / "data") as found:
        yield found


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walks_module, "BATCH", 25)
    monkeypatch.setattr(walks_module, "DROP_BATCH", 25)


@contextmanager
def no_signing(city: City) -> Iterator[None]:
    keys = city.folder / "keys"
    away = keys.with_name("away")
    keys.rename(away)
    keys.mkdir()
    yield
    shutil.rmtree(keys)
    away.rename(keys)


@contextmanager
def another(city: City) -> Iterator[Parts]:
    """The parts of another process."""
    with open_parts(city.parts.settings) as parts:
        yield parts


def accepted() -> dict[str, Any]:
    applicant = {"name": NEW.name, "id_type": NEW.id_type, "id_number": NEW.id_number}
    return {
        "matter_code": "FZGA-WFZZM",
        "status": "accepted",
        "applicants": [applicant],
        "accepted_at": "2026-06-02T09:00:00+08:00",
    }


def completed(number: str) -> dict[str, Any]:
    body = accepted()
    fields = {"period_from": "2001-07-07", "period_to": "2025-06-03", "purpose": "测试", "conclusion": "无犯罪记录。"}
    certificate = {
        "type_code": c.CLEAN_RECORD,
        "number": number,
        "holders": body["applicants"],
        "fields": fields,
        "issued_on": "2026-06-03",
        "valid_until": None,
    }
    return body | {"status": "completed", "completed_at": "2026-06-03T09:00:00+08:00", "certificates": [certificate]}


def push(parts: Parts, case: str, body: dict[str, Any]) -> dict[str, Any]:
    raw = json.dumps(body, ensure_ascii=False).encode()
    return parts.cases.push(c.caller("fz-public-security"), case, raw).reply


def issue_open(parts: Parts) -> bool:
    """Sign and publish what `sealed_template` left pending; returns whether this call did it."""
    source = c.caller("fz-public-security").source
    return intents.is_open(parts.database.reader, source, "CS-1") and parts.issuance.finish(source, "CS-1") is not None


def find(parts: Parts, who: tuple[str, str, str]) -> int | None:
    return parties.find(parts.database.reader, parts.vault, Person("", who[0], who[1]))


def states(parts: Parts, purpose: KeyPurpose) -> list[KeyState]:
    return [key.state for key in parts.rotation.data_keys() if key.purpose is purpose]


def all_is_well(parts: Parts) -> None:
    assert checking.check(parts).findings == []
    assert parts.rotation.is_complete()
    active = {key.number for key in parts.rotation.data_keys() if key.state is KeyState.ACTIVE}
    assert set(parts.rotation.rows()) <= active


def finish(parts: Parts) -> None:
    for _ in parts.rotation.run():
        pass


# --- seal keys -------------------------------------------------------------------------------------------------------


def test_every_sealed_column_is_reencrypted(city: City) -> None:
    reader = city.parts.database.reader
    places = [place.label for place in store.COLUMNS if store.sealed_otherwise(reader, place, 999, None, 1)]
    assert places == [label for label, _, _ in SEALED]
    before = sum(store.sealed_rows(reader).values())
    number = city.parts.rotation.begin(SEAL)
    assert states(city.parts, SEAL) == [KeyState.RETIRED, KeyState.ACTIVE]
    finish(city.parts)
    assert store.sealed_rows(reader) == {number: before}
    assert states(city.parts, SEAL) == [KeyState.SPENT, KeyState.ACTIVE]
    assert issue_open(city.parts)
    all_is_well(city.parts)


def test_a_sealing_walk_may_be_abandoned_after_any_batch(city: City, small_batches: None) -> None:
    city.parts.rotation.begin(SEAL)
    batches = 0
    while True:
        with another(city) as parts:  # a fresh process, which does one batch and is gone
            if not parts.rotation.step():
                break
            batches += 1
            assert find(parts, c.QIU) is not None
    assert batches > 20
    assert issue_open(city.parts)
    all_is_well(city.parts)


def test_a_row_that_changed_meanwhile_is_not_overwritten(city: City) -> None:
    place = next(place for place in store.COLUMNS if place.label == "cases")
    city.parts.rotation.begin(SEAL)
    number = sealing_key(city.parts)
    found = store.sealed_otherwise(city.parts.database.reader, place, number, None, 1000)
    key, before = next(row for row in found if row[0][1] == ENROLMENT[1])
    stale = store.reseal(city.parts.vault, place, key, before)
    assert stale is not None
    with city.parts.database.write() as writer:
        assert store.swap(writer, place, key, before, city.parts.vault.seal("cases", "|".join(map(str, key)), b"\x01"))
        assert not store.swap(writer, place, key, before, stale)


def test_a_writer_that_sealed_before_the_rotation_does_its_work_again(city: City) -> None:
    with another(city) as parts:
        tries = []

        def work() -> None:
            tries.append(sealing_key(parts))
            if len(tries) == 1:
                city.parts.rotation.begin(SEAL)
                thread = threading.Thread(target=parts.vault.reload)  # another thread of the process hears of it
                thread.start()
                thread.join()
            with parts.database.write() as writer:
                key_store.require_current(writer, parts.vault)

        retry_on_conflict(parts.vault, work)
        assert tries == [1, sealing_key(parts)]


def test_a_row_that_does_not_open_keeps_its_key(city: City) -> None:
    with city.parts.database.write() as writer:
        writer.run(
            "UPDATE parties SET sealed = :bad WHERE party = (SELECT MIN(party) FROM parties)",
            {"bad": b"\x01\0\0\0\1" + bytes(40)},
        )
    city.parts.rotation.begin(SEAL)
    finish(city.parts)
    assert not city.parts.rotation.is_complete()
    assert not city.parts.rotation.step()
    assert store.sealed_rows(city.parts.database.reader)[1] == 1
    assert states(city.parts, SEAL) == [KeyState.RETIRED, KeyState.ACTIVE]


@pytest.mark.sqlite
def test_a_walk_that_meets_a_fault_is_begun_again(city: City, small_batches: None) -> None:
    city.parts.rotation.begin(SEAL)
    assert city.parts.rotation.step()
    other = sqlite3.connect(city.folder / "hub.db")
    with city.parts.database.write() as writer:
        writer.run("PRAGMA busy_timeout = 50")
    other.execute("BEGIN IMMEDIATE")  # a user's shell, which does not take our lock
    with pytest.raises(DatabaseUnavailable):
        city.parts.rotation.step()
    other.rollback()
    other.close()
    finish(city.parts)
    assert city.parts.rotation.is_complete()


def test_a_seal_key_at_its_limit_is_replaced_automatically(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not city.parts.rotation.step(), "looked: made this month"
    monkeypatch.setattr(rotation_module, "ACTIONS_A_SEAL_KEY", 100)
    with city.parts.database.write() as writer:
        writer.run("UPDATE data_keys SET created_at = created_at - 3456000000000")
    with another(city) as parts:
        while parts.rotation.step():
            pass
        assert states(parts, SEAL) == [KeyState.SPENT, KeyState.ACTIVE]
        monkeypatch.setattr(rotation_module, "CHECK_EVERY_S", 0)
        assert not parts.rotation.step(), "the new one is of this month"


# --- blind keys ------------------------------------------------------------------------------------------------------


def test_a_blind_rotation_moves_every_hash(city: City) -> None:
    before = store.blind_rows(city.parts.database.reader)
    number = city.parts.rotation.begin(BLIND)
    assert city.parts.rotation.begin(BLIND) == number, "one at a time"
    finish(city.parts)
    after = store.blind_rows(city.parts.database.reader)
    assert after == {(kind, number): count for (kind, _), count in before.items()}
    assert states(city.parts, BLIND) == [KeyState.SPENT, KeyState.ACTIVE]
    # The reserved number too, which no version has yet.
    assert push(city.parts, "CS-2", accepted())["issuance"] == "none"
    assert c.refused(push, city.parts, "CS-2", completed("CS-1")) == "number.taken"
    assert issue_open(city.parts)
    all_is_well(city.parts)


def test_a_blind_walk_may_be_abandoned_after_any_batch(city: City, small_batches: None) -> None:
    _, _, everybody = store.party_texts(city.parts.database.reader, city.parts.vault, (), 1000)
    city.parts.rotation.begin(BLIND)
    steps = 0
    while True:
        with another(city) as parts:
            # A walk that is abandoned begins again: this process gets one batch further than the last one.
            if not any(parts.rotation.step() is False for _ in range(steps + 1)):
                steps += 1
            for batch in range(0, len(everybody), 10):
                kind, text = everybody[batch]
                assert parties._rows_of(parts.database.reader, parts.vault, [(kind, text)])
            if parts.rotation.is_complete():
                break
    assert steps > 5
    assert issue_open(city.parts)
    all_is_well(city.parts)


def test_who_loaded_the_keys_before_finds_who_came_after(city: City, small_batches: None) -> None:
    with another(city) as before:
        assert find(before, c.QIU) is not None
        city.parts.rotation.begin(BLIND)
        finish(city.parts)
        push(city.parts, "CS-3", accepted())
        assert find(before, c.QIU) is not None
        party = parties.find(before.database.reader, before.vault, NEW)
        assert party == parties.find(city.parts.database.reader, city.parts.vault, NEW) is not None


def test_a_snapshot_from_before_still_finds(city: City) -> None:
    with another(city) as parts, parts.database.snapshot() as reader:
        assert parties.find(reader, parts.vault, Person("", *c.QIU[:2])) is not None
        city.parts.rotation.begin(BLIND)
        finish(city.parts)
        refresh = threading.Thread(target=parts.vault.reload)
        refresh.start()
        refresh.join()
        assert parties.find(reader, parts.vault, Person("", *c.QIU[:2])) is not None
        parts.vault.reload()  # inside the old snapshot: the vault does not go back
        assert parts.vault.reading_key == city.parts.vault.reading_key


def test_a_push_prepared_before_the_rotation_is_written_under_both_keys(city: City) -> None:
    with another(city) as parts:
        push(parts, "CS-4", accepted())  # warm
        city.parts.rotation.begin(BLIND)
        stale = parties.blind_rows(parts.vault, parties.PARTY, "x", 1, 1)
        assert [row.key_number for row in stale] == [2]
        with pytest.raises(StaleKeys), parts.database.write() as writer:
            key_store.require_current(writer, parts.vault)
        push(parts, "CS-5", completed("CS-5"))
        rows = store.blind_rows(city.parts.database.reader)
        assert rows[parties.NUMBER, 6] == 1


def test_a_party_that_cannot_be_read_is_not_lost(city: City) -> None:
    party = find(city.parts, c.QIU)
    with city.parts.database.write() as writer:
        writer.run("UPDATE parties SET sealed = :bad WHERE party = :party", {"party": party, "bad": bytes(50)})
    city.parts.rotation.begin(BLIND)
    finish(city.parts)
    assert states(city.parts, BLIND) == [KeyState.ACTIVE, KeyState.NEXT]
    assert not city.parts.rotation.is_complete()
    assert find(city.parts, c.QIU) == party


# --- under load ------------------------------------------------------------------------------------------------------


def test_nothing_is_missed_while_processes_push_and_look_up(city: City) -> None:
    command = [sys.executable, "-m", "tests.support.rotation_load", str(city.folder)]
    environment = os.environ | engines.environment(city.parts.settings)
    running = [
        subprocess.Popen([*command, str(i)], stdout=subprocess.PIPE, text=True, env=environment) for i in range(2)
    ]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        pushed = [city.folder.parent / f"acknowledged-{i}" for i in range(2)]
        while any(len(path.read_text()) < 30 * 19 for path in pushed):
            for purpose in (BLIND, SEAL):
                city.parts.rotation.begin(purpose)
                finish(city.parts)
            city.parts.rotation.rotate_master()
            city.parts.rotation.replace(Purpose.CREDENTIAL)
    finally:
        (city.folder.parent / "stop").touch()
        ends = [process.communicate(timeout=60)[0] for process in running]
    found = [json.loads(end) for end in ends]
    assert [f["missed"] for f in found] == [[], []]
    assert all(f["pushes"] >= 30 and f["issued"] >= 7 for f in found)
    assert len(states(city.parts, BLIND)) > 3
    assert issue_open(city.parts)
    finish(city.parts)
    all_is_well(city.parts)


def test_the_worker_continues_what_a_killed_command_began(city: City) -> None:
    city.parts.rotation.begin(SEAL)
    city.parts.rotation.begin(BLIND)
    city.parts.rotation.step()
    environment = os.environ | engines.environment(city.parts.settings)
    command = [sys.executable, "-m", "hub", "work"]
    worker = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not city.parts.rotation.is_complete() and time.monotonic() < until:
            time.sleep(0.1)
    finally:
        worker.terminate()
        assert worker.wait(timeout=30) == 0
    all_is_well(city.parts)


# --- the master key --------------------------------------------------------------------------------------------------


def test_a_new_master_key_and_the_old_one_opens_nothing(city: City) -> None:
    path = city.folder / "master.key"
    old = path.read_text()
    with another(city) as running:
        former = city.parts.rotation.rotate_master()
        assert former.read_text() == old != path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600
        city.parts.rotation.begin(SEAL)
        running.vault.reload()
        push(running, "CS-6", accepted())
    assert issue_open(city.parts)
    finish(city.parts)
    all_is_well(city.parts)
    path.write_text(old)
    with pytest.raises(VaultError), another(city):
        pass


@pytest.mark.parametrize("moment", ["before the commit", "before the rename"])
def test_a_killed_master_rotation_is_resumed(city: City, moment: str) -> None:
    path = city.folder / "master.key"
    coming = next_master_key(path)
    if moment == "before the commit":
        MasterKey.create(coming)
    else:
        former = city.parts.rotation.rotate_master()
        path.rename(coming)
        former.rename(path)
    new = coming.read_text()
    with another(city) as parts:
        assert find(parts, c.QIU) is not None
    with another(city) as parts:
        parts.rotation.begin(SEAL)
        assert not coming.exists()
        assert path.read_text() == new
        finish(parts)
    with another(city) as parts:
        assert find(parts, c.QIU) is not None
        assert not parts.rotation.step()


def test_processes_start_while_master_keys_change(city: City) -> None:
    done = threading.Event()

    def rotate() -> None:
        while not done.is_set():
            city.parts.rotation.rotate_master()
            city.parts.rotation.begin(SEAL)

    thread = threading.Thread(target=rotate)
    thread.start()
    try:
        for _ in range(40):
            with another(city) as parts:
                assert find(parts, c.QIU) is not None
                parts.vault.reload()
    finally:
        done.set()
        thread.join()


def test_the_worker_finishes_a_killed_master_rotation(city: City) -> None:
    path = city.folder / "master.key"
    new = MasterKey.create(next_master_key(path))
    assert not city.parts.rotation.step()
    assert not next_master_key(path).exists()
    assert all(new.opens(key) for key in key_store.data_keys(city.parts.database.reader))


def test_digest_status_and_files_keys_stay(city: City) -> None:
    for purpose in (KeyPurpose.DIGEST, KeyPurpose.STATUS, KeyPurpose.FILES):
        with pytest.raises(CannotRotate):
            city.parts.rotation.begin(purpose)


# --- signing keys ----------------------------------------------------------------------------------------------------


def test_a_signing_key_is_replaced_and_its_private_part_retired(city: City) -> None:
    rotation, keyring = city.parts.rotation, city.parts.keyring
    former = keyring.active(Purpose.CREDENTIAL)
    with pytest.raises(CannotRotate):
        rotation.retire(former.kid)
    with another(city) as parts:
        made = rotation.replace(Purpose.CREDENTIAL)
        assert parts.keyring.public(made.kid, Purpose.CREDENTIAL) == made, "at once, in every process"
    with pytest.raises(CannotRotate, match="1 open intent"):
        rotation.retire(former.kid)
    assert issue_open(city.parts), "voided and prepared again"
    rotation.retire(former.kid)
    assert [here for key, here in rotation.signing_keys() if key.public.kid == former.kid] == [False]
    assert city.version(city.identifier(c.CLEAN_RECORD, (NEW.id_type, NEW.id_number, ""))).kid == made.kid
    all_is_well(city.parts)


def test_only_what_can_be_rotated_is(city: City) -> None:
    for purpose, authority in ((Purpose.ROOT, ""), (Purpose.DOCUMENT, "no-such-authority")):
        with pytest.raises(CannotRotate):
            city.parts.rotation.replace(purpose, authority)
    with pytest.raises(CannotRotate):
        city.parts.rotation.retire("unknown")
    authority = next(iter(city.parts.catalogue().authorities))
    assert city.parts.rotation.replace(Purpose.DOCUMENT, authority).authority == authority

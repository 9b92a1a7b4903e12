"""The worker on real data: it finishes pending work and cleans up, and no error ends it."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from hub.parts import Parts, open_parts
from hub.runtime import heartbeat
from hub.store import clients, intents, people_seen
from hub.vault import KeyPurpose
from hub.worker import RUSH, Worker
from tests.support import city as c
from tests.support.city import City

CASES = ("FZGA-2026-W-0001", "FZGA-2026-W-0002", "FZGA-2026-W-0003")


def body(number: str) -> bytes:
    holder = c.person(c.QIU)
    pushed: dict[str, Any] = {
        "matter_code": "FZGA-WFZZM",
        "status": "completed",
        "applicants": [holder],
        "accepted_at": "2025-06-02T09:00:00+08:00",
        "completed_at": "2025-06-03T10:30:00+08:00",
        "certificates": [
            {
                "type_code": c.CLEAN_RECORD,
                "number": f"榕公无犯证字〔2026〕第{number[-4:]}号",
                "holders": [holder],
                "fields": {
                    "period_from": "2001-07-07",
                    "period_to": "2025-06-03",
                    "purpose": "办理出租汽车驾驶员从业资格",
                    "conclusion": "经查询,申请人在上述期间无犯罪记录。",
                },
                "issued_on": "2025-06-03",
                "valid_until": None,
            }
        ],
    }
    return json.dumps(pushed, ensure_ascii=False).encode()


def push_without_signer(city: City, *numbers: str) -> str:
    """Leave pushes pending, as without a signer; returns the source of their cases."""
    caller = c.caller("fz-public-security")
    keys = city.folder / "keys"
    away = keys.with_name("keys-away")
    keys.rename(away)
    try:
        assert [city.parts.cases.push(caller, number, body(number)).status for number in numbers] == [202] * len(
            numbers
        )
    finally:
        away.rename(keys)
    city.clock.ahead = timedelta(minutes=30)
    return caller.source


@contextmanager
def working(city: City) -> Iterator[threading.Thread]:
    stop = threading.Event()
    thread = threading.Thread(target=Worker(city.parts, stop).run)
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def wait_for(happens: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def waiting(city: City) -> int:
    return intents.waiting(city.parts.database.reader)[0]


def test_cases_left_by_an_absent_signer_are_issued(city):
    push_without_signer(city, *CASES)
    assert waiting(city) == 3
    with working(city):
        wait_for(lambda: waiting(city) == 0)
    reply = city.parts.cases.push(c.caller("fz-public-security"), CASES[0], body(CASES[0]))
    assert (reply.status, reply.reply["issuance"]) == (200, "done")
    assert city.version(reply.reply["certificates"][0]["identifier"])


def test_a_case_that_cannot_be_finished_does_not_stand_before_the_others(city):
    source = push_without_signer(city, *CASES)
    with city.parts.database.write() as writer:
        writer.run(
            "UPDATE intents SET sealed = :junk, next_attempt_at = 0 WHERE source = :source AND case_number = :number",
            {"junk": b"\x01" + b"0" * 60, "source": source, "number": CASES[0]},
        )
    with working(city) as thread:
        wait_for(lambda: waiting(city) == 1)
        assert thread.is_alive()
    assert intents.is_open(city.parts.database.reader, source, CASES[0])
    # It waits for a while now: a whole batch of such cases does not fill every batch.
    assert intents.due(city.parts.database.reader, city.clock.now(), 10) == []


def test_drawing_and_feeding_rest_while_changes_rush_in_and_only_then(city):
    """Rendering is postponed, and feeding pauses; pushes must not wait for them."""
    worker = Worker(city.parts, threading.Event())
    assert {c.name for c in (*worker._rendering, *worker._feeding) if c.rest == worker._rest} == {"render", "feed"}
    assert worker._rest() == 0
    caller = c.caller("fz-public-security")
    numbers = [f"FZGA-2026-R-{n:04d}" for n in range(RUSH + 1)]
    for number in numbers:
        city.parts.cases.push(caller, number, body(number))
    while worker._sequence():
        pass
    assert worker._rest() > 0
    wait_for(lambda: worker._rest() == 0)
    with working(city):
        wait_for(lambda: city.parts.rendering.lag().changes == 0, 60)


@pytest.mark.sqlite
def test_a_database_outage_ends(city):
    push_without_signer(city, CASES[0])
    lock = city.folder / "hub.db.lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()  # a lock that cannot be opened: every write of a process that starts now fails
    with open_again(city) as other:
        stop = threading.Event()
        thread = threading.Thread(target=Worker(other, stop).run)
        thread.start()
        try:
            time.sleep(0.5)
            assert thread.is_alive()
            assert waiting(city) == 1
            lock.rmdir()
            wait_for(lambda: waiting(city) == 0, 30)
        finally:
            stop.set()
            thread.join(10)


@contextmanager
def open_again(city: City) -> Iterator[Parts]:
    with open_parts(city.parts.settings, clock=city.clock) as parts:
        yield parts


def test_it_keeps_house_and_shows_signs_of_life(city):
    parts = city.parts
    today = parts.clock.today()
    with parts.database.write() as writer:
        for days in (0, 1, 3):
            people_seen.count(writer, today - timedelta(days=days), people_seen.CLERK, "x", [1, 2], 10, 1)
        clients.use_jti(writer, "fz-public-security", "old", parts.clock.now() - timedelta(minutes=5))
        clients.use_jti(writer, "fz-public-security", "new", parts.clock.now() + timedelta(minutes=5))
    with working(city):
        wait_for(lambda: not clients.jti_is_used(parts.database.reader, "fz-public-security", "old"))
        wait_for(lambda: heartbeat.last(city.folder) is not None)
    assert clients.jti_is_used(parts.database.reader, "fz-public-security", "new")
    rows = parts.database.reader.all("SELECT DISTINCT day FROM seen ORDER BY day")
    assert len(rows) == 2
    last = heartbeat.last(city.folder)
    assert last is not None
    assert abs((parts.clock.now() - last).total_seconds()) < 30


def test_a_rotation_that_was_begun_is_finished(city):
    city.parts.rotation.begin(KeyPurpose.SEAL)
    assert not city.parts.rotation.is_complete()
    with working(city):
        wait_for(city.parts.rotation.is_complete, 60)

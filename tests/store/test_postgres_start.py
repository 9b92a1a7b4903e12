"""A start whose connection to the database server is lost, or refused for a while: it retries for a bounded time.

Transient faults must not end with exit code 4: after that no supervisor starts the hub again.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from hub.cli import serve
from hub.db import engines, postgres_server
from hub.db.database import DatabaseUnavailable, WrongDatabase
from hub.ops.init import initialise
from hub.settings import Settings
from tests.ops.test_serve import wait_for
from tests.support import elastic_tls
from tests.support import engines as data
from tests.support import town as t
from tests.support.netproxy import Proxy
from tests.support.postgres import Cluster

STEP = 61
"""Bytes from one cut to the next: every message of a start is cut somewhere."""
COMMANDS = {"serve": ("serve", "--port", "0"), "serve 2": ("serve", "--port", "0", "--workers", "2"), "work": ("work",)}
ENDS_S = 180.0
BEGUN = {"serve": b'"serving"', "serve 2": b'"serving"', "work": b'"started"'}


@dataclass
class Place:
    cluster: Cluster
    way: Proxy
    settings: Settings

    def through_proxy(self, more: str = "") -> Settings:
        url = str(self.settings.database_url).replace(f":{self.cluster.port}/", f":{self.way.port}/")
        return self.settings.model_copy(update={"database_url": url + more})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    cluster = Cluster()
    try:
        _speak_tls(cluster)
        folder = tmp_path_factory.mktemp("start") / "data"
        settings = Settings(data_dir=folder, public_url=t.URL, database_url=cluster.url(cluster.create()))
        initialise(settings)
        with Proxy(cluster.port) as way:
            yield Place(cluster, way, settings)
    finally:
        cluster.remove()


@pytest.fixture(autouse=True)
def mended(place: Place) -> None:
    place.way.pass_()


def _speak_tls(cluster: Cluster) -> None:
    _, certificate, key = elastic_tls._certificates()
    for name, text in {"server.crt": certificate, "server.key": key}.items():
        file = cluster.folder / "data" / name
        file.touch(mode=0o600)
        file.write_text(text)
        os.chown(file, *_owner(cluster.folder / "data"))
    with cluster.connect() as connection:
        connection.execute("ALTER SYSTEM SET ssl = on")
    cluster.stop()
    cluster.start()


def _owner(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_uid, found.st_gid


# --- what passes, and what does not -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["disable", "require"])
def test_a_connection_that_is_lost_is_never_taken_for_a_wrong_setting(place: Place, mode: str) -> None:
    """The connection is cut after any number of bytes; exit code 4 would prevent a supervisor from restarting the
    hub."""
    there = engines.place_of(place.through_proxy(f"?sslmode={mode}"))
    assert not isinstance(there, Path)
    times, was_lost = 0, True
    while was_lost:
        place.way.cut(times * STEP + 1, every=True)
        try:
            with postgres_server.connected(there) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
            was_lost = False
        except WrongDatabase as fault:
            pytest.fail(f"{times}: {fault.__context__}")
        except DatabaseUnavailable:
            times += 1
    assert times > 5


_AT = 'connection to server at "127.0.0.1", port 5432 failed: '
PASSING = (
    "FATAL:  the database system is starting up",
    "FATAL:  the database system is not yet accepting connections",
    "FATAL:  terminating connection due to administrator command",
    "FATAL:  terminating connection because of crash of another server process",
    "FATAL:  sorry, too many clients already",
    "FATAL:  canceling authentication due to timeout",
    "SSL error: unexpected eof while reading",
    "SSL SYSCALL error: EOF detected",
    "SSL SYSCALL error: Connection reset by peer",
    "SSL SYSCALL error: Broken pipe",
    "SSL connection has been closed unexpectedly",
)
LASTING = (
    'FATAL:  database "hub" does not exist',
    'FATAL:  role "hub" does not exist',
    'FATAL:  password authentication failed for user "hub"',
    'FATAL:  no pg_hba.conf entry for host "127.0.0.1", user "hub", database "hub", SSL off',
    "server does not support SSL, but SSL was required",
    "SSL error: certificate verify failed",
)


@pytest.mark.parametrize("said", [*PASSING, *LASTING])
def test_the_error_of_a_server_that_accepts_no_login(place: Place, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise psycopg.OperationalError(_AT + said)

    monkeypatch.setattr(psycopg, "connect", refuse)
    there = engines.place_of(place.settings)
    assert not isinstance(there, Path)
    with pytest.raises(DatabaseUnavailable) as found, postgres_server.connected(there):
        pass
    assert isinstance(found.value, WrongDatabase) is (said in LASTING)


# --- starts -----------------------------------------------------------------------------------------------------------


@contextmanager
def starting(
    place: Place, tmp_path: Path, command: str, *, port: str = "0", **more: str
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    settings = place.through_proxy()
    environment = {
        "PATH": os.environ["PATH"],
        "HUB_DATA_DIR": str(settings.data_dir),
        "HUB_DATABASE_URL": str(settings.database_url),
        **more,
    }
    log = tmp_path / f"{command}.log"
    with log.open("wb") as sink:
        words = [sys.executable, "-m", "hub", *(port if word == "0" else word for word in COMMANDS[command])]
        process = subprocess.Popen(words, env=environment, stderr=sink, process_group=0)
    try:
        yield process, log
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ends_well(command: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """It has started, and stops cleanly."""
    wait_for(lambda: process.poll() is not None or BEGUN[command] in log.read_bytes(), ENDS_S)
    assert process.poll() is None, log.read_text()
    process.terminate()
    assert process.wait(ENDS_S) == 0, log.read_text()


@pytest.mark.parametrize("after", [1500, 2500])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_start_whose_connection_is_cut_retries(place: Place, tmp_path: Path, command: str, after: int) -> None:
    place.way.cut(after)
    with starting(place, tmp_path, command) as (process, log):
        ends_well(command, process, log)
    assert not place.way.is_to_cut


def test_a_start_may_be_cut_anywhere(place: Place) -> None:
    settings, times, was_cut = place.through_proxy("?sslmode=disable"), 0, True
    while was_cut:
        place.way.cut(times * STEP + 1)
        with serve._opened(settings, patient=False) as parts:
            was_cut = not place.way.is_to_cut
            place.way.pass_()
            data.wait_for(parts)
        times += 1
    assert times > 20


@pytest.mark.parametrize("command", COMMANDS)
def test_a_start_waits_for_a_server_that_comes_back(place: Place, tmp_path: Path, command: str) -> None:
    place.way.refuse()
    with starting(place, tmp_path, command, HUB_DATABASE_CONNECT_S="60") as (process, log):
        time.sleep(2)
        assert process.poll() is None, log.read_text()
        place.way.pass_()
        ends_well(command, process, log)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_stays_unavailable_ends_the_start_with_one_sentence(
    place: Place, tmp_path: Path, command: str
) -> None:
    place.way.refuse()
    began = time.monotonic()
    with starting(place, tmp_path, command, HUB_DATABASE_CONNECT_S="2") as (process, log):
        assert process.wait(ENDS_S) == 5
    assert time.monotonic() - began > 1
    said = log.read_text()
    assert said.count("\n") == 1, said
    assert "cannot be reached" in said


def test_a_start_waits_for_a_process_that_still_has_its_address(place: Place, tmp_path: Path) -> None:
    """Like API processes whose parent was killed, until they notice."""
    with socket.create_server(("127.0.0.1", 0)) as former:
        port = str(former.getsockname()[1])
        with starting(place, tmp_path, "serve", port=port) as (process, log):
            time.sleep(3)
            assert process.poll() is None, log.read_text()
            former.close()
            ends_well("serve", process, log)


@pytest.mark.parametrize("command", COMMANDS)
def test_stopped_while_it_waits(place: Place, tmp_path: Path, command: str) -> None:
    place.way.blackhole()
    before = place.way.accepted
    with starting(place, tmp_path, command, HUB_DATABASE_CONNECT_S="600") as (process, log):
        wait_for(lambda: place.way.accepted > before, ENDS_S)
        place.way.refuse()
        process.terminate()
        assert process.wait(ENDS_S) == 0, log.read_text()
    assert log.read_text() == ""

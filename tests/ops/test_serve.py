"""Real processes: `hub serve` and its worker, stopped and killed in every way, on one data directory."""

import json
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

import httpx
import pytest

from hub.db import schema
from hub.ops.init import initialise
from hub.parts import open_parts
from hub.settings import Settings
from tests.support.ports import free_port

HUB = [sys.executable, "-m", "hub"]
START_S = 120.0


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    address: str
    log: Path

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines() if line.startswith("{")]

    def workers(self) -> list[int]:
        return children(self.process.pid)

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(happens, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HUB_DATA_DIR": str(folder), "HUB_LOG_LEVEL": "debug"}


@contextmanager
def serving(folder: Path, *words: str, **more: str) -> Iterator[Running]:
    port = free_port()
    log = folder.with_suffix(f".{port}.log")
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*HUB, "serve", "--port", str(port), *words],
            env=environment(folder) | more,
            stdout=sink,
            stderr=sink,
            process_group=0,
        )
    running = Running(process, f"http://127.0.0.1:{port}", log)
    try:
        wait_for(lambda: process.poll() is not None or is_ready(running), START_S)
        assert process.poll() is None, log.read_text()
        yield running
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def is_ready(running: Running) -> bool:
    try:
        return httpx.get(running.address + "/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def folder(tmp_path) -> Path:
    data = tmp_path / "data"
    initialise(Settings(data_dir=data, public_url="http://127.0.0.1:8080"))
    return data


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HUB, *arguments], env=environment(folder), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_peace_and_the_worker_with_it(folder, number):
    with serving(folder) as running:
        wait_for(lambda: (folder / "worker.heartbeat").exists())
        (worker,) = running.workers()
        assert running.stop(number) == 0
        wait_for(lambda: not is_running(worker))
    events = [line["event"] for line in running.lines()]
    assert events.count("stopped") == 2
    assert "fault" not in events
    assert "child ended" not in events


def test_stopped_while_it_starts(folder):
    for _ in range(2):
        process = subprocess.Popen([*HUB, "serve", "--port", str(free_port())], env=environment(folder))
        wait_for((folder / "serve.lock").exists)
        process.terminate()
        assert process.wait(30) == 0
        (folder / "serve.lock").unlink()


def test_a_request_in_hand_is_answered_before_the_end(folder):
    with serving(folder) as running:
        host, port = "127.0.0.1", int(running.address.rpartition(":")[2])
        with socket.create_connection((host, port), timeout=20) as connection:
            start = b"POST /api/v1/verifications HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"
            connection.sendall(start + b"Content-Length: 2\r\n\r\n{")
            time.sleep(0.3)
            running.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            connection.sendall(b"}")
            assert b" 422 " in connection.recv(65536)
        assert running.process.wait(30) == 0


def test_killed_it_leaves_a_directory_that_starts_again_and_no_worker(folder):
    with serving(folder) as running:
        wait_for(lambda: (folder / "worker.heartbeat").exists())
        (worker,) = running.workers()
        assert running.stop(signal.SIGKILL) == -signal.SIGKILL
        wait_for(lambda: not is_running(worker))
    (folder / "worker.heartbeat").unlink()
    with serving(folder) as again:
        wait_for(lambda: (folder / "worker.heartbeat").exists())
        assert again.stop(signal.SIGTERM) == 0
    with open_parts(Settings(data_dir=folder, public_url="http://127.0.0.1:8080")) as parts:
        assert parts.database.reader.one("PRAGMA integrity_check")[0] == "ok"


def test_a_worker_that_dies_is_started_again(folder):
    with serving(folder) as running:
        (worker,) = running.workers()
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: running.workers() not in ([], [worker]))
        (second,) = running.workers()
        wait_for(lambda: [line["event"] for line in running.lines()].count("started") >= 1)
        assert running.stop(signal.SIGTERM) == 0
        wait_for(lambda: not is_running(second))
    assert [line["event"] for line in running.lines()].count("child ended") == 1


def test_one_process_serves_a_directory(folder):
    with serving(folder) as running:
        second = run(folder, "serve", "--port", str(free_port()))
        assert second.returncode == 4
        assert "Another `hub serve` is using this data directory." in second.stderr
        assert is_ready(running)
        other = folder.with_name("other")
        initialise(Settings(data_dir=other, public_url="http://127.0.0.1:8080"))
        third = run(other, "serve", "--port", running.address.rpartition(":")[2])
        assert third.returncode == 4
        assert "Cannot listen on this address" in third.stderr
        assert running.stop(signal.SIGTERM) == 0


def test_wrong_usage_and_no_directory_are_reported(folder, tmp_path):
    many = run(folder, "serve", "--workers", "2")
    assert (many.returncode, "one API process" in many.stderr) == (2, True)
    assert run(folder, "serve", "--port", "99999").returncode == 2
    nowhere = run(tmp_path / "nowhere", "serve", "--port", str(free_port()))
    assert (nowhere.returncode, "hub init" in nowhere.stderr) == (4, True)
    assert not (tmp_path / "nowhere").exists()
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run(empty, "serve", "--port", str(free_port())).returncode == 4
    assert run(empty, "work").returncode == 4


def test_a_worker_alone_drains_at_a_signal(folder):
    process = subprocess.Popen([*HUB, "work"], env=environment(folder), stderr=subprocess.PIPE)
    wait_for(lambda: (folder / "worker.heartbeat").exists())
    process.terminate()
    assert process.wait(30) == 0


def test_the_release_knows_its_newest_migration():
    assert schema.head() == schema.HEAD


def test_serving_does_not_need_the_tools_for_migrations():
    code = "import sys, hub.parts, hub.server, hub.worker; sys.exit(any(m in sys.modules for m in ('alembic', 'sqlalchemy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0

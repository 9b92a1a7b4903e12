"""A database server that stops, is killed or suspended under several API processes and a worker, and comes back."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.ops.check import check
from hub.ops.init import initialise
from hub.parts import open_parts
from hub.runtime import heartbeat
from hub.sample import loader
from hub.settings import Settings
from tests.ops.test_serve import START_S, children, is_ready, is_running, wait_for
from tests.support import city as c
from tests.support.ports import free_port
from tests.support.postgres import Cluster

HUB = [sys.executable, "-m", "hub"]
CLIENT = "fz-public-security"
LIMIT_S = 10.0
"""Far from 2 s, for busy machines; without a limit, a request waits as long as the server stands still."""
BACK_S = 30.0


@dataclass
class Service:
    """`hub serve --workers 2` and `hub work` on a separate cluster."""

    cluster: Cluster
    settings: Settings
    address: str
    process: subprocess.Popen[bytes]
    token: str
    log: Path
    client: httpx.Client

    def push(self, case: str, body: dict[str, Any]) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        raw = json.dumps(body, ensure_ascii=False).encode()
        return self.client.put(f"{self.address}/api/v1/cases/{case}", content=raw, headers=headers)

    def get(self, path: str) -> httpx.Response:
        return self.client.get(self.address + path, headers={"Authorization": f"Bearer {self.token}"})


def body(number: str) -> dict[str, Any]:
    holder = c.person(c.LIN)
    fields = {"period_from": "2001-07-07", "period_to": "2025-06-03", "purpose": "测试", "conclusion": "无犯罪记录。"}
    return {
        "matter_code": "FZGA-WFZZM",
        "status": "completed",
        "applicants": [holder],
        "accepted_at": "2025-06-02T09:00:00+08:00",
        "completed_at": "2025-06-03T10:30:00+08:00",
        "certificates": [
            {
                "type_code": c.CLEAN_RECORD,
                "number": number,
                "holders": [holder],
                "fields": fields,
                "issued_on": "2025-06-03",
                "valid_until": None,
            }
        ],
    }


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    cluster = Cluster()
    folder = tmp_path_factory.mktemp("loss") / "data"
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    settings = Settings(data_dir=folder, public_url=address, database_url=cluster.url(cluster.create()))
    initialise(settings)
    with open_parts(settings) as parts:
        loader.load(parts, folder / "sample", lambda _done, _total: None)
    log = folder.with_suffix(".log")
    environment = {
        "PATH": os.environ["PATH"],
        "HUB_DATA_DIR": str(folder),
        "HUB_DATABASE_URL": str(settings.database_url),
    }
    with log.open("wb") as sink:
        commands = (["serve", "--port", str(port), "--workers", "2"], ["work"])
        running = [
            subprocess.Popen([*HUB, *words], env=environment, stdout=sink, stderr=sink, process_group=0)
            for words in commands
        ]
    try:
        key = (
            folder
            / "sample"
            / next(
                item["key_file"]
                for item in json.loads((folder / "sample" / "index.json").read_text())["clients"]
                if item["client_id"] == CLIENT
            )
        )
        token = subprocess.run(
            [*HUB, "token", "--client", CLIENT, "--key", str(key)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        found = Service(cluster, settings, address, running[0], token, log, httpx.Client(timeout=30))
        wait_for(lambda: running[0].poll() is not None or is_ready(found), START_S)
        assert running[0].poll() is None, log.read_text()
        wait_for(lambda: len(children(running[0].pid)) == 2)
        yield found
        for process in running:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(40) for process in running] == [0, 0], log.read_text()
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
        cluster.remove()


# --- while all is well -----------------------------------------------------------------------------------------------


def test_the_metrics_of_all_processes_are_added_up(service: Service) -> None:
    def asked() -> float:
        lines = service.get("/metrics").text.splitlines()
        of_it = [line for line in lines if line.startswith("hub_requests_total") and "/livez" in line]
        return sum(float(line.rpartition(" ")[2]) for line in of_it)

    before = asked()
    for _ in range(40):
        assert service.get("/livez").status_code == 200
    assert asked() - before == 40


def test_equal_pushes_to_several_processes_make_one_certificate(service: Service) -> None:
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: service.push("L-ONE", body("L-ONE")), range(20)))
    assert sorted({answer.status_code for answer in answers}) == [200, 201]
    assert [answer.status_code for answer in answers].count(201) == 1
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["issuance"] == "done"


def test_a_process_that_dies_is_started_again(service: Service) -> None:
    before, served = children(service.process.pid), service.log.read_text().count("serving")
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: len(set(children(service.process.pid)) - {before[0]}) == 2)
    wait_for(lambda: service.log.read_text().count("serving") > served)
    assert service.push("L-AGAIN", body("L-AGAIN")).status_code == 201


# --- and while it is not ---------------------------------------------------------------------------------------------


@contextmanager
def stopped(cluster: Cluster) -> Iterator[None]:
    cluster.stop()
    yield
    cluster.start()


@contextmanager
def killed(cluster: Cluster) -> Iterator[None]:
    cluster.kill()
    yield
    cluster.start()


@contextmanager
def frozen(cluster: Cluster) -> Iterator[None]:
    cluster.freeze()
    try:
        yield
    finally:
        cluster.freeze(signal.SIGCONT)


FAULTS = {"stopped": stopped, "killed": killed, "standing still": frozen}


@pytest.mark.parametrize("name", FAULTS)
def test_all_clients_get_an_error_in_time_and_it_is_found_again(service: Service, name: str) -> None:
    processes = children(service.process.pid)
    assert service.push(f"L-BEFORE-{name[:3]}", body(f"L-BEFORE-{name[:3]}")).status_code == 201
    assert service.push("L-ONE", body("L-ONE")).status_code in {200, 201}

    def ask(number: int) -> tuple[float, httpx.Response]:
        started = time.monotonic()
        case = f"L-{name[:3]}-{number}"
        answer = service.push(case, body(case)) if number % 2 else service.get("/api/v1/cases/L-ONE")
        return time.monotonic() - started, answer

    with FAULTS[name](service.cluster):
        for _ in range(2):  # the first have connections, the others look for one
            with ThreadPoolExecutor(40) as threads:
                answers = list(threads.map(ask, range(40)))
            assert {answer.status_code for _, answer in answers} == {503}
            assert {answer.json()["code"] for _, answer in answers} == {"database.unavailable"}
            assert all(int(answer.headers["Retry-After"]) >= 1 for _, answer in answers)
            assert max(seconds for seconds, _ in answers) < LIMIT_S
        assert service.get("/livez").status_code == 200
        ready = service.get("/readyz")
        assert ready.status_code == 503
        assert {one["name"]: one["state"] for one in ready.json()["checks"]}["database"] == "failed"
    wait_for(lambda: service.get("/api/v1/cases/L-ONE").status_code == 200, BACK_S)
    wait_for(lambda: ask(1)[1].status_code in {200, 201}, BACK_S)
    assert children(service.process.pid) == processes
    wait_for(lambda: service.get("/readyz").status_code == 200, BACK_S)


@pytest.mark.parametrize("end", ["resumes", "is killed"])
def test_the_worker_continues_as_soon_as_a_suspended_server_does(service: Service, end: str) -> None:
    """The worker's statements may take minutes, so it waits; but only as long as the server is suspended."""

    def beat() -> datetime | None:
        return heartbeat.last(service.settings.data_dir)

    service.cluster.freeze()
    try:
        time.sleep(heartbeat.EVERY_S + 1)
        last = beat()
        time.sleep(heartbeat.EVERY_S + 1)
        assert beat() == last, "it is not said to be alive while it can do nothing"
    finally:
        if end == "is killed":
            service.cluster.kill()
            service.cluster.start()
        else:
            service.cluster.freeze(signal.SIGCONT)
    wait_for(lambda: beat() != last, BACK_S)
    assert service.push(f"L-STILL-{len(end)}", body(f"L-STILL-{len(end)}")).status_code == 201
    wait_for(lambda: service.get("/readyz").status_code == 200, BACK_S)


def test_what_was_acknowledged_is_there_however_often_the_server_dies(service: Service) -> None:
    stop = threading.Event()
    journal: dict[str, str] = {}

    def clerk(index: int) -> None:
        """Pushes the same case until it is answered, then the next one."""
        count = 0
        while not stop.is_set():
            case = f"L-J-{index}-{count}"
            try:
                answer = service.push(case, body(case))
            except httpx.TransportError:
                continue
            if answer.status_code in {200, 201} and answer.json()["issuance"] == "done":
                journal[case] = answer.json()["certificates"][0]["identifier"]
                count += 1
            else:
                assert answer.status_code in {202, 503}, answer.text
                time.sleep(0.02)

    with ThreadPoolExecutor(4) as threads:
        clerks = [threads.submit(clerk, index) for index in range(4)]
        for _ in range(3):
            time.sleep(0.7)
            service.cluster.kill()
            service.cluster.start()
        before = len(journal)
        wait_for(lambda: len(journal) > before + 4, BACK_S)
        stop.set()
        for one in clerks:
            one.result(30)
    with open_parts(service.settings) as parts:
        rows = parts.database.reader.all("SELECT case_number, identifier FROM versions")
        found: dict[str, list[str]] = {}
        for row in rows:
            found.setdefault(row["case_number"], []).append(row["identifier"])
        assert all(found.get(case) == [identifier] for case, identifier in journal.items())
        wait_for(lambda: not parts.directory.sequence() and check(parts).findings == [], BACK_S)
    assert is_running(service.process.pid)

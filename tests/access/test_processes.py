"""Limits hold across the processes of one server: `hub serve --workers 2` on PostgreSQL."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import pytest

from hub.access import ASSERTION_TYPE
from hub.access.assertion import sign_assertion
from hub.access.caches import FAILURES_A_MINUTE
from hub.ops.init import initialise
from hub.parts import open_parts
from hub.settings import Settings
from tests.ops.test_serve import children, wait_for
from tests.support import pdf_bombs, postgres
from tests.support.auth import BUREAU, SCOPES
from tests.support.ports import free_port

REFILLED = 60
"""Failures that the bucket regains while the test runs, on a machine that takes two minutes for it."""


@dataclass
class Service:
    address: str
    process: subprocess.Popen[bytes]
    keys: dict[str, bytes]

    @contextmanager
    def only(self, index: int) -> Iterator[httpx.Client]:
        """The service with one of its two processes stopped, so that the other answers; over a new connection."""
        stopped = sorted(children(self.process.pid))[1 - index]
        os.kill(stopped, signal.SIGSTOP)
        try:
            with httpx.Client(base_url=self.address, timeout=60, trust_env=False) as http:
                yield http
        finally:
            os.kill(stopped, signal.SIGCONT)

    def log_in(self, http: httpx.Client, key: str) -> str:
        assertion = sign_assertion(self.keys[key], "a-client", self.address, datetime.now(UTC))
        form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE}
        reply = http.post("/oauth/token", data={**form, "client_assertion": assertion})
        return "token" if reply.status_code == 200 else str(reply.json()["code"])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    cluster, folder, port = postgres.shared(), tmp_path_factory.mktemp("processes") / "data", free_port()
    address = f"http://127.0.0.1:{port}"
    name = cluster.create()
    settings = Settings(data_dir=folder, public_url=address, database_url=cluster.url(name))
    initialise(settings)
    with open_parts(settings) as parts:
        parts.registration.load_catalogue({"authorities": [{"code": BUREAU, "name": "局", "region": "350100"}]})
        keys = {n: parts.registration.add_client(n, BUREAU, scopes=SCOPES)[1] for n in ("a-client", "stranger")}
    environment = {
        "PATH": os.environ["PATH"],
        "HUB_DATA_DIR": str(folder),
        "HUB_DATABASE_URL": str(settings.database_url),
        "HUB_FILE_CPU_PER_ADDRESS_S": "0.1",
    }
    command = [sys.executable, "-m", "hub", "serve", "--port", str(port), "--workers", "2"]
    with folder.with_suffix(".log").open("wb") as sink:
        process = subprocess.Popen(command, env=environment, stdout=sink, stderr=sink, process_group=0)
    found = Service(address, process, keys)

    def both_answer() -> bool:
        for index in range(2):
            with suppress(httpx.TransportError, IndexError), found.only(index) as http:
                if http.get("/livez", timeout=2).status_code == 200:
                    continue
            return False
        return True

    try:
        wait_for(both_answer, 60)
        yield found
    finally:
        process.terminate()
        process.wait(60)
        cluster.drop(name)


def test_failed_log_ins_are_counted_together(service: Service) -> None:
    seen: list[Counter[str]] = []
    for index in (0, 1):
        with service.only(index) as http:
            seen.append(Counter(service.log_in(http, "stranger") for _ in range(FAILURES_A_MINUTE + REFILLED)))
            assert service.log_in(http, "a-client") == "token"
    assert set(seen[0] + seen[1]) == {"auth.invalid", "rate.limited"}
    assert seen[0]["auth.invalid"] >= FAILURES_A_MINUTE
    assert seen[1]["auth.invalid"] < FAILURES_A_MINUTE, "the other process does not start with a full bucket"


def test_checker_time_is_charged_together(service: Service) -> None:
    files = {"file": ("a.pdf", pdf_bombs.form_in_itself(), "application/pdf")}
    with service.only(0) as http:
        assert http.post("/api/v1/verifications", files=files).status_code == 200
    with service.only(1) as http:
        refused = http.post("/api/v1/verifications", files=files)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate.limited")

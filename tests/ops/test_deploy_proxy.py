"""The running deployment: both engines, migration, API, worker and proxy with their own commands and files, tested from
outside over TLS."""

import json
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx
import psycopg
import pytest
import yaml

from hub.ops.doctor import State, examine, verdict
from hub.settings import Settings
from tests.ops.test_doctor import Later
from tests.ops.test_serve import children, wait_for
from tests.support import town as t
from tests.support.deployed import HOST, Site, compose, may_become, may_mount, program, user_of
from tests.support.deployed_elastic import ElasticService

LIMIT = Settings.model_fields["max_body_bytes"].default
Process = subprocess.Popen[bytes]


class Deployment:
    """The running deployment, and a client outside."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.index = ElasticService(site)
        site.ports["index"] = self.index.server.port
        self.processes: dict[str, Process] = {}
        self.tls = ssl.create_default_context(cafile=str(site.secrets / "ca.crt"))
        self.client = httpx.Client(verify=self.tls, timeout=30)

    def log(self, service: str) -> str:
        return (self.site.folder / f"{service}.log").read_text(encoding="utf-8")

    def start(self, service: str, words: list[str], environment: dict[str, str]) -> None:
        with (self.site.folder / f"{service}.log").open("ab") as log:
            if may_become(service):
                os.chown(log.fileno(), user_of(service), -1)  # as a container's engine gives its service stdout
            self.processes[service] = subprocess.Popen(
                words, env=environment, cwd=self.site.image, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def hub(self, service: str) -> None:
        self.start(service, self.site.command(service), self.site.environment(service))

    def run(self, *words: str, service: str = "api", code: int = 0) -> str:
        """Run another `hub` command in a service's environment."""
        start = self.site.command(service)
        command = [*start[: start.index("hub") + 1], *words]
        done = subprocess.run(
            command,
            env=self.site.environment(service),
            cwd=self.site.image,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout.strip()

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request through the proxy, verifying its certificate and name."""
        address = f"https://127.0.0.1:{self.site.ports['proxy']}{path}"
        headers = {"Host": HOST, **more.pop("headers", {})}
        return self.client.request(method, address, headers=headers, extensions={"sni_hostname": HOST}, **more)

    @contextmanager
    def connected(self) -> Iterator[ssl.SSLSocket]:
        with (
            socket.create_connection(("127.0.0.1", self.site.ports["proxy"]), timeout=30) as plain,
            self.tls.wrap_socket(plain, server_hostname=HOST) as found,
        ):
            yield found

    def is_healthy(self, service: str) -> bool:
        """The service's health check, as Compose runs it."""
        words = compose()["services"][service]["healthcheck"]["test"]
        inside = {"api": ("127.0.0.1:8080", f"127.0.0.1:{self.site.ports['api']}")}
        inside["proxy"] = ("127.0.0.1:8443", f"127.0.0.1:{self.site.ports['proxy']}")
        inside["elasticsearch"] = ("localhost:9200", f"localhost:{self.site.ports['index']}")
        words = [self.site.mapped(str(word)).replace(*inside.get(service, ("-", "-"))) for word in words]
        command = words[1:] if words[0] == "CMD" else ["sh", "-c", words[1]]
        place = self.index.server.home if service == "elasticsearch" else None
        return subprocess.run(command, check=False, capture_output=True, timeout=10, cwd=place).returncode == 0

    def wait(self, service: str) -> None:
        """Wait until it is healthy; returns its output if it never is."""
        process = self.processes[service]
        wait_for(lambda: process.poll() is not None or self.is_healthy(service), 45)
        assert process.poll() is None, self.log(service)

    def stop(self, service: str, number: int) -> int:
        process = self.processes.pop(service)
        process.send_signal(number)
        return process.wait(45)

    def close(self) -> None:
        self.client.close()
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                process.kill()
            process.wait(30)


@contextmanager
def deployed() -> Iterator[Deployment]:
    """Everything running and healthy."""
    program("nginx", "nginx")
    folder = Path(mkdtemp(prefix="hub-site-", dir="/tmp"))
    folder.chmod(0o755)
    found = Deployment(Site(folder))
    try:
        assert found.is_healthy("elasticsearch")
        found.hub("migrate")
        assert found.processes.pop("migrate").wait(60) == 0, found.log("migrate")
        found.hub("api")
        found.hub("worker")
        found.start("proxy", found.site.nginx(), {})
        for service in ("api", "worker", "proxy"):
            found.wait(service)
        yield found
    finally:
        found.close()
        found.index.server.remove()
        found.site.database.cluster.remove()
        subprocess.run(["rm", "-rf", str(folder)], check=False)


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as found:
        yield found


@pytest.fixture(scope="module")
def slow(deployment: Deployment) -> tuple[dict[str, float], list[threading.Thread]]:
    """Two slow clients next to all others: one sends its head letter by letter, the other stops in its body."""
    took: dict[str, float] = {}

    def slowly(name: str, start: bytes, more: bytes) -> None:
        with deployment.connected() as connection:
            began = time.monotonic()
            connection.sendall(start)
            connection.settimeout(1.0)
            while time.monotonic() - began < 25:
                with suppress(TimeoutError):
                    if connection.recv(65536) == b"" or not more:
                        break
                    continue
                with suppress(OSError):
                    connection.sendall(more)
            took[name] = time.monotonic() - began

    head = f"POST /api/v1/verifications HTTP/1.1\r\nHost: {HOST}\r\n".encode()
    body = head + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    threads = [
        threading.Thread(target=slowly, args=("head", head, b"X-A: b\r\n")),
        threading.Thread(target=slowly, args=("body", body, b"")),
    ]
    for thread in threads:
        thread.start()
    return took, threads


def problem(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    content = answer.json()
    assert set(content) >= {"type", "status", "title", "code", "request_id", "errors"}
    assert content["status"] == answer.status_code
    assert content["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["cache-control"] == "no-store"
    return str(content["code"])


def test_what_runs_is_the_image_on_a_root_that_is_read_only(deployment: Deployment, slow: object) -> None:
    for service in ("api", "worker", "proxy"):
        status = Path(f"/proc/{deployment.processes[service].pid}")
        if may_mount():
            root = next(line for line in (status / "mountinfo").read_text().splitlines() if line.split()[4] == "/")
            assert re.search(r" / (\S*,)?ro\b", root)
        if may_become(service):
            if service == "api":
                assert len(children(deployment.processes[service].pid)) == 2
            (ids,) = re.findall(r"^Uid:\t(.*)$", (status / "status").read_text(), re.MULTILINE)
            assert ids.split() == [str(user_of(service))] * 4
        if service != "proxy":
            assert (status / "cwd").readlink() == deployment.site.image


def test_served_over_tls_and_from_nowhere_else(deployment: Deployment) -> None:
    answer = deployment.ask("GET", "/livez")
    assert (answer.status_code, answer.json()) == (200, {"alive": True})
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    page = deployment.ask("GET", "/v")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "nginx/" not in page.headers["server"]
    plain = httpx.get(f"http://127.0.0.1:{deployment.site.ports['plain']}/v/ABC?x=1", headers={"Host": HOST})
    assert (plain.status_code, plain.headers["location"]) == (308, f"https://{HOST}/v/ABC?x=1")
    for path in ("/metrics", "/readyz"):
        assert problem(deployment.ask("GET", path)) == "page.not_found"
        assert httpx.get(f"http://127.0.0.1:{deployment.site.ports['api']}{path}").status_code == 200


def test_old_protocols_are_refused_and_http_2_is_spoken(deployment: Deployment) -> None:
    port = deployment.site.ports["proxy"]
    old = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]
    assert b"Cipher is (NONE)" in subprocess.run(old, input=b"", capture_output=True, check=False, timeout=20).stdout
    new = ["curl", "--silent", "--http2", "--cacert", str(deployment.site.secrets / "ca.crt"), "--write-out"]
    new += ["%{http_version} %{http_code}", "--output", "/dev/null", "--connect-to", f"{HOST}:443:127.0.0.1:{port}"]
    assert subprocess.run([*new, f"https://{HOST}/livez"], capture_output=True, check=False).stdout == b"2 200"


def test_a_case_is_pushed_through_it_and_verified(deployment: Deployment) -> None:
    folder = deployment.site.folder / "hub-tmp"
    catalogue = folder / "catalogue.yaml"
    catalogue.write_text(yaml.safe_dump(t.CATALOGUE, allow_unicode=True))
    deployment.run("catalogue", "load", str(catalogue))
    key = str(folder / "client.pem")
    words = f"clients add trade --authority {t.TRADE} --scope cases:write --scope certificates:manage"
    words += " --scope directory:search --generate"
    deployment.run(*shlex.split(words), key)
    token = deployment.run("token", "--client", "trade", "--key", key)
    # At the proxy's own address, where the token's audience is the public one.
    bearer = {"Authorization": f"Bearer {token}"}
    pushed = deployment.ask("PUT", "/api/v1/cases/P-1", json=t.body(t.grant("P-1")), headers=bearer)
    assert pushed.status_code == 201, pushed.text
    (certificate,) = pushed.json()["certificates"]
    assert certificate["links"]["verify"].startswith(f"https://{HOST}/v/")
    code = certificate["links"]["verify"].removeprefix(f"https://{HOST}/v/").partition("#")[0]
    assert deployment.ask("POST", "/api/v1/verifications", json={"code": code}).json()["state"] == "valid"
    file = f"/api/v1/certificates/{certificate['identifier']}/document.pdf"
    assert deployment.ask("GET", file, headers=bearer).content.startswith(b"%PDF-")

    def searched() -> httpx.Response:
        return deployment.ask("GET", "/api/v1/directory?q=摊位许可", headers=bearer)

    def is_found() -> bool:
        answer = searched()
        return answer.status_code == 200 and certificate["identifier"] in answer.text

    wait_for(is_found)
    index = deployment.index.server
    wait_for(lambda: f'"{certificate["identifier"]}"' in index.request("GET", "/hub-directory/_search?size=100").text)
    index.freeze()
    try:
        wait_for(lambda: searched().status_code == 503)
        assert problem(searched()) == "index.unavailable"
        again = deployment.ask("PUT", "/api/v1/cases/P-3", json=t.body(t.grant("P-3")), headers=bearer)
        assert again.status_code == 201  # no request waits for the directory
        assert deployment.is_healthy("api")
    finally:
        index.freeze(signal.SIGCONT)
    (certificate,) = again.json()["certificates"]
    wait_for(is_found, 60)
    found = json.loads(deployment.run("doctor", "--json"))
    assert found["state"] == "ok", found


def test_bodies_are_bounded_twice(deployment: Deployment) -> None:
    def send(size: int, **more: Any) -> httpx.Response:
        return deployment.ask("PUT", "/api/v1/cases/P-2", headers={"Content-Type": "application/json"}, **more)

    too_large = b" " * (11 * 1024 * 1024 + 1)
    assert problem(send(0, content=too_large)) == "upload.too_large"
    assert problem(send(0, content=iter([too_large[: 1 << 20]] * 12))) == "upload.too_large"
    assert send(0, content=b" " * (LIMIT + 1)).status_code in {401, 413}
    file = {"file": ("a.pdf", b"%PDF-" + bytes(LIMIT - 5), "application/pdf")}
    answer = deployment.ask("POST", "/api/v1/verifications", files=file)
    assert answer.status_code == 200, answer.text  # the largest file that the hub takes, with the form around it
    english = deployment.ask("PUT", "/x", content=too_large, headers={"Accept-Language": "en-GB"}).json()
    assert english["title"] == "The request body is too large"


def test_uploads_of_one_address_are_limited_and_nothing_else(deployment: Deployment) -> None:
    head = f"POST /api/v1/verifications HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 9000\r\n".encode()
    head += b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(16):
            stack.enter_context(deployment.connected()).sendall(head)
        file = {"file": ("a.pdf", b"%PDF-", "application/pdf")}
        wait_for(lambda: deployment.ask("POST", "/api/v1/verifications", files=file).status_code == 429)
        refused = deployment.ask("POST", "/v", files=file)
        assert (refused.status_code, problem(refused)) == (429, "rate.limited")
        assert deployment.ask("POST", "/api/v1/verifications", json={"code": "x"}).status_code == 200
        assert deployment.ask("GET", "/v").status_code == 200
    wait_for(lambda: deployment.ask("POST", "/api/v1/verifications", files=file).status_code == 200)


def test_the_hub_knows_whom_the_proxy_serves(deployment: Deployment) -> None:
    """The address of this test is the proxy's as well, so the setting has to name it."""
    assert deployment.site.environment("api")["HUB_PROXY_ADDRESSES"] == "127.0.0.1"
    proxy = compose()["services"]["proxy"]["networks"]["inside"]
    assert proxy == {"ipv4_address": compose()["services"]["api"]["environment"]["HUB_PROXY_ADDRESSES"]}


def test_an_unavailable_api_is_reported_at_once_and_no_forged_address_reaches_it(deployment: Deployment) -> None:
    """A listener that records its input then takes the port."""
    heads: list[bytes] = []
    address = ("127.0.0.1", deployment.site.ports["api"])

    def listen(ready: threading.Event) -> None:
        with socket.create_server(address) as server:
            server.settimeout(20)
            ready.set()
            connection, _ = server.accept()
            with connection:
                heads.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    assert deployment.stop("api", signal.SIGTERM) == 0
    try:
        began = time.monotonic()
        answer = deployment.ask("GET", "/livez")
        assert time.monotonic() - began < 15, "it waits for no time-out: they are 15 s and 180 s"
        assert (answer.status_code, problem(answer)) == (503, "database.unavailable")
        assert answer.headers["retry-after"] == "2"
        assert answer.headers["strict-transport-security"]
        assert not deployment.is_healthy("api")
        ready = threading.Event()
        thread = threading.Thread(target=listen, args=(ready,))
        thread.start()
        assert ready.wait(10)
        forged = ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"]
        headers = dict.fromkeys(forged, "203.0.113.9") | {"X-Request-Id": "from-the-client-1", "Upgrade": "websocket"}
        assert deployment.ask("GET", "/v/ABC", headers=headers).status_code == 200
        thread.join(20)
    finally:
        deployment.hub("api")
        deployment.wait("api")
    (head,) = heads
    assert b"203.0.113.9" not in head
    assert b"forwarded" not in head.lower()
    assert head.lower().count(b"x-real-ip") == head.count(b"\r\nX-Real-IP: 127.0.0.1\r\n") == 1
    assert b"upgrade" not in head.lower()
    assert f"Host: {HOST}\r\n".encode() in head
    assert b"X-Request-Id: from-the-client-1\r\n" in head


def test_request_ids_reach_the_hub_and_come_back(deployment: Deployment) -> None:
    kept = deployment.ask("GET", "/v", headers={"X-Request-Id": "counter-7-000123"})
    assert kept.headers["x-request-id"] == "counter-7-000123"
    made = deployment.ask("GET", "/v", headers={"X-Request-Id": "not one;"})
    assert re.fullmatch("[0-9a-f]{32}", made.headers["x-request-id"])
    wait_for(lambda: made.headers["x-request-id"] in deployment.log("api"))


def test_logs_say_nothing_of_what_was_asked(deployment: Deployment) -> None:
    deployment.ask("GET", "/v/990121198307073910?name=PERSON", headers={"User-Agent": "PERSON"})
    deployment.ask("GET", "/%00/990121198307073910")
    wait_for(lambda: deployment.log("proxy").count("\n") > 1)
    lines = [json.loads(line) for line in deployment.log("proxy").splitlines()]
    names = {"time", "client", "method", "status", "upstream", "seconds", "in", "out", "request_id"}
    assert all(set(line) == names for line in lines)
    assert "990121198307073910" not in deployment.log("proxy") + deployment.log("api")
    assert "PERSON" not in deployment.log("proxy") + deployment.log("api")


def test_the_service_may_not_change_tables_nor_what_only_grows(deployment: Deployment) -> None:
    cluster, secrets = deployment.site.database.cluster, deployment.site.secrets
    password = (secrets / "database_password").read_text()
    with pytest.raises(psycopg.OperationalError):
        cluster.connect("hub", "hub_service", password="another")
    with cluster.connect("hub", "hub_service", password=password) as connection:
        for statement in ("ALTER TABLE acts ADD COLUMN more TEXT", "DELETE FROM audit", "UPDATE ledger SET kind = 1"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
        for statement in ("CREATE TABLE more (a INTEGER)", "CREATE ROLE more", "CREATE DATABASE more"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        cluster.connect("hub", "hub_owner", password=(secrets / "database_owner_password").read_text()).execute(
            "CREATE ROLE more"
        )


def test_the_doctor_sees_the_server(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in deployment.site.environment("worker").items():
        if name.startswith("HUB_"):
            monkeypatch.setenv(name, value)
    found = {finding.name: finding for finding in examine(Settings())}
    assert verdict(found.values()) is State.OK
    assert found["database"].message_en.startswith("PostgreSQL 1")
    assert found["worker"].state is State.OK
    ahead = {f.name: f for f in examine(Settings(), clock=Later(timedelta(seconds=30)))}
    assert ahead["time"].state is State.PROBLEM
    beside = Settings(master_key_file=deployment.site.data / "master.key")
    (deployment.site.data / "master.key").symlink_to(deployment.site.secrets / "master/master.key")
    assert verdict(examine(beside)) is State.OK  # a link to a key elsewhere
    (deployment.site.data / "master.key").unlink()
    other = Settings(database_password_file=deployment.site.secrets / "index_password")
    (wrong,) = [f for f in examine(other) if f.name == "database"]
    assert (wrong.state, "HUB_DATABASE_URL" in wrong.message_en) == (State.PROBLEM, True)


def test_a_database_outage_and_recovery(deployment: Deployment) -> None:
    deployment.site.database.cluster.stop()
    found = json.loads(deployment.run("doctor", "--json", code=5))
    assert [f["name"] for f in found["findings"] if f["state"] == "down"] == ["database"]
    assert not deployment.is_healthy("api")
    assert deployment.ask("GET", "/livez").status_code == 200
    deployment.site.database.cluster.start()
    deployment.wait("api")


def test_slow_senders_are_cut(slow: tuple[dict[str, float], list[threading.Thread]]) -> None:
    took, threads = slow
    for thread in threads:
        thread.join(40)
    assert 8 < took["head"] < 25, "cut after 10 s; the sender gives up after 25 s"
    assert 8 < took["body"] < 25


def test_what_is_in_hand_is_answered_when_it_is_stopped(deployment: Deployment) -> None:
    answers: list[int] = []
    going = threading.Event()

    def ask(until: Callable[[], bool]) -> None:
        while not until():
            answers.append(deployment.ask("GET", "/v").status_code)

    asking = [threading.Thread(target=ask, args=(going.is_set,)) for _ in range(4)]
    for thread in asking:
        thread.start()
    wait_for(lambda: len(answers) > 20)
    assert deployment.stop("api", signal.SIGTERM) == 0
    going.set()
    for thread in asking:
        thread.join(30)
    # One that arrives during the shutdown is asked to retry; none is cut in the middle.
    assert set(answers) <= {200, 503}
    assert deployment.stop("worker", signal.SIGTERM) == 0
    assert deployment.stop("proxy", signal.SIGQUIT) == 0
    assert "Traceback" not in "".join(map(deployment.log, ("api", "worker", "proxy")))
    assert [json.loads(line)["event"] for line in deployment.log("worker").splitlines()][-1] == "stopped"

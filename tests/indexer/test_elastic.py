"""Wrong, misconfigured, unavailable or slow servers: one sentence says what is wrong, and a dead server causes no
delay."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest

from hub.directory import engines
from hub.ops.init import initialise
from hub.settings import Settings
from indexer.elastic import client
from indexer.elastic.engine import Access, ElasticDirectory, Shape
from indexer.errors import DirectoryUnavailable, WrongServer
from indexer.query import Search
from tests.support import elastic
from tests.support.indexing import TODAY, entry

SOON_S = 20.0
"""Whatever is given up by our own clock; the servers here would never have answered."""
PRODUCT = {"X-Elastic-Product": "Elasticsearch"}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[elastic.Server]:
    server = elastic.secured(tmp_path_factory.mktemp("secured"))
    yield server
    server.remove()


def settings(folder: Path, server: elastic.Server, **more: Any) -> Settings:
    assert server.hub
    secret = folder / "password"
    secret.write_text(server.hub.password + "\n")
    values = {
        "index_url": server.url,
        "index_ca_file": server.ca_file,
        "index_user": server.hub.name,
        "index_password_file": secret,
        "index_replicas": 0,
        "index_timeout_s": 10.0,
        "index_write_timeout_s": 30.0,
    }
    return Settings(data_dir=folder, **{**values, **more})


def refusal(wanted: Settings) -> str:
    with pytest.raises(WrongServer) as caught, engines.opened(wanted):
        pass
    assert caught.value.message
    return str(caught.value)


@contextmanager
def answering(status: int, answers: dict[str, Any], headers: dict[str, str]) -> Iterator[str]:
    """A foreign server: the same status for all paths, and a body by path."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = json.dumps(answers.get(self.path.partition("?")[0], {})).encode()
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def nodes(version: str) -> dict[str, Any]:
    return {"/_cluster/health": {"status": "green"}, "/_nodes/_all/process": {"nodes": {"a": {"version": version}}}}


# --- TLS and users ----------------------------------------------------------------------------------------------------


def test_the_least_rights_are_enough(secured: elastic.Server, tmp_path: Path) -> None:
    with engines.opened(settings(tmp_path, secured)) as directory:
        first = directory.create({"position": 1})
        one = entry(1, Random(1))
        directory.write(first, [one])
        directory.swap(first)
        second = directory.create()
        directory.swap(second)
        directory.examine(second)
        assert directory.find(first, one.key) == one
        directory.drop(first)
        assert directory.names() == [second]
        assert directory.search(second, Search(TODAY)).entries == ()
        directory.write(second, [one])
        directory.write(second, (), {"position": 2}, [one])
        assert directory.count(second) == 0


def test_wrong_credentials_and_certificates_have_distinct_errors(secured: elastic.Server, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not-the-password")
    assert "HUB_INDEX_USER" in refusal(settings(tmp_path, secured, index_password_file=wrong))
    assert "credentials" in refusal(settings(tmp_path, secured, index_user="", index_password_file=None))
    own = {"index_user": "", "index_password_file": None, "index_api_key_file": wrong}
    assert "API key" in refusal(settings(tmp_path, secured, **own))
    assert "HUB_INDEX_CA_FILE" in refusal(settings(tmp_path, secured, index_ca_file=None))
    assert "HUB_INDEX_CA_FILE" in refusal(settings(tmp_path, secured, index_ca_file=tmp_path / "none.pem"))
    assert "HUB_INDEX_CA_FILE" in refusal(settings(tmp_path, secured, index_ca_file=wrong))
    assert "lacks privileges" in refusal(settings(tmp_path, secured, index_prefix="elsewhere"))


def test_settings_that_do_not_fit_together(secured: elastic.Server, tmp_path: Path) -> None:
    assert "HUB_INDEX_PASSWORD_FILE" in refusal(settings(tmp_path, secured, index_password_file=None))
    assert "HUB_INDEX_PASSWORD_FILE" in refusal(settings(tmp_path, secured, index_password_file=tmp_path / "none"))
    assert "HUB_INDEX_API_KEY_FILE" in refusal(settings(tmp_path, secured, index_api_key_file=tmp_path / "password"))


# --- other servers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "answers", "headers", "told"),
    [
        (200, nodes("8.19.16"), {}, "is not Elasticsearch"),
        (200, nodes("9.1.0"), PRODUCT, "9.1.0; use release 8"),
        (200, nodes("7.17.29"), PRODUCT, "7.17.29; use release 8"),
        (406, {"/_cluster/health": {"error": "Content-Type header is not supported", "status": 406}}, {}, "release 8"),
        (400, {"/_cluster/health": {"error": {"type": "media_type_header_exception"}}}, PRODUCT, "release 8"),
        (401, {"/_cluster/health": {"error": {"type": "security_exception"}}}, PRODUCT, "credentials"),
        (403, {"/_cluster/health": {"error": {"type": "security_exception"}}}, PRODUCT, "lacks privileges"),
    ],
)
def test_a_server_of_another_kind_stops_the_start(
    tmp_path: Path, status: int, answers: dict[str, Any], headers: dict[str, str], told: str
) -> None:
    with answering(status, answers, headers) as url:
        assert told in refusal(Settings(data_dir=tmp_path, index_url=url))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with the embedded directory, to be started with other settings."""
    folder = tmp_path_factory.mktemp("made") / "data"
    initialise(Settings(data_dir=folder))
    return folder


def hub(folder: Path, *words: str, **environment: str) -> tuple[int, str]:
    """The exit code and output of one command."""
    variables = {"PATH": "/usr/bin:/bin", "HUB_DATA_DIR": str(folder), **environment}
    command = [sys.executable, "-m", "hub", *words]
    ended = subprocess.run(
        command, capture_output=True, text=True, env=variables, cwd=elastic.ROOT, check=False, timeout=60
    )
    return ended.returncode, ended.stderr


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "no scheme": ({"HUB_INDEX_URL": "elasticsearch:9200"}, "HUB_INDEX_URL"),
    "another scheme": ({"HUB_INDEX_URL": "ftp://127.0.0.1:9200"}, "HUB_INDEX_URL"),
    "no TLS to a server with TLS": ({"HUB_INDEX_URL": "http://127.0.0.1:{port}"}, "change the address to https://"),
    "TLS to a server without": ({"HUB_INDEX_URL": "https://127.0.0.1:{plain}"}, "change the address to http://"),
    "a CA that cannot be read": ({"HUB_INDEX_CA_FILE": "/nowhere/ca.pem"}, "HUB_INDEX_CA_FILE"),
    "a CA that is none": ({"HUB_INDEX_CA_FILE": "{password}"}, "HUB_INDEX_CA_FILE"),
    "another CA": ({"HUB_INDEX_CA_FILE": ""}, "not trusted"),
    "a wrong password": ({"HUB_INDEX_PASSWORD_FILE": "{ca}"}, "check HUB_INDEX_USER"),
    "no such user": ({"HUB_INDEX_USER": "another-user"}, "check HUB_INDEX_USER"),
    "a password that is not there": ({"HUB_INDEX_PASSWORD_FILE": "/nowhere/password"}, "HUB_INDEX_PASSWORD_FILE"),
    "a user without a password": ({"HUB_INDEX_PASSWORD_FILE": ""}, "belong together"),
    "no rights on these indexes": ({"HUB_INDEX_PREFIX": "elsewhere"}, "lacks privileges"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_settings_stop_the_start_with_one_sentence(
    secured: elastic.Server, made: Path, tmp_path: Path, name: str
) -> None:
    changed, told = WRONG[name]
    assert secured.hub
    assert secured.ca_file
    secret = tmp_path / "password"
    secret.write_text(secured.hub.password)
    places = {
        "port": secured.port,
        "plain": elastic.shared().port,
        "password": secret,
        "ca": secured.ca_file,
    }
    right = {
        "HUB_INDEX_URL": secured.url,
        "HUB_INDEX_CA_FILE": str(secured.ca_file),
        "HUB_INDEX_USER": secured.hub.name,
        "HUB_INDEX_PASSWORD_FILE": str(secret),
    }
    environment = right | {key: value.format(**places) for key, value in changed.items()}
    for command in (("serve", "--port", "0"), ("work",)):
        code, said = hub(made, *command, **environment)
        assert (code, said.count("\n")) == (4, 1), said
        assert told in said
        assert secured.hub.password not in said


def test_a_server_of_another_release_stops_the_start_and_an_unavailable_one_does_not(tmp_path: Path) -> None:
    """A server that reports another version, as real servers of 7.17.29 and 9.2.0 do."""
    for version in ("9.0.1", "7.17.29"):
        with answering(200, nodes(version), PRODUCT) as url:
            code, said = hub(tmp_path / "data", "init", HUB_INDEX_URL=url)
        assert (code, said.count("\n")) == (4, 1), said
        assert version in said
    code, said = hub(tmp_path / "data", "init", HUB_INDEX_URL="http://127.0.0.1:9", HUB_INDEX_CONNECT_TIMEOUT_S="0.2")
    assert code == 0, said


# --- away and slow ----------------------------------------------------------------------------------------------------


def elapsed(work: Any) -> float:
    began = time.monotonic()
    with pytest.raises(DirectoryUnavailable):
        work()
    return time.monotonic() - began


def asked(work: Any) -> int:
    """How many of a hundred queries are sent while the circuit is open: one, which tests the server."""
    real = client._Node.perform_request
    with patch.object(client._Node, "perform_request", autospec=True, side_effect=real) as sent:
        for _ in range(100):
            elapsed(work)
    return sent.call_count


def test_a_dead_server_costs_nothing_and_comes_back(tmp_path: Path) -> None:
    server = elastic.server(tmp_path / "server")
    try:
        directory = ElasticDirectory(
            Access((server.url,), timeout_s=1.0, write_timeout_s=30.0), Shape("hub-x", 1, 0), tmp_path
        )
        name = directory.create()
        directory.write(name, [entry(n, Random(n)) for n in range(50)])
        directory.swap(name)
        assert directory.count(name) == 50
        server.freeze()
        assert elapsed(lambda: directory.count(name)) < SOON_S
        assert asked(lambda: directory.count(name)) <= 1
        server.freeze(signal.SIGCONT)
        wait_for(lambda: directory.count(name) == 50)
        server.kill()
        with pytest.raises(DirectoryUnavailable):
            directory.count(name)
        assert asked(directory.current) <= 1
        server.start()
        wait_for(lambda: directory.count(name) == 50)
        assert directory.current() == name
        directory.close()
    finally:
        server.remove()


def wait_for(holds: Any) -> None:
    deadline = time.monotonic() + 40
    while True:
        try:
            if holds():
                return
        except DirectoryUnavailable:
            assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_host_that_swallows_packets_is_given_up_soon(tmp_path: Path) -> None:
    with socket.socket() as full, ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # no process accepts them, and further ones get no answer at all
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        directory = ElasticDirectory(Access((url,), connect_timeout_s=0.3, timeout_s=3 * SOON_S), Shape(), tmp_path)
        assert elapsed(directory.current) < SOON_S
        directory.close()

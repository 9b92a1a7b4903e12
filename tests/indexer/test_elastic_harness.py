"""The servers that other tests use: configured as documented, durable, and removed completely."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.judges import ROOT
from tests.support import elastic
from tests.support.netproxy import Proxy

NO_REPLICAS = {"settings": {"number_of_replicas": 0, "number_of_shards": 1}}


@contextmanager
def removed(found: elastic.Server | elastic.Cluster) -> Iterator[None]:
    try:
        yield
    finally:
        found.remove()


def put(server: elastic.Server, index: str, number: int) -> None:
    answer = server.request("PUT", f"/{index}/_doc/{number}?refresh=true", {"number": number})
    assert answer.status_code == 201, answer.text


def count(server: elastic.Server, index: str) -> int:
    answer = server.request("GET", f"/{index}/_count")
    assert answer.status_code == 200, (answer.text, server.log[-3000:])
    return int(answer.json()["count"])


def is_running(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_shared_server_answers_with_the_pinned_version_and_is_not_root(elasticsearch):
    health = elasticsearch.request("GET", "/_cluster/health").json()
    assert (health["status"], health["number_of_nodes"], health["timed_out"]) == ("green", 1, False)
    nodes = elasticsearch.request("GET", "/_nodes/_local/process").json()["nodes"].values()
    assert {(node["version"], node["process"]["id"]) for node in nodes} == {(elastic.VERSION, elasticsearch.pid)}
    assert Path(f"/proc/{elasticsearch.pid}").stat().st_uid != 0
    assert elastic.shared() is elasticsearch


def test_an_index_is_made_on_purpose_alone(elasticsearch):
    assert elasticsearch.request("PUT", "/harness-stray/_doc/1", {"number": 1}).status_code == 404


def test_a_fault_between_client_and_server(elasticsearch):
    with Proxy(elasticsearch.port) as proxy:
        health = f"http://127.0.0.1:{proxy.port}/_cluster/health"
        assert httpx.get(health, trust_env=False).status_code == 200
        proxy.cut(after=50)
        with pytest.raises(httpx.TransportError):
            httpx.get(health, trust_env=False)
        proxy.blackhole()
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(health, timeout=0.3, trust_env=False)


def test_stopped_killed_and_frozen_it_keeps_its_port_and_data(tmp_path):
    server = elastic.server(tmp_path)
    with removed(server):
        url, port = server.url, server.port
        assert server.request("PUT", "/hub-kept", NO_REPLICAS).status_code == 200
        put(server, "hub-kept", 1)
        server.freeze()
        with pytest.raises(httpx.ReadTimeout):
            server.request("GET", "/_cluster/health", timeout_s=0.3)
        server.freeze(signal.SIGCONT)
        put(server, "hub-kept", 2)
        pid = server.pid
        server.kill()
        assert not is_running(pid)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        server.start()
        assert (server.url, count(server, "hub-kept")) == (url, 2)
        pid = server.pid
        server.stop()
        assert not is_running(pid)
        assert "[node] closed" in server.log  # in order
    home = server.home
    assert not (server._temporary and home.exists())


def test_tls_and_a_user_who_may_what_the_hub_needs_and_no_more(tmp_path):
    server = elastic.secured(tmp_path)
    with removed(server):
        health = "/_cluster/health"
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(server.url + health, trust_env=False)
        trusting = ssl.create_default_context(cafile=server.ca_file)
        assert httpx.get(server.url + health, verify=trusting, trust_env=False).status_code == 401
        assert server.hub is not None
        wrong = elastic.Account(server.hub.name, "wrong")
        assert server.request("GET", health, account=wrong).status_code == 401

        def as_hub(method: str, path: str, body: object = None) -> int:
            return server.request(method, path, body, account=server.hub).status_code

        assert as_hub("GET", health) == 200
        assert as_hub("PUT", "/hub-a", NO_REPLICAS) == 200
        assert as_hub("PUT", "/hub-a/_doc/1?refresh=true", {"number": 1}) == 201
        assert as_hub("POST", "/hub-a/_search", {"query": {"term": {"number": 1}}}) == 200
        assert as_hub("POST", "/hub-a/_pit?keep_alive=1m") == 200
        assert as_hub("POST", "/_aliases", {"actions": [{"add": {"index": "hub-a", "alias": "hub-now"}}]}) == 200
        assert as_hub("GET", "/_alias/hub-now") == 200
        assert as_hub("PUT", "/hub-now/_settings", {"refresh_interval": "5s"}) == 200
        assert as_hub("POST", "/hub-a/_forcemerge") == 200
        assert as_hub("GET", "/hub-a/_stats") == 200
        assert as_hub("DELETE", "/hub-a") == 200

        assert server.request("PUT", "/other", NO_REPLICAS).status_code == 200
        forbidden = [
            ("PUT", "/another", NO_REPLICAS),
            ("GET", "/other/_search", None),
            ("PUT", "/other/_doc/1", {"number": 1}),
            ("POST", "/_aliases", {"actions": [{"add": {"index": "other", "alias": "hub-now"}}]}),
            ("PUT", "/_cluster/settings", {"persistent": {"cluster.max_shards_per_node": 1}}),
            ("GET", "/_security/user", None),
        ]
        assert {as_hub(*asked) for asked in forbidden} == {403}


def test_killed_tests_leave_no_server(tmp_path):
    elastic.require()
    program = (
        "import sys, pathlib; from tests.support import elastic; "
        "s = elastic.Server(pathlib.Path(sys.argv[1]), settings={'discovery.type': 'single-node'}); "
        "s.start(wait=False); print(s._process.pid, s.home, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as tests:
        assert tests.stdout is not None
        pid, home = tests.stdout.readline().split()
        assert is_running(int(pid))
        tests.kill()
    deadline = time.monotonic() + 10
    while is_running(int(pid)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    if (tmp_path / "node").is_symlink():
        subprocess.run(["rm", "-rf", home], check=True)


@pytest.mark.skipif(not os.environ.get("HUB_LONG"), reason="three nodes take a minute: HUB_LONG=1")
def test_three_nodes_elect_another_master_when_theirs_is_killed(tmp_path):
    cluster = elastic.cluster(tmp_path)
    with removed(cluster):
        first = cluster.master()
        body = {"settings": {"number_of_replicas": 2, "number_of_shards": 1}}
        assert first.request("PUT", "/hub-kept?wait_for_active_shards=3", body).status_code == 200
        put(first, "hub-kept", 1)
        first.kill()
        rest = [node for node in cluster.nodes if node is not first]
        rest[0].wait(2)
        assert cluster.master() in rest
        assert count(rest[0], "hub-kept") == 1
        first.start()
        first.wait(3, "green")
        assert count(first, "hub-kept") == 1
        for node in rest:
            node.kill()
        answer = first.request("GET", "/_cluster/health?master_timeout=1s&timeout=1s")
        assert answer.status_code in {408, 503}  # no majority, no master

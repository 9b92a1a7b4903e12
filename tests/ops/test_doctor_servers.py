"""`hub doctor` with real servers: it finds each planted problem, names it and says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.domain.certificate import CertificateKey
from hub.ops.doctor import DoctorFinding, State, elastic, examine
from hub.parts import open_parts
from hub.settings import Settings
from hub.store import directory_rejects
from indexer.engine import ServerState
from tests.ops.test_doctor import folder, hub_template, look, settings
from tests.support import directories
from tests.support import elastic as servers

__all__ = ["folder", "hub_template", "settings"]

WELL = ServerState(("8.19.16",), "green", 0, {"a": 0}, (), is_closed=False)


@pytest.fixture
def indexed(settings: Settings) -> Iterator[Settings]:
    """The hub with its directory on the shared server."""
    with directories.settings_of(directories.ELASTIC) as more:
        found = settings.model_copy(update=more)
        with open_parts(found) as parts:
            while parts.directory.sequence() + parts.directory.feed():
                pass
        yield found


def request(method: str, path: str, body: Any) -> None:
    answer = servers.shared().request(method, path, body)
    assert answer.status_code == 200, answer.text


@contextmanager
def set_on_the_cluster(**values: Any) -> Iterator[None]:
    names = {f"cluster.routing.allocation.disk.watermark.{name}": value for name, value in values.items()}
    request("PUT", "/_cluster/settings", {"persistent": names})
    try:
        yield
    finally:
        request("PUT", "/_cluster/settings", {"persistent": dict.fromkeys(names)})


def test_a_good_cluster_is_well(indexed: Settings) -> None:
    assert look(indexed) == {}
    found = {finding.name: finding for finding in examine(indexed)}
    assert servers.VERSION in found["elasticsearch"].message
    assert {"elasticsearch disk", "elasticsearch time"} <= set(found)


def test_copies_that_no_node_has(indexed: Settings) -> None:
    request("PUT", f"/{indexed.index_prefix}-g1/_settings", {"number_of_replicas": 1})
    (found,) = [f for f in examine(indexed) if f.name == "elasticsearch"]
    assert found.state is State.NOTE
    assert "HUB_INDEX_REPLICAS" in found.fix


def test_disks_that_are_nearly_full_or_were(indexed: Settings) -> None:
    with set_on_the_cluster(low="1%", high="2%", flood_stage="3%"):
        assert "node" in look(indexed)["elasticsearch disk"].message
    assert look(indexed) == {}
    index = f"/{indexed.index_prefix}-g1/_settings"
    request("PUT", index, {"index.blocks.read_only_allow_delete": True})
    assert "只读" in look(indexed)["elasticsearch disk"].message
    request("PUT", index, {"index.blocks.read_only_allow_delete": None})
    assert look(indexed) == {}


def test_clocks_that_differ(indexed: Settings) -> None:
    assert "elasticsearch time" in look(indexed, timedelta(seconds=20))
    assert "node" in look(indexed, -timedelta(hours=1))["elasticsearch time"].message


def test_what_the_directory_has_refused(indexed: Settings) -> None:
    with open_parts(indexed) as parts, parts.database.write() as writer:
        directory_rejects.put(writer, 1, CertificateKey(1, 1), 1, "refused", 1)
    assert "hub index retry" in look(indexed)["set aside"].fix


def test_an_unavailable_server_and_a_wrong_one(indexed: Settings, tmp_path: Path) -> None:
    away = look(indexed.model_copy(update={"index_url": "http://127.0.0.1:9"}))
    assert {name: finding.state for name, finding in away.items()} == {"elasticsearch": State.DOWN, "index": State.DOWN}
    secret = tmp_path / "none"
    wrong = look(indexed.model_copy(update={"index_user": "hub", "index_password_file": secret}))
    assert set(wrong) == {"secrets", "index"}
    assert "HUB_INDEX_PASSWORD_FILE" in wrong["index"].fix
    assert wrong["index"].state is State.PROBLEM


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (WELL, State.OK),
        (replace(WELL, versions=("8.18.2", "8.19.16")), State.PROBLEM),
        (replace(WELL, versions=("8.20.0",)), State.OK),
        (replace(WELL, status="red"), State.DOWN),
        (replace(WELL, status="yellow", unassigned=3), State.NOTE),
    ],
)
def test_what_is_said_of_releases_and_health(state: ServerState, expected: State) -> None:
    found: DoctorFinding = elastic._server(state)
    assert found.state is expected
    assert bool(found.fix and found.fix_en) is (expected is not State.OK)

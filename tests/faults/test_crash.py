"""Kills before every statement of every write and after every commit: no partial state is visible, nothing is lost.

The next process completes the work with the same identifiers.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.db import schema
from hub.ops.init import initialise
from hub.parts import Parts, open_parts
from hub.store import keys as key_store
from hub.store.keys import SigningState
from hub.vault import KeyPurpose
from hub.worker import finish_due
from signing.keys import Purpose
from tests.faults import acts
from tests.faults import scene as s
from tests.faults.child import settings_of
from tests.faults.forkserver import ForkServer, fork_server
from tests.faults.orders import Order, orders
from tests.faults.scene import Picture, Scene

PUSHES = ("issue two", "correct one of two", "renew", "renew for others", "replace two and a suspended one")
SETTLED = ("accept", "accept after the end")
TRANSITIONS = ("suspend", "restore", "revoke", "revoke a suspended one")
BLOCK_OF_IDS = 5


@pytest.fixture(scope="module")
def forkserver() -> Iterator[ForkServer]:
    with fork_server() as found:
        yield found


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return s.make(tmp_path_factory.mktemp("scene") / "data")


class Sweep:
    """One order, run to its end once, and then killed at every point that it passed."""

    def __init__(self, forkserver: ForkServer, scene: Scene, tmp_path: Path, order: Order) -> None:
        self._forkserver, self._scene, self._tmp = forkserver, scene, tmp_path
        self.order = order
        self.cases = [order.case] if order.case else []
        self.before = self._look(scene.copy(tmp_path / "before"))
        whole = scene.copy(tmp_path / "whole")
        ended = forkserver.one(data=str(whole), **order.wire)
        assert "value" in ended.value, ended.value
        self.points: list[str] = ended.value["points"]
        self.after = self._look(whole)
        commits = [n for n, point in enumerate(self.points, 1) if point == "COMMIT" and self._writes(n)]
        self.published = commits[-1]
        self.reserved = self.published
        if "step reserve" in self.points:
            self.reserved = next(n for n in commits if n > self.points.index("step reserve"))

    def _writes(self, commit: int) -> bool:
        """Whether the transaction of a commit changed anything; some only wait for the writer before them."""
        inside = self.points[: commit - 1]
        begin = max(n for n, point in enumerate(inside) if point.startswith("BEGIN"))
        return any(point.startswith(("INSERT", "UPDATE", "DELETE", "WITH")) for point in inside[begin:])

    def _look(self, folder: Path) -> Picture:
        with open_parts(settings_of(folder)) as parts:
            return s.picture(parts, *self.cases)

    def crash_sites(self, first: int = 1) -> Iterator[tuple[int, str, Path]]:
        """(point, what must be there: before, reserved or after, the directory left by the killed process)."""
        for point in range(first, len(self.points) + 1):
            if self._only_takes_ids(point):
                continue
            folder = self._scene.copy(self._tmp / f"killed-{point}")
            ended = self._forkserver.one(data=str(folder), kill_at=point, **self.order.wire)
            assert ended.killed, (point, ended)
            state = "before" if point <= self.reserved else "reserved" if point <= self.published else "after"
            yield point, state, folder

    def _only_takes_ids(self, point: int) -> bool:
        """Whether the point is in a second or later write that only allocates a block of ids: such writes are identical."""
        begins = [n for n, label in enumerate(self.points, 1) if label == "INSERT INTO id_blocks"][1:]
        return any(n - 1 < point <= n + BLOCK_OF_IDS - 2 for n in begins if self.points[n + 1] == "COMMIT")

    def must_be(self, state: str, seen: Picture) -> None:
        """Certificates are unchanged until all of them are published at once; the case shows which state applies."""
        if state == "after":
            assert seen == self.after
            return
        assert seen.of_certificates == self.before.of_certificates
        if state == "before" or self.order.case is None:
            assert seen.cases == self.before.cases
            return
        status, amendment, _, _ = self.after.cases[self.order.case]
        known = self.before.cases[self.order.case]
        assert seen.cases[self.order.case] == (status, amendment, "pending", [] if known is None else known[3])

    def again(self, parts: Parts) -> Any:
        return acts.ACTS[self.order.act](parts, **self.order.values)


def identifiers(pushed: dict[str, Any]) -> list[str]:
    return [item["identifier"] for item in pushed["reply"]["certificates"]]


@pytest.fixture
def sweep(forkserver: ForkServer, scene: Scene, tmp_path: Path, request: pytest.FixtureRequest) -> Sweep:
    return Sweep(forkserver, scene, tmp_path, orders(scene)[request.param])


def finish(sweep: Sweep, state: str, folder: Path, *, by_worker: bool) -> None:
    """Check the state left by a killed push, and complete it."""
    with open_parts(settings_of(folder), clock=s.Later()) as parts:
        sweep.must_be(state, s.picture(parts, *sweep.cases))
        promised = s.reserved(parts, str(sweep.order.case))
        assert (promised is not None) == (state == "reserved")
        if by_worker:
            assert finish_due(parts) == (state == "reserved")
            assert finish_due(parts) == 0
        pushed = sweep.again(parts)
        assert pushed["status"] == (201 if state == "before" and sweep.order.case != s.TWO else 200)
        assert promised is None or identifiers(pushed) == promised
        assert sweep.again(parts) == {**pushed, "status": 200}
        assert s.picture(parts, *sweep.cases) == sweep.after


@pytest.mark.parametrize("sweep", PUSHES, indirect=True)
def test_a_push_killed_anywhere_is_finished_by_a_retry_or_the_worker(sweep: Sweep) -> None:
    states = []
    for point, state, folder in sweep.crash_sites():
        states.append(state)
        finish(sweep, state, folder, by_worker=point % 2 == 1)
    assert set(states) == {"before", "reserved", "after"}
    assert states.count("reserved") > 10


@pytest.mark.parametrize("sweep", SETTLED, indirect=True)
def test_a_push_without_certificates_is_atomic(sweep: Sweep) -> None:
    for _, state, folder in sweep.crash_sites():
        with open_parts(settings_of(folder)) as parts:
            sweep.must_be(state, s.picture(parts, *sweep.cases))
            pushed = sweep.again(parts)
            assert sweep.again(parts) == {**pushed, "status": 200}
            assert s.picture(parts, *sweep.cases) == sweep.after


@pytest.mark.parametrize("sweep", TRANSITIONS, indirect=True)
def test_an_act_is_atomic(sweep: Sweep) -> None:
    for _, state, folder in sweep.crash_sites():
        with open_parts(settings_of(folder)) as parts:
            sweep.must_be(state, s.picture(parts))
            moved = sweep.again(parts)
            assert sweep.again(parts) == moved
            assert s.picture(parts) == sweep.after


@pytest.mark.parametrize("sweep", ["look up", "retrieve"], indirect=True)
def test_lookups_and_retrievals_are_recorded_before_the_answer(sweep: Sweep, scene: Scene) -> None:
    """A kill leaves receipt, people seen and audit entry together, or none of them."""
    takes = sweep.order.act == "retrieve"
    for _, state, folder in sweep.crash_sites():
        with open_parts(settings_of(folder)) as parts:
            row = parts.database.reader.one("SELECT COUNT(*) AS n FROM audit WHERE client = 'fz-transport-counter'")
            assert row is not None
            assert row["n"] - 1 == (state == "after")
            assert s.count(parts, "retrievals") == (takes and state == "after")
            answer = sweep.again(parts)
            if takes:
                assert (answer["created"], answer["state"]) == (state == "before", "valid")
            else:
                assert sorted(answer) == sorted(scene.identifiers[number] for number in (s.A, s.B))
            assert s.count(parts, "retrievals") == takes
            s.picture(parts)


@pytest.mark.parametrize("sweep", ["replace the signing key"], indirect=True)
def test_one_key_is_active_wherever_its_replacement_is_killed(sweep: Sweep, scene: Scene) -> None:
    with open_parts(settings_of(scene.folder)) as parts:
        former = {key.public.kid for key in parts.keyring.all()}
    for _, state, folder in sweep.crash_sites():
        with open_parts(settings_of(folder)) as parts:
            sweep.must_be(state, s.picture(parts))
            on_record = {key.public.kid for key in key_store.signing_keys(parts.database.reader)}
            assert len(on_record - former) == (state == "after")
            assert acts.push(parts, "K-NEW", acts.completed(acts.certificate(s.E, s.NEW)))["status"] == 201
            sweep.again(parts)
            credential = [k for k in parts.keyring.all() if k.public.purpose.value == "credential"]
            assert [key.state for key in credential].count(SigningState.ACTIVE) == 1
            files = {path.stem.partition("-")[2] for path in (folder / "keys").glob("*.pem")}
            assert files == {key.public.kid for key in parts.keyring.all()}
            assert s.picture(parts, "K-NEW").cases["K-NEW"][2] == "done"


@pytest.mark.parametrize("sweep", ["load a catalogue"], indirect=True)
def test_a_catalogue_is_loaded_whole_or_not_at_all(sweep: Sweep) -> None:
    for _, state, folder in sweep.crash_sites():
        with open_parts(settings_of(folder)) as parts:
            sweep.must_be(state, s.picture(parts))
            picture = parts.catalogue()
            loaded = (acts.NEW_AUTHORITY in picture.authorities, len(picture.types[acts.c.CLEAN_RECORD].editions))
            assert loaded == ((True, 2) if state == "after" else (False, 1))
            sweep.again(parts)
            picture = parts.catalogue.refresh()
            assert acts.NEW_AUTHORITY in picture.authorities
            assert len(picture.types[acts.c.CLEAN_RECORD].editions) == 2
            authorities = [k.public.authority for k in parts.keyring.all() if k.public.purpose.value == "document"]
            assert sorted(authorities) == sorted(picture.authorities)


def test_an_interrupted_init_is_completed(forkserver: ForkServer, tmp_path: Path) -> None:
    """After the tables exist: master key, data keys, address and signing keys, missing in every combination."""
    bare = tmp_path / "bare"
    bare.mkdir()
    schema.migrate(bare / "hub.db")
    whole = shutil.copytree(bare, tmp_path / "whole")
    points = forkserver.one(data=str(whole), act="initialise").value["points"]
    assert len(points) > 20
    for point in range(1, len(points) + 1, 1 if os.environ.get("HUB_LONG") else 3):
        folder = shutil.copytree(bare, tmp_path / f"killed-{point}")
        assert forkserver.one(data=str(folder), act="initialise", kill_at=point).killed
        if point % 2:
            initialise(settings_of(folder))
        else:
            twice = forkserver.run(*[{"data": str(folder), "act": "initialise"}] * 2)
            assert all("value" in ended.value for ended in twice), twice
        with open_parts(settings_of(folder)) as parts:
            active = [key.public.purpose for key in parts.keyring.all() if key.state is SigningState.ACTIVE]
            assert sorted(active) == sorted(Purpose(purpose) for purpose in Purpose if purpose is not Purpose.DOCUMENT)
            purposes = [key.purpose for key in key_store.data_keys(parts.database.reader)]
            assert sorted(purposes) == sorted(KeyPurpose)
            files = {path.stem.partition("-")[2] for path in (folder / "keys").glob("*.pem")}
            assert files == {key.public.kid for key in parts.keyring.all()}
            assert key_store.public_urls(parts.database.reader) == [acts.c.URL]
        assert not list(folder.glob(".master*"))

"""The WAL truncated after every frame of a push: whatever the disk kept, a commit takes effect as a whole or not at
all.

A kill inside COMMIT leaves such a log, and so does a power cut if the disk keeps the order of writes. With `strace`,
the same is done inside every writing system call, and the order of write, flush and answer is verified.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.parts import open_parts
from tests.faults import acts
from tests.faults import scene as s
from tests.faults.child import settings_of
from tests.faults.forkserver import ForkServer, fork_server
from tests.faults.orders import Order, orders
from tests.faults.scene import Picture, Scene
from tests.faults.traced import traced

FRAME = 24 + 4096
HEADER = 32
LONG = bool(os.environ.get("HUB_LONG"))


@pytest.fixture(scope="module")
def forkserver() -> Iterator[ForkServer]:
    with fork_server() as found:
        yield found


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return s.make(tmp_path_factory.mktemp("scene") / "data")


def recover(folder: Path, order: Order, before: Picture, after: Picture) -> str:
    """Open what is left, inspect it, push again; returns how far it had got."""
    case = str(order.case)
    with open_parts(settings_of(folder)) as parts:
        seen = s.picture(parts, case)
        promised = s.reserved(parts, case)
        if seen == after:
            state = "done"
        else:
            assert seen.of_certificates == before.of_certificates
            state = "pending" if promised else "nothing"
            assert state == "pending" or seen == before
        pushed = acts.ACTS[order.act](parts, **order.values)
        if promised is not None:
            assert [item["identifier"] for item in pushed["reply"]["certificates"]] == promised
        assert s.picture(parts, case) == after
    return state


@pytest.mark.parametrize("name", ["issue two", "correct one of two"])
def test_a_log_truncated_anywhere(forkserver: ForkServer, scene: Scene, tmp_path: Path, name: str) -> None:
    order = orders(scene)[name]
    whole = scene.copy(tmp_path / "whole")
    with open_parts(settings_of(whole)) as parts:
        before = s.picture(parts, str(order.case))
    assert forkserver.one(data=str(whole), kill_step="step published", **order.wire).killed
    log = (whole / "hub.db-wal").read_bytes()
    done = tmp_path / "done"
    shutil.copytree(whole, done)
    with open_parts(settings_of(done)) as parts:
        after = s.picture(parts, str(order.case))
    assert after != before
    frames = (len(log) - HEADER) // FRAME
    assert frames > 30
    states = []
    cuts = [HEADER + n * FRAME for n in range(0, frames + 1, 1 if LONG else 2)] + [HEADER + frames * FRAME]
    for n, cut in enumerate(cuts):
        folder = tmp_path / f"cut-{n}"
        shutil.copytree(whole, folder)
        # Alternately, half of the next frame was written, or the frame is corrupt.
        torn = (b"", log[cut : cut + FRAME // 2], os.urandom(FRAME))[n % 3]
        (folder / "hub.db-wal").write_bytes(log[:cut] + torn)
        (folder / "hub.db-shm").unlink()
        states.append(recover(folder, order, before, after))
        shutil.rmtree(folder)
    ranks = ["nothing", "pending", "done"]
    assert states == sorted(states, key=ranks.index)
    assert set(states) == set(ranks)


# --- inside the system calls -----------------------------------------------------------------------------------------


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


@needs_strace
@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
def test_killed_inside_any_writing_system_call(forkserver: ForkServer, scene: Scene, tmp_path: Path, call: str) -> None:
    order = orders(scene)["issue two"]
    with open_parts(settings_of(scene.copy(tmp_path / "before"))) as parts:
        before = s.picture(parts, str(order.case))
        acts.ACTS[order.act](parts, **order.values)
        after = s.picture(parts, str(order.case))
    states: list[Any] = []
    step = 1 if LONG or call == "fdatasync" else 14
    for number in range(1, 400, step):
        folder = scene.copy(tmp_path / f"data-{number}")
        with traced([forkserver.pid], "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"):
            ended = forkserver.one(data=str(folder), **order.wire)
        states.append(recover(folder, order, before, after))
        if not ended.killed:
            break
        shutil.rmtree(folder)
    ranks = ["nothing", "pending", "done"]
    assert not ended.killed
    assert states == sorted(states, key=ranks.index)
    assert set(states) == set(ranks)


@needs_strace
def test_a_failed_fsync_is_not_acknowledged(forkserver: ForkServer, scene: Scene, tmp_path: Path) -> None:
    order = orders(scene)["issue two"]
    told = []
    for number in range(1, 40):
        folder = scene.copy(tmp_path / f"data-{number}")
        with traced([forkserver.pid], "-e", "trace=fdatasync", "-e", f"inject=fdatasync:error=EIO:when={number}"):
            ended = forkserver.one(data=str(folder), **order.wire)
        assert ended.signal is None
        with open_parts(settings_of(folder)) as parts:
            told.append("yes" if "value" in ended.value else ended.value["fault"])
            acts.ACTS[order.act](parts, **order.values)
            assert s.picture(parts, str(order.case)).cases[str(order.case)][2] == "done"
        if told[-2:] == ["yes", "yes"]:
            break
    # The second one is that of the folder where the WAL is created again; the engine does not depend on it.
    assert told[:2] == ["DatabaseUnavailable", "yes"]
    assert set(told[2:-2]) == {"DatabaseUnavailable"}
    assert len(told) > 8


@needs_strace
def test_what_is_answered_was_flushed(forkserver: ForkServer, scene: Scene, tmp_path: Path) -> None:
    """Between the last write to the WAL and the answer, the WAL is flushed."""
    trace = tmp_path / "trace"
    folder = scene.copy(tmp_path / "data")
    with traced([forkserver.pid], "-y", "-o", str(trace), "-e", "trace=pwrite64,fdatasync,fsync,write"):
        ended = forkserver.one(data=str(folder), **orders(scene)["issue two"].wire)
    assert ended.value["value"]["status"] == 201
    calls = [
        "flush" if "sync(" in line else "answer" if "hub.db-wal" not in line else "log"
        for line in trace.read_text().splitlines()
        if "hub.db-wal" in line or ("write(" in line and "status" in line)
    ]
    assert calls[calls.index("answer") - 1] == "flush"
    assert calls.count("flush") >= 7

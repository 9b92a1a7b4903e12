"""The fault tests fail for the bugs that they are meant to catch: each is planted in the children and detected."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults import scene as s
from tests.faults import seeded
from tests.faults import test_crash as crash
from tests.faults import test_journal as journal
from tests.faults import test_log as log
from tests.faults import test_races as races
from tests.faults.forkserver import Ended, ForkServer, fork_server
from tests.faults.orders import orders
from tests.faults.scene import Scene
from tests.faults.teeth import BUGS, Bug
from tests.support.paths import ROOT

RED = (AssertionError, KeyError)


@pytest.fixture(scope="module")
def forkserver() -> Iterator[ForkServer]:
    with fork_server() as found:
        yield found


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return s.make(tmp_path_factory.mktemp("scene") / "data")


class Seeded(ForkServer):
    """A fork server whose children all have the bug."""

    def __init__(self, forkserver: ForkServer, bug: str | None) -> None:
        super().__init__(forkserver._process)
        self._more = {} if bug is None else {"seeded": [bug]}

    def run(self, *orders: dict[str, Any]) -> list[Ended]:
        return super().run(*({**order, **self._more} for order in orders))

    def start(self, **order: Any) -> int:
        return super().start(**order, **self._more)


Test = Callable[[ForkServer, Scene, Path], None]


def _ring(test: Callable[..., None], *values: str) -> Test:
    return lambda forkserver, scene, folder: test(races.Ring(forkserver, scene, folder / "data"), *values)


def _sweep(forkserver: ForkServer, scene: Scene, folder: Path) -> None:
    sweep = crash.Sweep(forkserver, scene, folder, orders(scene)["issue two"])
    for _, state, left in sweep.crash_sites(first=sweep.published - 10):
        crash.finish(sweep, state, left, by_worker=False)


def _journal(forkserver: ForkServer, _scene: Scene, folder: Path) -> None:
    journal.test_what_was_acknowledged_survives_every_kill(forkserver, folder)


FOUND_BY: dict[str, Test] = {
    "guard_ignored": _ring(races.test_an_amendment_meets_one_that_is_not_published_yet),
    "reply_before_publication": _sweep,
    "commit_for_each": _sweep,
    "succession_unclaimed": _ring(
        races.test_a_successor_that_is_not_published_yet_is_one_already, "replaced", "replaced"
    ),
    "last_writer_wins": _ring(races.test_a_revocation_before_the_successor_is_published_stands, "replaced", "publish"),
    "number_unregistered": lambda forkserver, scene, folder: races.test_a_number_is_given_once(
        races.Ring(forkserver, scene, folder / f"data-{n}") for n in range(races.ROUNDS)
    ),
    "no_flush": log.test_what_is_answered_was_flushed,
    "act_swallowed": _journal,
}


def test_every_bug_has_a_test_that_finds_it() -> None:
    assert FOUND_BY.keys() == seeded.BUGS.keys()


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_bug_of_the_engines_can_be_planted(bug: Bug) -> None:
    assert (ROOT / bug.file).read_text(encoding="utf-8").count(bug.old) == 1


@pytest.mark.parametrize("bug", FOUND_BY)
def test_the_bug_is_found(
    forkserver: ForkServer, scene: Scene, tmp_path: Path, bug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bug == "no_flush" and shutil.which("strace") is None:
        pytest.skip("needs strace")
    monkeypatch.setattr(journal, "SECONDS", 1.5)
    with pytest.raises(RED):
        FOUND_BY[bug](Seeded(forkserver, bug), scene, tmp_path)

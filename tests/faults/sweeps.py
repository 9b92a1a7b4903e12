"""Common to sweeps over the points of a process: which points to choose, and how to report each kill."""

import random
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.faults.points import AFTER_COMMIT, BEFORE_COMMIT, IN_COMMIT, kind_of
from tests.faults.stories import Killed
from tests.faults.trial import Trial

Choose = Callable[[list[str]], list[int]]


def every(points: list[str]) -> list[int]:
    """All points, by number."""
    return list(range(1, len(points) + 1))


def one(points: list[str]) -> list[int]:
    """One random point."""
    return [random.randrange(1, len(points) + 1)]


def around_commits(points: list[str]) -> list[int]:
    """The points before, during and after each commit."""
    return [n for n, point in enumerate(points, 1) if point in (BEFORE_COMMIT, IN_COMMIT, AFTER_COMMIT)]


@contextmanager
def noted(trial: Trial, story: str, killed: Killed) -> Iterator[None]:
    """One kill; a failed assertion is recorded and the sweep continues."""
    point = killed.points[killed.at - 1]
    name = f"{story}: killed {kind_of(point)}"
    trial.tried[name] += 1
    try:
        yield
    except Exception:
        trial.failed[name] += 1
        print(f"  {story}, {killed.at} of {len(killed.points)}, {point}:\n{traceback.format_exc()}", file=sys.stderr)


def settled(trial: Trial) -> None:
    """At the end: no kill has failed."""
    assert not trial.failed, f"not held: {dict(trial.failed)}"
    assert trial.tried.total() > 0

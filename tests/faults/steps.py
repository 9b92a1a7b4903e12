"""Kills at every step: before each PostgreSQL statement, around and during each commit, around each Elasticsearch
request.

Another process then completes the work.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hub.parts import open_parts
from hub.worker import finish_due
from tests.faults import acts
from tests.faults import scene as s
from tests.faults import servers as engines
from tests.faults.child import settings_of
from tests.faults.servers import Servers
from tests.faults.stories import STORIES, Hub, Killed, Story, settle
from tests.faults.sweeps import Choose, around_commits, every, noted, one, settled
from tests.faults.test_backup import verified
from tests.faults.trial import Trial


def stories_everywhere(trial: Trial) -> None:
    """Each story with a kill at every step, in its own hub."""
    with trial.servers() as servers:
        for name in STORIES:
            with _hub(trial, servers, f"hub-{name.replace(' ', '-')}") as hub:
                _tell(trial, hub, name, every)
    settled(trial)


def stories_somewhere(trial: Trial) -> None:
    """Random stories until the time is up, each with a kill at a random step, all in one hub."""
    with trial.servers() as servers, _hub(trial, servers, "hub") as hub:
        until = time.monotonic() + trial.seconds
        for name in random.sample(list(STORIES), len(STORIES)):
            if time.monotonic() < until:
                _tell(trial, hub, name, one)
    settled(trial)


def story_around_commits(trial: Trial, name: str) -> None:
    """One story, with a kill before, during and after each commit."""
    with trial.servers() as servers, _hub(trial, servers, "hub") as hub:
        _tell(trial, hub, name, around_commits)
    settled(trial)


@contextmanager
def _hub(trial: Trial, servers: Servers, name: str) -> Iterator[Hub]:
    """A hub for which all assertions must hold at the end."""
    data = trial.folder / name / "data"
    data.parent.mkdir()
    servers.hub(data)
    settings = settings_of(data)
    with open_parts(settings) as parts, open_parts(settings, clock=s.Later()) as late:
        yield Hub(trial.forkserver, data, parts, late)
        assert finish_due(late) == 0
        engines.drained(parts)
        acts.render(parts)
        parts.documents.sweep(s.Later().now(), everything=True)
        s.picture(parts)
        for version in s.versions(parts):
            verified(parts, version)  # in every view, including its file
        engines.in_directory(parts)


def _tell(trial: Trial, hub: Hub, name: str, choose: Choose) -> None:
    prefix = name.replace(" ", "-").upper()

    def begun(case: str) -> Story:
        return STORIES[name](hub, f"K-{prefix}-{case}")

    for case in ("FIRST", "SECOND"):  # the second excludes work that is done only once a day
        whole = begun(case)
        ended = trial.forkserver.one(data=str(hub.data), servers=True, **whole.order)
        assert "value" in ended.value, ended
        points = ended.value["points"]
        whole.look(Killed(points, len(points)))
        whole.end(by_worker=True)
    for n in choose(points):
        killed = Killed(points, n)
        with noted(trial, name, killed):
            story = begun(str(n))
            # By name: how often a cache reads again what may be two seconds old depends on the machine's load.
            point = {"kill_step": points[n - 1], "kill_nth": points[:n].count(points[n - 1])}
            ended = trial.forkserver.one(data=str(hub.data), servers=True, **point, **story.order)
            assert ended.killed, ended
            settle(killed)
            story.look(killed)
            story.end(by_worker=n % 2 == 1)

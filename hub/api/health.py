"""`/livez`, `/readyz` with reasons, `/metrics`: for operators and whatever watches the hub. Nothing personal in any."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from hub.db import health, schema
from hub.db.database import DatabaseUnavailable
from hub.domain.dates import from_micros, to_micros
from hub.parts import Parts
from hub.runtime import heartbeat
from hub.store import intents
from hub.web.endpoint import PUBLIC_ACCESS, Answer, Call, Lane, Routes
from hub.web.lanes import Lanes
from hub.web.metrics import MEDIA_TYPE, Gauge, Metrics
from indexer.errors import DirectoryUnavailable
from signing.errors import KeyMissing
from signing.keys import Purpose

WORKER_SILENT_S = 60
OVERDUE_S = 300
INDEX_LATE_S = 30
FREE_BYTES = 64 * 1024 * 1024


class Check(BaseModel):
    """One thing that the hub needs; reason: why it is not ok. degraded: slower or less, and nothing wrong or lost."""

    name: str
    state: Literal["ok", "degraded", "failed"]
    reason: str | None = None


class Readiness(BaseModel):
    """Ready when no check has failed."""

    ready: bool
    checks: list[Check]


class Alive(BaseModel):
    """The process answers."""

    alive: Literal[True]


@dataclass(frozen=True, slots=True)
class Watched:
    """What the operator's endpoints look at besides the parts."""

    lanes: Lanes
    metrics: Metrics
    started: datetime


def operator_routes(watched: Watched) -> Routes:
    """The endpoints, bound to what they watch."""
    routes = Routes(tag="operators")

    @routes.add(
        "GET",
        "/livez",
        scope=PUBLIC_ACCESS,
        lane=Lane.LOOP,
        replies={200: Alive},
        summary="进程存活 The process is alive",
    )
    def livez(call: Call) -> Answer:  # noqa: ARG001 (touches nothing)
        """Answers as long as the process does, whatever it depends on."""
        return Answer({"alive": True})

    @routes.add(
        "GET",
        "/readyz",
        scope=PUBLIC_ACCESS,
        lane=Lane.OPERATOR,
        stray_query=True,
        replies={200: Readiness, 503: Readiness},
        summary="就绪检查 Ready, or why not",
    )
    def readyz(call: Call) -> Answer:
        """200 when everything that the hub needs is there, otherwise 503; each check with its reason."""
        checks = [Check(name=name, state="failed" if why else "ok", reason=why) for name, why in _checks(call, watched)]
        ready = all(check.state == "ok" for check in checks)
        checks.append(_directory(call.parts))
        return Answer(Readiness(ready=ready, checks=checks).model_dump(), 200 if ready else 503)

    @routes.add(
        "GET",
        "/metrics",
        scope=PUBLIC_ACCESS,
        lane=Lane.OPERATOR,
        stray_query=True,
        replies={200: None},
        produces=("text/plain",),
        summary="运行指标 Prometheus metrics",
    )
    def metrics(call: Call) -> Answer:  # noqa: ARG001 (the metrics know their parts)
        """Counters by route template, and what waits."""
        return Answer(watched.metrics.text(), media_type=MEDIA_TYPE)

    return routes


def _checks(call: Call, watched: Watched) -> Iterator[tuple[str, str | None]]:
    """(name, why it failed or None) of everything that the hub needs."""
    parts = call.parts
    looked: tuple[tuple[str, Callable[[Parts], str | None]], ...] = (
        ("database", _database),
        ("schema", _schema),
        ("storage", _storage),
        ("keys", _keys),
        ("worker", lambda parts: _worker(parts, watched.started)),
    )
    for name, look in looked:
        try:
            yield name, look(parts)
        except DatabaseUnavailable:
            yield name, "the database cannot be read"


def _database(parts: Parts) -> str | None:
    health.revision(parts.database.reader)
    return parts.database.why_not_writable()


def _schema(parts: Parts) -> str | None:
    works = schema.works_on(health.revision(parts.database.reader))
    return None if works else "the database has not the schema of this release: run `hub migrate`"


def _storage(parts: Parts) -> str | None:
    try:
        free = health.free_bytes(parts.settings.data_dir)
    except OSError:
        return "the data directory is away"
    return None if free >= FREE_BYTES else f"less than {FREE_BYTES >> 20} MiB left in the data directory"


def _keys(parts: Parts) -> str | None:
    for purpose in (Purpose.CREDENTIAL, Purpose.ACCESS_TOKEN, Purpose.STATUS):
        try:
            key = parts.keyring.active(purpose)
        except KeyMissing:
            return f"no active {purpose.value} key"
        if not parts.keyring.folder.has(key.kid, purpose):
            return f"the private part of the active {purpose.value} key is not there"
    return None


def _worker(parts: Parts, started: datetime) -> str | None:
    now = parts.clock.now()
    seen = heartbeat.last(parts.settings.data_dir)
    quiet = (now - max(seen or started, started)).total_seconds()
    if quiet > WORKER_SILENT_S:
        return f"no sign of life for {quiet:.0f} s"
    due = health.overdue_since(parts.database.reader)
    late = 0.0 if due is None else (now - from_micros(due)).total_seconds()
    return f"a case has been due for {late:.0f} s" if late > OVERDUE_S else None


def _directory(parts: Parts) -> Check:
    """Lookups are answered without it too, so it never makes the hub unready."""
    why: str | None = None
    try:
        oldest = parts.directory.lag().oldest_at
        late = 0.0 if oldest is None else (to_micros(parts.clock.now()) - oldest) / 1_000_000
        why = f"a change has been on its way for {late:.0f} s" if late > INDEX_LATE_S else None
        refused = parts.directory.set_aside()
        if refused and why is None:
            why = f"{refused} entries were refused and set aside: see `hub index retry`"
    except DirectoryUnavailable:
        why = "no directory answers: searches are refused, lookups are answered by the repository"
    except DatabaseUnavailable:
        why = "the database cannot be read"
    return Check(name="directory", state="degraded" if why else "ok", reason=why)


def gauges(parts: Parts, lanes: Lanes) -> Iterator[Gauge]:
    """What is read at every scrape; what the database cannot say is left out."""
    for lane in lanes.values():
        yield "hub_lane_requests", "Requests running or waiting in a lane.", {"lane": lane.name}, lane.taken
        yield "hub_lane_refused", "Requests refused because a lane was full.", {"lane": lane.name}, lane.refused
    now = parts.clock.now()
    seen = heartbeat.last(parts.settings.data_dir)
    if seen is not None:
        yield (
            "hub_worker_silent_seconds",
            "Time since the worker's last sign of life.",
            {},
            (now - seen).total_seconds(),
        )
    try:
        waiting, oldest = intents.waiting(parts.database.reader)
        outbox = health.outbox_size(parts.database.reader)
        yield from _directory_gauges(parts)
        yield from _rendering_gauges(parts)
    except DatabaseUnavailable:
        return
    age = 0.0 if oldest is None else (to_micros(now) - oldest) / 1_000_000
    yield "hub_intents_waiting", "Cases reserved and not yet issued.", {}, waiting
    yield "hub_intents_oldest_seconds", "Age of the oldest of them.", {}, age
    yield "hub_outbox_entries", "Changes that wait for what is derived.", {}, outbox


def _directory_gauges(parts: Parts) -> Iterator[Gauge]:
    yield "hub_directory_set_aside", "Entries that the directory has refused.", {}, parts.directory.set_aside()
    try:
        lag = parts.directory.lag()
    except DirectoryUnavailable:
        yield "hub_directory_up", "Whether a directory answers.", {}, 0
        return
    age = 0.0 if lag.oldest_at is None else (to_micros(parts.clock.now()) - lag.oldest_at) / 1_000_000
    yield "hub_directory_up", "Whether a directory answers.", {}, 1
    yield "hub_directory_pending", "Changes that the directory does not know yet.", {}, lag.changes
    yield "hub_directory_oldest_seconds", "Age of the oldest of them.", {}, age


def _rendering_gauges(parts: Parts) -> Iterator[Gauge]:
    lag = parts.rendering.lag()
    age = 0.0 if lag.oldest_at is None else (to_micros(parts.clock.now()) - lag.oldest_at) / 1_000_000
    yield "hub_rendering_pending", "Changes whose PDF files the worker has not looked at.", {}, lag.changes
    yield "hub_rendering_oldest_seconds", "Age of the oldest of them.", {}, age

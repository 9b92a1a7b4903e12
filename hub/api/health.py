"""`/livez`, `/readyz` with reasons, and `/metrics` for operators and monitoring. None contains personal data."""

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
from hub.store import case_use, intents
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
    """One check. reason: why it is not ok. degraded: reduced service, but nothing is wrong or lost."""

    name: str
    state: Literal["ok", "degraded", "failed"]
    reason: str | None = None


class Readiness(BaseModel):
    """Ready unless a check has failed."""

    ready: bool
    checks: list[Check]


class Alive(BaseModel):
    """The process is alive."""

    alive: Literal[True]


@dataclass(frozen=True, slots=True)
class Watched:
    """What the operator endpoints observe in addition to the parts."""

    lanes: Lanes
    metrics: Metrics
    started: datetime


def operator_routes(watched: Watched) -> Routes:
    """The endpoints, bound to what they observe."""
    routes = Routes(tag="operators")

    @routes.add(
        "GET",
        "/livez",
        scope=PUBLIC_ACCESS,
        lane=Lane.LOOP,
        replies={200: Alive},
        summary="进程存活 · Liveness check",
    )
    def livez(call: Call) -> Answer:  # noqa: ARG001 (touches nothing)
        """Answers as long as the process is alive, regardless of its dependencies."""
        return Answer({"alive": True})

    @routes.add(
        "GET",
        "/readyz",
        scope=PUBLIC_ACCESS,
        lane=Lane.OPERATOR,
        stray_query=True,
        replies={200: Readiness, 503: Readiness},
        summary="就绪检查 · Readiness check",
    )
    def readyz(call: Call) -> Answer:
        """200 if every required check passes, otherwise 503. Each failed check states its reason."""
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
        summary="运行指标 · Prometheus metrics",
    )
    def metrics(call: Call) -> Answer:  # noqa: ARG001 (the metrics know their parts)
        """Request counters by route template, queue lengths and delays, in the Prometheus text format."""
        return Answer(watched.metrics.text(), media_type=MEDIA_TYPE)

    return routes


def _checks(call: Call, watched: Watched) -> Iterator[tuple[str, str | None]]:
    """(name, reason of failure or None) of every required check."""
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
    return None if works else "the database schema does not match this release: run `hub migrate`"


def _storage(parts: Parts) -> str | None:
    try:
        free = health.free_bytes(parts.settings.data_dir)
    except OSError:
        return "the data directory is not accessible"
    return None if free >= FREE_BYTES else f"less than {FREE_BYTES >> 20} MiB of free space for the data directory"


def _keys(parts: Parts) -> str | None:
    for purpose in (Purpose.CREDENTIAL, Purpose.ACCESS_TOKEN, Purpose.STATUS):
        try:
            key = parts.keyring.active(purpose)
        except KeyMissing:
            return f"no active {purpose.value} key"
        if not parts.keyring.folder.has(key.kid, purpose):
            return f"the private part of the active {purpose.value} key is missing"
    return None


def _worker(parts: Parts, started: datetime) -> str | None:
    now = parts.clock.now()
    seen = heartbeat.last(parts.settings.data_dir)
    quiet = (now - max(seen or started, started)).total_seconds()
    if quiet > WORKER_SILENT_S:
        return f"no heartbeat for {quiet:.0f} s"
    due = health.overdue_since(parts.database.reader)
    late = 0.0 if due is None else (now - from_micros(due)).total_seconds()
    return f"a case has been overdue for {late:.0f} s" if late > OVERDUE_S else None


def _directory(parts: Parts) -> Check:
    """Lookups work without the directory, so it never makes the hub unready."""
    why: str | None = None
    try:
        oldest = parts.directory.lag().oldest_at
        late = 0.0 if oldest is None else (to_micros(parts.clock.now()) - oldest) / 1_000_000
        why = f"a change has been pending for {late:.0f} s" if late > INDEX_LATE_S else None
        rejected = parts.directory.rejected_count()
        if rejected and why is None:
            why = f"the directory rejected {rejected} entries: see `hub index retry`"
    except DirectoryUnavailable:
        why = "the directory is unavailable: searches are refused, lookups are answered by the database"
    except DatabaseUnavailable:
        why = "the database cannot be read"
    return Check(name="directory", state="degraded" if why else "ok", reason=why)


def gauges(parts: Parts, lanes: Lanes) -> Iterator[Gauge]:
    """Values read at every scrape; omitted as far as the database is unavailable."""
    for lane in lanes.values():
        yield "hub_lane_requests", "Requests running or queued in a lane.", {"lane": lane.name}, lane.taken
        yield "hub_lane_refused", "Requests refused because a lane was full.", {"lane": lane.name}, lane.refused
    now = parts.clock.now()
    seen = heartbeat.last(parts.settings.data_dir)
    if seen is not None:
        yield (
            "hub_worker_silent_seconds",
            "Time since the worker's last heartbeat.",
            {},
            (now - seen).total_seconds(),
        )
    try:
        waiting, oldest = intents.waiting(parts.database.reader)
        outbox = health.outbox_size(parts.database.reader)
        yield from _directory_gauges(parts)
        yield from _rendering_gauges(parts)
        for name, count in case_use.alarms(parts.database.reader).items():
            yield "hub_alarms", "Clerks or clients that `hub doctor` names.", {"alarm": name}, count
    except DatabaseUnavailable:
        return
    age = 0.0 if oldest is None else (to_micros(now) - oldest) / 1_000_000
    yield "hub_intents_waiting", "Cases whose certificates are reserved but not yet issued.", {}, waiting
    yield "hub_intents_oldest_seconds", "Age of the oldest open intent.", {}, age
    yield "hub_outbox_entries", "Changes without a ledger position yet.", {}, outbox


def _directory_gauges(parts: Parts) -> Iterator[Gauge]:
    yield "hub_directory_set_aside", "Entries rejected by the directory.", {}, parts.directory.rejected_count()
    try:
        lag = parts.directory.lag()
    except DirectoryUnavailable:
        yield "hub_directory_up", "Whether the directory is available.", {}, 0
        return
    age = 0.0 if lag.oldest_at is None else (to_micros(parts.clock.now()) - lag.oldest_at) / 1_000_000
    yield "hub_directory_up", "Whether the directory is available.", {}, 1
    yield "hub_directory_pending", "Changes not yet applied to the directory.", {}, lag.changes
    yield "hub_directory_oldest_seconds", "Age of the oldest pending change of the directory.", {}, age


def _rendering_gauges(parts: Parts) -> Iterator[Gauge]:
    lag = parts.rendering.lag()
    age = 0.0 if lag.oldest_at is None else (to_micros(parts.clock.now()) - lag.oldest_at) / 1_000_000
    yield "hub_rendering_pending", "Changes whose PDF files the worker has not processed.", {}, lag.changes
    yield "hub_rendering_oldest_seconds", "Age of the oldest pending change of the PDF files.", {}, age

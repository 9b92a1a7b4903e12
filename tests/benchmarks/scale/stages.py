"""One stage of a city: load it, compare it with the bare engines, query it."""

import gc
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from hub.directory import engines
from hub.parts import Parts, open_parts
from hub.settings import Settings
from hub.store import bulk_insert, check_rows
from tests.benchmarks.scale import asking, entries, loading, plausible, repository
from tests.benchmarks.scale.asking import Times
from tests.benchmarks.scale.plausible import Stage
from tests.benchmarks.scale.sizes import Sizes

BESIDE = 12
"""Stages loaded in addition to the city's own have this number and up."""
TWICE = 200_000
"""Up to this many entries are loaded twice, and the faster load counts on both sides: the first finds a cold server."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates per second, with the hub and without it, and the median of the ratios of each round."""

    ours: float
    bare: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The measurements for a city with this many certificates."""

    certificates: int
    loaded_per_s: float
    prepared_per_core_s: float
    rows: Rates
    rows_a_certificate: float
    sequenced_per_s: float
    rebuilt: Rates
    fed_per_s: float
    times: dict[str, Times]
    sizes: Sizes


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure: rounds of bulk loads against the bare engine, requests of each kind, processes."""

    seed: int = 1
    rounds: int = 10
    batch: int = loading.BATCH
    questions: int = 1000
    processes: int = 2


def grow(settings: Settings, plan: Plan, stages: list[Stage], codes: list[str], tell: Callable[[str], None]) -> Figures:
    """Load the last of some stages after the earlier ones, and measure; `codes` collects public codes for requests."""
    stage, total = stages[-1], sum(one.count for one in stages)
    begun = time.perf_counter()
    loaded = loading.load(
        settings, plan.seed, stage, plan.processes, lambda done: tell(f"{done:,} of {stage.count:,} certificates")
    )
    taken = time.perf_counter() - begun
    count = sum(one.certificates for one in loaded)
    codes += [code for one in loaded for code in one.codes]
    with open_parts(settings) as parts:
        gc.freeze()  # as every command of the hub does
        database = repository.bare(settings)
        tell("giving positions")
        sequenced = sequence(parts)
        database.settle()
        sizes = Sizes(check_rows.count_certificates(parts.database.reader), database.sizes())
        tell("rebuilding the directory")
        rebuilt = _rebuild(parts, sizes)
        tell("the bulk path and the bare engine")
        rows, each, more = _bulk(parts, database, plan, stage)
        sequence(parts)
        fed = _feed(parts)
        database.settle()
        tell("asking")
        times = asking.ask(parts, plan.seed, stages, [*codes, *more], plan.questions)
    return Figures(
        certificates=total,
        loaded_per_s=count / taken,
        prepared_per_core_s=count / max(sum(one.preparing_s for one in loaded), 1e-9),
        rows=rows,
        rows_a_certificate=each,
        sequenced_per_s=sequenced,
        rebuilt=rebuilt,
        fed_per_s=fed,
        times=times,
        sizes=sizes,
    )


def sequence(parts: Parts) -> float:
    """Assign a position to every waiting change; returns how many per second."""
    begun, done = time.perf_counter(), 0
    while some := parts.directory.sequence():
        done += some
    return done / (time.perf_counter() - begun)


def _feed(parts: Parts) -> float:
    """Feed new ledger entries into the directory; returns changes per second."""
    begun, done = time.perf_counter(), 0
    while some := parts.directory.feed():
        done += some
    return done / (time.perf_counter() - begun)


def _rebuild(parts: Parts, sizes: Sizes) -> Rates:
    """New generations built from the database, and loads of the same entries without the hub, in turn."""
    ours, bare = [], []
    with engines.opened(parts.settings) as engine, entries.bare(parts.settings) as alone:
        while True:
            ours.append(_timed(parts.directory.rebuild))
            count = engine.count(engine.current() or "")
            bare.append(alone.load(entries.all_of(engine)))
            if count > TWICE or len(ours) == 2:
                break
        sizes.directory, sizes.entries = alone.size()
    return Rates(count / min(ours), count / min(bare), min(bare) / min(ours))


def _bulk(parts: Parts, database: repository.Bare, plan: Plan, stage: Stage) -> tuple[Rates, float, list[str]]:
    """The same rows through the bulk load and through the bare engine, into the same tables, in alternating order."""
    loader = loading.Loader(parts)
    beside = Stage(BESIDE + stage.number, plan.rounds * plan.batch * plausible.PARTS)
    ours, bare, rows, codes = [], [], [], []
    for n, items in enumerate(loading.batches(plausible.certificates(plan.seed, beside, 0), plan.batch)):
        batch = loader.prepared(loader.missing(items))
        tables = [
            (name, [row if isinstance(row, dict) else row._asdict() for row in some])
            for name, some in bulk_insert.tables(batch)
            if some
        ]
        if not tables:
            continue
        rows.append(sum(len(some) for _, some in tables))
        if n % 2:
            bare.append(database.insert(tables))
            database.delete(tables)
            ours.append(_timed(lambda batch=batch: loader.insert(batch)))
        else:
            ours.append(_timed(lambda batch=batch: loader.insert(batch)))
            database.delete(tables)
            bare.append(database.insert(tables))
            database.delete(tables)
            loader.insert(batch)
        codes += [arrival.change.version.code for arrival in batch.arrivals if arrival.change.version]
    if not rows:
        return Rates(0, 0, 0), 0, []
    rates = Rates(
        statistics.median(n / s for n, s in zip(rows, ours, strict=True)),
        statistics.median(n / s for n, s in zip(rows, bare, strict=True)),
        statistics.median(b / a for a, b in zip(ours, bare, strict=True)),
    )
    return rates, sum(rows) / len(codes), codes[:: max(1, len(codes) // 200)]


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def to_stderr(text: str) -> None:
    """Report progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

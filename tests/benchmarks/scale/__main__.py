"""Fill a city with plausible certificates, measure it against the bare engines, print the tables and, with --write, put
them into docs/performance.md and docs/scale.md.

.venv/bin/python -m tests.benchmarks.scale --certificates 2000        the embedded engines, a minute
.venv/bin/python -m tests.benchmarks.scale --certificates 1000000 --database-url temporary --index-url temporary

`temporary` starts a server of the distribution for this run and removes it. An interrupted run with --data-dir resumes
where it was; a database given by URL must be empty at the start.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hub.directory import engines as directory_engines
from hub.ops.init import initialise
from hub.parts import open_parts
from hub.settings import Settings
from tests.benchmarks import city as benchmark
from tests.benchmarks.document import circumstances
from tests.benchmarks.scale import asking, entries, issuing, plausible, reckoning, repository, stages, table
from tests.benchmarks.scale.city import PLATFORM, catalogue
from tests.benchmarks.scale.entries import Watch
from tests.benchmarks.scale.issuing import IssuingPlan
from tests.benchmarks.scale.loading import CLIENT
from tests.benchmarks.scale.stages import Plan
from tests.benchmarks.scale.table import Run

SCOPES = ("cases:write", "certificates:lookup", "certificates:retrieve", "certificates:manage", "directory:search")
TEMPORARY = "temporary"
INDEX = {"index_replicas": 0, "index_timeout_s": 10.0, "index_write_timeout_s": 60.0, "index_prefix": "hub-scale"}


def found(settings: Settings) -> str:
    """Create the city unless it exists; returns its client's private key, which is stored for resumed runs."""
    kept = settings.data_dir / "scale-client.pem"
    initialise(settings)
    if kept.exists():
        return kept.read_text()
    with open_parts(settings) as parts:
        parts.registration.load_catalogue(catalogue())
        parts.registration.add_clerk(asking.CLERK["name"], PLATFORM, asking.CLERK["id"])
        _, key = parts.registration.add_client(CLIENT, PLATFORM, scopes=SCOPES, keep=kept.write_bytes)
    return key.decode()


def run(settings: Settings, certificates: int, plan: Plan, over_http: IssuingPlan) -> Run:
    """The whole benchmark, from an empty city to the tables."""
    key = found(settings)
    growing = plausible.stages(certificates)
    codes: list[str] = []
    figures = [
        stages.grow(settings, plan, growing[: place + 1], codes, stages.to_stderr) for place in range(len(growing))
    ]
    database, sizes = repository.bare(settings), figures[-1].sizes
    with open_parts(settings) as parts, entries.bare(settings) as engine, directory_engines.opened(settings) as index:
        before = database.sizes()
        stages.to_stderr("issuing over HTTP")
        made, soon = issuing.measure(settings, key, over_http, Watch(parts, index).is_there)
        database.settle()
        sizes.note_pushes(over_http.issued, before, database.sizes())
        return Run(database.engine, engine.engine, database.name, engine.name, figures, sizes, made, soon)


@contextmanager
def engines(folder: Path, database_url: str | None, index_url: str | None) -> Iterator[Settings]:
    """Settings of a city with these engines; temporary servers run until the block ends."""
    with ExitStack() as stack:
        more: dict[str, Any] = {}
        if database_url is not None:
            from tests.benchmarks.scale import postgres

            temporary = database_url == TEMPORARY
            more["database_url"] = stack.enter_context(postgres.temporary()) if temporary else database_url
        if index_url is not None:
            from tests.benchmarks.scale import elastic

            more = more | INDEX
            more["index_url"] = stack.enter_context(elastic.temporary()) if index_url == TEMPORARY else index_url
        yield benchmark.settings(folder).model_copy(update=more)


def main(words: Sequence[str] | None = None) -> str:
    """Run, print, and write the document if requested; returns the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--certificates", type=int, required=True, metavar="N")
    parser.add_argument("--database-url", metavar="URL", help=f"an empty database, or {TEMPORARY!r}; without: SQLite")
    parser.add_argument("--index-url", metavar="URL", help=f"Elasticsearch, or {TEMPORARY!r}; without: embedded")
    parser.add_argument("--data-dir", type=Path, help="kept; without: a temporary one")
    parser.add_argument("--processes", type=int, default=2, help="that make certificates")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="put the tables into both documents")
    wanted = parser.parse_args(words)
    short = wanted.certificates < 10_000
    plan = Plan(
        seed=wanted.seed,
        rounds=4 if short else 20,
        batch=max(50, min(1000, wanted.certificates // 40)),
        questions=max(100, min(1000, wanted.certificates // 10)),
        processes=wanted.processes,
    )
    over_http = IssuingPlan(wanted.seed, 1, 60, 10, 0.05) if short else IssuingPlan(wanted.seed, 5, 400, 250, 0.4)
    with tempfile.TemporaryDirectory(prefix="hub-scale-") as temporary:
        folder = wanted.data_dir or Path(temporary)
        with engines(folder / "hub", wanted.database_url, wanted.index_url) as settings:
            found_out = run(settings, wanted.certificates, plan, over_http)
    text, values = table.tables(found_out), reckoning.measured(found_out)
    text = f"{circumstances('the load in stages, each floor in turn with its figure')}\n\n{text}"
    print(text, *reckoning.tables(values), sep="\n\n")
    if wanted.write:
        table.write(text)
        reckoning.write(values)
    return text


if __name__ == "__main__":
    main()

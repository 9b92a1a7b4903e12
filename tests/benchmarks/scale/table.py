"""What was measured, as the tables of docs/performance.md and the numbers that docs/scale.md calculates with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.document import DOCUMENT, SCALE, missed
from tests.benchmarks.scale.issuing import Issuing
from tests.benchmarks.scale.repository import WITHIN
from tests.benchmarks.scale.sizes import Sizes
from tests.benchmarks.scale.stages import Figures, Rates

BEGIN, END = SCALE
FLAT = 1.5


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the command."""

    database: str
    directory: str
    bare_database: str
    bare_directory: str
    figures: Sequence[Figures]
    sizes: Sizes
    issuing: Issuing
    searchable: tuple[float, float]


def tables(run: Run) -> str:
    """Markdown: loading and sizes, then the same queries in a growing city."""
    last = run.figures[-1]
    many = f"{last.certificates:,}"
    rows = [
        ("bulk path into the repository", *_rates(last.rows, "rows/s", run.bare_database), ""),
        ("directory rebuilt", *_rates(last.rebuilt, "entries/s", run.bare_directory), "≥ 0.65"),
        ("directory fed from the ledger", f"{last.fed_per_s:,.0f} changes/s", "", "", ""),
        ("ledger positions assigned", f"{last.sequenced_per_s:,.0f}/s", "", "", ""),
        (
            "built, signed, encrypted and loaded by two processes",
            f"{last.loaded_per_s:,.0f} certificates/s",
            "",
            "",
            "",
        ),
        ("repository", f"{run.sizes.a_certificate:,.0f} bytes per certificate", "", "", ""),
        ("a push, in addition to its certificates", f"{run.sizes.a_push:,.0f} bytes", "", "", ""),
        ("directory, after a merge", f"{run.sizes.an_entry:,.0f} bytes per entry", "", "", ""),
        (
            "issue over HTTP",
            f"{run.issuing.rate:,.0f}/s",
            f"C = {run.issuing.ceiling:,.0f}/s",
            f"{run.issuing.ratio:.2f}",
            "≥ 0.4",
        ),
        (
            "issue over HTTP, p50 / p99 at 16 connections",
            f"{run.issuing.p50:.1f} / {run.issuing.p99:.1f} ms",
            "",
            "",
            "",
        ),
        (
            "issued → searchable in the directory, p50 / p99",
            f"{run.searchable[0]:,.0f} / {run.searchable[1]:,.0f} ms",
            "",
            "",
            "p99 < 1,000 ms",
        ),
    ]
    head = f"| with {many} certificates in {run.database} and {run.directory} | figure | floor of the same run | ratio | wanted |"
    lines = [head, "|---|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows), "", *_growth(run.figures)]
    return "\n".join([*lines, "", _sizes(run.sizes), "", missed(rows)])


def _rates(rates: Rates, unit: str, name: str) -> tuple[str, str, str]:
    return f"{rates.ours:,.0f} {unit}", f"{name} {rates.bare:,.0f}", f"{rates.ratio:.2f}"


def _growth(figures: Sequence[Figures]) -> list[str]:
    sizes = [f"{one.certificates:,}" for one in figures]
    lines = [f"| p50 / p99 with | {' | '.join(sizes)} | last / first | wanted |", "|---|" + "---|" * (len(sizes) + 2)]
    for what in figures[0].times:
        times = [one.times[what] for one in figures]
        cells = [f"{one.p50:.2f} / {one.p99:.2f} ms" for one in times]
        ratio = f"{times[-1].p50 / times[0].p50:.2f} / {times[-1].p99 / times[0].p99:.2f}"
        lines.append(f"| {what} | {' | '.join(cells)} | {ratio} | ≤ {FLAT} |")
    rows = [f"{one.rows.ours:,.0f} rows/s ({one.rows.ratio:.2f})" for one in figures]
    lines.append(f"| bulk path (of the bare engine) | {' | '.join(rows)} | {_of(figures, 'rows')} | |")
    rebuilt = [f"{one.rebuilt.ours:,.0f} entries/s ({one.rebuilt.ratio:.2f})" for one in figures]
    lines.append(f"| rebuild (of the bare engine) | {' | '.join(rebuilt)} | {_of(figures, 'rebuilt')} | |")
    return lines


def _of(figures: Sequence[Figures], name: str) -> str:
    first, last = getattr(figures[0], name).ours, getattr(figures[-1], name).ours
    return f"{last / first:.2f}" if first else ""


def _sizes(sizes: Sizes) -> str:
    """One line: bytes per certificate by table, rows and indexes."""
    known = [(name, *sizes.tables[name]) for name in (*WITHIN, "hub.db") if name in sizes.tables]
    each = [f"`{n}` {rows / sizes.certificates:,.0f} + {more / sizes.certificates:,.0f}" for n, rows, more in known]
    return "Bytes per certificate, rows + indexes: " + ", ".join(each) + "."


def write(text: str, document: Path = DOCUMENT) -> None:
    """Put the tables where the last ones were."""
    before = document.read_text(encoding="utf-8")
    head, found, rest = before.partition(BEGIN)
    if not found:
        raise RuntimeError(f"{document.name} has no place for the tables")
    document.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")

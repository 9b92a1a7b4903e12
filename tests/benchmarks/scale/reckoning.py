"""The arithmetic of docs/scale.md: what the measurements imply for a city and for a country.

The page has two tables: measured values by name, and the values derived from them. `reckoned` computes the second from
the first, so that a test can check that the page is consistent.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.document import ROOT
from tests.benchmarks.scale.table import Run

DOCUMENT = ROOT / "docs" / "scale.md"
MEASURED = ("<!-- measured begin -->", "<!-- measured end -->")
RECKONED = ("<!-- reckoned begin -->", "<!-- reckoned end -->")
SIZES = (20_000_000, 5_000_000_000)
DOCUMENT_BYTES = 60_000

MEANINGS = {
    "certificates": "certificates in the measured city",
    "certificate_bytes": "bytes of a certificate in the repository, rows and indexes",
    "push_bytes": "bytes of a push in addition to its certificates: body, reply, audit row",
    "document_bytes": "bytes of an encrypted PDF file",
    "rows_per_certificate": "rows per certificate",
    "entries_per_certificate": "directory entries per certificate",
    "entry_bytes": "bytes of an entry after a merge, without replicas",
    "made_per_core_s": "certificates that one core builds, signs and encrypts per second",
    "bulk_rows_per_s": "rows per second through the bulk path, one connection",
    "rebuild_per_s": "entries per second of a rebuild, one process, one node",
    "issue_per_s": "certificates per second over HTTP, everything on two cores",
    "lookup_ms": "a lookup, p50, one at a time",
    "search_ms": "a directory search, p50, one at a time",
    "verification_ms": "a verification, p50, one at a time",
}

SHARD_BYTES, SHARD_ENTRIES = 30e9, 200e6
SERVER_BYTES = 2e12
ISSUED_A_YEAR = 0.10
PEAK = 20
OFFICE_S = 250 * 8 * 3600
PER_ISSUE = {"lookup": 5.0, "search": 1.0, "verification": 17.5}


def measured(run: Run) -> dict[str, float]:
    """The measured values that the page calculates with."""
    last = run.figures[-1]
    return {
        "certificates": last.certificates,
        "certificate_bytes": run.sizes.a_certificate,
        "push_bytes": run.sizes.a_push,
        "document_bytes": DOCUMENT_BYTES,
        "rows_per_certificate": last.rows_a_certificate,
        "entries_per_certificate": run.sizes.entries / run.sizes.certificates,
        "entry_bytes": run.sizes.an_entry,
        "made_per_core_s": last.prepared_per_core_s,
        "bulk_rows_per_s": last.rows.ours,
        "rebuild_per_s": last.rebuilt.ours,
        "issue_per_s": run.issuing.rate,
        "lookup_ms": last.times["lookup"].p50,
        "search_ms": last.times["directory search"].p50,
        "verification_ms": last.times["verification"].p50,
    }


def reckoned(m: Mapping[str, float]) -> list[tuple[str, str, list[str]]]:
    """The derived values: description, formula, and the value for each of SIZES."""
    peak = [size * ISSUED_A_YEAR / OFFICE_S * PEAK for size in SIZES]
    entries = [size * m["entries_per_certificate"] for size in SIZES]
    primary = [n * m["entry_bytes"] for n in entries]
    repository = [size * (m["certificate_bytes"] + m["push_bytes"]) for size in SIZES]
    seconds = {name: m[f"{name}_ms"] / 1000 * share for name, share in PER_ISSUE.items()}
    rows: list[tuple[str, str, list[float], str]] = [
        ("repository, if everything is pushed", "N × (certificate_bytes + push_bytes)", repository, "B"),
        (
            "repository, if everything is collected",
            "N × certificate_bytes",
            [n * m["certificate_bytes"] for n in SIZES],
            "B",
        ),
        (
            "database servers of 2 TB",
            "repository ÷ 2 TB, rounded up",
            [math.ceil(n / SERVER_BYTES) for n in repository],
            "",
        ),
        ("PDF files, if all are rendered", "N × document_bytes", [n * m["document_bytes"] for n in SIZES], "B"),
        ("directory entries", "N × entries_per_certificate", entries, ""),
        ("directory, without replicas", "entries × entry_bytes", primary, "B"),
        (
            "shards of 30 GB and 200 million entries",
            "the larger of both, rounded up",
            [
                max(math.ceil(b / SHARD_BYTES), math.ceil(n / SHARD_ENTRIES))
                for b, n in zip(primary, entries, strict=True)
            ],
            "",
        ),
        (
            "building all certificates, core-days",
            "N ÷ made_per_core_s",
            [n / m["made_per_core_s"] / 86_400 for n in SIZES],
            "d",
        ),
        (
            "inserting all certificates, hours on one server",
            "N × rows_per_certificate ÷ bulk_rows_per_s",
            [n * m["rows_per_certificate"] / m["bulk_rows_per_s"] / 3600 for n in SIZES],
            "h",
        ),
        (
            "rebuilding the directory, hours on one node",
            "entries ÷ rebuild_per_s",
            [n / m["rebuild_per_s"] / 3600 for n in entries],
            "h",
        ),
        ("issued per second at the peak", "N × 10 % a year in 250 × 8 hours, × 20", peak, ""),
        ("cores for issuing at the peak", "peak ÷ (issue_per_s ÷ 2)", [n / (m["issue_per_s"] / 2) for n in peak], ""),
        (
            "cores for queries at the peak",
            "peak × (5 lookups + 1 search + 17.5 verifications)",
            [n * sum(seconds.values()) for n in peak],
            "",
        ),
        ("status lists", "N ÷ 131,072, rounded up", [math.ceil(n / 131_072) for n in SIZES], ""),
        ("expected collisions of public codes", "N² ÷ 2⁸¹", [n * n / 2**81 for n in SIZES], "e"),
        ("expected collisions of party keys", "(N ÷ 4)² ÷ 2⁶⁴", [(n / 4) ** 2 / 2**64 for n in SIZES], "e"),
    ]
    return [(what, how, [_formatted(value, unit) for value in values]) for what, how, values, unit in rows]


def _formatted(value: float, unit: str) -> str:
    if unit == "B":
        for power, name in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB")):
            if value >= power:
                return f"{value / power:,.1f} {name}"
        return f"{value / 1e6:,.1f} MB"
    if unit == "e":
        return f"{value:.0e}" if value < 0.01 else f"{value:.2f}"
    if unit in {"d", "h"}:
        return f"{value:,.1f} {unit}"
    return f"{value:,.1f}" if value < 100 and value != int(value) else f"{value:,.0f}"


def tables(values: Mapping[str, float]) -> tuple[str, str]:
    """Both tables as Markdown."""
    first = ["| name | value | |", "|---|---|---|"]
    first += [f"| `{name}` | {values[name]:.6g} | {meaning} |" for name, meaning in MEANINGS.items()]
    second = ["| derived value | formula | 20 million | 5 billion |", "|---|---|---|---|"]
    second += [f"| {what} | {how} | {' | '.join(texts)} |" for what, how, texts in reckoned(values)]
    return "\n".join(first), "\n".join(second)


def read(document: Path = DOCUMENT) -> dict[str, float]:
    """The measured values in the page."""
    text = between(document.read_text(encoding="utf-8"), MEASURED)
    return {name: float(value) for name, value in re.findall(r"\| `(\w+)` \| ([0-9.e+]+) \|", text)}


def between(text: str, marks: tuple[str, str]) -> str:
    """The text between two marks."""
    return text.partition(marks[0])[2].partition(marks[1])[0].strip()


def write(values: Mapping[str, float], document: Path = DOCUMENT) -> None:
    """Replace both tables; the second is computed from the first as printed."""
    text = document.read_text(encoding="utf-8")
    printed = {name: float(f"{value:.6g}") for name, value in values.items()}
    for (begin, end), table in zip((MEASURED, RECKONED), tables(printed), strict=True):
        head, found, rest = text.partition(begin)
        if not found:
            raise RuntimeError(f"{document.name} has no place for {begin}")
        text = f"{head}{begin}\n{table}\n{end}{rest.partition(end)[2]}"
    document.write_text(text, encoding="utf-8")

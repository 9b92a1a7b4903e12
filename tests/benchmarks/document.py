"""docs/performance.md: the text of `performance.md` in this folder, with the measured parts in its two places.

A part that was not measured this time stays as it is in the document, with the machine, commit and date of its own run.
"""

import os
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "performance.md"
TEMPLATE = Path(__file__).with_name("performance.md")
FIGURES = ("<!-- figures begin -->", "<!-- figures end -->")
SCALE = ("<!-- scale begin -->", "<!-- scale end -->")
_BOUND = re.compile(r"(p99 )?([≥≤<]) ([\d.,]+)")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_POLICIES = {os.SCHED_FIFO: "real-time (FIFO)", os.SCHED_RR: "real-time (RR): niceness means nothing"}
Cells = Sequence[str]
"""what, figure, floor, ratio, wanted."""


def circumstances(how: str) -> str:
    """One line: when, which commit, how, on what machine."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    commit = _git("describe", "--always", "--dirty")
    policy = _POLICIES.get(os.sched_getscheduler(0))
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} at commit `{commit}`: {how}; "
        f"{processor}, {os.cpu_count()} cores, {memory_gb:.0f} GB, Linux {platform.release()}, "
        f"Python {platform.python_version()}" + (f"; {policy}" if policy else "") + "."
    )


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def missed(rows: Iterable[Cells]) -> str:
    """One line: which rows do not reach what is wanted."""
    found = [f"{row[0]} ({_figure(row)}, wanted {row[4]})" for row in rows if not _reached(row)]
    return f"Not reached: {'; '.join(found)}." if found else "Every target is reached."


def _figure(row: Cells) -> str:
    return row[3] if _is_of_ratio(row) else row[1]


def _is_of_ratio(row: Cells) -> bool:
    """A bare number bounds the ratio; one with a unit bounds the figure."""
    return bool(row[3]) and re.fullmatch(_BOUND, row[4]) is not None


def _reached(row: Cells) -> bool:
    bound = _BOUND.match(row[4])
    if bound is None:
        return True
    numbers = [float(text.replace(",", "")) for text in _NUMBER.findall(_figure(row))]
    value = numbers[1] if bound[1] else numbers[0]
    limit = float(bound[3].replace(",", ""))
    return value >= limit if bound[2] == "≥" else value <= limit if bound[2] == "≤" else value < limit


def table(rows: Iterable[Cells]) -> str:
    """Markdown."""
    lines = ["| what | figure | floor of the same run | ratio | wanted |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def write(figures: str | None = None, scale: str | None = None, document: Path = DOCUMENT) -> None:
    """Write the whole document; a part that is None is kept."""
    before = document.read_text(encoding="utf-8")
    text = TEMPLATE.read_text(encoding="utf-8")
    for (begin, end), part in ((FIGURES, figures), (SCALE, scale)):
        kept = part if part is not None else before.partition(begin)[2].partition(end)[0].strip("\n")
        head, found, rest = text.partition(f"{begin}\n{end}")
        if not found:
            raise RuntimeError(f"{TEMPLATE.name} has no place for {begin}")
        text = f"{head}{begin}\n{kept}\n{end}{rest}"
    document.write_text(text, encoding="utf-8")

"""CPU and latency of documents: `python -m tests.benchmarks.documents`, exit status 1 if a target is missed.

The worker runs as its own process, as in production; cases are pushed in this one.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hub.store import documents
from hub.store.documents import DocumentKey
from tests.documents.test_rendition import ENROLMENT, all_versions, finished
from tests.support import city as c
from tests.support.city import City, open_copy

VISIBLE_MS, MADE_MS, COPY_MS = 1000.0, 60.0, 80.0
PUSHES = 200


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and elapsed time in ms."""
    cpu, began = time.process_time(), time.monotonic()
    work()
    return (time.process_time() - cpu) * 1000, (time.monotonic() - began) * 1000


def middle(pairs: list[tuple[float, float]]) -> str:
    cpu, elapsed = (statistics.median(column) for column in zip(*pairs, strict=True))
    return f"{cpu:7.2f} ms CPU {elapsed:8.2f} ms"


def at_rest(city: City) -> float:
    """The first read of every version, the second one, and a copy; returns the median CPU of the first."""
    rendition, versions = city.parts.rendition, all_versions(city)
    rendition.get_ready()
    rendition.of_version(versions[0])
    first = [timed(lambda v=version: rendition.of_version(v)) for version in versions[1:]]
    again = [timed(lambda v=version: rendition.of_version(v)) for version in versions[1:]]
    print(f"first reading: drawn, sealed, kept      {middle(first)}   to reach: {MADE_MS:g} CPU")
    print(f"second reading: opened and compared     {middle(again)}")
    taken = city.retrieve(*ENROLMENT, city.identifier(c.BIRTH, c.CHILD))
    copy = timed(lambda: city.parts.retrieval.copy(c.caller(ENROLMENT[0]), taken.receipt_number))
    print(
        f"annotated copy, first                   {copy[0]:7.2f} ms CPU {copy[1]:8.2f} ms   to reach: {COPY_MS:g} CPU"
    )
    return statistics.median(cpu for cpu, _ in first)


def visible(city: City) -> list[float]:
    """Time from the reply to a push until the worker has recorded the PDF."""
    reader = city.parts.database.reader
    environment = {**os.environ, "HUB_DATA_DIR": str(city.folder), "HUB_LOG_LEVEL": "error"}
    worker = subprocess.Popen([sys.executable, "-m", "hub", "work"], env=environment)
    try:
        while len(reader.all("SELECT 1 FROM documents WHERE kind = 1")) < len(all_versions(city)):
            time.sleep(0.1)
        took = []
        for number in range(PUSHES):
            reply = city.push("fz-public-security", f"FZGA-2026-B-{number:04}", finished(number))
            began = time.monotonic()
            version = city.version(reply["certificates"][0]["identifier"])
            while documents.find(reader, DocumentKey(version.home, version.certificate, 1)) is None:
                time.sleep(0.002)
            took.append((time.monotonic() - began) * 1000)
    finally:
        worker.terminate()
        worker.wait()
    return sorted(took)


def main() -> int:
    folder = Path(tempfile.mkdtemp())
    c.load_city(folder / "template")
    with open_copy(folder / "template", folder / "data") as city:
        made = at_rest(city)
        took = visible(city)
    p50, p95, p99 = (took[int(len(took) * part)] for part in (0.5, 0.95, 0.99))
    print(f"issued until its PDF is on record       p50 {p50:.0f}  p95 {p95:.0f}  p99 {p99:.0f} ms", end="")
    print(f"   to reach: p95 {VISIBLE_MS:g}")
    return int(made > MADE_MS or p95 > VISIBLE_MS)


if __name__ == "__main__":
    sys.exit(main())

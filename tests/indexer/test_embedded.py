"""What the embedded engine guarantees in addition: it reads little, and detects a broken file."""

import random
from pathlib import Path

import pytest

from indexer.embedded.engine import EmbeddedDirectory
from indexer.errors import DirectoryUnavailable
from indexer.query import Search
from tests.support.indexing import NAMES, TODAY, entry


@pytest.fixture
def directory(tmp_path: Path) -> EmbeddedDirectory:
    return EmbeddedDirectory(tmp_path / "index")


def test_the_same_again_writes_nothing(directory: EmbeddedDirectory) -> None:
    """After a rebuild, the feed sees changes that it already has: no work."""
    name = directory.create()
    directory.swap(name)
    new = entry(1, random.Random(1))
    assert directory.write(name, [new]) == 1
    version = "PRAGMA data_version"
    before = directory._reader(name).execute(version).fetchone()
    assert directory.write(name, [new, new]) == 1
    assert directory._reader(name).execute(version).fetchone() == before


def test_what_is_passed_over_is_not_read(directory: EmbeddedDirectory) -> None:
    """Searches and counts use an index only; of 3,000 matches, only the page's entries are read."""
    rng = random.Random(5)
    name = directory.create()
    listed = {"primary": True, "ended": False, "personal": False, "organisation": NAMES[0], "type_code": "T1"}
    directory.write(name, [entry(n, rng)._replace(**listed) for n in range(3000)])
    directory.swap(name)
    reader = directory._reader(name)
    asked: list[str] = []
    reader.set_trace_callback(asked.append)
    for text, type_code in (("福州", ""), ("福州", "T1"), ("", ""), ("", "T1")):
        page = directory.search(name, Search(TODAY, text=text, type_code=type_code, state="revoked", limit=5))
        assert len(page.entries) == 5
    reader.set_trace_callback(None)
    found = [sql for sql in asked if sql.startswith("SELECT e.")]
    assert len(found) == 4
    for sql in found:
        steps = [str(row[3]) for row in reader.execute(f"EXPLAIN QUERY PLAN {sql}")]
        assert any("COVERING INDEX by_" in step for step in steps), (sql, steps)
        assert not any("B-TREE" in step or "PRIMARY KEY" in step for step in steps), (sql, steps)


def test_without_a_generation_or_with_a_broken_one_it_says_so(directory: EmbeddedDirectory, tmp_path: Path) -> None:
    assert directory.current() is None
    with pytest.raises(DirectoryUnavailable):
        directory.search("g1", Search(TODAY))
    name = directory.create()
    directory.swap(name)
    for path in (tmp_path / "index").glob("*.db*"):
        path.write_bytes(b"garbage" * 1000)
    with pytest.raises(DirectoryUnavailable):
        directory.of_party(name, 1, ["T0"], TODAY)

"""The embedded engine answers exactly what `matches` says, in order, page by page, whatever was written when."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.embedded import DirectoryUnavailable, EmbeddedDirectory
from indexer.entry import FOREVER, Entry
from indexer.query import FACET_SAMPLE, STATES, Search, matches, state_of

TODAY = 20261124
NAMES = (
    "福州海湾里置业有限公司",
    "福州闽屿餐饮管理有限公司",
    "海湾里幼儿园",
    "郑𤩽商行",
    "星光KTV城",
    "鼓楼区七洲小吃店",
)
TITLES = ("营业执照", "食品经营许可证", "不动产权证书")


def entry(n: int, rng: random.Random) -> Entry:
    personal = rng.random() < 0.3
    begins = rng.choice((20150101, 20201231, TODAY, 20261201))
    return Entry(
        party=rng.randrange(1, 40),
        home=1,
        certificate=n,
        revision=1,
        primary=rng.random() < 0.9,
        ended=rng.random() < 0.05,
        identifier=f"1.2.156.3005.2.{n}",
        type_code=f"T{rng.randrange(3)}",
        authority=f"A{rng.randrange(3)}",
        region=rng.choice(("350100", "350102", "350110", "350181")),
        standing=rng.choice((1, 1, 1, 2, 3, 4)),
        issued_on=rng.randrange(2010, 2026) * 10000 + 615,
        valid_from=begins,
        valid_until=rng.choice((FOREVER, 20251231, TODAY, 20301231)),
        superseded_on=rng.choice((FOREVER, FOREVER, 20220101, TODAY, 20270101)),
        organisation="" if personal else rng.choice(NAMES),
        title=rng.choice(TITLES),
        personal=personal,
    )


def searches(rng: random.Random) -> Search:
    maybe = lambda *values: rng.choice(("", "", *values))  # noqa: E731
    return Search(
        today=TODAY,
        text=maybe("海湾", "福州", "有限公司", "ktv", "郑𤩽", "小吃店 营业", "执照", "没有这个"),
        type_code=maybe("T0", "T1"),
        authority=maybe("A0", "A2"),
        region=maybe("350100", "350102", "350110"),
        state=maybe(*STATES),
        party=rng.choice((None, None, None, 7)),
        issued_from=rng.choice((None, 20180101)),
        issued_to=rng.choice((None, 20230101)),
        persons_of=frozenset(rng.sample(("A0", "A1", "A2"), rng.randrange(3))),
        limit=rng.choice((1, 7, 50)),
    )


@pytest.fixture
def directory(tmp_path: Path) -> EmbeddedDirectory:
    return EmbeddedDirectory(tmp_path / "index")


def test_it_agrees_with_the_rule_page_by_page(directory: EmbeddedDirectory) -> None:
    rng = random.Random(4)
    name = directory.create()
    live = {}
    for start in range(0, 1200, 100):
        batch = [entry(n, rng) for n in range(start, start + 100)]
        batch += [
            replace(e, revision=e.revision + 1, standing=3) for e in rng.sample(list(live.values()), min(len(live), 20))
        ]
        directory.write(name, batch)
        live |= {e.key: e for e in batch}
        if start in {600, 1000}:  # what it needs to answer is made then, and kept up by what is written later
            directory.swap(name)
    for _ in range(300):
        search = searches(rng)
        expected = sorted((e for e in live.values() if matches(search, e)), key=lambda e: -e.order)
        found, before = [], None
        while True:
            page = directory.search(name, replace(search, before=before))
            found += page.entries
            if before is None:
                counted = page.facets["state"]
            before = page.next
            if before is None:
                break
        assert found == expected, search
        assert sum(counted.values()) == min(len(expected), FACET_SAMPLE)
        assert counted.get("valid", 0) == sum(state_of(e, TODAY) == "valid" for e in expected[:FACET_SAMPLE])


def test_a_lower_revision_changes_nothing_and_the_same_may_be_written_again(directory: EmbeddedDirectory) -> None:
    rng = random.Random(1)
    name = directory.create()
    directory.swap(name)
    new = replace(entry(1, rng), revision=5, primary=True, ended=False, personal=False, organisation=NAMES[0])
    assert directory.write(name, [new]) == 1
    assert directory.write(name, [replace(new, revision=4, organisation=NAMES[2])]) == 0
    version = "PRAGMA data_version"
    before = directory._reader(name).execute(version).fetchone()
    assert directory.write(name, [new, new]) == 1
    assert directory._reader(name).execute(version).fetchone() == before  # a rebuild's own changes follow it: no work
    assert directory.find(name, new.key) == new
    assert [e.key for e in directory.search(name, Search(TODAY, text="海湾里置业")).entries] == [new.key]
    renamed = replace(new, revision=6, organisation=NAMES[1])
    directory.write(name, [renamed])
    assert directory.search(name, Search(TODAY, text="海湾里置业")).entries == ()
    assert directory.search(name, Search(TODAY, text="闽屿")).entries == (renamed,)


def test_a_party_finds_its_own(directory: EmbeddedDirectory) -> None:
    rng = random.Random(2)
    name = directory.create()
    directory.swap(name)
    entries = [entry(n, rng) for n in range(300)]
    directory.write(name, entries)
    mine = [e for e in entries if e.party == 7 and e.type_code in {"T0", "T2"}]
    wanted = {e.key for e in mine if not e.ended or e.superseded_on > TODAY}
    assert {e.key for e in directory.of_party(name, 7, ["T0", "T2"], TODAY)} == wanted


def test_generations_are_swapped_under_a_reader(directory: EmbeddedDirectory) -> None:
    rng = random.Random(3)
    first, second = directory.create(), directory.create()
    one, two = (replace(entry(n, rng), party=1, ended=False, type_code="T0") for n in (1, 2))
    directory.write(first, [one])
    directory.write(second, [one, two])
    for name, held in ((first, 1), (second, 2)):
        directory.swap(name)
        assert directory.current() == name
        assert len(directory.of_party(name, 1, ["T0"], TODAY)) == held
    directory.drop(first)
    assert directory.names() == [second]
    with pytest.raises(ValueError, match="in use"):
        directory.drop(second)


def test_what_is_passed_over_is_not_read(directory: EmbeddedDirectory) -> None:
    """Searches find and count in an index; of 3,000 matches only the page's own entries are touched."""
    rng = random.Random(5)
    name = directory.create()
    listed = {"primary": True, "ended": False, "personal": False, "organisation": NAMES[0], "type_code": "T1"}
    directory.write(name, [replace(entry(n, rng), **listed) for n in range(3000)])
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

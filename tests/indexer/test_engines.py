"""Every engine returns exactly what `matches` defines, in order, page by page, after any sequence of writes."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.engine import DirectoryEngine
from indexer.entry import Entry
from indexer.errors import DirectoryBroken
from indexer.query import FACET_SAMPLE, Search, matches, state_of
from tests.support import directories
from tests.support.indexing import NAMES, TODAY, entry, searches


@pytest.fixture(params=directories.BOTH)
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DirectoryEngine]:
    with directories.opened(request.param, tmp_path / "index") as found:
        yield found


def test_it_agrees_with_the_rule_page_by_page(directory: DirectoryEngine) -> None:
    rng = random.Random(4)
    name = directory.create()
    live = {}
    for start in range(0, 1200, 100):
        batch = [entry(n, rng) for n in range(start, start + 100)]
        batch += [
            e._replace(revision=e.revision + 1, standing=3) for e in rng.sample(list(live.values()), min(len(live), 20))
        ]
        directory.write(name, batch)
        live |= {e.key: e for e in batch}
        if start in {600, 1000}:  # what it needs to answer is made then, and kept up by what is written later
            directory.swap(name)
    for _ in range(100):
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


def test_a_lower_revision_changes_nothing_and_the_same_may_be_written_again(directory: DirectoryEngine) -> None:
    rng = random.Random(1)
    name = directory.create()
    directory.swap(name)
    new = entry(1, rng)._replace(revision=5, primary=True, ended=False, personal=False, organisation=NAMES[0])
    assert directory.write(name, [new]) == 1
    assert directory.write(name, [new._replace(revision=4, organisation=NAMES[2])]) == 0
    assert directory.write(name, [new, new]) == 1
    assert directory.find(name, new.key) == new
    assert [e.key for e in directory.search(name, Search(TODAY, text="海湾里置业")).entries] == [new.key]
    renamed = new._replace(revision=6, organisation=NAMES[1])
    directory.write(name, [renamed])
    assert directory.search(name, Search(TODAY, text="海湾里置业")).entries == ()
    assert directory.search(name, Search(TODAY, text="闽屿")).entries == (renamed,)


def test_a_party_finds_its_own(directory: DirectoryEngine) -> None:
    rng = random.Random(2)
    name = directory.create()
    directory.swap(name)
    entries = [entry(n, rng) for n in range(300)]
    directory.write(name, entries)
    mine = [e for e in entries if e.party == 7 and e.type_code in {"T0", "T2"}]
    wanted = {e.key for e in mine if not e.ended or e.superseded_on > TODAY}
    assert {e.key for e in directory.of_party(name, 7, ["T0", "T2"], TODAY)} == wanted


def test_generations_are_swapped_under_a_reader(directory: DirectoryEngine) -> None:
    rng = random.Random(3)
    first, second = directory.create(), directory.create()
    one, two = (entry(n, rng)._replace(party=1, ended=False, type_code="T0") for n in (1, 2))
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


def test_marks_only_grow_and_are_kept_apart(directory: DirectoryEngine) -> None:
    name = directory.create({"position": 5, "walked": "-1 -1"})
    assert (directory.mark(name, "position"), directory.mark(name, "walked")) == (5, "-1 -1")
    directory.write(name, (), {"position": 3, "walked": "done"})
    assert (directory.mark(name, "position"), directory.mark(name, "walked")) == (5, "done")
    directory.write(name, (), {"position": 9})
    assert directory.mark(name, "position") == 9
    assert directory.mark(name, "other") is None
    directory.swap(name)
    assert directory.count(name) == 0
    assert directory.walk(name, (-1, -1, -1), 10) == []
    assert directory.search(name, Search(TODAY)).entries == ()


def test_a_walk_gives_every_entry_in_the_order_of_keys(directory: DirectoryEngine) -> None:
    rng = random.Random(6)
    name = directory.create()
    entries = [entry(n, rng)._replace(home=rng.choice((1, 2**62 + n))) for n in range(250)]
    directory.write(name, entries)
    directory.swap(name)
    found: list[Entry] = []
    while batch := directory.walk(name, found[-1].key if found else (-1, -1, -1), 40):
        found += batch
    assert found == sorted(entries, key=lambda e: e.key)
    assert directory.count(name) == 250
    assert directory.find(name, entries[3].key) == entries[3]
    assert directory.find(name, (99, 99, 99)) is None


def test_what_is_not_as_it_was_seen_stays(directory: DirectoryEngine) -> None:
    rng = random.Random(7)
    name = directory.create()
    stray, ahead, moved = (entry(n, rng)._replace(revision=7) for n in (1, 2, 3))
    directory.write(name, [stray, ahead, moved])
    directory.swap(name)
    right = ahead._replace(revision=2, title=NAMES[3])
    newer = moved._replace(revision=8)
    directory.write(name, [newer])
    assert directory.write(name, [right, moved._replace(revision=6)], {}, [stray, ahead, moved]) == 1
    assert directory.find(name, stray.key) is None
    assert directory.find(name, ahead.key) == right
    assert directory.find(name, moved.key) == newer
    assert directory.count(name) == 2


def test_long_words_and_whole_words(directory: DirectoryEngine) -> None:
    name = directory.create()
    word = "a" * 255 + "b" * 45
    listed = {"primary": True, "ended": False, "personal": False}
    entries = [
        entry(n, random.Random(n))._replace(**listed, organisation=text)
        for n, text in enumerate((word, "b" * 45, "第十二 a", "(有限)公司 Ⅻ", "𠮷野家𤩽"))
    ]
    directory.write(name, entries)
    directory.swap(name)
    for text in ("b" * 45, "a" * 45, "xii", "限公", "𠮷野", "家𤩽", "十二 a", "有限公司"):
        search = Search(TODAY, text=text)
        expected = {e.key for e in entries if matches(search, e)}
        assert {e.key for e in directory.search(name, search).entries} == expected, text


def test_pages_stay_where_they_are_while_others_are_written(directory: DirectoryEngine) -> None:
    rng = random.Random(8)
    name = directory.create()
    listed = {"primary": True, "ended": False, "personal": False}
    entries = [entry(n, rng)._replace(**listed) for n in range(120)]
    directory.write(name, entries)
    directory.swap(name)
    search, found = Search(TODAY, limit=10), []
    for n in range(1000, 2000):
        page = directory.search(name, search)
        found += page.entries
        if page.next is None:
            break
        search = replace(search, before=page.next)
        newest = entry(n, rng)._replace(**listed, issued_on=20261124)
        changed = [e._replace(revision=n, standing=3) for e in rng.sample(entries, 20)]
        directory.write(name, [newest, *changed])
    assert [e.key for e in found] == [e.key for e in sorted(entries, key=lambda e: -e.order)]


def test_a_generation_that_is_gone_is_broken(directory: DirectoryEngine) -> None:
    first, second = directory.create(), directory.create()
    directory.swap(second)
    directory.drop(first)
    one = entry(1, random.Random(1))
    questions = (
        lambda: directory.mark(first, "position"),
        lambda: directory.find(first, one.key),
        lambda: directory.of_party(first, 1, ["T0"], TODAY),
        lambda: directory.search(first, Search(TODAY)),
        lambda: directory.walk(first, (-1, -1, -1), 5),
        lambda: directory.count(first),
        lambda: directory.examine(first),
        lambda: directory.write(first, [one]),
        lambda: directory.swap(first),
    )
    for question in questions:
        with pytest.raises(DirectoryBroken):
            question()
    assert directory.names() == [second]
    directory.examine(second)

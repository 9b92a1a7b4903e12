"""The bulk path follows all rules of a push: atomic batches, unique, resumable, consistent for `hub check`."""

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.db.database import Conflict
from hub.db.tables import metadata
from hub.directory import DirectoryQuery
from hub.domain.caller import Caller
from hub.domain.certificate import State
from hub.ops.check import check
from hub.ops.init import initialise
from hub.parts import Parts, open_parts
from hub.settings import Settings
from hub.store import bulk_insert, certificates
from hub.store import keys as key_store
from hub.store.keys import SigningState
from hub.store.publish import KeyRetired
from hub.vault import KeyPurpose, KeyState, StaleKeys
from signing.keys import Purpose
from tests.benchmarks.scale import city, loading, plausible
from tests.benchmarks.scale.plausible import Fate, Plausible, Stage
from tests.support import engines

STAGE, LOADED = Stage(0, 480), (0, 1)
MANY = sum(map(STAGE.share, LOADED))


@pytest.fixture(scope="module")
def catalogue_template(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Path:
    folder = tmp_path_factory.mktemp("bulk") / "data"

    def fill(settings: Settings) -> None:
        initialise(settings)
        with open_parts(settings) as parts:
            parts.registration.load_catalogue(city.catalogue())

    engines.make(engine, Settings(data_dir=folder), fill)
    return folder


@pytest.fixture
def settings(catalogue_template: Path, tmp_path: Path) -> Iterator[Settings]:
    with engines.copied(catalogue_template, tmp_path / "data") as found:
        yield found


@pytest.fixture
def parts(settings: Settings) -> Iterator[Parts]:
    with open_parts(settings) as found:
        yield found


def some(count: int, part: int = 0) -> list[Plausible]:
    return list(plausible.certificates(1, Stage(0, count * plausible.PARTS), part))


def rows(parts: Parts) -> dict[str, int]:
    count = "SELECT COUNT(*) AS n FROM "
    return {name: parts.database.reader.all(count + name)[0]["n"] for name in metadata.tables if name != "id_blocks"}


def is_well(parts: Parts) -> bool:
    while parts.directory.sequence() + parts.directory.feed():
        pass
    return check(parts).findings == []


def test_what_arrives_in_bulk_is_as_good_as_what_was_pushed(parts: Parts):
    items = some(120)
    items[:4] = [replace(item, fate=fate) for item, fate in zip(items[:4], Fate, strict=True)]
    loader = loading.Loader(parts)
    before = rows(parts)
    batch = loader.prepared(items)
    loader.insert(batch)
    new = {name: count - before[name] for name, count in rows(parts).items() if count != before[name]}
    holders = {holder.id_number for item in items for holder in item.pushed.holders}
    per_holder = sum(len({h.id_number for h in item.pushed.holders}) for item in items)
    single = dict.fromkeys(("certificates", "versions", "acts", "outbox", "cases"), len(items))
    assert new == {
        **single,
        "holdings": per_holder,
        "handles": 2 * len(items),
        "parties": len(holders),
        "blind_index": len(holders) + len(items),
    }
    loader.live_on(items)
    loader.live_on(items)  # what has happened does not happen again
    assert is_well(parts)
    states = Counter()
    for item, arrival in zip(items, batch.arrivals, strict=True):
        version = certificates.by_identifier(parts.database.reader, parts.vault, arrival.change.version.identifier)
        assert version is not None
        assert (version.number, dict(version.fields)) == (item.pushed.number, dict(item.pushed.fields))
        assert version.holders == item.pushed.holders
        verdict = parts.verification.verify_code(version.code)
        assert verdict.state == version.state(parts.clock.today()).value
        states[version.state(parts.clock.today())] += 1
    assert {State.VALID, State.REVOKED, State.SUPERSEDED} <= set(states)


def test_the_directory_finds_it(parts: Parts):
    loading.load(parts.settings, 1, Stage(0, 160), 1, lambda _: None)
    assert is_well(parts)
    found, cursor = 0, ""
    caller = Caller("scale", city.PLATFORM, city.PLATFORM, scopes=frozenset({"directory:search"}))
    while True:
        page = parts.directory.search(caller, DirectoryQuery(limit=200, cursor=cursor))
        found += len(page.hits)
        if not page.next:
            break
        cursor = page.next
    items = [item for part in range(plausible.PARTS) for item in plausible.certificates(1, Stage(0, 160), part)]
    assert found == sum(i.pushed.holders[0].id_type == "001" or i.authority == city.PLATFORM for i in items)


def test_a_number_that_is_taken_stops_the_batch_whole(parts: Parts):
    items = some(30)
    loader = loading.Loader(parts)
    late = loader.prepared(items)
    loader.insert(loader.prepared(items[29:]))
    before = rows(parts)
    with pytest.raises(Conflict):
        loader.insert(late)
    assert rows(parts) == before
    assert loader.missing(items) == items[:29]
    loader.insert(loader.prepared(items[:29]))
    assert is_well(parts)


def test_a_person_who_arrives_meanwhile_stays_one_person(parts: Parts):
    items = some(30)
    loader = loading.Loader(parts)
    shared = next(
        n for n, item in enumerate(items) if item.pushed.holders[0] in [i.pushed.holders[0] for i in items[:n]]
    )
    late = loader.prepared(items[:shared])
    loader.insert(loader.prepared([items[shared]]))
    with pytest.raises(Conflict):
        loader.insert(late)
    loader.insert(loader.prepared(items[:shared]))
    assert is_well(parts)
    row = parts.database.reader.one("SELECT COUNT(*) AS n FROM parties")
    assert row is not None
    assert row["n"] == len({h.id_number for item in items[: shared + 1] for h in item.pushed.holders})


def test_one_number_twice_in_a_batch_is_refused_whole(parts: Parts):
    items = some(10)
    loader = loading.Loader(parts)
    before = rows(parts)
    with pytest.raises(Conflict):
        loader.insert(loader.prepared([*items, items[3]]))
    assert rows(parts) == before


def test_nothing_that_was_signed_with_a_retired_key_gets_in(parts: Parts):
    loader = loading.Loader(parts)
    batch = loader.prepared(some(5))
    before = rows(parts)
    with parts.database.write() as writer:
        kid = key_store.active_kid(writer, Purpose.CREDENTIAL)
        assert kid is not None
        key_store.set_signing_state(writer, kid, SigningState.RETIRED, 1)
    with pytest.raises(KeyRetired):
        loader.insert(batch)
    assert rows(parts) == before


def test_nothing_that_was_hashed_with_former_keys_gets_in(parts: Parts):
    loader = loading.Loader(parts)
    with parts.vault.pinned():  # as inside `attempt`
        batch = loader.prepared(some(5))
        with open_parts(parts.settings) as others:
            others.rotation.begin(KeyPurpose.BLIND)
        before = rows(parts)
        with pytest.raises(StaleKeys):
            loader.insert(batch)
        assert rows(parts) == before
    assert any(key.state is KeyState.NEXT for key in key_store.data_keys(parts.database.reader))
    parts.vault.reload()
    loader.insert(loader.prepared(some(5)))
    hashes = parts.database.reader.all("SELECT COUNT(*) AS n FROM blind_index GROUP BY key_number")
    assert len({row["n"] for row in hashes}) == 1
    assert len(hashes) == 2


def test_a_batch_has_new_certificates_only(parts: Parts):
    items = [replace(some(1)[0], fate=Fate.REVOKED)]
    loader = loading.Loader(parts)
    loader.insert(loader.prepared(items))
    key = parts.database.reader.all("SELECT home, certificate FROM certificates")[0]
    before = certificates.versions_of(parts.database.reader, parts.vault, key["home"], key["certificate"])[-1]
    change, _ = loader._happens(items[0], before)
    with pytest.raises(ValueError, match="new"), parts.database.write() as writer:
        bulk_insert.insert(writer, parts.vault, bulk_insert.Batch((), (bulk_insert.Arrival(change, ()),)))


def _load(settings: Settings) -> None:
    for part in LOADED:
        loading.load_part(settings, 1, STAGE, part, size=10)


def test_a_load_that_is_killed_repeatedly_is_resumed(settings: Settings):
    context = multiprocessing.get_context("spawn")
    with open_parts(settings) as parts:
        for _ in range(2):
            before = rows(parts)["certificates"]
            process = context.Process(target=_load, args=(settings,))
            process.start()
            deadline = time.monotonic() + 60
            while process.is_alive() and rows(parts)["certificates"] < before + 20:
                assert time.monotonic() < deadline
                time.sleep(0.002)
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            assert rows(parts)["certificates"] % 10 == 0
        _load(settings)
        assert rows(parts)["certificates"] == MANY
        assert is_well(parts)
        fates = [i.fate for part in LOADED for i in plausible.certificates(1, STAGE, part)]
        assert rows(parts)["acts"] == MANY + sum(fate is not Fate.NONE for fate in fates)


@pytest.mark.parametrize("fate", [Fate.SUSPENDED, Fate.RENEWED])
def test_a_certificate_that_another_loader_has_just_changed_is_left(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, fate: Fate
):
    items = [replace(one, fate=fate) for one in some(1)]
    loader = loading.Loader(parts)
    loader.insert(loader.prepared(items))
    read, others = certificates.versions_of, [loading.Loader(parts)]

    def read_after_another(*key: Any) -> Any:
        if others:
            others.pop().live_on(items)
        return read(*key)

    monkeypatch.setattr(certificates, "versions_of", read_after_another)
    loader.live_on(items)
    assert rows(parts)["acts"] == 2
    assert is_well(parts)


def test_two_that_load_the_same_at_once_load_it_once(settings: Settings):
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_load, args=(settings,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
        assert process.exitcode == 0
    with open_parts(settings) as parts:
        assert rows(parts)["certificates"] == MANY
        assert is_well(parts)

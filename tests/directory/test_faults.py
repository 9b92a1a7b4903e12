"""The directory loses its files, or they are replaced: lookups are not affected, and the worker repairs it."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from hub.directory.directory import Directory
from hub.directory.engines import index_folder
from hub.directory.entries import certificate_of
from hub.ops.check import check
from hub.store import directory_rejects, ledger
from indexer.embedded.engine import EmbeddedDirectory
from indexer.errors import DirectoryUnavailable
from tests.directory.test_directory import CASE, all_entries, engine, found, push, settle
from tests.support import city as c
from tests.support.city import City

pytestmark = pytest.mark.sqlite


@pytest.fixture
def fed(city: City) -> City:
    settle(city.parts)
    return city


def held(city: City) -> list[str]:
    return [entry.identifier for entry in city.look_up(*CASE).entries]


def lose_all(folder: Path) -> None:
    shutil.rmtree(folder)


def lose_the_file(folder: Path) -> None:
    next(folder.glob("g*.db")).unlink()


def lose_the_name(folder: Path) -> None:
    (folder / "current").unlink()


def garbage_in_the_name(folder: Path) -> None:
    (folder / "current").write_bytes(b"\xff../../etc")


def garbage_in_the_file(folder: Path) -> None:
    for path in folder.glob("g*.db*"):
        path.unlink()
    (folder / "g1.db").write_bytes(b"garbage" * 1000)


def a_folder_in_place_of_the_file(folder: Path) -> None:
    lose_the_file(folder)
    (folder / "g1.db").mkdir()


def holes(folder: Path) -> None:
    """Overwrite every page but the first with zeros."""
    path = next(folder.glob("g*.db"))
    content = path.read_bytes()
    for one in folder.glob("g*.db*"):
        one.unlink()
    path.write_bytes(content[:4096] + bytes(len(content) - 4096))


FAULTS = (
    lose_all,
    lose_the_file,
    lose_the_name,
    garbage_in_the_name,
    garbage_in_the_file,
    a_folder_in_place_of_the_file,
    holes,
)


@pytest.mark.parametrize("fault", FAULTS)
def test_lookups_are_unaffected_and_the_worker_repairs_it(fed: City, fault: Any) -> None:
    expected = held(fed)
    assert expected
    reader = fed.parts.database
    with reader.write() as writer:  # what follows is not hidden by an overlay
        assert not ledger.sequence(writer, 1)
    fault(index_folder(fed.parts.settings))
    assert held(fed) == expected
    settle(fed.parts)
    report = fed.parts.directory.compare()
    assert report is not None
    assert (report.differences, report.entries) == ([], 92)
    assert held(fed) == expected


def test_lookups_continue_while_no_directory_can_be_written(city: City) -> None:
    expected = held(city)
    folder = index_folder(city.parts.settings)
    shutil.rmtree(folder)
    folder.write_text("in the way")
    city.parts.directory.sequence()
    with pytest.raises(DirectoryUnavailable):
        city.parts.directory.feed()
    assert held(city) == expected
    assert c.refused(found, city) == "index.unavailable"
    assert check(city.parts).findings[0].where == "directory"


def test_an_older_file_that_was_restored_hides_nothing(fed: City, tmp_path: Path) -> None:
    folder = index_folder(fed.parts.settings)
    shutil.copytree(folder, tmp_path / "older")
    new = push(fed, "D-1", [c.MINYU])
    settle(fed.parts)
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "older", folder)
    assert new in {hit.entry.identifier for hit in found(fed, text="无犯罪记录").hits}
    settle(fed.parts)
    report = fed.parts.directory.compare()
    assert report is not None
    assert report.differences == []


def test_a_restored_repository_gets_another_directory(city: City, template: Path, tmp_path: Path) -> None:
    new = push(city, "D-1", [c.MINYU])
    settle(city.parts)
    shutil.copytree(template, tmp_path / "restored")
    shutil.rmtree(tmp_path / "restored" / "index")
    shutil.copytree(index_folder(city.parts.settings), tmp_path / "restored" / "index")
    with c.open_parts(c.Settings(data_dir=tmp_path / "restored", public_url=c.URL)) as parts:
        restored = City(tmp_path / "restored", parts, city.clock)
        assert held(restored) == held(city)
        parts.directory.sequence()
        settle(parts)
        report = parts.directory.compare()
        assert report is not None
        assert (report.differences, report.entries) == ([], 92)
        assert new not in {entry.identifier for entry in all_entries(restored)}


def test_a_killed_build_is_resumed(city: City) -> None:
    folder = index_folder(city.parts.settings)
    shutil.rmtree(folder)
    parts = city.parts
    parts.directory.sequence()

    def fresh() -> Directory:
        return Directory(
            database=parts.database,
            vault=parts.vault,
            clock=parts.clock,
            catalogue=parts.catalogue,
            directory=EmbeddedDirectory(folder),
        )

    steps = 0
    while engine(city).current() is None:
        fresh().feed()
        steps += 1
    assert steps >= 3
    assert engine(city).names() == [engine(city).current()]
    settle(parts)
    assert len(all_entries(city)) == 92
    engine(city).create()
    fresh().feed()
    assert engine(city).names() == [engine(city).current()]


def test_an_entry_that_the_engine_has_refused_hides_nothing(fed: City) -> None:
    expected = held(fed)
    name = engine(fed).current()
    assert name
    refused = [entry for entry in all_entries(fed) if entry.identifier in expected]
    engine(fed).write(name, [], instead_of=refused)
    assert held(fed) == []
    with fed.parts.database.write() as writer:
        for entry in refused:
            directory_rejects.put(writer, entry.party, certificate_of(entry), entry.revision, "refused", 1)
    assert held(fed) == expected
    fed.parts.directory.compare(repair=True)
    assert not directory_rejects.is_any(fed.parts.database.reader)
    assert held(fed) == expected


def test_what_was_refused_stays_on_record_until_what_has_taken_it_answers(fed: City) -> None:
    """A generation that is being built accepts it; the current one still lacks it."""
    expected = held(fed)
    name = engine(fed).current()
    assert name
    refused = [entry for entry in all_entries(fed) if entry.identifier in expected]
    engine(fed).write(name, [], instead_of=refused)
    with fed.parts.database.write() as writer:
        for entry in refused:
            directory_rejects.put(writer, entry.party, certificate_of(entry), entry.revision, "refused", 1)
    steps = 0
    while engine(fed).current() == name:
        assert held(fed) == expected
        steps += fed.parts.directory._builder.step()
    assert steps > len(refused)
    assert held(fed) == expected
    settle(fed.parts)
    assert not directory_rejects.is_any(fed.parts.database.reader)
    assert held(fed) == expected


def test_what_bodies_hold_is_found_though_the_engine_has_refused_it(fed: City) -> None:
    expected = [hit.entry.identifier for hit in found(fed, text="闽屿").hits]
    name = engine(fed).current()
    assert name
    assert expected
    refused = [entry for entry in all_entries(fed) if entry.identifier in expected]
    engine(fed).write(name, [], instead_of=refused)
    assert found(fed, text="闽屿").hits == ()
    with fed.parts.database.write() as writer:
        for entry in refused:
            directory_rejects.put(writer, entry.party, certificate_of(entry), entry.revision, "refused", 1)
    assert [hit.entry.identifier for hit in found(fed, text="闽屿").hits] == expected

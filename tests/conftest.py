"""Fixtures shared by several test modules."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import copies, elastic, engines, postgres
from tests.support import town as t
from tests.support.city import City, load_city, open_copy


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that concern only the embedded database on the other engine."""
    gone = [i for i in items if i.get_closest_marker("sqlite") and f"[{engines.POSTGRESQL}" in i.nodeid]
    config.hook.pytest_deselected(items=gone)
    items[:] = [item for item in items if item not in gone]


@pytest.fixture(scope="session", params=engines.BOTH)
def engine(request: pytest.FixtureRequest) -> str:
    """The database engine; every test and fixture that uses it runs once per engine."""
    if request.param == engines.POSTGRESQL:
        postgres.require()
    return str(request.param)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Path:
    """The sample city's data directory: open copies of it, never itself."""
    folder = tmp_path_factory.mktemp("city") / "data"
    load_city(folder, engine)
    return folder


@pytest.fixture
def city(template: Path, tmp_path: Path) -> Iterator[City]:
    """A copy of the sample city for one test."""
    with open_copy(template, tmp_path / "city") as found:
        yield found


@pytest.fixture(scope="session")
def town_template(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Path:
    folder = tmp_path_factory.mktemp("town") / "data"
    t.make(folder, engine)
    return folder


@pytest.fixture
def town(town_template: Path, tmp_path: Path) -> Iterator[t.Town]:
    """A private town, with nothing pushed yet."""
    with t.open_copy(town_template, tmp_path / "town") as found:
        yield found


@pytest.fixture(scope="session")
def copied(tmp_path_factory: pytest.TempPathFactory) -> copies.Copied:
    """The sample city and a backup of it; tests must not change either."""
    return copies.make(tmp_path_factory.mktemp("backup"))


@pytest.fixture
def url() -> Iterator[str]:
    """An empty database on a server."""
    cluster = postgres.shared()
    name = cluster.create()
    yield cluster.url(name)
    cluster.drop(name)


@pytest.fixture(scope="session")
def elasticsearch() -> elastic.Server:
    """The Elasticsearch of this test run, started when the first test needs it."""
    return elastic.shared()

"""Fixtures shared by several test modules.

Fixtures import what they use, so that a single test does not wait for modules that it never calls.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import quick
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from tests.support.city import City
    from tests.support.copies import Copied
    from tests.support.elastic import Server
    from tests.support.town import Town

# Third-party files that set-up downloads; nearly every test draws or serves one of them.
DOWNLOADED = ("signing/fonts/NotoSansSC-Regular.ttf", "hub/static/vendor/swagger-ui/swagger-ui-bundle.js")


def pytest_configure() -> None:
    """Stop with one message, instead of an error in each test, if set-up has not run."""
    missing = [file for file in DOWNLOADED if not (ROOT / file).exists()]
    if missing:
        raise pytest.UsageError(
            f"{' and '.join(missing)} missing: run scripts/test, or bash -c 'source scripts/lib/setup.sh; set_up dev'"
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that concern only the embedded database on the other engine, and what a quick run leaves out."""
    gone = [i for i in items if i.get_closest_marker("sqlite") and "[postgresql" in i.nodeid]
    gone += [i for i in items if quick.leaves_out(i) and i not in gone]
    config.hook.pytest_deselected(items=gone)
    items[:] = [item for item in items if item not in gone]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep Hypothesis' plugin from importing Hypothesis only to report that nothing used it."""
    if "hypothesis" not in sys.modules:
        session.config.pluginmanager.unregister(name="hypothesispytest")


def pytest_runtest_setup() -> None:
    quick.skip_when_time_is_up()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    """The database engine; every test and fixture that uses it runs once per engine."""
    if request.param == "postgresql":
        from tests.support import postgres

        postgres.require()
    return str(request.param)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Path:
    """The sample city's data directory: open copies of it, never itself."""
    from tests.support import city

    folder = tmp_path_factory.mktemp("city") / "data"
    city.load_city(folder, engine)
    return folder


@pytest.fixture
def city(template: Path, tmp_path: Path) -> Iterator[City]:
    """A copy of the sample city for one test."""
    from tests.support import city

    with city.open_copy(template, tmp_path / "city") as found:
        yield found


@pytest.fixture(scope="session")
def town_template(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Path:
    from tests.support import town

    folder = tmp_path_factory.mktemp("town") / "data"
    town.make(folder, engine)
    return folder


@pytest.fixture
def town(town_template: Path, tmp_path: Path) -> Iterator[Town]:
    """A private town, with nothing pushed yet."""
    from tests.support import town

    with town.open_copy(town_template, tmp_path / "town") as found:
        yield found


@pytest.fixture(scope="session")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Copied:
    """The sample city and a backup of it; tests must not change either."""
    from tests.support import copies

    return copies.make(tmp_path_factory.mktemp("backup"))


@pytest.fixture
def url() -> Iterator[str]:
    """An empty database on a server."""
    from tests.support import postgres

    cluster = postgres.shared()
    name = cluster.create()
    yield cluster.url(name)
    cluster.drop(name)


@pytest.fixture(scope="session")
def elasticsearch() -> Server:
    """The Elasticsearch of this test run, started when the first test needs it."""
    from tests.support import elastic

    return elastic.shared()

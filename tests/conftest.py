"""Fixtures that more than one test module uses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import elastic
from tests import town as t


@pytest.fixture(scope="session")
def town_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("town") / "data"
    t.make(folder)
    return folder


@pytest.fixture
def town(town_template: Path, tmp_path: Path) -> Iterator[t.Town]:
    """A town of one's own, with nothing pushed yet."""
    with t.open_copy(town_template, tmp_path / "town") as found:
        yield found


@pytest.fixture(scope="session")
def elasticsearch() -> elastic.Server:
    """The Elasticsearch of this run, started when the first test asks for it."""
    return elastic.shared()

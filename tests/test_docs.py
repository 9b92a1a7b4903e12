"""Documents that cannot lie: settings and error codes have a line each, links lead somewhere."""

import re

import pytest

from hub.domain.errors import TITLES
from hub.settings import Settings
from tests.support.paths import ROOT

DOCUMENTS = sorted(str(p.relative_to(ROOT)) for p in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def rows(document: str) -> dict[str, list[str]]:
    """First column, without backticks, to all cells of every table row of a document."""
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {row[0].strip("`"): row for row in cells}


def test_every_error_code_is_explained():
    assert list(rows("docs/api-errors.md")) == list(TITLES)


def test_every_setting_is_explained():
    found = rows("docs/settings.md")
    fields = Settings.model_fields
    assert list(found) == [f"HUB_{name.upper()}" for name in fields]
    defaults = {f"HUB_{name.upper()}": field.default for name, field in fields.items()}
    defaults["HUB_MASTER_KEY_FILE"] = "DATA_DIR/master.key"
    assert {name: row[1].strip("`") for name, row in found.items()} == {n: str(d) for n, d in defaults.items()}
    assert all(len(row) == 5 and all(row) for row in found.values())


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#\s]+)", text) if not t.startswith(("http://", "https://"))]
    assert [t for t in targets if not ((ROOT / document).parent / t).exists()] == []

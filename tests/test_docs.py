"""Documents that cannot lie: settings and error codes have a line each, links lead somewhere."""

import re
from pathlib import Path

import pytest

from hub.domain.errors import TITLES

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(str(p.relative_to(ROOT)) for p in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def rows(document: str) -> dict[str, list[str]]:
    """First column, without backticks, to all cells of every table row of a document."""
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {row[0].strip("`"): row for row in cells}


def test_every_error_code_is_explained():
    assert list(rows("docs/api-errors.md")) == list(TITLES)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#\s]+)", text) if not t.startswith(("http://", "https://"))]
    assert [t for t in targets if not ((ROOT / document).parent / t).exists()] == []

"""Documents are complete: every setting and error code has a line, links resolve, and translations match."""

import json
import os
import re
import subprocess
import sys

import pytest

from hub.domain.errors import TITLES
from hub.registration import catalogue_document as bodies
from hub.settings import Settings
from tests.support.paths import ROOT

DOCUMENTS = sorted(str(p.relative_to(ROOT)) for p in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TRANSLATED = {"operations/deployment.md": "zh/deployment.md"} | {
    name: f"zh/{name}" for name in ("access.md", "operations.md", "settings.md")
}
CHINESE = ["README.md", *(d for d in DOCUMENTS if d.startswith("docs/zh/"))]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HAN = "\u3001-\u30ff\u4e00-\u9fff\uff01-\uff5e"
HALF_WIDTH = re.compile(f"[{HAN}][,;:!?()]|[,;:!?()][{HAN}]")


def rows(document: str) -> dict[str, list[str]]:
    """First column, without backticks, to all cells of every table row of a document."""
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {row[0].strip("`"): row for row in cells}


def test_every_error_code_is_explained():
    assert list(rows("docs/api-errors.md")) == list(TITLES)


@pytest.mark.parametrize("document", ["docs/settings.md", "docs/zh/settings.md"])
def test_every_setting_is_explained(document):
    found = rows(document)
    fields = Settings.model_fields
    assert list(found) == [f"HUB_{name.upper()}" for name in fields]
    defaults = {f"HUB_{name.upper()}": field.default for name, field in fields.items()}
    defaults["HUB_MASTER_KEY_FILE"] = "DATA_DIR/master.key"
    assert {name: row[1].strip("`") for name, row in found.items()} == {n: str(d) for n, d in defaults.items()}
    assert all(len(row) == 4 and all(row) for row in found.values())


def test_every_place_named_by_the_architecture_exists():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    places = re.findall(r"^\| [^|]+\? \| `([^`]+)` \| `(\w+)` \|$", text, re.MULTILINE)
    assert len(places) >= 20
    for file, name in places:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^\s*(async def|def|class) {name}\b|^{name}\b", source, re.MULTILINE), (file, name)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#\s]+)", text) if not t.startswith(("http://", "https://"))]
    assert [t for t in targets if not ((ROOT / document).parent / t).exists()] == []


def outline(document: str) -> dict[str, object]:
    """The parts that a document and its translation must share."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    blocks = re.findall(r"^```[a-z]+\n.*?^```$", text, re.MULTILINE | re.DOTALL)
    prose = FENCE.sub("", text)
    return {
        "commands": [re.sub(r" *(#|--) .*", "", block) for block in blocks],
        "code": {re.sub(r"\s+", " ", code) for code in re.findall(r"(?<!`)`([^`|]+)`(?!`)", prose)},
        "shape": re.findall(r"^(#+|\||-|\d\. )", prose, re.MULTILINE),
    }


@pytest.mark.parametrize(("english", "chinese"), TRANSLATED.items())
def test_both_languages_say_the_same(english, chinese):
    assert outline(english) == outline(chinese)


@pytest.mark.parametrize("document", CHINESE)
def test_chinese_text_has_full_width_punctuation(document):
    prose = FENCE.sub("", (ROOT / document).read_text(encoding="utf-8"))
    text = re.sub(r"\]\([^)]*\)|`[^`]*`", "", prose)
    assert HALF_WIDTH.findall(text) == []


# --- docs/catalogue.md ------------------------------------------------------------------------------------------------

CATALOGUE = (ROOT / "docs/catalogue.md").read_text(encoding="utf-8")
SECTIONS = {
    "## The file": bodies.CatalogueBody,
    "## `authorities`": bodies.AuthorityBody,
    "## `types`": bodies.TypeBody,
    "### `fields` of a type": bodies.FieldBody,
    "### `codes` of a field": bodies.CodeBody,
    "### `columns` of a field": bodies.ColumnBody,
    "## `matters`": bodies.MatterBody,
    "### `materials` of a matter": bodies.MaterialBody,
}


@pytest.mark.parametrize(("heading", "body"), SECTIONS.items())
def test_every_key_of_the_catalogue_is_explained(heading, body):
    section = re.split(r"^#+ ", CATALOGUE.partition(f"\n{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    lines = re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE)
    keys = {name: default.strip("`") for name, default in lines if name in body.model_fields}
    assert list(keys) == list(body.model_fields)
    for name, field in body.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if field.is_required():
            assert keys[name] == "required", name
        elif default is not None:  # None stands for a rule that the page gives in words
            assert keys[name] == json.dumps(default), name


def test_the_example_catalogue_loads(tmp_path):
    [text] = re.findall(r"^```yaml\n(.*?)^```$", CATALOGUE, re.MULTILINE | re.DOTALL)
    (tmp_path / "catalogue.yaml").write_text(text, encoding="utf-8")
    environment = {**os.environ, "HUB_DATA_DIR": str(tmp_path / "data")}

    def hub(*words: str) -> str:
        command = [sys.executable, "-m", "hub", *words]
        return subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    hub("init")
    file = str(tmp_path / "catalogue.yaml")
    assert hub("catalogue", "check", file) == ""
    first, second = (json.loads(hub("catalogue", "load", file, "--json")) for _ in range(2))
    assert {name for name, count in first.items() if count} == {
        "authorities_new",
        "types_new",
        "editions_new",
        "matters_new",
        "document_keys_new",
    }
    assert not any(second.values())

"""docs/formats.md is correct: its code runs on the vectors, and its quotations are in them."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from signing import status
from signing.keys import ORDER, KeyFolder, Purpose
from tests.judges import missing
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")


def load(name: str) -> Any:
    return json.loads((ROOT / "tests" / "vectors" / f"{name}.json").read_text(encoding="utf-8"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_code_runs_without_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    code = blocks("python")
    assert len(code) >= 9
    assert not any(re.search(r"\b(import|from) (signing|hub)\b", block) for block in code)
    names: dict[str, Any] = {}
    for place, block in enumerate(code):
        exec(compile(block, f"docs/formats.md block {place}", "exec"), names)
    assert names["N"] == ORDER
    # The page's own readers meet what this package signs today, not only the vectors.
    key = bytes(range(32))
    for version_key in (3, 99, 2**40 + 7):
        assert names["place"](version_key, key) == status.index_of(version_key, key)


def test_the_code_refuses_what_only_strict_readers_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """The document's parsers are short; they must still refuse most of the strict vectors, and accept no forged one."""
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    for block in blocks("python"):
        exec(block, names)
    forged = [vector for vector in load("credential")["bad"] if vector["refused"] == "signature"]
    assert all(names["refuses"](names["read_credential"], vector["credential"]) for vector in forged)
    forged = [vector for vector in load("qr")["bad"] if vector["refused"] == "signature"]
    assert all(names["refuses"](names["read_digits"], vector["code"], vector["digits"]) for vector in forged)


def test_quoted_values_are_those_of_the_vectors() -> None:
    simple, digits = load("credential")["good"][0], load("qr")["good"][0]
    quoted = blocks("json")[0].replace("\n", "")
    assert quoted == simple["payload"]
    assert simple["disclosures"][0] in PAGE
    assert digits["protected"] in PAGE
    assert digits["code"] in PAGE
    start = re.search(r"the digits begin\s+`([0-9]+)`", PAGE)
    assert start is not None
    assert digits["digits"].startswith(start[1])
    assert load("leaf")["empty_leaf_hash"] in PAGE


def test_the_key_id_by_hand(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        missing("openssl")
    command = next(line for line in re.findall(r"`(openssl pkey[^`]+)`", PAGE))
    key = KeyFolder(tmp_path, b"x").generate(Purpose.CREDENTIAL)
    made = subprocess.run(
        ["openssl", "pkey", "-pubin", "-inform", "DER", "-out", tmp_path / "key.pem"], input=key.spki, check=True
    )
    assert made.returncode == 0
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == key.kid


def test_links_lead_somewhere() -> None:
    def anchor(heading: str) -> str:
        return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")

    anchors = {anchor(heading) for heading in re.findall(r"^## (.+)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors


def test_every_vector_file_is_described() -> None:
    for path in (ROOT / "tests" / "vectors").glob("*.json"):
        assert f"`{path.name}`" in PAGE

"""Nothing is fetched from outside at run time: run without a network, and checked in what is served."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub.app import create_app
from hub.ops.init import initialise
from hub.parts import open_parts
from hub.settings import Settings
from tests.judges import ROOT, missing
from tests.support.serving import served

SERVED = sorted(
    str(path.relative_to(ROOT))
    for folder in ("hub/templates", "hub/static/docs")
    for path in (ROOT / folder).rglob("*")
    if path.is_file()
)
VIEWER = ROOT / "hub/static/vendor/swagger-ui"
OUTSIDE = re.compile(r"""https?:|["'(=]\s*//""", re.IGNORECASE)
CLIENTS = re.compile(r"^\s*(?:from|import) (?:urllib\.request|http\.client|httpx|requests|aiohttp|ftplib|smtplib)\b")


def without_network() -> list[str]:
    """The command that starts a program in a network namespace of its own."""
    for command in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True).returncode == 0:
            return command
    missing("unshare, or the right to use it,")
    raise AssertionError


def test_the_whole_story_needs_nothing_from_outside(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not re.search("proxy|^HUB_", name, re.I)}
    done = subprocess.run(
        [*without_network(), sys.executable, "-m", "tests.support.offline", str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["interfaces"], seen["outside"]) == (["lo"], "ENETUNREACH")
    _, issued, _, found, pulled, files, verified, revoked, after, *_ = seen["story"]
    assert json.loads(issued)["issuance"] == "done"
    assert len(json.loads(found)["entries"]) == 1
    assert json.loads(pulled)["receipt_number"]
    assert files.split() == ["certificate.pdf", "copy.pdf"]
    assert json.loads(verified)["state"] == "valid"
    assert json.loads(revoked)["state"] == "revoked"
    assert after.count("已撤销") >= 2  # the page and the command line
    assert {"/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/docs", "/v"} <= seen["pages"].keys()
    assert {path: status for path, status in seen["pages"].items() if status != 200} == {}
    assert seen["attempts"] == 0  # it never even tried
    assert seen["attempts_then"] > 0  # which would have been counted


@pytest.mark.parametrize("name", SERVED)
def test_no_file_that_is_served_names_another_host(name: str) -> None:
    assert OUTSIDE.findall((ROOT / name).read_text(encoding="utf-8")) == []


def test_the_viewer_loads_nothing_from_elsewhere() -> None:
    styles = (VIEWER / "swagger-ui.css").read_text(encoding="utf-8")
    assert "@import" not in styles
    assert [where for where in re.findall(r"url\(\s*[\"']?([^\"')]{5})", styles) if where != "data:"] == []
    script = (VIEWER / "swagger-ui-bundle.js").read_text(encoding="utf-8")
    assert "importScripts(" not in script
    assert re.findall(r"\bimport\(", script) == []
    assert "validatorUrl: null" in (ROOT / "hub/static/docs/start.js").read_text(encoding="utf-8")


def test_one_command_can_ask_another_host_and_it_says_so() -> None:
    modules = [path for package in ("hub", "signing", "indexer") for path in (ROOT / package).rglob("*.py")]
    found = {str(path.relative_to(ROOT)) for path in modules for line in path.read_text(encoding="utf-8").splitlines()
             if CLIENTS.match(line)}  # fmt: skip
    assert found == {"hub/cli/tokens.py"}  # hub token --url


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("empty"), public_url="https://hub.invalid")
    initialise(settings)
    with open_parts(settings) as parts, served(create_app(parts)) as address, httpx.Client(base_url=address) as found:
        yield found


@pytest.mark.parametrize("path", ["/", "/v", "/v?code=x", "/v/0000000000000000", "/docs"])
def test_pages_forbid_what_is_not_ours(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert "link" not in answer.headers
    policy = {words[0]: words[1:] for words in map(str.split, answer.headers["content-security-policy"].split(";"))}
    assert policy["default-src"] == ["'none'"]
    for sources in policy.values():
        assert [s for s in sources if not re.fullmatch(r"'(none|self|unsafe-inline|sha256-.+)'|data:", s)] == []
    assert "'unsafe-inline'" not in policy.get("script-src", [])
    resources = re.findall(r"<(?:link|script|img|source|iframe|object|embed|base|form)\b[^>]*", answer.text)
    assert [tag for tag in resources if OUTSIDE.search(tag)] == []

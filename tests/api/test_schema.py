"""OpenAPI is exact: schemathesis finds no 5xx, no undocumented status, schema or media type."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from hub.access.assertion import sign_assertion
from hub.app import create_app
from hub.domain.caller import SCOPES
from hub.parts import open_parts
from hub.settings import Settings
from tests.support import city
from tests.support.serving import served

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
CLIENT = "every-scope"
AUTHORITY = "11350100MB9A10175L"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """(address, token with all scopes) of a sample city."""
    folder = tmp_path_factory.mktemp("schema") / "data"
    city.load_city(folder)
    with open_parts(Settings(data_dir=folder, public_url=city.URL)) as parts:
        _, key = parts.registration.add_client(CLIENT, AUTHORITY, scopes=sorted(SCOPES))
        assertion = sign_assertion(key, CLIENT, city.URL, parts.clock.now())
        token, _, _ = parts.access.issue_token(assertion)
        with served(create_app(parts)) as address:
            yield address, token


@pytest.mark.parametrize("phases", ["examples,coverage", "fuzzing"])
def test_the_document_is_exact(hub, phases, tmp_path):
    address, token = hub
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{address}/openapi.json", "--url", address]
    command += ["--checks", ",".join(CHECKS), "--phases", phases, "--max-examples", "25", "--generation-deterministic"]
    command += ["--header", f"Authorization: Bearer {token}", "--no-color", "--suppress-health-check", "all"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-5000:]


def test_every_operation_is_described_for_people(hub):
    document = httpx.get(hub[0] + "/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for operation in operations:
        assert re.search("[一-鿿]", operation["summary"]), operation["operationId"]
        assert operation["description"]
        assert operation["tags"]

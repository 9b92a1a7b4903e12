"""What operators and integrators read: logs, metrics, readiness, the OpenAPI document and its page."""

import json
import re

import pytest

from hub.wire import loads
from tests.support import framed
from tests.support.framed import SECRET

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate Operation ID")  # one function serves several test routes


@pytest.fixture(scope="module")
def log_lines():
    with framed.logged() as lines:
        yield lines


@pytest.fixture(scope="module")
def hub(tmp_path_factory, log_lines):
    with framed.framed(tmp_path_factory.mktemp("frame")) as found:
        yield found


# --- logs, metrics, document ----------------------------------------------------------------------------------------------


def test_one_line_a_request_with_the_template_and_nothing_that_was_sent(hub, log_lines):
    del log_lines[:]
    hub.client.get(f"/t/open/{SECRET}", params={"q": SECRET})
    hub.client.get("/t/who", headers=hub.token())
    hub.client.get(f"/{SECRET}?x={SECRET}")
    hub.client.put(f"/t/open/{SECRET}", json={"text": SECRET})
    lines = [json.loads(line) for line in log_lines]
    assert [(line["method"], line["route"], line["status"], line["client"]) for line in lines] == [
        ("GET", "/t/open/{name}", 200, None),
        ("GET", "/t/who", 200, "frame-test"),
        ("GET", "-", 404, None),
        ("PUT", "/t/open/{name}", 200, None),
    ]
    assert all(line["ms"] >= 0 and len(line["request_id"]) == 32 and line["timestamp"] for line in lines)
    assert SECRET not in "".join(log_lines)


def test_metrics_count_by_template_and_status(hub):
    hub.client.get(f"/t/open/{SECRET}")
    hub.client.request("BREW", "/t/read")
    text = hub.client.get("/metrics").text
    assert re.search(r'hub_requests_total\{method="GET",route="/t/open/\{name\}",status="200"\} [1-9]', text)
    assert "BREW" not in text
    assert SECRET not in text
    for name in (
        "hub_request_seconds_bucket",
        "hub_intents_waiting",
        "hub_intents_oldest_seconds",
        "hub_outbox_entries",
    ):
        assert name in text


def test_readyz_says_why_not(hub):
    ready = hub.client.get("/readyz")
    assert ready.status_code == 200
    assert {check["name"]: check["state"] for check in ready.json()["checks"]} == dict.fromkeys(
        ("database", "schema", "storage", "keys", "worker", "directory"), "ok"
    )
    keys = hub.parts.settings.data_dir / "keys"
    away = keys.with_name("keys-away")
    keys.rename(away)
    try:
        response = hub.client.get("/readyz")
        reasons = {check["name"]: check["reason"] for check in response.json()["checks"]}
        assert response.status_code == 503
        assert reasons["keys"] == "the private part of the active credential key is missing"
        assert reasons["database"] is None
        assert hub.client.get("/livez").json() == {"alive": True}
    finally:
        away.rename(keys)
    assert hub.client.get("/readyz").status_code == 200


def test_the_document_knows_every_status_and_who_may_call(hub):
    document = hub.client.get("/openapi.json").json()
    push = document["paths"]["/t/push"]["put"]
    assert set(push["responses"]) == {"200", "401", "403", "408", "413", "422", "429", "500", "503"}
    assert push["security"] == [{"access_token": ["cases:write"]}, {"bound_access_token": ["cases:write"]}]
    assert push["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/TextBody"}
    assert document["paths"]["/t/manage"]["get"]["security"] == [
        {"access_token": ["audit:read"]},
        {"access_token": ["certificates:manage"]},
        {"bound_access_token": ["audit:read"]},
        {"bound_access_token": ["certificates:manage"]},
    ]
    opened = document["paths"]["/t/open/{name}"]["get"]
    assert opened["security"] == []
    assert {(p["name"], p["in"], p["required"]) for p in opened["parameters"]} == {
        ("name", "path", True),
        ("q", "query", False),
    }
    assert set(opened["responses"]) == {"200", "404", "422", "500", "503"}
    assert {"TextBody", "Problem"} <= set(document["components"]["schemas"])
    for reference in re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document)):
        assert reference in document["components"]["schemas"]


def test_docs_need_nothing_from_elsewhere(hub):
    response = hub.client.get("/docs")
    assert "script-src 'self'" in response.headers["content-security-policy"]
    assert "//" not in re.sub(r"<!doctype html>", "", response.text)
    for path in re.findall(r'(?:src|href)="(?!data:)([^"]+)"', response.text):
        found = hub.client.get(path)
        assert found.status_code == 200, path
        assert found.headers["content-type"].startswith(("text/javascript", "text/css", "application/json"))
    assert hub.client.get("/docs/..%2Findex.html").status_code == 404
    assert loads(hub.client.get("/openapi.json").content)["openapi"].startswith("3.1")

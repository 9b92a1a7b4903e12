"""Every list that grows with what a sender sends has a limit: values of a body, and members of every documented list."""

import json
import tracemalloc

import pytest

from hub.app import create_app
from hub.domain.errors import Refusal
from hub.ops.init import initialise
from hub.parts import open_parts
from hub.settings import Settings
from hub.web import openapi
from hub.wire import MAX_DEPTH, MAX_ERRORS, MAX_NAMES, MAX_VALUES, Body, loads, parse


def refused(raw: bytes) -> str:
    with pytest.raises(Refusal) as error:
        loads(raw)
    assert error.value.code == "schema.invalid"
    return error.value.detail or ""


@pytest.mark.parametrize(
    ("one", "values"),
    [(b"0", 1), (b"[]", 1), (b"{ }", 1), (b'""', 1), (b'",[{"', 1), (b'"\\",\\\\"', 1), (b"[0]", 2), (b'{"a":0}', 2)],
)
def test_a_body_has_half_a_million_values_at_most(one, values):
    fit = (MAX_VALUES - 1) // values
    assert len(loads(b"[" + b",".join([one] * fit) + b"]")) == fit
    assert str(MAX_VALUES) in refused(b"[" + b",".join([one] * (fit + 1)) + b"]")


@pytest.mark.parametrize(
    "raw", [b"[" + b",\n" * MAX_VALUES, b'"\\"' * 3_000_000, b'"' + b"\\" * 9_999_999, b"[" * 10**7]
)
def test_what_is_no_json_is_refused_as_fast(raw):
    assert refused(raw)


def test_commas_in_texts_are_no_values():
    text = ",[{" * MAX_VALUES
    assert loads(json.dumps({"text": text}).encode()) == {"text": text}


@pytest.mark.parametrize("one", [b"[]", b"{}", b'{"a":[]}', b"0.5"])
def test_many_values_cost_no_memory(one):
    raw = b"[" + b",".join([one] * (10_000_000 // (len(one) + 1))) + b"]"
    tracemalloc.start()
    refused(raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(raw)


def test_depth_names_and_errors_are_limited():
    assert loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert refused(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)) == "嵌套过深"
    names = {f"n{n}": 0 for n in range(MAX_NAMES + 1)}
    assert refused(json.dumps(names).encode()) == "同一对象中的键过多"
    names.popitem()
    with pytest.raises(Refusal) as error:
        parse(Body, json.dumps(names).encode())
    assert len(error.value.errors) == MAX_ERRORS


# --- what the API documents ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), public_url="https://hub.example")
    initialise(settings)
    with open_parts(settings) as parts:
        app = create_app(parts)
        return openapi.document(app, app.state.endpoints)


def unlimited(document, schema, place, seen=()):
    """The places in a schema of a request that take any number of members or characters."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in seen:
            yield from unlimited(document, document["components"]["schemas"][name], name, (*seen, name))
        return
    for kind in ("anyOf", "oneOf", "allOf"):
        for n, part in enumerate(schema.get(kind, ())):
            yield from unlimited(document, part, f"{place}/{n}", seen)
    limits = {"array": "maxItems", "string": "maxLength"}
    found = schema.get("type")
    is_fixed = {"enum", "const"} & schema.keys() or schema.get("pattern", "").endswith("}$")
    if found in limits and limits[found] not in schema and not is_fixed:
        yield place
    if found == "array":
        yield from unlimited(document, schema["items"], f"{place}/-", seen)
    for name, part in schema.get("properties", {}).items():
        yield from unlimited(document, part, f"{place}/{name}", seen)
    if isinstance(more := schema.get("additionalProperties"), dict):
        if "maxProperties" not in schema:
            yield place
        yield from unlimited(document, more, f"{place}/*", seen)


def test_every_list_and_text_of_a_request_has_a_limit(document):
    found = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for media, content in operation.get("requestBody", {}).get("content", {}).items():
                if media == "application/json":
                    found |= set(unlimited(document, content["schema"], f"{method} {path}"))
    cells = {"CertificateBody/fields/*/0", "CertificateBody/fields/*/2/-/*/0"}  # limited by the type of the certificate
    assert found == cells

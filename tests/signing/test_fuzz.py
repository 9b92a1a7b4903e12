"""Parsers of untrusted input: on any input, they return or raise Malformed, quickly."""

import base64
import json
import re
import time
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing import credential, identifier, ledger_leaf, public_code, qr, status
from signing.encoding import base64url, cbor, compact_json
from signing.errors import Malformed
from tests.support.paths import VECTORS


def load(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


CREDENTIALS = [vector["credential"] for vector in load("credential")["good"]]
DIGITS = [vector["digits"] for vector in load("qr")["good"]]
TOKENS = [vector["token"] for vector in load("status")["good"]]
LEAVES = [bytes.fromhex(vector["leaf"]) for vector in load("leaf")["good"]]
IDENTIFIERS = [vector["identifier"] for vector in load("identifier")["good"]]
TEXTS = [vector["text"] for vector in load("qr")["texts"]]

READERS: dict[str, tuple[Callable[[str], object], list[str]]] = {
    "credential.read": (credential.read, CREDENTIALS),
    "credential.read bytes": (lambda text: credential.read(text.encode("utf-8", "surrogatepass")), CREDENTIALS),
    "credential.present": (lambda text: credential.present(text, ["post"]), CREDENTIALS),
    "qr.read": (qr.read, DIGITS),
    "qr.split": (qr.split, TEXTS),
    "status.read": (status.read, TOKENS),
    "status.read bytes": (lambda text: status.read(text.encode("utf-8", "surrogatepass")), TOKENS),
    "identifier.parse": (identifier.parse, IDENTIFIERS),
    "identifier.check_character": (identifier.check_character, IDENTIFIERS),
    "codes.read_code": (public_code.read_code, ["0X4T-9M2K-7PQR-8VWZ"]),
}

CHARACTER = st.characters() | st.sampled_from("~.#=-_0123456789٣３ \n\x00\ud800\U0001f409AZaz{}[]\"'\\/+%")


def outcome(read: Callable[[str], object], text: str) -> str:
    try:
        read(text)
    except Malformed as error:
        return error.problem
    return "accepted"


@st.composite
def mutated(draw: st.DrawFn, texts: list[str]) -> str:
    """A valid text with a few characters changed, removed, repeated or inserted."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        end = draw(st.integers(at, min(len(text), at + 40)))
        text = text[:at] + draw(st.text(CHARACTER, max_size=6) | st.just(text[at:end] * 2)) + text[end:]
    return text


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_readers_raise_nothing_else(name: str, data: st.DataObject) -> None:
    read, good = READERS[name]
    text = data.draw(st.text(CHARACTER, max_size=60) | mutated(good))
    assert re.fullmatch(r"(accepted|[a-z0-9]+\.[a-z0-9_]+)", outcome(read, text))


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
CREDENTIAL_MEMBERS = ["iss", "vct", "iat", "identifier", "version", "issued_on", "valid_until", "status", "_sd", "fields", "_sd_alg", "origin", "x"]  # fmt: skip
STATUS_MEMBERS = ["sub", "iat", "exp", "ttl", "status_list"]


def signed(header: Any, payload: Any) -> str:
    parts = [json.dumps(part, separators=(",", ":"), ensure_ascii=False) for part in (header, payload)]
    encoded = [base64.urlsafe_b64encode(part.encode("utf-8", "surrogatepass")).decode().rstrip("=") for part in parts]
    return ".".join((*encoded, "A" * 86))


@settings(max_examples=400, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(CREDENTIAL_MEMBERS), JSON_LIKE, min_size=1, max_size=3), header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit"]), JSON_LIKE, max_size=2))  # fmt: skip
def test_credentials_with_members_of_any_type(changes: dict[str, Any], header: dict[str, Any]) -> None:
    jwt, *disclosures = CREDENTIALS[0].split("~")
    head, payload = (json.loads(base64url.decode(part, "")) for part in jwt.split(".")[:2])
    for text in (signed(head, payload | changes), signed(head | header, payload)):
        whole = "~".join((text, *disclosures))
        try:
            read = credential.read(whole)
        except Malformed:
            continue
        assert read.claims.status_list >= 0
        assert compact_json.encode(read.payload)


@settings(max_examples=200, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(STATUS_MEMBERS), JSON_LIKE, min_size=1, max_size=3))
def test_status_lists_with_members_of_any_type(changes: dict[str, Any]) -> None:
    head, payload = (json.loads(base64url.decode(part, "")) for part in TOKENS[0].split(".")[:2])
    try:
        read = status.read(signed(head, payload | changes))
    except Malformed:
        return
    assert read.iat < read.exp


def digits_of(data: bytes) -> str:
    return str(int.from_bytes(b"\x01" + data, "big"))


CBOR_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.binary(max_size=9) | st.text(max_size=6) | st.dates() | st.datetimes(timezones=st.timezones()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(-3, 9) | st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(value=CBOR_LIKE, label=st.integers(1, 8), canonical=st.booleans())
def test_digits_with_cbor_of_any_type(value: Any, label: int, canonical: bool) -> None:
    protected, _, payload, signature = cbor2.loads(int(DIGITS[0]).to_bytes(1000, "big").lstrip(b"\0")[1:])
    content = cbor2.loads(payload) | {label: value}
    candidates = [
        cbor2.dumps(value, canonical=canonical),
        cbor2.dumps([protected, {}, cbor2.dumps(content, canonical=canonical), signature]),
        cbor2.dumps([cbor2.dumps(value, canonical=canonical), {}, payload, signature]),
        cbor2.dumps([protected, value, payload, signature]),
    ]
    for data in candidates:
        text = digits_of(data)
        try:
            read = qr.read(text)
        except Malformed:
            continue
        again = qr.assemble(qr.PreparedDigits(b"", read.protected, read.payload), read.signature)
        assert again == text


@settings(max_examples=800, deadline=None)
@given(data=st.binary(max_size=60) | CBOR_LIKE.map(lambda value: cbor2.dumps(value, canonical=True)))
def test_cbor_that_is_read_is_deterministic(data: bytes) -> None:
    try:
        value = cbor.decode(data, "x")
    except Malformed:
        return
    assert cbor.encode(value) == data
    assert cbor2.loads(data) == value


@settings(max_examples=300, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=300) | st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
        lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.integers(0, 2**64 - 1), inner, max_size=5),
        max_leaves=6,
    )
)  # fmt: skip
def test_cbor_round_trip(value: Any) -> None:
    def depth(item: Any) -> int:
        if isinstance(item, dict):
            return 1 + max(map(depth, item.values()), default=0)
        return 1 + max(map(depth, item), default=0) if isinstance(item, list) else 0

    data = cbor.encode(value)
    if depth(value) > cbor.MAX_DEPTH:
        with pytest.raises(Malformed):
            cbor.decode(data, "x")
    else:
        assert cbor.decode(data, "x") == value


@pytest.mark.parametrize(
    "data",
    [
        "", "18", "1817", "190017", "1a00000017", "1b0000000000000017", "1c", "1f", "3817", "5817", "58", "41", "4161ff", "5f4161ff", "61ff",
        "63eda080", "8001", "81", "9801f6", "9fff", "9fff00", "a10000a1", "a201000000", "a2000100", "a200000001", "a1f600", "a1616100", "a120",
        "bfff", "c000", "c11a00000000", "d81c80", "d81d00", "d9010280", "f4", "f5", "f7", "f816", "f97e00", "fa7f800000", "fb0000000000000000",
        "ff", "8181818180", "9bffffffffffffffff", "bbffffffffffffffff", "5bffffffffffffffff", "7b7fffffffffffffff",
    ],
)  # fmt: skip
def test_cbor_that_is_refused(data: str) -> None:
    with pytest.raises(Malformed):
        cbor.decode(bytes.fromhex(data), "x")


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_leaves_of_any_bytes(data: st.DataObject) -> None:
    good = bytearray(data.draw(st.sampled_from(LEAVES)))
    at = data.draw(st.integers(0, len(good) - 1))
    good[at] = data.draw(st.integers(0, 255))
    for content in (bytes(good), data.draw(st.binary(max_size=100))):
        try:
            read = ledger_leaf.read(content)
        except Malformed:
            continue
        assert read.kind in ledger_leaf.Kind


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.sampled_from("ABCwxyz0189-_="), max_size=12), data=st.binary(max_size=40))
def test_base64url_has_one_text(text: str, data: bytes) -> None:
    assert base64url.decode(base64url.encode(data), "x") == data
    try:
        decoded = base64url.decode(text, "x")
    except Malformed:
        return
    assert base64url.encode(decoded) == text


HOSTILE = {
    "many digits": (qr.read, "9" * 5_000_000),
    "many letters": (credential.read, "A" * 5_000_000),
    "many tildes": (credential.read, "A.B.C" + "~" * 60_000),
    "many dots": (credential.read, "." * 60_000 + "~"),
    "deep JSON": (credential.read, f"e30.{base64url.encode(b'[' * 40_000)}.{'A' * 86}~"),
    "deep disclosure": (credential.read, f"{CREDENTIALS[0]}{base64url.encode(b'[' * 20_000)}~"),
    "a huge integer": (credential.read, f"{base64url.encode(b'9' * 40_000)}.e30.{'A' * 86}~"),
    "deep CBOR": (qr.read, digits_of(b"\x81" * 800)),
    "a false length": (qr.read, digits_of(b"\x9b" + b"\xff" * 8)),
    "many spaces": (qr.split, " " * 5_000_000),
    "many slashes": (qr.split, "http://h" + "/v/" * 1_300),
    "a long code": (public_code.read_code, "0" * 5_000_000),
    "a long identifier": (identifier.parse, identifier.ROOT + "1." * 2_000_000),
    "a long list": (status.read, "A" * 5_000_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_limits_come_before_work(name: str) -> None:
    read, text = HOSTILE[name]
    started = time.process_time()
    answer = outcome(read, text)
    assert answer != "accepted" or read(text) is None
    assert time.process_time() - started < 0.05

"""Credentials beyond the vectors: round trips, selective disclosure, and detection of every change."""

import base64
import hashlib
import json
import random
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing import credential, identifier
from signing.encoding import compact_json
from signing.errors import Malformed
from signing.keys import KeyFolder, PublicKey, Purpose

TYPE, AUTHORITY = "11100000000013338W011", "11430000006122244L"
CLAIMS = credential.Claims(
    issuer="http://127.0.0.1:8080",
    type_code=TYPE,
    edition=2,
    iat=1_767_225_600,
    identifier=identifier.build(TYPE, AUTHORITY, "0123456789ABCDEFGHJK", 1),
    version=1,
    authority_code=AUTHORITY,
    issued_on=date(2026, 1, 1),
    valid_from=date(2026, 1, 1),
    valid_until=None,
    origin="issued",
    status_list=3,
    status_index=77,
    number="闽A0120260001",
    holders=(credential.Holder("林小满", "111", "35010219900307283X"),),
    fields={"post": "安全员", "hours": 48, "number": "not the number"},
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT.filter(lambda name: name not in {"_sd", "..."}), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
HOLDER = st.builds(credential.Holder, TEXT, st.sampled_from(["111", "001", "414"]), TEXT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> KeyFolder:
    path: Path = tmp_path_factory.mktemp("keys")
    return KeyFolder(path, b"x")


@pytest.fixture(scope="module")
def key(folder: KeyFolder) -> PublicKey:
    return folder.generate(Purpose.CREDENTIAL)


def issue(folder: KeyFolder, key: PublicKey, claims: credential.Claims = CLAIMS) -> str:
    prepared = credential.prepare(claims, key.kid)
    return credential.assemble(prepared, folder.sign(key.kid, Purpose.CREDENTIAL, prepared.signing_input))


@settings(max_examples=60, deadline=None)
@given(
    number=TEXT.filter(bool),
    holders=st.lists(HOLDER, min_size=1, max_size=4).map(tuple),
    fields=st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True), VALUE, max_size=6),
    valid_until=st.none() | st.dates(),
    place=st.tuples(st.integers(0, 2**46 - 1), st.integers(0, 2**17 - 1)),
)
def test_what_is_issued_is_read(
    folder: KeyFolder, key: PublicKey, number: str, holders: Any, fields: Any, valid_until: Any, place: Any
) -> None:
    claims = replace(
        CLAIMS,
        number=number,
        holders=holders,
        fields=fields,
        valid_until=valid_until,
        status_list=place[0],
        status_index=place[1],
    )
    read = credential.read(issue(folder, key, claims))
    assert credential.is_signed_by(read, key)
    assert (read.number, read.holders, read.fields) == (number, holders, fields)
    assert (read.claims.valid_until, read.claims.status_list, read.claims.status_index) == (valid_until, *place)
    assert read.claims.status_uri == f"http://127.0.0.1:8080/status/{place[0]}"
    assert json.loads(json.dumps(read.payload)) == read.payload


def test_the_payload_says_nothing_disclosable(folder: KeyFolder, key: PublicKey) -> None:
    text = issue(folder, key)
    read = credential.read(text)
    visible = {
        "iss", "vct", "iat", "identifier", "version", "type_code", "authority_code", "issued_on", "valid_from",
        "valid_until", "origin", "status", "_sd", "fields", "_sd_alg",
    }  # fmt: skip
    assert read.payload.keys() == visible
    raw = compact_json.encode(read.payload).decode()
    assert not any(secret in raw for secret in ("闽A", "林小满", "35010219900307283X", "安全员"))
    assert text.endswith("~")
    assert " " not in raw


def test_digests_are_sorted_and_those_of_rfc_9901() -> None:
    # RFC 9901 §5.1, given_name.
    disclosure = "WyIyR0xDNDJzS1F2ZUNmR2ZyeU5STjl3IiwgImdpdmVuX25hbWUiLCAiSm9obiJd"
    assert credential._digest(disclosure) == "jsu9yVulwQQlhFlM_3JlzMaSFzglhQG0DpfayQwLUK4"
    fields = {f"field_{place}": place for place in range(20)}
    prepared = credential.prepare(replace(CLAIMS, fields=fields), "AAAAAAAAAAA")
    payload = json.loads(base64.urlsafe_b64decode(prepared.signing_input.split(b".")[1] + b"=="))
    digests = [base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=") for text in prepared.disclosures]  # fmt: skip
    assert payload["_sd"] == sorted(digests[:2])
    assert payload["fields"]["_sd"] == sorted(digests[2:])


def test_salts_are_fresh_and_of_128_bits() -> None:
    salts = {
        json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))[0]
        for _ in range(50)
        for text in credential.prepare(CLAIMS, "AAAAAAAAAAA").disclosures
    }
    assert len(salts) == 250
    assert {len(salt) for salt in salts} == {22}


def test_presenting_keeps_people_and_the_fields_named(folder: KeyFolder, key: PublicKey) -> None:
    text = issue(folder, key)
    assert credential.present(text, None) == text
    for fields in ([], ["post"], ["number"], ["post", "hours", "number"], ["unheard_of"]):
        shown = credential.read(credential.present(text, fields))
        assert credential.is_signed_by(shown, key)
        assert (shown.number, shown.holders) == (CLAIMS.number, CLAIMS.holders)
        assert shown.fields == {name: value for name, value in CLAIMS.fields.items() if name in fields}
    again = credential.present(credential.present(text, ["post", "hours"]), ["hours"])
    assert credential.read(again).fields == {"hours": 48}


def test_a_full_credential_may_have_no_disclosure(folder: KeyFolder, key: PublicKey) -> None:
    read = credential.read(issue(folder, key).split("~")[0] + "~")
    assert credential.is_signed_by(read, key)
    assert (read.number, read.holders, read.fields) == (None, None, {})


def test_every_changed_bit_is_seen(folder: KeyFolder, key: PublicKey) -> None:
    """Flip any bit: the text is malformed, or its signature wrong, or a disclosure becomes unknown."""
    text = issue(folder, key, replace(CLAIMS, fields={"post": "安全员"})).encode()
    for place in range(len(text) * 8):
        changed = bytearray(text)
        changed[place // 8] ^= 1 << place % 8
        try:
            read = credential.read(bytes(changed))
        except Malformed:
            continue
        assert not credential.is_signed_by(read, key), f"bit {place}"


def test_random_damage_is_seen(folder: KeyFolder, key: PublicKey) -> None:
    text, dice = issue(folder, key), random.Random(7)
    for _ in range(3000):
        changed = list(text)
        at, kind = dice.randrange(len(changed)), dice.randrange(4)
        if kind == 0:
            changed[at] = chr(dice.randrange(128))
        elif kind == 1:
            del changed[at]
        elif kind == 2:
            changed.insert(at, chr(dice.randrange(128)))
        else:
            other = dice.randrange(len(changed))
            changed[at], changed[other] = changed[other], changed[at]
        damaged = "".join(changed)
        if damaged == text:
            continue
        try:
            read = credential.read(damaged)
        except Malformed:
            continue
        assert not credential.is_signed_by(read, key), damaged


def test_another_key_is_not_the_signer(folder: KeyFolder, key: PublicKey) -> None:
    read = credential.read(issue(folder, key))
    assert not credential.is_signed_by(read, folder.generate(Purpose.CREDENTIAL))
    for purpose in Purpose:
        if purpose is not Purpose.CREDENTIAL:
            assert not credential.is_signed_by(read, PublicKey(key.kid, purpose, key.spki))


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "127.0.0.1"},
        {"issuer": "http://127.0.0.1:8080/"},
        {"edition": 0},
        {"iat": -1},
        {"version": 2},
        {"type_code": "11100000000013338W032"},
        {"authority_code": "11110000000021135M"},
        {"identifier": "1.2.156.3005.2"},
        {"identifier": "x" * 200},
        {"origin": "copied"},
        {"status_list": -1},
        {"status_list": 2**46},
        {"status_index": 131_072},
        {"number": ""},
        {"number": "\ud800"},
        {"holders": ()},
        {"fields": {"_sd": 1}},
        {"fields": {"...": 1}},
        {"fields": {"Post": 1}},
        {"fields": {"post\n": 1}},
        {"fields": {"post": 1.5}},
        {"fields": {"post": 2**53}},
        {"fields": {"post": {"_sd": []}}},
        {"fields": {"post": float("nan")}},
        {"fields": {"post": "\ud800"}},
        {"fields": {"post": "x" * 50_000}},
        {"fields": {f"f{place}": 1 for place in range(300)}},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_what_could_not_be_read_is_not_prepared(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        credential.prepare(replace(CLAIMS, **changes), "AAAAAAAAAAA")


@pytest.mark.parametrize("kid", ["", "AAAAAAAAAA", 'A","x":"AAA', "AAAAAAAAAA="])
def test_a_kid_is_a_key_id(kid: str) -> None:
    with pytest.raises(Malformed):
        credential.prepare(CLAIMS, kid)


def test_a_signature_has_64_bytes(key: PublicKey) -> None:
    with pytest.raises(Malformed):
        credential.assemble(credential.prepare(CLAIMS, key.kid), bytes(63))


def test_the_largest_credential_is_read(folder: KeyFolder, key: PublicKey) -> None:
    low, high = 0, 60_000
    while high - low > 1:
        middle = (low + high) // 2
        try:
            credential.prepare(replace(CLAIMS, fields={"long": "x" * middle}), key.kid)
            low = middle
        except Malformed:
            high = middle
    text = issue(folder, key, replace(CLAIMS, fields={"long": "x" * low}))
    assert credential.MAX_BYTES - 2 <= len(text) <= credential.MAX_BYTES
    assert credential.is_signed_by(credential.read(text), key)

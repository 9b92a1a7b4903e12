"""The frozen formats, read from tests/vectors/*.json as an implementation in any language would read them."""

import hashlib
import json
import subprocess
import sys
from datetime import date
from typing import Any

import pytest

from signing import credential, identifier, ledger_leaf, public_code, qr, status
from signing.encoding import base64url
from signing.errors import Malformed
from signing.keys import PublicKey, Purpose, kid_of
from tests.support.paths import VECTORS
from tests.support.published_keys import public_key_of
from tests.support.status_places import version_key_of


def load(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


KEYS = {
    record["jwk"]["kid"]: PublicKey(record["jwk"]["kid"], Purpose(record["purpose"]), bytes.fromhex(record["spki"]))
    for record in load("keys")["keys"]
}


def cases(vectors: list[dict[str, Any]]) -> list[Any]:
    names = [vector["name"] for vector in vectors]
    assert len(set(names)) == len(names)
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


def refusal(read: Any, is_signed: Any) -> str:
    """Return why a text is refused, or `accepted`."""
    try:
        content = read()
    except Malformed as error:
        return error.problem
    return "accepted" if is_signed(content) else "signature"


def day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def test_the_files_are_what_make_builds() -> None:
    done = subprocess.run(
        [sys.executable, str(VECTORS / "make.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_key_ids_are_hashes_of_the_spki() -> None:
    for record in load("keys")["keys"]:
        spki = bytes.fromhex(record["spki"])
        assert base64url.encode(hashlib.sha256(spki).digest()[:8]) == record["jwk"]["kid"]
        key = public_key_of(record["jwk"], Purpose(record["purpose"]))
        assert (key.spki, key.jwk(), kid_of(key.key)) == (spki, record["jwk"], record["jwk"]["kid"])


@pytest.mark.parametrize("vector", load("identifier")["good"], ids=lambda vector: vector["identifier"])
def test_good_identifier(vector: dict[str, Any]) -> None:
    parts = identifier.parse(vector["identifier"])
    assert parts == identifier.Identifier(**vector["parts"])
    assert str(parts) == vector["identifier"]
    built = identifier.build(parts.type_code, parts.authority_code, parts.serial, parts.version)
    assert built == vector["identifier"]


@pytest.mark.parametrize("vector", cases(load("identifier")["bad"]))
def test_bad_identifier(vector: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as caught:
        identifier.parse(vector["identifier"])
    assert caught.value.problem == vector["refused"]


def test_codes() -> None:
    vectors = load("code")
    for made in vectors["made"]:
        code = public_code.new_code(lambda count, made=made: bytes.fromhex(made["random"])[:count])
        assert (code, public_code.grouped(code)) == (made["code"], made["printed"])
        assert public_code.read_code(made["printed"].lower()) == code
    for typed in vectors["typed"]:
        assert public_code.read_code(typed["typed"]) == typed["code"]


@pytest.mark.parametrize("vector", cases(load("credential")["good"]))
def test_good_credential(vector: dict[str, Any]) -> None:
    read = credential.read(vector["credential"])
    assert credential.is_signed_by(read, KEYS[read.kid])
    holders = vector["discloses"]["holders"]
    assert read.number == vector["discloses"]["number"]
    assert read.holders == (None if holders is None else tuple(credential.Holder(**holder) for holder in holders))
    assert read.fields == vector["discloses"]["fields"]
    if "claims" not in vector:
        return
    written = vector["claims"]
    claims = credential.Claims(
        **written
        | {name: day(written[name]) for name in ("issued_on", "valid_from", "valid_until")}
        | {"holders": tuple(credential.Holder(**holder) for holder in written["holders"])}
    )
    prepared = credential.prepare(claims, read.kid, random=lambda count: bytes.fromhex(vector["salts"])[:count])
    header, payload = (base64url.decode(part, "").decode() for part in prepared.signing_input.decode().split("."))
    assert (header, payload) == (vector["header"], vector["payload"])
    assert [base64url.decode(text, "").decode() for text in prepared.disclosures] == vector["disclosures"]
    assert credential.assemble(prepared, read.signature) == vector["credential"]
    shown = {name: getattr(read.claims, name) for name in ("issuer", "edition", "valid_until", "status_list")}
    assert shown == {name: getattr(claims, name) for name in shown}


@pytest.mark.parametrize("vector", cases(load("credential")["bad"]))
def test_bad_credential(vector: dict[str, Any]) -> None:
    known = next(key for key in KEYS.values() if key.purpose is Purpose.CREDENTIAL)

    def is_signed(read: credential.Credential) -> bool:
        # As the hub does: the key on record under the kid of the header; a foreign kid has none.
        return credential.is_signed_by(read, KEYS.get(read.kid, known))

    assert refusal(lambda: credential.read(vector["credential"]), is_signed) == vector["refused"]


@pytest.mark.parametrize("vector", cases(load("qr")["good"]))
def test_good_digits(vector: dict[str, Any]) -> None:
    digits = qr.read(vector["digits"])
    face, written = digits.face, vector["face"]
    assert face == qr.Face(
        **written
        | {name: day(written[name]) for name in ("issued_on", "valid_from", "valid_until")}
        | {"holders": tuple(written["holders"])}
    )
    assert qr.is_signed_by(digits, vector["code"], KEYS[digits.kid])
    prepared = qr.prepare(face, vector["code"], digits.kid)
    assert prepared.to_be_signed.hex() == vector["to_be_signed"]
    assert (prepared.protected.hex(), prepared.payload.hex()) == (vector["protected"], vector["payload"])
    assert qr.assemble(prepared, bytes.fromhex(vector["signature"])) == vector["digits"]
    assert qr.split(vector["text"]).digits == vector["digits"]


@pytest.mark.parametrize("vector", cases(load("qr")["bad"]))
def test_bad_digits(vector: dict[str, Any]) -> None:
    found = refusal(
        lambda: qr.read(vector["digits"]), lambda read: qr.is_signed_by(read, vector["code"], KEYS[read.kid])
    )
    assert found != "accepted"
    assert found == vector["refused"] or vector["refused"] == "any"


@pytest.mark.parametrize("vector", load("qr")["texts"], ids=lambda vector: vector["text"][:40] or "empty")
def test_qr_text(vector: dict[str, Any]) -> None:
    if "refused" in vector:
        with pytest.raises(Malformed, match=vector["refused"]):
            qr.split(vector["text"])
    else:
        assert qr.split(vector["text"]) == qr.QrText(**vector["parts"])


def test_status_places() -> None:
    places = load("status")["places"]
    key = bytes.fromhex(places["key"])
    for place in places["vectors"]:
        assert status.index_of(place["version_key"], key) == (place["list"], place["index"])
        assert version_key_of(place["list"], place["index"], key) == place["version_key"]


@pytest.mark.parametrize("vector", cases(load("status")["good"]))
def test_good_status_list(vector: dict[str, Any]) -> None:
    token = status.read(vector["token"])
    assert status.is_signed_by(token, KEYS[token.kid])
    said = {name: getattr(token, name) for name in ("uri", "iat", "exp", "ttl")}
    assert said == {name: vector[name] for name in said}
    listed = {int(index): value for index, value in vector["entries"].items()}
    assert {index: int(status.value(token, index)) for index in listed} == listed
    unlisted = set(range(status.ENTRIES)) - set(listed)
    assert all(status.value_in(token.entries, index, bits=2) == 0 for index in unlisted)
    assert status.unpack(status.build(listed), max_bytes=32_768) == token.entries


@pytest.mark.parametrize("vector", cases(load("status")["bad"]))
def test_bad_status_list(vector: dict[str, Any]) -> None:
    known = next(key for key in KEYS.values() if key.purpose is Purpose.STATUS)
    found = refusal(
        lambda: status.read(vector["token"]), lambda read: status.is_signed_by(read, KEYS.get(read.kid, known))
    )
    assert found == vector["refused"]


@pytest.mark.parametrize("vector", cases(load("leaf")["good"]))
def test_good_leaf(vector: dict[str, Any]) -> None:
    salt, effective_on = bytes.fromhex(vector["salt"]), date.fromisoformat(vector["effective_on"])
    data = ledger_leaf.leaf(
        vector["kind"],
        vector["identifier"],
        vector["credential"],
        salt,
        effective_on,
        vector["recorded_at_us"],
        vector["revision"],
    )
    assert (data.hex(), hashlib.sha256(b"\0" + data).hexdigest()) == (vector["leaf"], vector["leaf_hash"])
    read = ledger_leaf.read(data)
    assert read.kind == vector["kind"]
    assert (read.effective_on, read.recorded_at_us, read.revision) == (
        effective_on,
        vector["recorded_at_us"],
        vector["revision"],
    )
    assert read.identifier_digest == hashlib.sha256(salt + vector["identifier"].encode()).digest()
    assert read.credential_digest == hashlib.sha256(salt + vector["credential"].encode()).digest()


@pytest.mark.parametrize("vector", cases(load("leaf")["bad"]))
def test_bad_leaf(vector: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as caught:
        ledger_leaf.read(bytes.fromhex(vector["leaf"]))
    assert caught.value.problem == vector["refused"]


def test_empty_leaf_is_that_of_rfc_6962() -> None:
    assert load("leaf")["empty_leaf_hash"] == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"

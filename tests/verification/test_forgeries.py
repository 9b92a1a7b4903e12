"""Digits and credentials that are not what was issued: altered, signed again, foreign, or not on record."""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.domain import masking
from hub.domain.certificate import State
from hub.verification import VerdictState
from signing import credential, public_code, qr
from signing.encoding import base64url, compact_json
from signing.keys import KeyFolder, PublicKey, Purpose, raw_signature
from tests.support.city import URL, City, open_copy
from tests.support.verified import NO, UNKNOWN, YES, findings, personal, resigned, resigned_digits, versions

pytestmark = pytest.mark.sqlite

SEED = 20261124


@pytest.fixture(scope="module")
def city(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with open_copy(template, tmp_path_factory.mktemp("shared") / "city") as found:
        yield found


@pytest.fixture
def own(template: Path, tmp_path: Path) -> Iterator[City]:
    with open_copy(template, tmp_path / "city") as found:
        yield found


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> tuple[KeyFolder, PublicKey]:
    folder = KeyFolder(tmp_path_factory.mktemp("stranger"), b"x")
    return folder, folder.generate(Purpose.CREDENTIAL)


# --- digits that are not what was printed ----------------------------------------------------------------------------


def test_digits_of_one_code_under_another(city):
    first, second = versions(city, State.VALID)[:2]
    verdict = city.parts.verification.verify_qr(qr.text(URL, first.code, second.digits))
    assert (verdict.state, verdict.checks.intact) == (VerdictState.TAMPERED, NO)
    assert verdict.problems == ("signature.wrong",)
    assert (verdict.certificate.identifier, verdict.certificate.state) == (first.identifier, VerdictState.VALID)


def test_every_changed_digit_is_noticed(city):
    version, chance = personal(city), random.Random(SEED)
    digits = version.digits
    for place in range(len(digits)):
        other = chance.choice([d for d in "0123456789" if d != digits[place]])
        verdict = city.parts.verification.verify_qr(
            qr.text(URL, version.code, digits[:place] + other + digits[place + 1 :])
        )
        assert verdict.state is VerdictState.TAMPERED, place


@pytest.mark.parametrize("digits", ["1", "0", "x", "12 34", "9" * 2001, "9" * 5000, "1" * 400, "-1", "١٢٣"])
def test_digits_that_are_none(city, digits):
    version = personal(city)
    assert city.parts.verification.verify_qr(f"{URL}/v/{version.code}#{digits}").state is VerdictState.TAMPERED


def thief(city):
    """Signs with our key and a random nonce: our own signatures of the same bytes are always equal."""

    def sign(kid, purpose, data):
        private = city.parts.keyring.folder._private(kid, purpose)
        return raw_signature(private.sign(data, ec.ECDSA(hashes.SHA256())))

    return sign


def test_digits_signed_again(city, stranger):
    version, verification = personal(city), city.parts.verification
    folder, key = stranger
    ours, sign = version.kid, city.parts.keyring.folder.sign
    theirs = verification.verify_qr(qr.text(URL, version.code, resigned_digits(version, folder.sign, key.kid)))
    assert (theirs.state, theirs.problems) == (VerdictState.UNTRUSTED, ("key.unknown",))
    assert (theirs.checks.intact, theirs.checks.trusted) == (UNKNOWN, NO)
    with_our_kid = qr.prepare(qr.read(version.digits).face, version.code, ours)
    forged = qr.assemble(with_our_kid, folder.sign(key.kid, Purpose.CREDENTIAL, with_our_kid.to_be_signed))
    assert verification.verify_qr(qr.text(URL, version.code, forged)).state is VerdictState.TAMPERED
    other_face = resigned_digits(version, sign, ours, holders=("王*五",))
    verdict = verification.verify_qr(qr.text(URL, version.code, other_face))
    assert (verdict.state, verdict.problems) == (VerdictState.TAMPERED, ("record.differs",))
    assert (verdict.checks.intact, verdict.checks.trusted) == (NO, YES)
    second_signature = resigned_digits(version, thief(city), ours)
    verdict = verification.verify_qr(qr.text(URL, version.code, second_signature))
    assert (verdict.state, verdict.problems) == (VerdictState.TAMPERED, ("record.differs",))


def test_a_key_of_another_purpose_signs_no_digits(city):
    version = personal(city)
    key = city.parts.keyring.active(Purpose.STATUS)
    sign = lambda kid, _purpose, data: city.parts.keyring.folder.sign(kid, Purpose.STATUS, data)  # noqa: E731
    verdict = city.parts.verification.verify_qr(qr.text(URL, version.code, resigned_digits(version, sign, key.kid)))
    assert verdict.state is VerdictState.UNTRUSTED


def test_digits_that_we_signed_for_a_code_without_a_record(city):
    """After a loss of data: ours, but it is unknown whether it is in force."""
    version = personal(city)
    lost = public_code.new_code()
    prepared = qr.prepare(qr.read(version.digits).face, lost, version.kid)
    digits = qr.assemble(
        prepared, city.parts.keyring.folder.sign(version.kid, Purpose.CREDENTIAL, prepared.to_be_signed)
    )
    verdict = city.parts.verification.verify_qr(qr.text(URL, lost, digits))
    assert (verdict.state, verdict.problems) == (VerdictState.UNKNOWN, ("record.missing",))
    assert findings(verdict) == (YES, YES, UNKNOWN, YES)
    assert verdict.certificate.state is VerdictState.UNKNOWN
    assert verdict.certificate.holders == tuple(masking.person_name(h.name) for h in version.holders)


# --- credentials that are not what was issued ------------------------------------------------------------------------


def test_one_bit_anywhere_is_noticed(city):
    version, chance = personal(city), random.Random(SEED)
    raw = version.credential.encode()
    places = set(chance.sample(range(len(raw)), 400)) | set(range(60)) | set(range(len(raw) - 40, len(raw)))
    for place in sorted(places):
        changed = bytes([*raw[:place], raw[place] ^ (1 << chance.randrange(7)), *raw[place + 1 :]])
        verdict = city.parts.verification.verify_credential(changed.decode("latin-1"))
        if changed.decode("latin-1").strip() != version.credential:
            assert verdict.state is VerdictState.TAMPERED, (place, verdict)
            assert verdict.certificate is None


def test_payload_signature_and_disclosure_changed(city):
    version, verification = personal(city), city.parts.verification
    jwt, *disclosures = version.credential.split("~")[:-1]
    header, payload, signature = jwt.split(".")
    raw = bytearray(base64url.decode(signature, ""))
    raw[10] ^= 1
    later = base64url.decode(payload, "").replace(b'"version":1', b'"version":2')
    shown = base64url.decode(disclosures[0], "").decode()
    other = base64url.encode(shown.replace('",', '","x",', 1).encode())
    texts = {
        "payload": "~".join((f"{header}.{base64url.encode(later)}.{signature}", *disclosures, "")),
        "signature": "~".join((f"{header}.{payload}.{base64url.encode(bytes(raw))}", *disclosures, "")),
        "disclosure": "~".join((jwt, other, *disclosures[1:], "")),
        "twice": "~".join((jwt, disclosures[0], *disclosures, "")),
        "cut": version.credential[:-10],
        "no tilde": jwt,
    }
    for name, text in texts.items():
        verdict = verification.verify_credential(text)
        assert (verdict.state, verdict.checks.intact, verdict.certificate) == (VerdictState.TAMPERED, NO, None), name
        assert verdict.problems, name


def test_credentials_of_other_people(city, stranger):
    version, verification = personal(city), city.parts.verification
    folder, key = stranger
    foreign = "https://other.example"
    place = {"status_list": {"idx": 1, "uri": f"{foreign}/status/0"}}
    texts = [
        resigned(version, folder.sign, key.kid, iss=foreign, status=place),
        resigned(version, folder.sign, key.kid),
        resigned(version, folder.sign, key.kid, header={"typ": "vc+sd-jwt", "jwk": key.jwk()}, iss=foreign),
        _unsigned({"alg": "EdDSA", "typ": "dc+sd-jwt"}, {"iss": foreign, "vct": "x"}) + "c2ln~",
        _unsigned({"alg": "none"}, {"iss": foreign}) + "~",
    ]
    for text in texts:
        verdict = verification.verify_credential(text)
        assert (verdict.state, verdict.checks.trusted, verdict.certificate) == (VerdictState.UNTRUSTED, NO, None)
        assert {"key.unknown", "issuer.foreign"} & set(verdict.problems)


def _unsigned(header: dict[str, Any], payload: dict[str, Any]) -> str:
    return f"{base64url.encode(compact_json.encode(header))}.{base64url.encode(compact_json.encode(payload))}."


def test_no_signature_at_all_is_no_credential(city):
    version = personal(city)
    payload = credential.read(version.credential).payload
    for header in ({"alg": "none"}, {"alg": "none", "typ": "dc+sd-jwt"}, {"alg": "none", "kid": version.kid}):
        for tail in ("~", "c2ln~", ""):
            verdict = city.parts.verification.verify_credential(_unsigned(header, payload) + tail)
            assert verdict.state is VerdictState.TAMPERED
            assert verdict.problems


def test_a_forged_signature_under_our_key_id(city, stranger):
    version = personal(city)
    folder, key = stranger
    sign = lambda _kid, purpose, data: folder.sign(key.kid, purpose, data)  # noqa: E731
    verdict = city.parts.verification.verify_credential(resigned(version, sign, version.kid))
    assert (verdict.state, verdict.problems) == (VerdictState.TAMPERED, ("signature.wrong",))


def test_a_second_credential_of_ours_for_one_identifier_was_never_issued(city):
    version, sign = personal(city), thief(city)
    for claims in ({}, {"valid_until": "2099-12-31"}):
        verdict = city.parts.verification.verify_credential(resigned(version, sign, version.kid, **claims))
        assert (verdict.state, verdict.problems) == (VerdictState.TAMPERED, ("record.differs",))
        assert (verdict.checks.intact, verdict.checks.trusted, verdict.certificate) == (NO, YES, None)


def test_a_credential_of_ours_without_a_record(own):
    version = personal(own)
    with sqlite3.connect(own.parts.database.path) as connection:
        connection.execute("DELETE FROM handles WHERE value = ?", (version.identifier,))
        connection.execute("DELETE FROM versions WHERE identifier = ?", (version.identifier,))
    verdict = own.parts.verification.verify_credential(version.credential)
    assert (verdict.state, verdict.problems) == (VerdictState.UNKNOWN, ("record.missing",))
    assert findings(verdict) == (YES, YES, UNKNOWN, YES)
    shown = verdict.certificate
    assert shown.holders == (masking.person_name(version.holders[0].name),)
    assert shown.number != version.number
    hidden = own.parts.verification.verify_credential(version.credential.split("~")[0] + "~").certificate
    assert (hidden.number, hidden.holders) == (None, None)
    only_number = "~".join((*version.credential.split("~")[:2], ""))
    assert own.parts.verification.verify_credential(only_number).certificate.number == masking.id_number(version.number)


TEXTS = st.one_of(
    st.text(max_size=200),
    st.text("0123456789", max_size=2100),
    st.text("ABCDEFabcdef0123456789-_.~=", max_size=400),
    st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, TEXTS, TEXTS)
def test_no_text_is_a_fault_or_valid(city, first, second, third):
    header = base64url.encode(first.encode("utf-8", "replace"))
    texts = (first, f"{URL}/v/{first}#{second}", f"{header}.{header}.{third}~{second}~", f"{first}.{second}.{third}")
    for text in texts:
        for verify in (
            city.parts.verification.verify_code,
            city.parts.verification.verify_qr,
            city.parts.verification.verify_credential,
        ):
            verdict = verify(text)
            assert verdict.state in {VerdictState.NOT_FOUND, VerdictState.TAMPERED, VerdictState.UNTRUSTED}
            assert verdict.certificate is None
            assert verdict.problems


@pytest.mark.parametrize(
    "payload", ["[" * 100_000, '{"a":' * 20_000, "9" * 5000, '{"iss":' + "1" * 5000 + "}", "{}", "null"]
)
def test_hostile_json_in_a_credential(city, payload):
    part = base64url.encode(payload.encode())
    for text in (f"{part}.{part}.c2ln~", f"{part}.{part}.~", f"{part}~"):
        verdict = city.parts.verification.verify_credential(text)
        assert verdict.state in {VerdictState.TAMPERED, VerdictState.UNTRUSTED}

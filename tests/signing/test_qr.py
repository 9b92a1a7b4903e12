"""QR digits beyond the vectors."""

import random
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing import identifier, public_code, qr
from signing.errors import Malformed
from signing.keys import KeyFolder, PublicKey, Purpose

TYPE, AUTHORITY, CODE = "11100000000013338W011", "11430000006122244L", "0X4T9M2K7PQR8VWZ"
FACE = qr.Face(
    identifier=identifier.build(TYPE, AUTHORITY, "0123456789ABCDEFGHJK", 1),
    number="闽A01*******1",
    holders=("林*满",),
    issued_on=date(2026, 1, 1),
    valid_from=date(2026, 1, 1),
    valid_until=date(2028, 12, 31),
    status_list=3,
    status_index=77,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> KeyFolder:
    path: Path = tmp_path_factory.mktemp("keys")
    return KeyFolder(path, b"x")


@pytest.fixture(scope="module")
def key(folder: KeyFolder) -> PublicKey:
    return folder.generate(Purpose.CREDENTIAL)


def issue(folder: KeyFolder, key: PublicKey, face: qr.Face = FACE, code: str = CODE) -> str:
    prepared = qr.prepare(face, code, key.kid)
    return qr.assemble(prepared, folder.sign(key.kid, Purpose.CREDENTIAL, prepared.to_be_signed))


@settings(max_examples=60, deadline=None)
@given(
    number=TEXT,
    holders=st.lists(TEXT, min_size=1, max_size=4).map(tuple),
    days=st.tuples(st.dates(), st.dates(), st.none() | st.dates()),
    place=st.tuples(st.integers(0, 2**46 - 1), st.integers(0, 2**17 - 1)),
)
def test_what_is_issued_is_read(folder: KeyFolder, key: PublicKey, number: str, holders: Any, days: Any, place: Any) -> None:  # fmt: skip
    face = replace(
        FACE,
        number=number,
        holders=holders,
        issued_on=days[0],
        valid_from=days[1],
        valid_until=days[2],
        status_list=place[0],
        status_index=place[1],
    )
    code = public_code.new_code()
    digits = issue(folder, key, face, code)
    read = qr.read(digits)
    assert read.face == face
    assert read.kid == key.kid
    assert qr.is_signed_by(read, code, key)
    assert not qr.is_signed_by(read, public_code.new_code(), key)
    scanned = qr.split(qr.text("https://hub.example.test/base", code, digits))
    assert scanned == qr.QrText("https://hub.example.test/base", code, digits)


def test_every_changed_bit_and_digit_is_seen(folder: KeyFolder, key: PublicKey) -> None:
    digits = issue(folder, key)
    value = int(digits)
    changed = [str(value ^ 1 << place) for place in range(value.bit_length())]
    changed += [digits[:at] + digit + digits[at + 1 :] for at in range(len(digits)) for digit in "0123456789"]
    changed += [digits[:at] + digits[at + 1 :] for at in range(len(digits))]
    changed += [digits[:at] + "5" + digits[at:] for at in range(len(digits) + 1)]
    for text in changed:
        if text == digits:
            continue
        try:
            read = qr.read(text)
        except Malformed:
            continue
        assert not qr.is_signed_by(read, CODE, key), text


def test_every_other_code_is_refused(folder: KeyFolder, key: PublicKey) -> None:
    read = qr.read(issue(folder, key))
    dice = random.Random(3)
    for _ in range(100):
        at = dice.randrange(16)
        other = CODE[:at] + dice.choice(public_code.ALPHABET) + CODE[at + 1 :]
        assert qr.is_signed_by(read, other, key) == (other == CODE)
    for odd in ("", CODE.lower(), public_code.grouped(CODE), CODE + "0", "U" + CODE[1:], "é" * 16):
        assert not qr.is_signed_by(read, odd, key)


def test_another_key_is_not_the_signer(folder: KeyFolder, key: PublicKey) -> None:
    read = qr.read(issue(folder, key))
    assert not qr.is_signed_by(read, CODE, folder.generate(Purpose.CREDENTIAL))
    assert not qr.is_signed_by(read, CODE, PublicKey(key.kid, Purpose.STATUS, key.spki))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"identifier": "x"}, "identifier.shape"),
        ({"identifier": FACE.identifier.removeprefix("1.2.156.3005.2.")}, "qr.face"),
        ({"holders": ()}, "qr.claims"),
        ({"holders": tuple("某" * 60 for _ in range(20))}, "qr.too_long"),
        ({"number": "\ud800"}, "cbor.value"),
        ({"status_index": 131_072}, "qr.claims"),
        ({"status_list": 2**46}, "qr.claims"),
        ({"status_list": -1}, "qr.claims"),
    ],
)
def test_what_could_not_be_read_is_not_prepared(key: PublicKey, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(Malformed) as caught:
        qr.prepare(replace(FACE, **changes), CODE, key.kid)
    assert caught.value.problem == problem


def test_a_signature_has_64_bytes(key: PublicKey) -> None:
    with pytest.raises(Malformed, match=r"qr\.signature"):
        qr.assemble(qr.prepare(FACE, CODE, key.kid), bytes(63))
    with pytest.raises(Malformed, match=r"qr\.too_long"):
        qr.assemble(qr.PreparedDigits(b"", b"", bytes(1000)), bytes(64))


@pytest.mark.parametrize("code", ["", "0x4t9m2k7pqr8vwz", "0X4T-9M2K-7PQR-8VWZ", "0X4T9M2K7PQR8VWU"])
def test_a_code_is_in_its_normal_form(key: PublicKey, code: str) -> None:
    with pytest.raises(Malformed, match=r"qr\.code"):
        qr.prepare(FACE, code, key.kid)


def test_the_longest_digits_are_read(folder: KeyFolder, key: PublicKey) -> None:
    room = next(size for size in range(400, 900) if not _fits(key, size)) - 1
    digits = issue(folder, key, replace(FACE, number="x" * room))
    assert qr.MAX_DIGITS - 4 <= len(digits) <= qr.MAX_DIGITS
    assert qr.is_signed_by(qr.read(digits), CODE, key)


def _fits(key: PublicKey, size: int) -> bool:
    try:
        qr.prepare(replace(FACE, number="x" * size), CODE, key.kid)
    except Malformed:
        return False
    return True


def test_a_usual_face_fits_a_small_symbol(folder: KeyFolder, key: PublicKey) -> None:
    assert len(issue(folder, key)) < 500

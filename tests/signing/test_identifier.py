"""Identifiers and codes beyond the vectors."""

import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signing import identifier, public_code
from signing.errors import Malformed

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PART = st.text(st.sampled_from(ALPHABET), min_size=1, max_size=32)
TYPE, AUTHORITY = "11100000000013338W011", "11430000006122244L"


def check_by_the_standard(text: str) -> str:
    """ISO/IEC 7064 hybrid system MOD 37,36, written from the standard's description, not from a library."""
    p = 36
    for character in text:
        p = (p + ALPHABET.index(character)) % 36 or 36
        p = p * 2 % 37
    return ALPHABET[(37 - p) % 36]


@given(PART)
def test_check_character(text: str) -> None:
    assert identifier.check_character(text) == check_by_the_standard(text)


@given(PART, st.integers(1, 999))
def test_round_trip(serial: str, version: int) -> None:
    text = identifier.build(TYPE, AUTHORITY, serial, version)
    assert identifier.parse(text) == identifier.Identifier(TYPE, AUTHORITY, serial, version, text[-1])
    assert str(identifier.parse(text)) == text
    assert text.startswith("1.2.156.3005.2.")


@given(PART, st.integers(1, 999), st.data())
def test_every_single_mistake_is_seen(serial: str, version: int, data: st.DataObject) -> None:
    text = identifier.build(TYPE, AUTHORITY, serial, version)
    at = data.draw(st.integers(len(identifier.ROOT), len(text) - 1))
    other = data.draw(st.sampled_from(ALPHABET))
    changed = text[:at] + other + text[at + 1 :]
    if changed != text:
        with pytest.raises(Malformed):
            identifier.parse(changed)


@pytest.mark.parametrize(
    ("type_code", "authority", "serial", "version"),
    [
        (TYPE[:-1], AUTHORITY, "A", 1),
        (TYPE, AUTHORITY[:-1], "A", 1),
        (TYPE, AUTHORITY, "", 1),
        (TYPE, AUTHORITY, "a", 1),
        (TYPE, AUTHORITY, "A.B", 1),
        (TYPE, AUTHORITY, "A" * 33, 1),
        (TYPE, AUTHORITY, "A\n", 1),
        (TYPE, AUTHORITY, "A", 0),
        (TYPE, AUTHORITY, "A", -1),
        (TYPE, AUTHORITY, "A", 1000),
        (TYPE, "34010٠", "A", 1),
    ],
)
def test_parts_of_a_wrong_shape(type_code: str, authority: str, serial: str, version: int) -> None:
    with pytest.raises(Malformed, match=r"identifier\.shape"):
        identifier.build(type_code, authority, serial, version)


@pytest.mark.parametrize("text", ["a", "Ａ", "1 2", "_", "٣"])
def test_check_characters_are_of_capitals_and_digits(text: str) -> None:
    with pytest.raises(Malformed):
        identifier.check_character(text)


def test_serials_and_codes_are_random_over_their_alphabet() -> None:
    serials, made = [identifier.new_serial() for _ in range(2000)], [public_code.new_code() for _ in range(2000)]
    assert {len(serial) for serial in serials} == {20}
    assert {len(code) for code in made} == {16}
    for texts, count in ((serials, 40_000), (made, 32_000)):
        assert len(set(texts)) == 2000
        seen = collections.Counter("".join(texts))
        assert set(seen) == set(public_code.ALPHABET)
        assert min(seen.values()) > count / 32 * 0.8
        assert max(seen.values()) < count / 32 * 1.2


@given(st.binary(min_size=10, max_size=10), st.randoms(use_true_random=False))
def test_codes_survive_a_person(data: bytes, random: object) -> None:
    code = public_code.new_code(lambda count: data[:count])
    assert public_code.is_code(code)
    for typed in (code, code.lower(), public_code.grouped(code), f" {public_code.grouped(code).replace('-', ' ')} "):
        assert public_code.read_code(typed) == code
    assert public_code.read_code(code.replace("0", "o").replace("1", "l")) == code
    assert public_code.read_code(code.replace("0", "O").replace("1", "I")) == code
    full_width = "".join(chr(ord(character) + 0xFEE0) for character in public_code.grouped(code))
    assert public_code.read_code(full_width) == code


@given(st.text(max_size=80))
def test_what_is_read_is_a_code(text: str) -> None:
    code = public_code.read_code(text)
    assert code is None or public_code.is_code(code)


@pytest.mark.parametrize("text", ["ıX4T9M2K7PQR8VWZ", "ſX4T9M2K7PQR8VWZ", "𝟎X4T9M2K7PQR8VWZ", "²X4T9M2K7PQR8VWZ"])
def test_look_alikes_are_not_read(text: str) -> None:
    assert public_code.read_code(text) is None

"""Properties of every number, day, instant and case number, whatever is sent; and of every malformed body."""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from hub.domain import numbers
from hub.domain.case import case_number
from hub.domain.dates import day_of, from_int, from_micros, read_day, read_moment, show_moment, to_int, to_micros
from hub.domain.errors import TITLES, Refusal
from tests.support import town as t
from tests.support.town import Town

few = settings(max_examples=200, deadline=None)

TYPES = st.sampled_from(sorted(numbers.ID_TYPES))
SPACING = st.text(alphabet=" \t\u3000\u00a0-—－", max_size=2)
TYPED = st.text(alphabet="0123456789XxHhMmABｱＡ０９()（）字第号〇 -—\u200b", max_size=24) | st.text(max_size=24)
BORN = st.dates(date(1900, 1, 1), date(2029, 12, 31))
CITIZENS = st.builds(
    lambda area, born, rest: _checked(f"{area:06d}{born:%Y%m%d}{rest:03d}"),
    st.integers(110000, 999999),
    BORN,
    st.integers(0, 999),
)


def _checked(digits: str) -> str:
    return digits + numbers.citizen_check_character(digits)


def _spaced(text: str, spaces: list[str]) -> str:
    return "".join(c + (spaces[at % len(spaces)] if spaces else "") for at, c in enumerate(text))


def _wide(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if 0x21 <= ord(c) <= 0x7E else c for c in text)


def tried(call: Callable[..., Any], *args: Any) -> Any:
    """The result of a call, or its refusal."""
    try:
        return call(*args)
    except Refusal as refusal:
        return refusal


# --- identity numbers -------------------------------------------------------------------------------------------------


@few
@given(TYPES, TYPED)
def test_a_normal_form_is_its_own(id_type: str, text: str) -> None:
    found = tried(numbers.normalise, id_type, text)
    if isinstance(found, Refusal):
        assert found.code in {"id.length", "id.checksum", "uscc.checksum"}
        assert [error.pointer for error in found.errors] == ["/id_number"]
        return
    assert numbers.normalise(*found) == found
    kept_type, kept = found
    assert kept_type == id_type or (id_type, kept_type) == ("999", "111")
    assert kept == numbers.clean(kept) == unicodedata.normalize("NFKC", kept)
    assert 1 <= len(kept) <= 40
    assert numbers.party_text(kept_type, kept).startswith("v1|")


@few
@given(CITIZENS, st.lists(SPACING, max_size=5), st.sampled_from(["111", "999"]), st.booleans(), st.booleans())
def test_every_spelling_of_a_citizens_number_is_one(
    number: str, spaces: list[str], id_type: str, wide: bool, small: bool
) -> None:
    spelt = number.lower() if small else number
    spelt = _spaced(_wide(spelt) if wide else spelt, spaces)
    assert numbers.normalise(id_type, spelt) == ("111", number)
    assert numbers.contains_citizen_number(spelt)


@few
@given(CITIZENS, st.integers(0, 17), st.sampled_from("0123456789X"))
def test_one_wrong_character_is_seen(number: str, at: int, other: str) -> None:
    assume(other != number[at])
    with pytest.raises(Refusal) as caught:
        numbers.normalise("111", number[:at] + other + number[at + 1 :])
    assert caught.value.code == "id.checksum"


@few
@given(CITIZENS, st.integers(0, 16))
def test_two_characters_that_changed_places_are_seen(number: str, at: int) -> None:
    assume(number[at] != number[at + 1])
    changed = number[:at] + number[at + 1] + number[at] + number[at + 2 :]
    assert not numbers.is_citizen_number(changed)


@few
@given(st.integers(110000, 829999), st.dates(date(1900, 1, 1), date(1999, 12, 31)), st.integers(0, 999))
def test_fifteen_digits_are_the_same_number(area: int, born: date, rest: int) -> None:
    short = f"{area:06d}{born:%y%m%d}{rest:03d}"
    long = _checked(f"{area:06d}{born:%Y%m%d}{rest:03d}")
    assert numbers.normalise("111", short) == numbers.normalise("111", long) == ("111", long)


@few
@given(st.text(alphabet="0123456789ABCDEFGHJKLMNPQRTUWXY", min_size=17, max_size=17), st.integers(0, 17), st.data())
def test_a_uscc_and_every_wrong_one(first: str, at: int, data: st.DataObject) -> None:
    code = first + numbers.uscc_check_character(first)
    assert numbers.normalise("001", _wide(code.lower())) == ("001", code)
    other = data.draw(st.sampled_from([c for c in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c != code[at]]))
    with pytest.raises(Refusal) as caught:
        numbers.normalise("001", code[:at] + other + code[at + 1 :])
    assert caught.value.code == "uscc.checksum"


@few
@given(st.sampled_from("HM"), st.text("0123456789", min_size=8, max_size=8), st.integers(0, 99), st.integers(0, 99))
def test_a_renewed_permit_is_found_under_the_same_text(letter: str, digits: str, first: int, second: int) -> None:
    forms = [f"{letter}{digits}", f"{letter}{digits}{first:02d}", f"{letter}{digits}{second:02d}"]
    assert len({numbers.party_text(*numbers.normalise("516", form)) for form in forms}) == 1


# --- days and moments -------------------------------------------------------------------------------------------------


@few
@given(st.dates(date(1900, 1, 1)))
def test_a_day_is_read_as_it_is_written(day: date) -> None:
    assert read_day(day.isoformat()) == day == from_int(to_int(day))
    assert len(str(to_int(day))) == 8


@few
@given(st.text(alphabet="0123456789-/. ２", max_size=12) | st.text(max_size=12))
def test_what_is_read_as_a_day_is_written_so(text: str) -> None:
    try:
        day = read_day(text)
    except ValueError:
        return
    assert day.isoformat() == text


EARLIEST, LATEST = to_micros(datetime(1900, 1, 2, tzinfo=UTC)), to_micros(datetime(9998, 12, 30, tzinfo=UTC))
ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59)


@few
@given(st.integers(EARLIEST, LATEST), ZONES, st.booleans())
def test_a_moment_is_the_same_in_every_zone(micros: int, minutes: int, small: bool) -> None:
    moment = from_micros(micros)
    text = moment.astimezone(timezone(timedelta(minutes=minutes))).isoformat()
    found = read_moment(text.lower() if small else text)
    assert found == moment
    assert found.utcoffset() == timedelta()
    assert from_micros(to_micros(found)) == found
    assert read_moment(show_moment(found)) == found.replace(microsecond=0)
    assert day_of(found) == (found + timedelta(hours=8)).date()


SHAPE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
MOMENTLIKE = st.from_regex(
    r"\A[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]*)?([Zz]|[+-][0-2][0-9]:?[0-6][0-9])?\Z"
)


@few
@given(MOMENTLIKE | st.text(max_size=30))
def test_what_is_read_as_a_moment_has_a_date_a_time_and_a_zone(text: str) -> None:
    try:
        found = read_moment(text)
    except ValueError:
        return
    assert SHAPE.fullmatch(text)
    hour, minute, second = (int(part) for part in text[11:19].split(":"))
    assert hour < 24
    assert minute < 60
    assert second <= 60
    assert found.utcoffset() == timedelta()
    assert from_micros(to_micros(found)) == found


# --- case numbers -----------------------------------------------------------------------------------------------------

PUNCTUATION = "-._~()〔〕"


@few
@given(st.text(max_size=70) | st.text(alphabet=f"0123456789ABxé榕商{PUNCTUATION}", max_size=70))
@example("\uf900")  # letters alone, and not composed
@example("\u1112\u1161\u11ab")
@example("e\u0301")
@example("案" * 64)
@example("案" * 65)
def test_a_case_number_has_its_alphabet_alone(text: str) -> None:
    fits = 1 <= len(text) <= 64 and unicodedata.normalize("NFC", text) == text
    fits = fits and all(c in "0123456789" or c in PUNCTUATION or unicodedata.category(c).startswith("L") for c in text)
    found = tried(case_number, text)
    if isinstance(found, Refusal):
        assert [error.pointer for error in found.errors] == ["/case_number"]
        assert not fits or numbers.contains_citizen_number(text)
        return
    assert found == text
    assert fits
    assert not numbers.contains_citizen_number(text)


WORDS = st.text(alphabet="榕商号ABCDEFGHJK", max_size=4)
JOINTS = st.lists(st.sampled_from(["", "-", ".", "_", "~", "(", ")", "〔", "〕", "--"]), min_size=1, max_size=4)


@few
@given(CITIZENS, JOINTS, WORDS, WORDS, st.booleans())
def test_a_case_number_with_a_citizens_number_is_refused(
    number: str, joints: list[str], before: str, after: str, small: bool
) -> None:
    text = before + _spaced(number, joints)[:60] + after
    assume(len(text) <= 64)
    with pytest.raises(Refusal) as caught:
        case_number(text.lower() if small else text)
    assert all(number not in error.message for error in caught.value.errors)


# --- broken bodies ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(town_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with t.open_copy(town_template, tmp_path_factory.mktemp("broken") / "town") as found:
        yield found


WHOLE = t.body(t.grant("P-1", t.ANNA, supersedes=[]), agent=t.BERT, related=[t.person(5, relation="spouse")])
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)

pytestmark = pytest.mark.sqlite  # what is asked here is decided before any database


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


PLACES = list(_places(WHOLE))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PLACES), ANY)
def test_any_value_anywhere_is_taken_or_refused(shared: Town, place: tuple[str | int, ...], value: Any) -> None:
    body = json.loads(json.dumps(WHOLE))
    here = body
    for part in place[:-1]:
        here = here[part]
    here[place[-1]] = value
    found = tried(shared.push, "A-1", json.dumps(body).encode())
    if isinstance(found, Refusal):
        assert {found.code, *(error.code for error in found.errors)} <= set(TITLES)
    else:
        assert found.status in {200, 201}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(t.raw(WHOLE)) - 1), st.integers(0, 255), st.sampled_from(["put", "in", "out"]))
def test_any_byte_anywhere_is_taken_or_refused(shared: Town, at: int, byte: int, how: str) -> None:
    raw = t.raw(WHOLE)
    middle = b"" if how == "out" else bytes([byte])
    after = raw[at:] if how == "in" else raw[at + 1 :]
    found = tried(shared.push, "A-2", raw[:at] + middle + after)
    assert found.code in TITLES if isinstance(found, Refusal) else found.status in {200, 201}

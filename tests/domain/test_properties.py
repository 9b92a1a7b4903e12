"""Rules that hold for every input: dates, identity numbers, case numbers, bodies, states, transitions."""

import json
import random
import unicodedata
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from hub import wire
from hub.domain import dates, masking, numbers
from hub.domain.case import case_number
from hub.domain.certificate import TRANSITIONS, Dates, Standing, State, may_transition, state
from hub.domain.errors import Refusal
from hub.intake.body import PushBody
from hub.intake.receive import canonical
from tests.support import town as t

DAYS = st.dates(date(1900, 1, 1), date(9998, 12, 31))
MOMENTS = st.integers(-(2**50), 2**57).map(dates.from_micros)
CITIZENS = st.builds(t.citizen, st.integers(0, 9000 * 899), st.dates(date(1900, 1, 1), date(2030, 1, 1)))


def answer(rule: Any, *values: Any) -> Any:
    """The result of a rule, or its refusal."""
    try:
        return rule(*values)
    except Refusal as refusal:
        return refusal


# --- dates ------------------------------------------------------------------------------------------------------------


@given(DAYS, DAYS)
def test_days_are_stored_in_their_order(one: date, other: date) -> None:
    assert (dates.to_int(one) < dates.to_int(other)) == (one < other)


@given(DAYS)
def test_a_day_begins_at_midnight_in_shanghai(day: date) -> None:
    assume(day > date(1900, 1, 1))
    midnight = datetime.combine(day, time(0), dates.SHANGHAI)
    assert dates.day_of(midnight) == day
    assert dates.day_of(midnight - timedelta(microseconds=1)) == day - timedelta(days=1)


@given(st.text(max_size=30))
@example("e-\u0301")
@example("ΐ")
@example("ﬃ ß ŉ")
@example("\u2010\u0338")
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = numbers.clean(text)
    assert numbers.clean(once) == once


# --- case numbers -----------------------------------------------------------------------------------------------------

LETTERS = st.text("AzE9é案件〔〕()-._~ 2026", min_size=1, max_size=66)


@given(st.text(max_size=66) | LETTERS)
def test_a_case_number_stands_in_an_address(text: str) -> None:
    found = answer(case_number, text)
    if isinstance(found, Refusal):
        assert found.code == "schema.invalid"
        return
    assert found == text
    assert 1 <= len(text) <= 64
    assert unicodedata.normalize("NFC", text) == text
    assert not set(text) & set("/?#%&+ \\\"'<>:;@\t\n\r\x00")
    assert unquote(quote(text, safe="")) == text


AROUND = st.text("案A-._~()〔〕", max_size=4)


@given(CITIZENS.filter(lambda n: int(n[6:10]) < 2020), st.from_regex(r"[0-9]{1,8}", fullmatch=True), st.booleans())
def test_nor_inside_a_longer_number(number: str, more: str, before: bool) -> None:
    with pytest.raises(Refusal):
        case_number(more + number if before else number + more)


@given(st.integers(2021, 2099), st.integers(1, 12), st.integers(1, 28), st.integers(0, 99_999))
def test_region_date_and_serial_number_may_be_written_together(year: int, month: int, day: int, serial: int) -> None:
    assert case_number(f"350100{year}{month:02}{day:02}{serial:05}0")


# --- masks ------------------------------------------------------------------------------------------------------------


@given(CITIZENS, st.booleans())
def test_a_mask_hides_all_but_the_ends_of_a_persons_number(number: str, personal: bool) -> None:
    masked = masking.certificate_number(number, personal=personal, public_holder=False)
    assert masked == number[0] + "*" * 16 + number[17]


@given(st.text(st.characters(categories=["L"]), min_size=1, max_size=30))
def test_a_persons_name_shows_at_most_two_characters(name: str) -> None:
    masked = masking.person_name(name)
    assert len(masked.replace("*", "")) <= 2
    assert len(masked) <= 8
    assert masked != name


# --- bodies -----------------------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=200)
def test_any_bytes_are_a_value_or_a_refusal(raw: bytes) -> None:
    value = answer(wire.loads, raw)
    if isinstance(value, Refusal):
        assert (value.code, t.places(value)) == ("schema.invalid", [("", "schema.invalid")])
        return
    assert wire.loads(json.dumps(value, ensure_ascii=False).encode()) == value


@given(JSON)
def test_any_value_is_a_body_or_a_refusal_that_points(value: Any) -> None:
    with pytest.raises(Refusal) as caught:
        wire.validate(PushBody, value)
    assert 1 <= len(caught.value.errors) <= wire.MAX_ERRORS
    assert all(error.pointer == "" or error.pointer.startswith("/") for error in caught.value.errors)


def turned(value: Any, order: random.Random) -> Any:
    if isinstance(value, dict):
        names = list(value)
        order.shuffle(names)
        return {name: turned(value[name], order) for name in names}
    return [turned(item, order) for item in value] if isinstance(value, list) else value


@given(st.randoms(use_true_random=False), TEXTS, st.integers(-(10**14), 10**14), st.booleans())
def test_one_body_has_one_form_however_it_is_written(order: random.Random, word: str, seats: int, ascii_: bool) -> None:
    content = t.body(t.grant("N-1", t.ANNA, t.BERT, fields={"place": word, "seats": seats}), agent=t.CARL)
    written = json.dumps(turned(content, order), ensure_ascii=ascii_, indent=order.choice([None, 1])).encode()

    def form(raw: bytes) -> bytes:
        value = wire.loads(raw)
        return canonical(value, wire.validate(PushBody, value))

    assert form(written) == form(t.raw(content))
    other = t.body(t.grant("N-1", t.ANNA, t.BERT, fields={"place": word, "seats": seats + 1}), agent=t.CARL)
    assert form(t.raw(other)) != form(t.raw(content))


# --- states -----------------------------------------------------------------------------------------------------------

NEAR = st.dates(date(2026, 1, 1), date(2026, 1, 12))
VERSIONS = st.builds(Dates, NEAR, NEAR, st.none() | NEAR, st.none() | NEAR)
STANDINGS = st.sampled_from(list(Standing))


@given(STANDINGS, VERSIONS, NEAR)
@settings(max_examples=400)
def test_the_first_state_that_applies_is_the_state(standing: Standing, version: Dates, today: date) -> None:
    applies = {
        State.REVOKED: standing is Standing.REVOKED,
        State.SUPERSEDED: version.superseded_on is not None and today >= version.superseded_on,
        State.EXPIRED: version.valid_until is not None and today > version.valid_until,
        State.SUSPENDED: standing is Standing.SUSPENDED,
        State.NOT_YET: today < version.valid_from,
        State.VALID: True,
    }
    assert state(standing, version, today) is next(found for found in State if applies[found])


@given(STANDINGS, VERSIONS)
def test_time_alone_leads_only_forward(standing: Standing, version: Dates) -> None:
    seen = [state(standing, version, date(2026, 1, 1) + timedelta(days=n)) for n in range(14)]
    order = (State.NOT_YET, State.VALID, State.SUSPENDED, State.EXPIRED, State.SUPERSEDED, State.REVOKED)
    assert seen == sorted(seen, key=order.index)


@given(STANDINGS, STANDINGS, VERSIONS, NEAR)
def test_what_is_final_does_not_move(standing: Standing, to: Standing, version: Dates, today: date) -> None:
    allowed = may_transition(standing, to, version, today)
    if state(standing, version, today) in {State.REVOKED, State.SUPERSEDED}:
        assert not allowed
    assert not allowed or (to in TRANSITIONS[standing] and to is not standing)

"""Bodies are compared in RFC 8785 form, with the same result from both implementations."""

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.errors import Refusal
from hub.intake.body import PushBody
from hub.intake.receive import canonical
from hub.wire import loads, validate

PERSON = {"name": "邱景澜", "id_type": "111", "id_number": "990121198307073910"}
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
FIELDS = st.dictionaries(TEXT.filter(lambda t: len(t) <= 64), TEXT | st.integers(-(2**53) + 1, 2**53 - 1), max_size=6)


def body(fields: dict[str, Any]) -> dict[str, Any]:
    certificate = {
        "valid_until": None,
        "type_code": "11350000MB9G00191W003",
        "number": "一",
        "holders": [PERSON],
        "fields": fields,
        "issued_on": "2026-01-05",
    }
    return {
        "matter_code": "FZGA-WFZZM",
        "status": "completed",
        "applicants": [PERSON],
        "accepted_at": "2026-01-05T09:00:00+08:00",
        "certificates": [certificate],
    }


@given(FIELDS)
def test_both_ways_give_the_same_text(fields: dict[str, Any]) -> None:
    value = loads(json.dumps(body(fields)).encode())
    assert canonical(value, validate(PushBody, value)) == rfc8785.dumps(value)


@pytest.mark.parametrize("number", [2**53, -(2**53), 10**30])
def test_a_number_that_is_not_exact_is_refused(number: int) -> None:
    value = body({"area": number})
    with pytest.raises(Refusal) as caught:
        canonical(value, validate(PushBody, value))
    assert caught.value.code == "schema.invalid"

"""Ledger leaves beyond the vectors."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signing import ledger_leaf
from signing.errors import Malformed

GOOD: dict[str, Any] = {
    "kind": ledger_leaf.Kind.ISSUED,
    "identifier": "1.2.156.3005.2.x",
    "credential": "abc~",
    "salt": bytes(16),
    "effective_on": date(2026, 1, 1),
    "recorded_at_us": 1_767_225_600_000_000,
    "revision": 1,
}


@given(
    kind=st.sampled_from(ledger_leaf.Kind),
    salt=st.binary(min_size=16, max_size=16),
    effective_on=st.dates(),
    recorded=st.integers(0, 2**63 - 1),
    revision=st.integers(0, 2**31),
)
def test_round_trip(kind: ledger_leaf.Kind, salt: bytes, effective_on: date, recorded: int, revision: int) -> None:
    data = ledger_leaf.leaf(kind, "id", "credential", salt, effective_on, recorded, revision)
    assert ledger_leaf.read(data) == ledger_leaf.Leaf(
        kind, ledger_leaf.salted(salt, "id"), ledger_leaf.salted(salt, b"credential"), effective_on, recorded, revision
    )
    assert len(data) < 110


def test_the_salt_hides_what_is_inside() -> None:
    one, two = ledger_leaf.leaf(**GOOD), ledger_leaf.leaf(**GOOD | {"salt": b"\1" * 16})
    assert ledger_leaf.read(one).identifier_digest != ledger_leaf.read(two).identifier_digest
    assert ledger_leaf.read(one).credential_digest != ledger_leaf.read(two).credential_digest
    assert b"3005" not in one


def test_text_and_bytes_are_one() -> None:
    assert ledger_leaf.leaf(**GOOD) == ledger_leaf.leaf(**GOOD | {"credential": b"abc~", "kind": 1})


@pytest.mark.parametrize(
    "changes",
    [{"kind": 0}, {"kind": 8}, {"salt": bytes(15)}, {"salt": bytes(17)}, {"recorded_at_us": -1}, {"revision": -1}],
    ids=str,
)
def test_wrong_inputs(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        ledger_leaf.leaf(**GOOD | changes)

"""Retrievals: who took which version for which case. One row per receipt; its purpose is encrypted.

The public code of the annotated copy is registered in the same commit, so the copy can be verified from then on, even
before its file is rendered.
"""

import secrets
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from hub.db.database import Reader, Writer
from hub.domain.certificate import State
from hub.domain.dates import from_int, from_micros, month_of, to_int, to_micros
from hub.store.certificates import COPY
from hub.store.sealing import seal, unseal
from hub.vault import Vault
from signing import public_code
from signing.public_code import ALPHABET

_MONTH = len("202611")
_CHARACTERS = 12
_CODE = "code"  # not a column of the row: it is stored in `handles`


@dataclass(frozen=True, slots=True)
class Taking:
    """One version that a clerk took for one case: the subject of a receipt."""

    source: str
    case_number: str
    clerk_authority: str
    clerk: str
    home: int
    certificate: int
    version: int


@dataclass(frozen=True, slots=True)
class Purpose:
    """The purpose, with the names of that time. `fields` None: all fields were shown."""

    clerk_name: str
    authority_name: str
    matter_code: str
    matter_name: str
    materials: tuple[str, ...]
    fields: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt: what was taken when, by whom and for what. It never changes.

    code: the public code of the annotated copy, assigned with the receipt. expires_on: the last day, as printed on the
    copy. state: the version's state at the time.
    """

    number: str
    code: str
    taking: Taking
    purpose: Purpose
    client: str
    party: int
    state: State
    at: datetime
    expires_on: date


def new_number(at: datetime) -> str:
    """A receipt number: the month, then 12 random characters (60 bits), the first of which is a letter.

    The month selects the partition of the row. The letter prevents numbers of eighteen digits, which would look like a
    citizen's number.
    """
    letters = ALPHABET[10:]
    return f"{month_of(at)}-{secrets.choice(letters)}" + "".join(
        secrets.choice(ALPHABET) for _ in range(_CHARACTERS - 1)
    )


def in_date(reader: Reader, taking: Taking, today: date) -> tuple[int, str] | None:
    """The key of the newest receipt for the same retrieval that has not expired, or None."""
    row = reader.one(
        "SELECT month, receipt FROM retrievals WHERE source = :source AND case_number = :case_number"
        " AND clerk = :clerk AND clerk_authority = :clerk_authority AND home = :home AND certificate = :certificate"
        " AND version = :version AND expires_on >= :today ORDER BY at DESC, receipt LIMIT 1",
        {**_columns(taking), "today": to_int(today)},
    )
    return None if row is None else (row["month"], row["receipt"])


def read(reader: Reader, vault: Vault, key: tuple[int, str]) -> Receipt:
    """The receipt with this key, which must exist."""
    found = _find(reader, vault, key)
    if found is None:
        raise LookupError("receipt")
    return found


def by_number(reader: Reader, vault: Vault, number: str) -> Receipt | None:
    """The receipt with this number, or None; the number is untrusted input."""
    month = number[:_MONTH]
    if len(number) != _MONTH + 1 + _CHARACTERS or not (month.isascii() and month.isdigit()):
        return None
    return _find(reader, vault, (int(month), number))


def by_code(reader: Reader, vault: Vault, code: str) -> Receipt | None:
    """The receipt whose copy has this public code (in its normal form), or None."""
    row = reader.one("SELECT receipt FROM handles WHERE kind = :kind AND value = :code", {"kind": COPY, "code": code})
    found = None if row is None else by_number(reader, vault, row["receipt"])
    return found if found is not None and found.code == code else None


def of_case(reader: Reader, vault: Vault, source: str, case_number: str, limit: int) -> list[Receipt]:
    """The receipts of a case, oldest first."""
    rows = reader.all(
        "SELECT month, receipt FROM retrievals WHERE source = :source AND case_number = :case_number"
        " ORDER BY at, receipt LIMIT :limit",
        {"source": source, "case_number": case_number, "limit": limit},
    )
    return [read(reader, vault, (row["month"], row["receipt"])) for row in rows]


def _find(reader: Reader, vault: Vault, key: tuple[int, str]) -> Receipt | None:
    row = reader.one(
        "SELECT * FROM retrievals WHERE month = :month AND receipt = :receipt", {"month": key[0], "receipt": key[1]}
    )
    if row is None:
        return None
    inside = unseal(vault, "retrievals", key, row["sealed"])
    fields = inside["fields"]
    purpose = Purpose(
        clerk_name=inside["clerk_name"],
        authority_name=inside["authority_name"],
        matter_code=inside["matter_code"],
        matter_name=inside["matter_name"],
        materials=tuple(inside["materials"]),
        fields=None if fields is None else tuple(fields),
    )
    return Receipt(
        number=key[1],
        code=inside["code"],
        taking=Taking(**{name: row[name] for name in Taking.__slots__}),
        purpose=purpose,
        client=row["client"],
        party=row["party"],
        state=State(row["state"]),
        at=from_micros(row["at"]),
        expires_on=from_int(row["expires_on"]),
    )


def row_of(
    vault: Vault,
    taking: Taking,
    purpose: Purpose,
    *,
    client: str,
    party: int,
    state: State,
    at: datetime,
    expires_on: date,
) -> dict[str, Any]:
    """The row of a new receipt, encrypted, with a public code for its copy."""
    key = (month_of(at), new_number(at))
    inside = {
        "code": public_code.new_code(),
        "clerk_name": purpose.clerk_name,
        "authority_name": purpose.authority_name,
        "matter_code": purpose.matter_code,
        "matter_name": purpose.matter_name,
        "materials": list(purpose.materials),
        "fields": None if purpose.fields is None else list(purpose.fields),
    }
    return {
        "month": key[0],
        "receipt": key[1],
        **_columns(taking),
        "party": party,
        "client": client,
        "state": state.value,
        "at": to_micros(at),
        "expires_on": to_int(expires_on),
        "sealed": seal(vault, "retrievals", key, inside),
        _CODE: inside["code"],
    }


def add(writer: Writer, row: dict[str, Any]) -> None:
    """Insert a row of `row_of`, and register the code of its copy."""
    place = {name: row[name] for name in ("home", "certificate", "version", "receipt")}
    writer.insert("handles", {"kind": COPY, "value": row[_CODE], **place})
    writer.insert("retrievals", {name: value for name, value in row.items() if name != _CODE})


def _columns(taking: Taking) -> dict[str, Any]:
    return {name: getattr(taking, name) for name in Taking.__slots__}

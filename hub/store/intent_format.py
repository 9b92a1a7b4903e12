"""The encrypted content of `intents`: a CBOR map with a format number and named fields. Internal and short-lived.

    {"format": 2, "client": ..., "push_key": [month, source, case number, digest], "planned": [{...}, ...]}

The names are spelt out here, independently of the classes. A new field gets a name and, for intents that are open
during an upgrade, a default: `inside.get(name, default)`.

A reader refuses unknown fields and format numbers. An intent says what will be signed and published; a process of the
previous release that ignored part of it would publish something else. So the intent waits until a process of the new
release finishes it.

Format 1, from before 0.1, had no number: each certificate was a list in the order of the fields of `Planned`.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from hub.domain.case import Person
from hub.domain.case_record import PushKey
from hub.domain.certificate import ActKind
from hub.domain.dates import from_int, to_int
from hub.domain.issuing import Ending, Intent, Planned
from hub.vault import VaultError

FORMAT = 2

_INTENT = frozenset({"format", "client", "push_key", "planned"})
_PLANNED = (
    *("kind", "home", "certificate", "version", "version_key", "serial", "identifier", "code", "type_code"),
    *("authority", "edition", "number", "holders", "parties", "fields", "issued_on", "valid_from", "valid_until"),
    *("salt", "kid", "signing_input", "disclosures", "qr_to_be_signed", "qr_protected", "qr_payload", "endings"),
    "digits",
)
_HOLDER = ("name", "id_type", "id_number")
_ENDING = ("home", "certificate", "version", "version_key", "identifier", "on", "same_certificate")
"""In the order of format 1, which is frozen: add new names to the sets below."""
_PLANNED_NAMES, _HOLDER_NAMES, _ENDING_NAMES = frozenset(_PLANNED), frozenset(_HOLDER), frozenset(_ENDING)


def pack(intent: Intent) -> dict[str, Any]:
    """The content to encrypt; the rest of an intent is stored in columns."""
    return {
        "format": FORMAT,
        "client": intent.client,
        "push_key": list(intent.push_key),
        "planned": [_pack(planned) for planned in intent.planned],
    }


def unpack(
    inside: Mapping[str, Any], *, intent: int, source: str, case_number: str, amendment: int, attempts: int
) -> Intent:
    """Read an intent; raises VaultError for a format or a field that this release does not know."""
    number = inside.get("format", 1)
    if number not in {1, FORMAT}:
        raise VaultError(f"an intent has format {number}, which a newer release has written")
    _require_known(inside, _INTENT)
    planned = inside["planned"] if number == FORMAT else [_named(values) for values in inside["planned"]]
    return Intent(
        intent=intent,
        source=source,
        case_number=case_number,
        amendment=amendment,
        client=inside["client"],
        push_key=PushKey(*inside["push_key"]),
        planned=tuple(_unpack(item) for item in planned),
        attempts=attempts,
    )


def _pack(planned: Planned) -> dict[str, Any]:
    return {
        "kind": None if planned.kind is None else int(planned.kind),
        "home": planned.home,
        "certificate": planned.certificate,
        "version": planned.version,
        "version_key": planned.version_key,
        "serial": planned.serial,
        "identifier": planned.identifier,
        "code": planned.code,
        "type_code": planned.type_code,
        "authority": planned.authority,
        "edition": planned.edition,
        "number": planned.number,
        "holders": [{"name": h.name, "id_type": h.id_type, "id_number": h.id_number} for h in planned.holders],
        "parties": planned.parties,
        "fields": dict(planned.fields),
        "issued_on": to_int(planned.issued_on),
        "valid_from": to_int(planned.valid_from),
        "valid_until": None if planned.valid_until is None else to_int(planned.valid_until),
        "salt": planned.salt,
        "kid": planned.kid,
        "signing_input": planned.signing_input,
        "disclosures": planned.disclosures,
        "qr_to_be_signed": planned.qr_to_be_signed,
        "qr_protected": planned.qr_protected,
        "qr_payload": planned.qr_payload,
        "endings": [_pack_ending(ending) for ending in planned.endings],
        "digits": planned.digits,
    }


def _pack_ending(ending: Ending) -> dict[str, Any]:
    return {
        "home": ending.home,
        "certificate": ending.certificate,
        "version": ending.version,
        "version_key": ending.version_key,
        "identifier": ending.identifier,
        "on": to_int(ending.on),
        "same_certificate": ending.same_certificate,
    }


def _unpack(inside: Mapping[str, Any]) -> Planned:
    _require_known(inside, _PLANNED_NAMES)
    return Planned(
        kind=None if inside["kind"] is None else ActKind(inside["kind"]),
        home=inside["home"],
        certificate=inside["certificate"],
        version=inside["version"],
        version_key=inside["version_key"],
        serial=inside["serial"],
        identifier=inside["identifier"],
        code=inside["code"],
        type_code=inside["type_code"],
        authority=inside["authority"],
        edition=inside["edition"],
        number=inside["number"],
        holders=tuple(_unpack_holder(item) for item in inside["holders"]),
        parties=tuple(inside["parties"]),
        fields=inside["fields"],
        issued_on=from_int(inside["issued_on"]),
        valid_from=from_int(inside["valid_from"]),
        valid_until=_day(inside["valid_until"]),
        salt=inside["salt"],
        kid=inside["kid"],
        signing_input=inside["signing_input"],
        disclosures=tuple(inside["disclosures"]),
        qr_to_be_signed=inside["qr_to_be_signed"],
        qr_protected=inside["qr_protected"],
        qr_payload=inside["qr_payload"],
        endings=tuple(_unpack_ending(item) for item in inside["endings"]),
        digits=inside["digits"],
    )


def _unpack_holder(inside: Mapping[str, Any]) -> Person:
    _require_known(inside, _HOLDER_NAMES)
    return Person(inside["name"], inside["id_type"], inside["id_number"])


def _unpack_ending(inside: Mapping[str, Any]) -> Ending:
    _require_known(inside, _ENDING_NAMES)
    return Ending(
        home=inside["home"],
        certificate=inside["certificate"],
        version=inside["version"],
        version_key=inside["version_key"],
        identifier=inside["identifier"],
        on=from_int(inside["on"]),
        same_certificate=inside["same_certificate"],
    )


def _day(value: int | None) -> date | None:
    return None if value is None else from_int(value)


def _require_known(inside: Mapping[str, Any], names: frozenset[str]) -> None:
    unknown = inside.keys() - names
    if unknown:
        raise VaultError(f"an intent has fields that a newer release has written: {', '.join(sorted(unknown))}")


def _named(values: Sequence[Any]) -> dict[str, Any]:
    """Convert a certificate of format 1 to named fields."""
    found = dict(zip(_PLANNED, values, strict=True))
    found["holders"] = [dict(zip(_HOLDER, item, strict=True)) for item in found["holders"]]
    found["endings"] = [dict(zip(_ENDING, item, strict=True)) for item in found["endings"]]
    return found

"""The part of a reply that shows a certificate unmasked, shared by several endpoints."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

from pydantic import BaseModel

from hub.domain.catalogue import Catalogue
from hub.domain.certificate import State
from hub.domain.values import Value
from hub.domain.version import Version
from hub.store.acts import Why
from hub.web.endpoint import Answer

PDF = "application/pdf"
StateWord = Literal["revoked", "superseded", "expired", "suspended", "not_yet", "valid"]


class HolderReply(BaseModel):
    """One holder."""

    name: str
    id_type: str
    id_number: str


class FaceReply(BaseModel):
    """A version of a certificate with its state today. `kind` and `since` are present if the state has them."""

    identifier: str
    version: int
    type_code: str
    type_name: str
    edition: int
    number: str
    holders: list[HolderReply]
    fields: dict[str, str | int | list[dict[str, str | int]]]
    authority_code: str
    authority_name: str
    issued_on: date
    valid_from: date
    valid_until: date | None
    state: StateWord
    kind: str | None = None
    since: date | None = None


def face(version: Version, catalogue: Catalogue, state: State, why: Why, fields: Mapping[str, Value]) -> dict[str, Any]:
    """A version in the form of `FaceReply`, with the given fields."""
    kind = catalogue.types.get(version.type_code)
    return {
        "identifier": version.identifier,
        "version": version.version,
        "type_code": version.type_code,
        "type_name": version.type_code if kind is None else kind.name,
        "edition": version.edition,
        "number": version.number,
        "holders": [{"name": h.name, "id_type": h.id_type, "id_number": h.id_number} for h in version.holders],
        "fields": dict(fields),
        "authority_code": version.authority,
        "authority_name": catalogue.authority_name(version.authority),
        "issued_on": version.dates.issued_on.isoformat(),
        "valid_from": version.dates.valid_from.isoformat(),
        "valid_until": day(version.dates.valid_until),
        "state": state.value,
        **explained(why.kind, why.since),
    }


def pdf(content: bytes, name: str) -> Answer:
    """A PDF download. `name` has only letters, digits, dots and dashes, and never contains a certificate's number."""
    return Answer(content, media_type=PDF, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def explained(kind: str | None, since: date | None) -> dict[str, str]:
    """`kind` and `since` as far as they are set."""
    found = {} if kind is None else {"kind": kind}
    return found if since is None else {**found, "since": since.isoformat()}


def day(value: date | None) -> str | None:
    """A date in a reply; None stays null (长期)."""
    return None if value is None else value.isoformat()

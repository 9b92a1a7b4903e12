"""From a person's certificates to the counter's view: masked, valid ones first, and why a type is not usable."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from hub.domain import masking
from hub.domain.catalogue import Catalogue, Material
from hub.domain.certificate import State
from hub.domain.permission import accepted
from hub.domain.version import Version
from hub.store.acts import Why

NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version that the person holds of the requested types, with its state today."""

    version: Version
    state: State
    why: Why


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate as the counter sees it before retrieving it: names and number masked as on the public page."""

    identifier: str
    type_code: str
    type_name: str
    number: str
    holder_names: tuple[str, ...]
    authority_name: str
    issued_on: date
    valid_from: date
    valid_until: date | None
    state: State
    kind: str | None
    since: date | None


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A type that the matter requires and this person lacks; reason: `not_found`, or the state of what exists."""

    type_code: str
    reason: str


def entries(candidates: Sequence[Candidate], catalogue: Catalogue) -> tuple[Entry, ...]:
    """All certificates found, valid first, then newest first."""
    ordered = sorted(candidates, key=lambda c: (c.state is not State.VALID, *_newest_first(c)))
    return tuple(_entry(candidate, catalogue) for candidate in ordered)


def unavailable(
    type_codes: Sequence[str], materials: Sequence[Material], candidates: Sequence[Candidate]
) -> tuple[Unavailable, ...]:
    """The types without a certificate in an accepted state; the newest one found determines the reason."""
    found = []
    for code in type_codes:
        held = sorted((c for c in candidates if c.version.type_code == code), key=_newest_first)
        if any(accepted(materials, code, c.state) for c in held):
            continue
        telling = [c for c in held if c.state is not State.SUPERSEDED] or held
        found.append(Unavailable(code, telling[0].state.value if telling else NOT_FOUND))
    return tuple(found)


def _newest_first(candidate: Candidate) -> tuple[int, int]:
    return -candidate.version.dates.issued_on.toordinal(), -candidate.version.version_key


def _entry(candidate: Candidate, catalogue: Catalogue) -> Entry:
    version = candidate.version
    kind = catalogue.types.get(version.type_code)
    personal = kind is None or kind.number_personal
    return Entry(
        identifier=version.identifier,
        type_code=version.type_code,
        type_name=version.type_code if kind is None else kind.name,
        number=masking.face_number(version.number, version.holders, personal=personal),
        holder_names=tuple(masking.holder_name(h.name, h.id_type) for h in version.holders),
        authority_name=catalogue.authority_name(version.authority),
        issued_on=version.dates.issued_on,
        valid_from=version.dates.valid_from,
        valid_until=version.dates.valid_until,
        state=candidate.state,
        kind=candidate.why.kind,
        since=candidate.why.since,
    )

"""From a certificate to its entries: one for every party that holds it or has held it.

Nothing personal goes in: people as party keys, bodies by name, no numbers. What an entry says depends on the rows and
the catalogue alone, never on the day, so it is right at midnight without being written again.
"""

import json
from collections.abc import Iterable, Mapping

from hub.domain import numbers
from hub.domain.catalogue import Catalogue
from hub.domain.certificate import CertificateKey
from hub.store.directory_source import Held, Holder, Listed
from indexer.entry import FOREVER, NO_DAY, Entry

FORMAT = 2
"""Bumped whenever a release makes other entries of the same rows, or keeps them in another way: generations of another
format are replaced."""


def entries_of(listed: Listed, catalogue: Catalogue) -> list[Entry]:
    """Every entry of one certificate, that of its first holder first.

    Who is named by the current version has what that says. Who was named by former versions only holds the one that
    ends last until that day, since a successor may begin later than it is made; `ended` says so. A certificate that
    cannot be read has no entries to be written, and keeps those it has.
    """
    if not listed.versions:
        return []
    current = listed.versions[-1]
    found: dict[int, Entry] = {}
    for ordinal, holder in enumerate(current.holders):
        if holder.party not in found:
            found[holder.party] = _entry(listed, current, holder.party, catalogue, primary=ordinal == 0)
    left: dict[int, Held] = {}
    for held in listed.versions[:-1]:
        for holder in held.holders:
            before = left.get(holder.party)
            if holder.party not in found and (before is None or _end(before) <= _end(held)):
                left[holder.party] = held
    for party, held in left.items():
        found[party] = _entry(listed, held, party, catalogue, ended=True)
    return list(found.values())


def certificate_of(entry: Entry) -> CertificateKey:
    """The certificate that an entry is about."""
    return CertificateKey(entry.home, entry.certificate)


def bodies(holders: Iterable[Holder]) -> tuple[str, ...]:
    """The names of those holders that are bodies; one that hides a citizen's number is left out."""
    return tuple(
        holder.name
        for holder in holders
        if holder.id_type in numbers.ORGANISATION_TYPES and not numbers.contains_citizen_number(holder.name)
    )


def is_personal(holders: Iterable[Holder]) -> bool:
    """Whether a natural person is among the holders."""
    return any(holder.id_type not in numbers.ORGANISATION_TYPES for holder in holders)


def names_in(catalogue: Catalogue) -> dict[str, str]:
    """What entries take from the catalogue: titles by type and regions by authority."""
    titles = {f"type {kind.code}": kind.name for kind in catalogue.types.values()}
    return titles | {f"authority {body.code}": body.region for body in catalogue.authorities.values()}


def names_text(names: Mapping[str, str]) -> str:
    """Names as a mark of a generation."""
    return json.dumps(names, ensure_ascii=False, sort_keys=True)


def _end(held: Held) -> int:
    return NO_DAY if held.superseded_on is None else held.superseded_on


def _entry(
    listed: Listed, held: Held, party: int, catalogue: Catalogue, *, primary: bool = False, ended: bool = False
) -> Entry:
    kind = catalogue.types.get(listed.type_code)
    authority = catalogue.authorities.get(listed.authority)
    return Entry(
        party=party,
        home=listed.home,
        certificate=listed.certificate,
        revision=listed.revision,
        primary=primary,
        ended=ended,
        identifier=held.identifier,
        type_code=listed.type_code,
        authority=listed.authority,
        region="" if authority is None else authority.region,
        standing=held.standing,
        issued_on=held.issued_on,
        valid_from=held.valid_from,
        valid_until=FOREVER if held.valid_until is None else held.valid_until,
        superseded_on=_end(held) if ended else FOREVER if held.superseded_on is None else held.superseded_on,
        organisation=" ".join(bodies(held.holders)),
        title=listed.type_code if kind is None else kind.name,
        personal=is_personal(held.holders),
    )

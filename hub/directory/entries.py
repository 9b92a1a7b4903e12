"""The entries of a certificate: one for every party that holds it or has held it.

They contain nothing personal: natural persons as party keys, organisations by name, no numbers. An entry depends on the
rows and the catalogue alone, never on the current day, so nothing has to be rewritten at midnight.
"""

import json
from collections.abc import Iterable, Mapping

from hub.domain import numbers
from hub.domain.catalogue import Catalogue
from hub.domain.certificate import CertificateKey
from hub.store.directory_source import Held, Holder, Listed
from indexer.entry import FOREVER, NO_DAY, Entry

FORMAT = 2
"""Increased whenever a release derives other entries from the same rows, or stores them differently: generations of
another format are replaced."""


def entries_of(listed: Listed, catalogue: Catalogue) -> list[Entry]:
    """Every entry of one certificate, that of its first holder first.

    Holders of the current version get an entry for that version. Parties named by former versions only get an `ended`
    entry for the one that ends last, which they hold until that day: a successor may begin later than it is issued. A
    certificate that cannot be read yields no entries, and those that are stored stay.
    """
    if not listed.versions:
        return []
    current = listed.versions[-1]
    found: dict[int, Entry] = {}
    for ordinal, holder in enumerate(current.holders):
        if holder.party not in found:
            found[holder.party] = _entry(listed, current, holder.party, catalogue, primary=ordinal == 0)
    former: dict[int, Held] = {}
    for held in listed.versions[:-1]:
        for holder in held.holders:
            before = former.get(holder.party)
            if holder.party not in found and (before is None or _end(before) <= _end(held)):
                former[holder.party] = held
    for party, held in former.items():
        found[party] = _entry(listed, held, party, catalogue, ended=True)
    return list(found.values())


def certificate_of(entry: Entry) -> CertificateKey:
    """The certificate that an entry is about."""
    return CertificateKey(entry.home, entry.certificate)


def bodies(holders: Iterable[Holder]) -> tuple[str, ...]:
    """The names of the holders that are organisations, without those that contain a citizen's number."""
    return tuple(
        [
            holder.name
            for holder in holders
            if holder.id_type in numbers.ORGANISATION_TYPES and not numbers.contains_citizen_number(holder.name)
        ]
    )


def is_personal(holders: Iterable[Holder]) -> bool:
    """Whether a natural person is among the holders."""
    return any(holder.id_type not in numbers.ORGANISATION_TYPES for holder in holders)


def names_in(catalogue: Catalogue) -> dict[str, str]:
    """What entries copy from the catalogue: titles by type and regions by authority."""
    titles = {f"type {kind.code}": kind.name for kind in catalogue.types.values()}
    return titles | {f"authority {body.code}": body.region for body in catalogue.authorities.values()}


def names_text(names: Mapping[str, str]) -> str:
    """Names as the value of a mark."""
    return json.dumps(names, ensure_ascii=False, sort_keys=True)


def _end(held: Held) -> int:
    return NO_DAY if held.superseded_on is None else held.superseded_on


def _entry(
    listed: Listed, held: Held, party: int, catalogue: Catalogue, *, primary: bool = False, ended: bool = False
) -> Entry:
    home, certificate, type_code, code, revision, _ = listed
    _, identifier, standing, issued_on, valid_from, valid_until, superseded_on, holders = held
    kind, authority = catalogue.types.get(type_code), catalogue.authorities.get(code)
    if superseded_on is None:
        superseded_on = NO_DAY if ended else FOREVER
    return Entry(
        party,
        home,
        certificate,
        revision,
        primary,
        ended,
        identifier,
        type_code,
        code,
        "" if authority is None else authority.region,
        standing,
        issued_on,
        valid_from,
        FOREVER if valid_until is None else valid_until,
        superseded_on,
        " ".join(bodies(holders)),
        type_code if kind is None else kind.name,
        is_personal(holders),
    )

"""The entries of a certificate: one for every party that holds it or has held it.

They contain nothing personal: natural persons as party keys, organisations by name, no numbers. An entry depends on the
rows and the catalogue only, never on the current day, so nothing has to be rewritten at midnight.
"""

import json
from collections.abc import Iterable, Mapping

from hub.domain import numbers
from hub.domain.catalogue import Catalogue
from hub.domain.certificate import CertificateKey
from hub.store.directory_source import SourceCertificate, SourceHolder, SourceVersion
from indexer.entry import FOREVER, NO_DAY, Entry

FORMAT = 2
"""Increased when a release derives different entries from the same rows, or stores them differently. Generations in
another format are rebuilt."""


def entries_of(certificate: SourceCertificate, catalogue: Catalogue) -> list[Entry]:
    """All entries of one certificate, that of its first holder first.

    Holders of the current version get an entry for that version. Parties named by former versions only get an `ended`
    entry for the one that ends last, which they hold until that day: a successor may begin later than it is issued. An
    unreadable certificate yields no entries, so its stored entries stay.
    """
    if not certificate.versions:
        return []
    current = certificate.versions[-1]
    found: dict[int, Entry] = {}
    for ordinal, holder in enumerate(current.holders):
        if holder.party not in found:
            found[holder.party] = _entry(certificate, current, holder.party, catalogue, primary=ordinal == 0)
    former: dict[int, SourceVersion] = {}
    for version in certificate.versions[:-1]:
        for holder in version.holders:
            before = former.get(holder.party)
            if holder.party not in found and (before is None or _end(before) <= _end(version)):
                former[holder.party] = version
    for party, version in former.items():
        found[party] = _entry(certificate, version, party, catalogue, ended=True)
    return list(found.values())


def certificate_of(entry: Entry) -> CertificateKey:
    """The certificate that an entry is about."""
    return CertificateKey(entry.home, entry.certificate)


def bodies(holders: Iterable[SourceHolder]) -> tuple[str, ...]:
    """The names of the holders that are organisations, without those that contain a citizen's number."""
    return tuple(
        [
            holder.name
            for holder in holders
            if holder.id_type in numbers.ORGANISATION_TYPES and not numbers.contains_citizen_number(holder.name)
        ]
    )


def is_personal(holders: Iterable[SourceHolder]) -> bool:
    """Whether a natural person is among the holders."""
    return any(holder.id_type not in numbers.ORGANISATION_TYPES for holder in holders)


def names_in(catalogue: Catalogue) -> dict[str, str]:
    """What entries copy from the catalogue: titles by type and regions by authority."""
    titles = {f"type {kind.code}": kind.name for kind in catalogue.types.values()}
    return titles | {f"authority {body.code}": body.region for body in catalogue.authorities.values()}


def names_text(names: Mapping[str, str]) -> str:
    """Names as the value of a mark."""
    return json.dumps(names, ensure_ascii=False, sort_keys=True)


def _end(version: SourceVersion) -> int:
    return NO_DAY if version.superseded_on is None else version.superseded_on


def _entry(
    source: SourceCertificate,
    version: SourceVersion,
    party: int,
    catalogue: Catalogue,
    *,
    primary: bool = False,
    ended: bool = False,
) -> Entry:
    home, certificate, type_code, code, revision, _ = source
    _, identifier, standing, issued_on, valid_from, valid_until, superseded_on, holders = version
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

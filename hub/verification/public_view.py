"""What the public sees of a certificate: masked, from the record or, where there is none at hand, from signed bytes."""

from dataclasses import replace
from datetime import date

from hub.domain import certificate as rules
from hub.domain import masking
from hub.domain.catalogue import Catalogue
from hub.domain.certificate import Dates, Standing, State
from hub.domain.version import Version
from hub.store.acts import Why
from hub.store.retrievals import Receipt
from hub.verification.evidence import Said
from hub.verification.verdict import PublicCertificate, PublicCopy, VerdictState
from signing import identifier


def from_record(record: Version, state: State, why: Why, catalogue: Catalogue) -> PublicCertificate:
    """A version on record. A number of a type that the catalogue no longer has is masked as a personal one."""
    kind = catalogue.types.get(record.type_code)
    authority = catalogue.authorities.get(record.authority)
    return PublicCertificate(
        identifier=record.identifier,
        type_code=record.type_code,
        type_name=kind.name if kind else record.type_code,
        type_name_en=kind.name_en if kind else "",
        number=masking.face_number(record.number, record.holders, personal=kind is None or kind.number_personal),
        holders=tuple(masking.holder_name(holder.name, holder.id_type) for holder in record.holders),
        authority_code=record.authority,
        authority_name=authority.name if authority else record.authority,
        authority_name_en=authority.name_en if authority else "",
        issued_on=record.dates.issued_on,
        valid_from=record.dates.valid_from,
        valid_until=record.dates.valid_until,
        version=record.version,
        state=VerdictState.of(state),
        kind=why.kind,
        since=why.since,
    )


def from_bytes(said: Said, catalogue: Catalogue, today: date) -> PublicCertificate:
    """What proven bytes say; the state is what the dates tell (expired, not yet), else unknown, never valid."""
    parts = identifier.parse(said.identifier)
    kind = catalogue.types.get(parts.type_code)
    authority = catalogue.authorities.get(parts.authority_code)
    state = rules.state(Standing.ACTIVE, said.dates, today)
    return PublicCertificate(
        identifier=said.identifier,
        type_code=parts.type_code,
        type_name=kind.name if kind else parts.type_code,
        type_name_en=kind.name_en if kind else "",
        number=said.number,
        holders=said.holders,
        authority_code=parts.authority_code,
        authority_name=authority.name if authority else parts.authority_code,
        authority_name_en=authority.name_en if authority else "",
        issued_on=said.dates.issued_on,
        valid_from=said.dates.valid_from,
        valid_until=said.dates.valid_until,
        version=parts.version,
        state=VerdictState.UNKNOWN if state is State.VALID else VerdictState.of(state),
    )


def copy(receipt: Receipt) -> PublicCopy:
    """An annotated copy, by its receipt; who held the pen is not shown."""
    return PublicCopy(
        receipt_number=receipt.number,
        authority_name=receipt.purpose.authority_name,
        matter_name=receipt.purpose.matter_name,
        retrieved_at=receipt.at,
        state_then=VerdictState.of(receipt.state),
        expires_on=receipt.expires_on,
    )


def in_force(standing: Standing, dates: Dates, today: date) -> bool:
    """Whether at most the dates are against it: its state, were it unlimited."""
    return rules.state(standing, replace(dates, valid_from=today, valid_until=None), today) is State.VALID


def within_dates(dates: Dates, today: date) -> bool:
    """Whether at most its standing is against it: its state, were it active and never replaced."""
    return rules.state(Standing.ACTIVE, replace(dates, superseded_on=None), today) is State.VALID

"""Stage 4 of 4: report the verdict.

The result contains only what the public may see: masked names and numbers, from the record or, without one, from proven
bytes; and for a copy, its recipient and purpose, but never who retrieved it.
"""

from datetime import datetime

from hub.domain import masking
from hub.domain.case import Person
from hub.domain.catalogue import Catalogue
from hub.domain.version import Version
from hub.store.acts import Why
from hub.store.retrievals import Receipt
from hub.verification.judge import Judgement
from hub.verification.verdict import PublicCertificate, PublicCopy, Verdict, VerdictState
from signing import identifier, qr
from signing.credential import Credential


def report(judgement: Judgement, catalogue: Catalogue, at: datetime) -> Verdict:
    """The verdict at a point in time, with the catalogue's names."""
    certificate: PublicCertificate | None = None
    copy: PublicCopy | None = None
    issued, state = judgement.issued, judgement.shown_state
    if state is not None and issued is not None and issued.version is not None:
        certificate = _from_record(issued.version, state, issued.why or Why(), catalogue)
        copy = None if issued.receipt is None else _copy(issued.receipt)
    elif state is not None and judgement.said is not None:
        certificate = _from_bytes(judgement.said, state, catalogue)
    checks, found = judgement.checks, judgement.problems
    return Verdict(judgement.state, judgement.presented, checks, at, certificate, found, copy)


def _from_record(version: Version, state: VerdictState, why: Why, catalogue: Catalogue) -> PublicCertificate:
    """A version on record. If its type is no longer in the catalogue, its number is masked like a personal one."""
    kind = catalogue.types.get(version.type_code)
    authority = catalogue.authorities.get(version.authority)
    return PublicCertificate(
        identifier=version.identifier,
        type_code=version.type_code,
        type_name=kind.name if kind else version.type_code,
        type_name_en=kind.name_en if kind else "",
        number=masking.face_number(version.number, version.holders, personal=kind is None or kind.number_personal),
        holders=tuple(masking.holder_name(holder.name, holder.id_type) for holder in version.holders),
        authority_code=version.authority,
        authority_name=authority.name if authority else version.authority,
        authority_name_en=authority.name_en if authority else "",
        issued_on=version.dates.issued_on,
        valid_from=version.dates.valid_from,
        valid_until=version.dates.valid_until,
        version=version.version,
        state=state,
        kind=why.kind,
        since=why.since,
    )


def _from_bytes(said: qr.Face | Credential, state: VerdictState, catalogue: Catalogue) -> PublicCertificate:
    """The content of proven bytes: digits are already masked, a credential is not."""
    face = said if isinstance(said, qr.Face) else said.claims
    parts = identifier.parse(face.identifier)
    kind = catalogue.types.get(parts.type_code)
    authority = catalogue.authorities.get(parts.authority_code)
    number, holders = (said.number, said.holders) if isinstance(said, qr.Face) else _masked(said, catalogue)
    return PublicCertificate(
        identifier=face.identifier,
        type_code=parts.type_code,
        type_name=kind.name if kind else parts.type_code,
        type_name_en=kind.name_en if kind else "",
        number=number,
        holders=holders,
        authority_code=parts.authority_code,
        authority_name=authority.name if authority else parts.authority_code,
        authority_name_en=authority.name_en if authority else "",
        issued_on=face.issued_on,
        valid_from=face.valid_from,
        valid_until=face.valid_until,
        version=parts.version,
        state=state,
    )


def _masked(read: Credential, catalogue: Catalogue) -> tuple[str | None, tuple[str, ...] | None]:
    """Number and holders of a credential, None if not disclosed; in doubt, less is shown."""
    people = [Person(holder.name, holder.id_type, holder.id_number) for holder in read.holders or ()]
    number = read.number
    if number is not None:
        kind = catalogue.types.get(read.claims.type_code)
        personal = kind is None or kind.number_personal or not people
        number = masking.face_number(number, people, personal=personal)
    names = tuple(masking.holder_name(person.name, person.id_type) for person in people)
    return number, None if read.holders is None else names


def _copy(receipt: Receipt) -> PublicCopy:
    return PublicCopy(
        receipt_number=receipt.number,
        authority_name=receipt.purpose.authority_name,
        matter_name=receipt.purpose.matter_name,
        retrieved_at=receipt.at,
        state_then=VerdictState.of(receipt.state),
        expires_on=receipt.expires_on,
    )

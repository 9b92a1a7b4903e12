"""Step 2: decide for each certificate of a push: new, unchanged, corrected, renewed, or superseding others.

Only reads. Everything that must be unique is collected as claims, so that the reserve commit decides every race.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from hub.db.database import Conflict, Reader
from hub.domain import numbers
from hub.domain.case import PushedCertificate
from hub.domain.case_record import Received
from hub.domain.certificate import ActKind, CertificateKey, Standing, may_transition
from hub.domain.dates import day_of
from hub.domain.errors import Refusal
from hub.domain.issuing import Ending, Planned
from hub.domain.version import Version
from hub.issuance.drafting import Draft, Drafting
from hub.store import certificates, parties
from hub.store.ids import Ids
from hub.store.reserve import Claims, NumberClaim, SuccessionClaim, Unchanged
from hub.store.rows import SuccessionRow
from hub.vault import Vault
from signing import identifier, public_code

_LAST_VERSION = 999


@dataclass(frozen=True, slots=True)
class Named:
    """A version that `supersedes` names; `again`: this case claimed it before, and it has not ended yet."""

    pointer: str
    record: Version
    again: bool


@dataclass(frozen=True, slots=True)
class Item:
    """One pushed certificate: its position, the certificate that has its number, and the versions that it names."""

    pushed: PushedCertificate
    at: str
    owner: CertificateKey | None
    named: tuple[Named, ...]

    @property
    def renewed(self) -> Version | None:
        """The version that it renews: the only one that it names, if that one has its number."""
        if len(self.pushed.supersedes) != 1 or len(self.named) != 1 or self.named[0].again:
            return None
        record = self.named[0].record
        return record if (record.home, record.certificate) == self.owner else None


@dataclass(slots=True)
class Plan:
    """The certificates of one push in order, and what must be unique or unchanged when they are reserved."""

    planned: list[Planned] = field(default_factory=list)
    claims: Claims = field(default_factory=Claims)


def number_text(received: Received, pushed: PushedCertificate) -> str:
    """The text under which a pushed certificate's number is found and kept unique."""
    return numbers.number_text(received.authority, pushed.type_code, pushed.number)


class Planner:
    """Plans one push. resolved: the parties of the case's people and of every holder; owners: the certificates that
    have its numbers, by `number_text`."""

    def __init__(
        self,
        reader: Reader,
        vault: Vault,
        ids: Ids,
        drafting: Drafting,
        received: Received,
        resolved: Iterable[parties.Resolved],
        owners: Mapping[str, CertificateKey],
    ) -> None:
        self._reader = reader
        self._vault = vault
        self._ids = ids
        self._drafting = drafting
        self._received = received
        self._today = day_of(received.at)
        self._parties = {parties.text_of(item.person): item.party for item in resolved}
        self._owners = owners
        self._ended: set[int] = set()
        self._begins: dict[int, date] = {}
        self._plan = Plan()

    def plan(self) -> Plan:
        """Raises Refusal `number.taken`, `case.conflict`, `certificate.move`, `certificate.not_found`,
        `perm.not_issuer`, `schema.invalid` (fields too large to sign); KeyMissing without an active key."""
        mine = self._certificates_of_case()
        items = [
            self._item(pushed, mine, f"/certificates/{place}")
            for place, pushed in enumerate(self._received.push.certificates)
        ]
        self._find_endings(items)
        for item in items:
            if item.owner in mine:
                self._known(item, mine[item.owner])
            elif item.owner is not None:
                self._renewal(item)
            else:
                self._new(item)
        if set(mine) - {item.owner for item in items}:
            raise Refusal(
                "case.conflict", "更正时要列出该办件的全部证照；要终止证照请用撤销接口", pointer="/certificates"
            )
        return self._plan

    def _item(self, pushed: PushedCertificate, mine: dict[CertificateKey, Version], at: str) -> Item:
        owner = self._owners.get(number_text(self._received, pushed))
        return Item(pushed, at, owner, self._named(pushed, mine, at))

    def _find_endings(self, items: list[Item]) -> None:
        """Find when each named version ends and what ends it: its own renewal, or the first of the others to begin."""
        for item in items:
            for named in item.named:
                key, begins = named.record.version_key, item.pushed.valid_from
                self._begins[key] = min(begins, self._begins.get(key, begins))
            if item.renewed is not None:
                self._ended.add(item.renewed.version_key)

    def _certificates_of_case(self) -> dict[CertificateKey, Version]:
        """The versions that the case has granted, by certificate."""
        before = self._received.before
        found = {}
        for home, certificate, version in () if before is None else before.certificates:
            record = certificates.by_key(self._reader, self._vault, home, certificate, version)
            if record is None:
                raise Conflict
            found[CertificateKey(home, certificate)] = record
        return found

    # --- what it replaces ---------------------------------------------------------------------------------------------

    def _named(self, pushed: PushedCertificate, mine: dict[CertificateKey, Version], at: str) -> tuple[Named, ...]:
        """The versions that `supersedes` names, except those that this case has already ended."""
        found = []
        for place, named in enumerate(pushed.supersedes):
            pointer = f"{at}/supersedes/{place}"
            record = certificates.by_identifier(self._reader, self._vault, named)
            if record is None:
                raise Refusal("certificate.not_found", pointer=pointer)
            if record.authority != self._received.authority:
                raise Refusal("perm.not_issuer", pointer=pointer)
            case = (self._received.push.source, self._received.push.case_number)
            claimed = certificates.succession(self._reader, record.version_key) == case
            held = CertificateKey(record.home, record.certificate) in mine
            if (record.source, record.case_number) == case or (held and not claimed):
                raise Refusal("case.conflict", "不能替代本办件自己的证照；请改用更正", pointer=pointer)
            if claimed:
                if not held and self._will_end(record):
                    found.append(Named(pointer, record, again=True))
                continue
            self._require_replaceable(record, pointer)
            found.append(Named(pointer, record, again=False))
        return tuple(found)

    def _will_end(self, record: Version) -> bool:
        ends = record.dates.superseded_on
        return (
            ends is not None
            and ends > self._today
            and may_transition(record.standing, Standing.SUPERSEDED, record.dates, self._today)
        )

    def _require_replaceable(self, record: Version, pointer: str) -> None:
        final = record.dates.superseded_on is not None or not record.is_current
        if final or not may_transition(record.standing, Standing.SUPERSEDED, record.dates, self._today):
            raise Refusal("certificate.move", "这张证照已终止，或者已被替代", pointer=pointer)

    def _ending(self, record: Version, on: date, pointer: str, *, same: bool) -> Ending:
        push = self._received.push
        claim = SuccessionRow(record.version_key, push.source, push.case_number)
        self._plan.claims.successions.append(SuccessionClaim(pointer, claim))
        self._plan.claims.unchanged.append(Unchanged(record.home, record.certificate, record.revision))
        return Ending(record.home, record.certificate, record.version, record.version_key, record.identifier, on, same)

    def _endings(self, item: Item) -> tuple[Ending, ...]:
        """One ending per certificate, even if several of the case's new certificates supersede it together."""
        endings = []
        for named in item.named:
            key = named.record.version_key
            ends = self._begins[key]
            if key in self._ended or (named.again and named.record.dates.superseded_on == ends):
                continue
            self._ended.add(key)
            endings.append(self._ending(named.record, ends, named.pointer, same=False))
        return tuple(endings)

    # --- the four cases -----------------------------------------------------------------------------------------------

    def _known(self, item: Item, granted: Version) -> None:
        """A certificate that this case granted before: unchanged, or corrected by a next version."""
        endings = self._endings(item)
        if item.pushed.same_content(_as_pushed(granted)):
            self._plan.planned.append(_unchanged(granted, endings))
            return
        if not granted.is_current:
            raise Refusal("case.conflict", "这张证照已由别的办件换发，请在那个办件里更正", pointer=item.at)
        if not may_transition(granted.standing, Standing.SUPERSEDED, granted.dates, self._today):
            raise Refusal("certificate.move", "已终止的证照不能更正", pointer=item.at)
        own = self._ending(granted, self._today, item.at, same=True)
        self._next_version(ActKind.CORRECTED, item, granted, (own, *endings))

    def _renewal(self, item: Item) -> None:
        """Another case's certificate with this number: its next version, if `supersedes` names only that one."""
        record = item.renewed
        if record is None:
            raise Refusal("number.taken", pointer=f"{item.at}/number")
        own = self._ending(record, item.pushed.valid_from, item.named[0].pointer, same=True)
        self._next_version(ActKind.RENEWED, item, record, (own,))

    def _new(self, item: Item) -> None:
        holders = self._parties_of(item.pushed)
        key = CertificateKey(holders[0], self._ids.take("certificate"))
        text = number_text(self._received, item.pushed)
        rows = parties.blind_rows(self._vault, parties.NUMBER, text, key.certificate, key.home)
        self._plan.claims.numbers.append(NumberClaim(f"{item.at}/number", rows))
        self._add(Draft(ActKind.ISSUED, *key, 1, identifier.new_serial(), holders, self._endings(item)), item)

    def _next_version(self, kind: ActKind, item: Item, before: Version, endings: tuple[Ending, ...]) -> None:
        if before.version >= _LAST_VERSION:
            raise Refusal("certificate.move", "版本号已用完", pointer=item.at)
        key = (before.home, before.certificate)
        self._add(Draft(kind, *key, before.version + 1, before.serial, self._parties_of(item.pushed), endings), item)

    def _parties_of(self, pushed: PushedCertificate) -> tuple[int, ...]:
        return tuple(self._parties[parties.text_of(holder)] for holder in pushed.holders)

    def _add(self, draft: Draft, item: Item) -> None:
        planned = self._drafting.draft(
            draft,
            item.pushed,
            authority=self._received.authority,
            version_key=self._ids.take("version"),
            code=public_code.new_code(),
            at=self._received.at,
            pointer=item.at,
        )
        self._plan.planned.append(planned)
        place = (planned.home, planned.certificate, planned.version)
        self._plan.claims.handles += certificates.handles(planned.identifier, planned.code, *place)


def _as_pushed(record: Version) -> PushedCertificate:
    return PushedCertificate(
        type_code=record.type_code,
        edition=record.edition,
        number=record.number,
        holders=record.holders,
        fields=record.fields,
        issued_on=record.dates.issued_on,
        valid_from=record.dates.valid_from,
        valid_until=record.dates.valid_until,
    )


def _unchanged(record: Version, endings: tuple[Ending, ...]) -> Planned:
    """An unchanged certificate: it keeps its position in the case, and nothing is signed."""
    return Planned(
        kind=None,
        home=record.home,
        certificate=record.certificate,
        version=record.version,
        version_key=record.version_key,
        serial=record.serial,
        identifier=record.identifier,
        code=record.code,
        type_code=record.type_code,
        authority=record.authority,
        edition=record.edition,
        number=record.number,
        holders=record.holders,
        parties=record.parties,
        fields=record.fields,
        issued_on=record.dates.issued_on,
        valid_from=record.dates.valid_from,
        valid_until=record.dates.valid_until,
        salt=record.salt,
        kid=record.kid,
        signing_input=b"",
        disclosures=(),
        qr_to_be_signed=b"",
        qr_protected=b"",
        qr_payload=b"",
        endings=endings,
        digits=record.digits,
    )

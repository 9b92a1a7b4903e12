"""Retrieve a certificate for a case: check permission (rule 1) and state, record the retrieval, then answer.

The state is that at commit time: a revocation committed earlier is honoured, because a certificate that changed after
it was read makes the transaction retry.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Annotated

from pydantic import Field

from hub.counter.gate import CaseKey, CounterBody, CounterGate, Passed
from hub.db.database import Conflict, Database
from hub.documents.rendition import Rendition
from hub.domain import permission
from hub.domain.caller import Caller
from hub.domain.catalogue import Catalogue, Material
from hub.domain.certificate import State
from hub.domain.errors import Refusal
from hub.domain.values import Value
from hub.domain.version import Version
from hub.runtime.clock import Clock
from hub.settings import Settings
from hub.store import acts, case_use, certificates, keys, retrievals
from hub.store.acts import Why
from hub.store.audit import Audit, AuditEntry
from hub.store.catalogue import CatalogueCache
from hub.store.retrievals import Purpose, Taking
from hub.store.retry import retry_on_conflict
from hub.vault import Vault
from signing import credential, identifier
from signing.errors import Malformed


class RetrievalBody(CounterBody):
    """Which certificate to retrieve for which case (调取)."""

    identifier: Annotated[str, Field(min_length=1, max_length=160, description="电子证照标识 Certificate identifier")]


@dataclass(frozen=True, slots=True)
class Taken:
    """The result of a retrieval. `fields` and `credential` contain only what the matter may see of the certificate.

    `created` is False for an earlier receipt that is still valid. expires_on: the date on the copy.
    """

    receipt_number: str
    created: bool
    version: Version
    catalogue: Catalogue
    state: State
    why: Why
    fields: Mapping[str, Value]
    credential: str
    expires_on: date


@dataclass(frozen=True, slots=True)
class _Allowed:
    """A version that may be retrieved: for which materials, and which of its holders the case names for them."""

    version: Version
    state: State
    materials: tuple[Material, ...]
    parties: tuple[int, ...]


class Retrieval:
    """Gives counters one certificate at a time."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        clock: Clock,
        audit: Audit,
        catalogue: CatalogueCache,
        settings: Settings,
        rendition: Rendition,
    ) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit
        self._settings = settings
        self._rendition = rendition
        self._gate = CounterGate(database=database, vault=vault, clock=clock, catalogue=catalogue, settings=settings)

    def retrieve(self, caller: Caller, body: RetrievalBody) -> Taken:
        """Retrieve one version; the same case, clerk and identifier get the same receipt while it is valid.

        Recorded, and its people counted, before it returns. Raises Refusal in this order: `schema.invalid` (not
        recorded), `perm.case_required`, `perm.clerk`, `perm.case_not_open`, `certificate.not_found` for a malformed
        identifier, `perm.type_not_in_matter` (the identifier contains the type), `perm.holder_not_in_case`,
        `certificate.not_active`, `rate.limited`.

        An identifier that does not exist is also answered with `perm.holder_not_in_case`: a caller that may not see a
        certificate must not learn whether it exists. That a text is malformed is no secret; anyone can compute it.
        """
        key = self._gate.key_of(caller, body)
        record = AuditEntry(
            "retrieval", caller.client_id, source=key.source, case_number=key.case_number, request=caller.request
        )
        with self._audit.of(record):
            return retry_on_conflict(self._vault, lambda: self._answer(caller, body, key, record))

    def copy(self, caller: Caller, receipt_number: str) -> bytes:
        """The annotated copy of a retrieval, for the client that made it, even after the date printed on it.

        Rendered at the first call; every call is recorded. Raises `certificate.not_found` for an unknown receipt as for
        another client's, and as Rendition does.
        """
        record = AuditEntry("retrieval.copy", caller.client_id, request=caller.request)
        with self._audit.of(record):
            receipt = retrievals.by_number(self._database.reader, self._vault, receipt_number)
            if receipt is None or receipt.client != caller.client_id:
                raise Refusal("certificate.not_found")
            taking = receipt.taking
            record.source, record.case_number = taking.source, taking.case_number
            record.clerk = f"{taking.clerk_authority}|{taking.clerk}"
            record.party, record.home, record.certificate = receipt.party, taking.home, taking.certificate
            return self._rendition.of_copy(receipt)

    def _answer(self, caller: Caller, body: RetrievalBody, key: CaseKey, record: AuditEntry) -> Taken:
        record.party = record.home = record.certificate = None
        passed = self._gate.enter(caller, key, body.clerk, record)
        allowed = self._allowed(passed, body.identifier, record)
        version = allowed.version
        visible = permission.visible_fields(allowed.materials)
        taken = Taken(
            receipt_number="",
            created=False,
            version=version,
            catalogue=passed.catalogue,
            state=allowed.state,
            why=acts.why(self._database.reader, version, allowed.state),
            fields={name: value for name, value in version.fields.items() if visible is None or name in visible},
            credential=credential.present(version.credential, visible),
            expires_on=passed.today + timedelta(days=self._settings.copy_days),
        )
        return self._record(caller, passed, allowed, taken, record)

    def _allowed(self, passed: Passed, text: str, record: AuditEntry) -> _Allowed:
        try:
            type_code = identifier.parse(text).type_code
        except Malformed:
            raise Refusal("certificate.not_found", pointer="/identifier") from None
        permission.require_type(passed.matter, type_code)
        version = certificates.by_identifier(self._database.reader, self._vault, text)
        parties = () if version is None else version.parties
        if version is not None:
            record.party, record.home, record.certificate = version.home, version.home, version.certificate
        roles = [passed.case.roles_of(party) for party in parties]
        materials = permission.materials_of_certificate(passed.matter, type_code, roles)
        if version is None:  # pragma: no cover - refused above: it has no holders
            raise RuntimeError("version")
        state = version.state(passed.today)
        by_party = {
            party: usable
            for party, asked in zip(parties, materials, strict=True)
            if (usable := permission.accepted(asked, type_code, state))
        }
        named = next(party for party, asked in zip(parties, materials, strict=True) if asked)
        record.party = next(iter(by_party), named)
        if not by_party:
            raise Refusal("certificate.not_active", pointer="/identifier")
        every = tuple(dict.fromkeys(material for usable in by_party.values() for material in usable))
        return _Allowed(version, state, every, tuple(by_party))

    def _record(self, caller: Caller, passed: Passed, allowed: _Allowed, taken: Taken, record: AuditEntry) -> Taken:
        """Add the receipt, an existing or a new one; one commit records receipt, people and answer together."""
        version, reader = allowed.version, self._database.reader
        visible = permission.visible_fields(allowed.materials)
        taking, purpose = _taking(passed, version), _purpose(passed, allowed, visible)
        known = retrievals.in_date(reader, taking, passed.today)
        before = None if known is None else retrievals.read(reader, self._vault, known)
        again = before is not None and before.purpose.fields == purpose.fields
        row = retrievals.row_of(
            self._vault,
            taking,
            purpose,
            client=caller.client_id,
            party=allowed.parties[0],
            state=allowed.state,
            at=passed.now,
            expires_on=taken.expires_on,
        )
        with self._database.write() as writer:
            keys.require_current(writer, self._vault)
            # Lock order: certificate, then case, as in publication.
            if certificates.revision_for_update(writer, version.home, version.certificate) != version.revision:
                raise Conflict
            self._gate.hold(writer, passed, shared=False)  # exclusive: only one receipt per retrieval
            if retrievals.in_date(writer, taking, passed.today) != known:
                raise Conflict
            self._gate.count(writer, caller, passed, allowed.parties)
            if not again:
                retrievals.add(writer, row)
                case_use.count_use(writer, passed.case, retrievals=1)
            self._audit.write(writer, record, "ok")
        if before is not None and again:
            return replace(taken, receipt_number=before.number, expires_on=before.expires_on)
        return replace(taken, receipt_number=row["receipt"], created=True)


def _taking(passed: Passed, version: Version) -> Taking:
    case, clerk = passed.case, passed.clerk
    return Taking(
        source=case.source,
        case_number=case.case_number,
        clerk_authority=clerk.authority,
        clerk=clerk.staff_number,
        home=version.home,
        certificate=version.certificate,
        version=version.version,
    )


def _purpose(passed: Passed, allowed: _Allowed, visible: frozenset[str] | None) -> Purpose:
    return Purpose(
        clerk_name=passed.clerk.name,
        authority_name=passed.catalogue.authority_name(passed.clerk.authority),
        matter_code=passed.matter.code,
        matter_name=passed.matter.name,
        materials=tuple(material.name for material in allowed.materials),
        fields=None if visible is None else tuple(sorted(visible)),
    )

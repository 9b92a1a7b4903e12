"""All changes of certificates, as rows that are prepared outside the transaction and written inside it.

A change is prepared for one revision. If the certificate has changed since, `Conflict` rolls everything back, and the
step is retried. Each change adds one act and one outbox row with the ledger leaf.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from hub.db.database import Conflict, Writer
from hub.domain.certificate import ActKind, CertificateKey, Standing
from hub.domain.dates import day_of, to_int, to_micros
from hub.domain.issuing import Planned, Signed
from hub.domain.numbers import ORGANISATION_TYPES
from hub.domain.version import ISSUED, Version
from hub.store.ids import Ids
from hub.store.rows import ActRow, CertificateRow, HoldingRow, OutboxRow, VersionRow
from hub.store.sealing import seal
from hub.vault import Vault
from signing.ledger_leaf import leaf


@dataclass(frozen=True, slots=True)
class Act:
    """A decision: kind, resulting standing, effective date, client, and the grounds to encrypt."""

    kind: ActKind
    standing: Standing
    effective_on: date
    recorded_at: datetime
    client: str
    subkind: str | None = None
    grounds: dict[str, Any] | None = None


class NextVersion(NamedTuple):
    """The columns of the certificate's row that a next version changes; the row must have revision `expected`."""

    home: int
    certificate: int
    standing: int
    revision: int
    version: int
    issued_on: int
    valid_from: int
    valid_until: int | None
    organisation: str | None
    expected: int


class Transition(NamedTuple):
    """The columns of the certificate's row that a change of standing changes; the row must have revision `expected`."""

    home: int
    certificate: int
    standing: int
    revision: int
    superseded_on: int | None
    expected: int


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one certificate as rows, encrypted and ready; `before` is None for a new certificate.

    superseded_on: when `before` ends, if it does. today: the day of the decision. Days are yyyymmdd.
    """

    before: Version | None
    certificate: CertificateRow | NextVersion | Transition
    version: VersionRow | None
    holdings: tuple[HoldingRow, ...]
    act: ActRow
    outbox: OutboxRow
    today: int
    superseded_on: int | None = None


def first_version(vault: Vault, ids: Ids, signed: Signed, act: Act, source: str, case_number: str) -> Change:
    """A new certificate."""
    planned = signed.planned
    version = _version_row(vault, signed, act, source, case_number)
    certificate = CertificateRow(
        home=planned.home,
        certificate=planned.certificate,
        type=planned.type_code,
        authority=planned.authority,
        serial=planned.serial,
        origin=ISSUED,
        standing=int(act.standing),
        revision=1,
        version=planned.version,
        issued_on=version.issued_on,
        valid_from=version.valid_from,
        valid_until=version.valid_until,
        superseded_on=None,
        organisation=_organisation(planned),
    )
    key = CertificateKey(planned.home, planned.certificate)
    return Change(
        before=None,
        certificate=certificate,
        version=version,
        holdings=_holding_rows(planned, version),
        act=_act_row(vault, key, 1, planned.version, act),
        outbox=_outbox_row(ids, key, 1, act, planned.identifier, signed.credential, planned.salt),
        today=to_int(day_of(act.recorded_at)),
    )


def next_version(
    vault: Vault, ids: Ids, before: Version, signed: Signed, act: Act, source: str, case_number: str
) -> Change:
    """The next version of a certificate; `before` is its current version, which ends when the new one begins."""
    planned = signed.planned
    key, revision = CertificateKey(planned.home, planned.certificate), before.revision + 1
    version = _version_row(vault, signed, act, source, case_number)
    certificate = NextVersion(
        *key,
        standing=version.standing,
        revision=revision,
        version=version.version,
        issued_on=version.issued_on,
        valid_from=version.valid_from,
        valid_until=version.valid_until,
        organisation=_organisation(planned),
        expected=before.revision,
    )
    return Change(
        before=before,
        certificate=certificate,
        version=version,
        holdings=_holding_rows(planned, version),
        act=_act_row(vault, key, revision, planned.version, act),
        outbox=_outbox_row(ids, key, revision, act, planned.identifier, signed.credential, planned.salt),
        today=to_int(day_of(act.recorded_at)),
        superseded_on=to_int(act.effective_on),
    )


def transition(vault: Vault, ids: Ids, before: Version, act: Act, superseded_on: date | None = None) -> Change:
    """A change of standing of a certificate whose current version is `before`."""
    key, revision = CertificateKey(before.home, before.certificate), before.revision + 1
    ends = None if superseded_on is None else to_int(superseded_on)
    return Change(
        before=before,
        certificate=Transition(
            *key, standing=int(act.standing), revision=revision, superseded_on=ends, expected=before.revision
        ),
        version=None,
        holdings=(),
        act=_act_row(vault, key, revision, before.version, act),
        outbox=_outbox_row(ids, key, revision, act, before.identifier, before.credential, before.salt),
        today=to_int(day_of(act.recorded_at)),
        superseded_on=ends,
    )


def apply(writer: Writer, change: Change) -> None:
    """Write one change; raises Conflict if the certificate has changed since it was prepared."""
    if isinstance(change.certificate, CertificateRow):
        writer.insert("certificates", change.certificate)
    elif isinstance(change.certificate, Transition):
        _apply_transition(writer, change, change.certificate)
    else:
        _apply_next(writer, change, change.certificate)
    if change.version is not None:
        writer.insert("versions", change.version)
    if change.before is None:
        writer.insert_many("holdings", change.holdings)
    else:
        for holding in change.holdings:
            _put_holding(writer, holding)
    writer.insert("acts", change.act)
    writer.insert("outbox", change.outbox)


def rows_of_new(new: Iterable[Change]) -> list[tuple[str, Sequence[NamedTuple]]]:
    """(table, rows) of all rows of new certificates; none of them can exist already."""
    changes = list(new)
    return [
        ("certificates", [change.certificate for change in changes]),
        ("versions", [change.version for change in changes if change.version is not None]),
        ("holdings", [holding for change in changes for holding in change.holdings]),
        ("acts", [change.act for change in changes]),
        ("outbox", [change.outbox for change in changes]),
    ]


def _apply_transition(writer: Writer, change: Change, transition: Transition) -> None:
    values = transition._asdict()
    changed = writer.run(
        "UPDATE certificates SET standing = :standing, revision = :revision,"
        " superseded_on = COALESCE(:superseded_on, superseded_on)"
        " WHERE home = :home AND certificate = :certificate AND revision = :expected",
        values,
    )
    if changed != 1 or change.before is None:
        raise Conflict
    if transition.superseded_on is None or transition.standing == Standing.SUPERSEDED:
        writer.run("UPDATE versions SET standing = :standing WHERE home = :home AND certificate = :certificate", values)
    if transition.superseded_on is not None:
        _end_certificate(writer, change, change.before, transition.superseded_on)
    for party in set(change.before.parties):
        writer.run(
            "UPDATE holdings SET standing = :standing, superseded_on = COALESCE(:superseded_on, superseded_on)"
            " WHERE party = :party AND home = :home AND certificate = :certificate",
            {**values, "party": party},
        )


def _apply_next(writer: Writer, change: Change, new: NextVersion) -> None:
    changed = writer.run(
        "UPDATE certificates SET standing = :standing, revision = :revision, version = :version,"
        " issued_on = :issued_on, valid_from = :valid_from, valid_until = :valid_until,"
        " superseded_on = NULL, organisation = :organisation"
        " WHERE home = :home AND certificate = :certificate AND revision = :expected",
        new._asdict(),
    )
    before, ends = change.before, change.superseded_on
    if changed != 1 or before is None or ends is None:
        raise Conflict
    _end_version(writer, CertificateKey(new.home, new.certificate), before.version, ends)
    # If `before` never takes effect, its predecessor stays in effect until the new version begins.
    begins = to_int(before.dates.valid_from)
    _end_earlier(writer, change, before, begins if ends <= begins else None, new.valid_from)
    staying = {holding.party for holding in change.holdings}
    for party in set(before.parties) - staying:
        writer.run(
            "UPDATE holdings SET ended = 1 WHERE party = :party AND home = :home AND certificate = :certificate",
            {"party": party, "home": before.home, "certificate": before.certificate},
        )


def _end_certificate(writer: Writer, change: Change, current: Version, on: int) -> None:
    """End the current version, and every earlier one that would still be in effect on that day."""
    former = current.dates.superseded_on
    _end_version(writer, CertificateKey(current.home, current.certificate), current.version, on)
    last = min(on, to_int(current.dates.valid_from))
    _end_earlier(writer, change, current, None if former is None else to_int(former), last)


def _end_earlier(writer: Writer, change: Change, before: Version, former: int | None, on: int) -> None:
    """End on `on` all versions before `before` that are in effect today and would end on `former` or after `on`.

    If one of them begins before that day, the versions before it end on the day when it begins.
    """
    if before.version == 1:
        return
    key = CertificateKey(before.home, before.certificate)
    rows = writer.all(
        "SELECT version, valid_from, superseded_on FROM versions WHERE home = :home AND certificate = :certificate"
        " AND version < :version AND superseded_on > :today ORDER BY version DESC",
        {**key._asdict(), "version": before.version, "today": change.today},
    )
    for version, begins, ends in rows:
        if ends == former or ends > on:
            _end_version(writer, key, version, on)
        on = min(on, begins)


def _end_version(writer: Writer, key: CertificateKey, version: int, on: int) -> None:
    writer.run(
        "UPDATE versions SET superseded_on = :on"
        " WHERE home = :home AND certificate = :certificate AND version = :version",
        {"on": on, "version": version, **key._asdict()},
    )


def _put_holding(writer: Writer, row: HoldingRow) -> None:
    """Upsert: a holder of the next version may also have held an earlier one."""
    writer.run(
        "INSERT INTO holdings (party, home, certificate, ordinal, type, standing, issued_on, valid_from, valid_until,"
        " superseded_on, ended) VALUES (:party, :home, :certificate, :ordinal, :type, :standing, :issued_on,"
        " :valid_from, :valid_until, :superseded_on, :ended)"
        " ON CONFLICT (party, home, certificate) DO UPDATE SET ordinal = :ordinal, standing = :standing,"
        " issued_on = :issued_on, valid_from = :valid_from, valid_until = :valid_until,"
        " superseded_on = :superseded_on, ended = :ended",
        row._asdict(),
    )


def _organisation(planned: Planned) -> str | None:
    return next((holder.name for holder in planned.holders if holder.id_type in ORGANISATION_TYPES), None)


def _version_row(vault: Vault, signed: Signed, act: Act, source: str, case_number: str) -> VersionRow:
    planned = signed.planned
    inside = {
        "credential": signed.credential,
        "digits": signed.digits,
        "number": planned.number,
        "holders": [
            [h.name, h.id_type, h.id_number, party] for h, party in zip(planned.holders, planned.parties, strict=True)
        ],
        "fields": dict(planned.fields),
        "salt": planned.salt,
    }
    key = (planned.home, planned.certificate, planned.version)
    return VersionRow(
        *key,
        version_key=planned.version_key,
        identifier=planned.identifier,
        code=planned.code,
        edition=planned.edition,
        kid=planned.kid,
        qr_kid=planned.kid,
        source=source,
        case_number=case_number,
        issued_on=to_int(planned.issued_on),
        valid_from=to_int(planned.valid_from),
        valid_until=None if planned.valid_until is None else to_int(planned.valid_until),
        superseded_on=None,
        standing=int(act.standing),
        recorded_at=to_micros(act.recorded_at),
        sealed=seal(vault, "versions", key, inside),
    )


def _holding_rows(planned: Planned, version: VersionRow) -> tuple[HoldingRow, ...]:
    """One row per party; its ordinal is that of its first mention."""
    return tuple(
        HoldingRow(
            party=party,
            home=version.home,
            certificate=version.certificate,
            ordinal=planned.parties.index(party),
            type=planned.type_code,
            standing=version.standing,
            issued_on=version.issued_on,
            valid_from=version.valid_from,
            valid_until=version.valid_until,
            superseded_on=None,
            ended=0,
        )
        for party in dict.fromkeys(planned.parties)
    )


def _act_row(vault: Vault, key: CertificateKey, revision: int, version: int, act: Act) -> ActRow:
    return ActRow(
        *key,
        revision=revision,
        kind=int(act.kind),
        version=version,
        standing=int(act.standing),
        subkind=act.subkind,
        effective_on=to_int(act.effective_on),
        recorded_at=to_micros(act.recorded_at),
        client=act.client,
        sealed=seal(vault, "acts", (*key, revision), act.grounds or {}),
    )


def _outbox_row(
    ids: Ids, key: CertificateKey, revision: int, act: Act, identifier: str, credential: str, salt: bytes
) -> OutboxRow:
    kind = int(act.kind)
    entry = leaf(kind, identifier, credential, salt, act.effective_on, to_micros(act.recorded_at), revision)
    return OutboxRow(ids.take("entry"), *key, revision=revision, kind=kind, leaf=entry)

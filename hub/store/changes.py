"""Every change of a certificate, as rows prepared outside the transaction and written inside it.

A change carries the revision that it was prepared from; when the certificate has moved on, `Conflict` undoes everything
and the step does its work again. Each change leaves one act and one outbox entry with the ledger leaf.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from hub.db.database import Conflict, Writer
from hub.domain.certificate import ActKind, Standing
from hub.domain.dates import day_of, to_int, to_micros
from hub.domain.issuing import Signed
from hub.domain.numbers import ORGANISATION_TYPES
from hub.domain.version import ISSUED, Version
from hub.store.certificates import sealed_version
from hub.store.ids import Ids
from hub.store.sealing import seal
from hub.vault import Vault
from signing.ledger_leaf import leaf


@dataclass(frozen=True, slots=True)
class Act:
    """What is decided: kind, the standing after it, since when, by which client, and the sealed grounds."""

    kind: ActKind
    standing: Standing
    effective_on: date
    recorded_at: datetime
    client: str
    subkind: str | None = None
    grounds: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Prepared rows of one change of one certificate; `before` is None for a new certificate.

    superseded_on: when `before` ends, if it does. today: the day on which this is decided. Days are yyyymmdd.
    """

    before: Version | None
    certificate: dict[str, Any]
    version: dict[str, Any] | None
    holdings: tuple[dict[str, Any], ...]
    act: dict[str, Any]
    outbox: dict[str, Any]
    today: int
    superseded_on: int | None = None


def first_version(vault: Vault, ids: Ids, signed: Signed, act: Act, source: str, case_number: str) -> Change:
    """A new certificate."""
    planned = signed.planned
    key = (planned.home, planned.certificate)
    certificate = {
        "home": planned.home,
        "certificate": planned.certificate,
        "type": planned.type_code,
        "authority": planned.authority,
        "serial": planned.serial,
        "origin": ISSUED,
        "standing": int(act.standing),
        "revision": 1,
        "version": planned.version,
        **_dates(signed),
        "superseded_on": None,
        "organisation": _organisation(signed),
    }
    return Change(
        before=None,
        certificate=certificate,
        version=_version_row(vault, signed, act, source, case_number),
        holdings=_holding_rows(signed, act.standing),
        act=_act_row(vault, key, 1, planned.version, act),
        outbox=_outbox_row(ids, key, 1, act, planned.identifier, signed.credential, planned.salt),
        today=to_int(day_of(act.recorded_at)),
    )


def next_version(
    vault: Vault, ids: Ids, before: Version, signed: Signed, act: Act, source: str, case_number: str
) -> Change:
    """The next version of a certificate; `before` is its current version, which ends when the new one begins."""
    planned = signed.planned
    key, revision = (planned.home, planned.certificate), before.revision + 1
    certificate = {
        "home": planned.home,
        "certificate": planned.certificate,
        "standing": int(act.standing),
        "revision": revision,
        "version": planned.version,
        **_dates(signed),
        "superseded_on": None,
        "organisation": _organisation(signed),
        "expected": before.revision,
    }
    return Change(
        before=before,
        certificate=certificate,
        version=_version_row(vault, signed, act, source, case_number),
        holdings=_holding_rows(signed, act.standing),
        act=_act_row(vault, key, revision, planned.version, act),
        outbox=_outbox_row(ids, key, revision, act, planned.identifier, signed.credential, planned.salt),
        today=to_int(day_of(act.recorded_at)),
        superseded_on=to_int(act.effective_on),
    )


def move(vault: Vault, ids: Ids, before: Version, act: Act, superseded_on: date | None = None) -> Change:
    """A change of standing of a certificate whose current version is `before`."""
    key, revision = (before.home, before.certificate), before.revision + 1
    return Change(
        before=before,
        certificate={
            "home": before.home,
            "certificate": before.certificate,
            "standing": int(act.standing),
            "revision": revision,
            "superseded_on": None if superseded_on is None else to_int(superseded_on),
            "expected": before.revision,
        },
        version=None,
        holdings=(),
        act=_act_row(vault, key, revision, before.version, act),
        outbox=_outbox_row(ids, key, revision, act, before.identifier, before.credential, before.salt),
        today=to_int(day_of(act.recorded_at)),
        superseded_on=None if superseded_on is None else to_int(superseded_on),
    )


def apply(writer: Writer, change: Change) -> None:
    """Write one change; raises Conflict when the certificate is no longer as it was."""
    if change.before is None:
        writer.insert("certificates", change.certificate)
    elif change.version is None:
        _apply_move(writer, change)
    else:
        _apply_next(writer, change, change.before)
    if change.version is not None:
        writer.insert("versions", change.version)
        for row in change.holdings:
            _put_holding(writer, row)
    writer.insert("acts", change.act)
    writer.insert("outbox", change.outbox)


def rows_of_new(new: Sequence[Change]) -> list[tuple[str, list[dict[str, Any]]]]:
    """(table, rows) of all that new certificates are; nothing of it can exist already."""
    return [
        ("certificates", [change.certificate for change in new]),
        ("versions", [change.version for change in new if change.version is not None]),
        ("holdings", [{**row, "ended": 0} for change in new for row in change.holdings]),
        ("acts", [change.act for change in new]),
        ("outbox", [change.outbox for change in new]),
    ]


def _apply_move(writer: Writer, change: Change) -> None:
    changed = writer.run(
        "UPDATE certificates SET standing = :standing, revision = :revision,"
        " superseded_on = COALESCE(:superseded_on, superseded_on)"
        " WHERE home = :home AND certificate = :certificate AND revision = :expected",
        change.certificate,
    )
    if changed != 1 or change.before is None:
        raise Conflict
    if change.superseded_on is None or change.certificate["standing"] == Standing.SUPERSEDED:
        writer.run(
            "UPDATE versions SET standing = :standing WHERE home = :home AND certificate = :certificate",
            change.certificate,
        )
    if change.superseded_on is not None:
        _end_certificate(writer, change, change.before, change.superseded_on)
    for party in set(change.before.parties):
        writer.run(
            "UPDATE holdings SET standing = :standing, superseded_on = COALESCE(:superseded_on, superseded_on)"
            " WHERE party = :party AND home = :home AND certificate = :certificate",
            {**change.certificate, "party": party},
        )


def _apply_next(writer: Writer, change: Change, before: Version) -> None:
    changed = writer.run(
        "UPDATE certificates SET standing = :standing, revision = :revision, version = :version,"
        " issued_on = :issued_on, valid_from = :valid_from, valid_until = :valid_until,"
        " superseded_on = :superseded_on, organisation = :organisation"
        " WHERE home = :home AND certificate = :certificate AND revision = :expected",
        change.certificate,
    )
    if changed != 1 or change.superseded_on is None:
        raise Conflict
    _end_version(writer, change.certificate, before.version, change.superseded_on)
    # Where `before` never begins, what it would have followed goes on until the new version begins.
    begins, ends = to_int(before.dates.valid_from), change.superseded_on
    _end_earlier(writer, change, before, begins if ends <= begins else None, change.certificate["valid_from"])
    staying = {row["party"] for row in change.holdings}
    for party in set(before.parties) - staying:
        writer.run(
            "UPDATE holdings SET ended = 1 WHERE party = :party AND home = :home AND certificate = :certificate",
            {"party": party, "home": before.home, "certificate": before.certificate},
        )


def _end_certificate(writer: Writer, change: Change, current: Version, on: int) -> None:
    """Its current version ends, and with it every earlier one that would still go on then."""
    former = current.dates.superseded_on
    _end_version(writer, change.certificate, current.version, on)
    last = min(on, to_int(current.dates.valid_from))
    _end_earlier(writer, change, current, None if former is None else to_int(former), last)


def _end_earlier(writer: Writer, change: Change, before: Version, former: int | None, on: int) -> None:
    """Versions before `before` that go on today and would end on `former`, or after `on`, end on `on`.

    One that is to begin before that day ends those before it on the day on which it begins.
    """
    if before.version == 1:
        return
    key = {"home": before.home, "certificate": before.certificate}
    rows = writer.all(
        "SELECT version, valid_from, superseded_on FROM versions WHERE home = :home AND certificate = :certificate"
        " AND version < :version AND superseded_on > :today ORDER BY version DESC",
        {**key, "version": before.version, "today": change.today},
    )
    for version, begins, ends in rows:
        if ends == former or ends > on:
            _end_version(writer, key, version, on)
        on = min(on, begins)


def _end_version(writer: Writer, key: Mapping[str, int], version: int, on: int) -> None:
    writer.run(
        "UPDATE versions SET superseded_on = :on"
        " WHERE home = :home AND certificate = :certificate AND version = :version",
        {"on": on, "home": key["home"], "certificate": key["certificate"], "version": version},
    )


def _put_holding(writer: Writer, row: dict[str, Any]) -> None:
    writer.run(
        "INSERT INTO holdings (party, home, certificate, ordinal, type, standing, issued_on, valid_from, valid_until,"
        " superseded_on, ended) VALUES (:party, :home, :certificate, :ordinal, :type, :standing, :issued_on,"
        " :valid_from, :valid_until, :superseded_on, 0)"
        " ON CONFLICT (party, home, certificate) DO UPDATE SET ordinal = :ordinal, standing = :standing,"
        " issued_on = :issued_on, valid_from = :valid_from, valid_until = :valid_until,"
        " superseded_on = :superseded_on, ended = 0",
        row,
    )


def _dates(signed: Signed) -> dict[str, int | None]:
    planned = signed.planned
    until = planned.valid_until
    return {
        "issued_on": to_int(planned.issued_on),
        "valid_from": to_int(planned.valid_from),
        "valid_until": None if until is None else to_int(until),
    }


def _organisation(signed: Signed) -> str | None:
    names = [h.name for h in signed.planned.holders if h.id_type in ORGANISATION_TYPES]
    return names[0] if names else None


def _version_row(vault: Vault, signed: Signed, act: Act, source: str, case_number: str) -> dict[str, Any]:
    planned = signed.planned
    holders = [
        [h.name, h.id_type, h.id_number, party] for h, party in zip(planned.holders, planned.parties, strict=True)
    ]
    inside = sealed_version(
        {
            "credential": signed.credential,
            "digits": signed.digits,
            "number": planned.number,
            "holders": holders,
            "fields": dict(planned.fields),
            "salt": planned.salt,
        }
    )
    key = (planned.home, planned.certificate, planned.version)
    return {
        "home": planned.home,
        "certificate": planned.certificate,
        "version": planned.version,
        "version_key": planned.version_key,
        "identifier": planned.identifier,
        "code": planned.code,
        "edition": planned.edition,
        "kid": planned.kid,
        "qr_kid": planned.kid,
        "source": source,
        "case_number": case_number,
        **_dates(signed),
        "superseded_on": None,
        "standing": int(act.standing),
        "recorded_at": to_micros(act.recorded_at),
        "sealed": seal(vault, "versions", key, inside),
    }


def _holding_rows(signed: Signed, standing: Standing) -> tuple[dict[str, Any], ...]:
    planned = signed.planned
    rows: dict[int, dict[str, Any]] = {}
    for ordinal, party in enumerate(planned.parties):
        rows.setdefault(
            party,
            {
                "party": party,
                "home": planned.home,
                "certificate": planned.certificate,
                "ordinal": ordinal,
                "type": planned.type_code,
                "standing": int(standing),
                **_dates(signed),
                "superseded_on": None,
            },
        )
    return tuple(rows.values())


def _act_row(vault: Vault, key: tuple[int, int], revision: int, version: int, act: Act) -> dict[str, Any]:
    return {
        "home": key[0],
        "certificate": key[1],
        "revision": revision,
        "kind": int(act.kind),
        "version": version,
        "standing": int(act.standing),
        "subkind": act.subkind,
        "effective_on": to_int(act.effective_on),
        "recorded_at": to_micros(act.recorded_at),
        "client": act.client,
        "sealed": seal(vault, "acts", (*key, revision), act.grounds or {}),
    }


def _outbox_row(
    ids: Ids, key: tuple[int, int], revision: int, act: Act, identifier: str, credential: str, salt: bytes
) -> dict[str, Any]:
    entry = leaf(int(act.kind), identifier, credential, salt, act.effective_on, to_micros(act.recorded_at), revision)
    return {
        "entry": ids.take("entry"),
        "home": key[0],
        "certificate": key[1],
        "revision": revision,
        "kind": int(act.kind),
        "leaf": entry,
    }

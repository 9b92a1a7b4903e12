"""Assertions about a certificate of the town: its signatures, its leaves, and every view that shows its state."""

from typing import Any

from hub.domain.certificate import ActKind, Standing
from hub.domain.dates import to_micros
from hub.domain.version import Version
from signing import credential, ledger_leaf, qr, status
from signing.keys import Purpose
from tests.support.town import HEALER, TRADER, URL, Body, Town

LIST_VALUES = {"revoked": 1, "suspended": 2, "superseded": 3}


def is_signed(town: Town, record: Version) -> bool:
    """Both texts are signed by the recorded public key and match the record."""
    public = next(k.public for k in town.parts.keyring.all() if k.public.kid == record.kid)
    assert public.purpose is Purpose.CREDENTIAL
    text, digits = credential.read(record.credential), qr.read(record.digits)
    assert credential.is_signed_by(text, public)
    assert qr.is_signed_by(digits, record.code, public)
    assert text.claims.identifier == digits.face.identifier == record.identifier
    assert text.claims.version == record.version
    assert text.number == record.number
    assert [(h.name, h.id_type, h.id_number) for h in text.holders] == [
        (h.name, h.id_type, h.id_number) for h in record.holders
    ]
    assert dict(text.fields) == dict(record.fields)
    return True


def says(record: Version, pushed: Body) -> bool:
    """Whether a version's record and credential match what was pushed."""
    text = credential.read(record.credential)
    holders = [{"name": h.name, "id_type": h.id_type, "id_number": h.id_number} for h in text.holders]
    claims = text.claims
    said = {
        "type_code": claims.type_code,
        "number": text.number,
        "holders": holders,
        "fields": dict(text.fields),
        "issued_on": claims.issued_on.isoformat(),
        "valid_from": claims.valid_from.isoformat(),
        "valid_until": claims.valid_until.isoformat() if claims.valid_until else None,
    }
    wanted = {"valid_from": pushed["issued_on"], **pushed}
    assert said == {name: wanted[name] for name in said}
    return True


def list_value(town: Town, record: Version) -> int:
    """The value of a version in the signed status list."""
    number, index = status.index_of(record.version_key, town.parts.vault.status_key)
    token = status.read(town.parts.verification.status_lists.token(number))
    public = next(k.public for k in town.parts.keyring.all() if k.public.purpose is Purpose.STATUS)
    assert status.is_signed_by(token, public)
    return int(status.value(token, index))


def is_everywhere(town: Town, record: Version, state: str, kind: str | None = None) -> bool:
    """Every view shows the same state of a version: record, case, page, QR code, credential, status list."""
    assert town.state(record) == state
    by = next(caller for caller in (TRADER, HEALER) if caller.authority == record.authority)
    live = town.live(record.case_number, by, record.source)
    assert [c["state"] for c in live["certificates"] if c["identifier"] == record.identifier] in ([state], [])
    verification = town.parts.verification
    verdicts = [
        verification.verify_code(record.code),
        verification.verify_qr(qr.text(URL, record.code, record.digits)),
        verification.verify_credential(record.credential),
    ]
    assert [(v.state.value, v.kind) for v in verdicts] == [(state, kind)] * 3
    # An expired certificate may be suspended too: the list and this reply show the decision, whatever the dates.
    also_suspended = state == "expired" and town.version(record.identifier).standing is Standing.SUSPENDED
    decided = "suspended" if also_suspended else state
    assert {v.checks.in_force.value for v in verdicts} == {"no" if decided in LIST_VALUES else "yes"}
    until = record.dates.valid_until
    within = record.dates.valid_from <= town.clock.today() and (until is None or town.clock.today() <= until)
    assert {v.checks.within_dates.value for v in verdicts} == {"yes" if within else "no"}
    assert list_value(town, record) == LIST_VALUES.get(decided, 0)
    return True


def leaves(town: Town, record: Version) -> list[ledger_leaf.Leaf]:
    """The future ledger leaves of a certificate, in the order of its revisions."""
    rows = [r for table in ("outbox", "ledger") for r in town.rows(table)]
    mine = [r for r in rows if (r["home"], r["certificate"]) == (record.home, record.certificate)]
    found = sorted((r["revision"], ledger_leaf.read(r["leaf"])) for r in mine)
    assert [revision for revision, _ in found] == [item.revision for _, item in found]
    return [item for _, item in found]


def has_leaf_for_every_act(town: Town, record: Version, *kinds: ActKind) -> bool:
    """The certificate's acts are of these kinds, and each has one leaf with the digests of its version."""
    acts, by_number = town.acts(record), {v.version: v for v in town.versions(record)}
    assert [act.kind for act in acts] == list(kinds)
    expected = []
    for act in acts:
        version = by_number[act.version]
        expected.append(
            ledger_leaf.Leaf(
                ledger_leaf.Kind(int(act.kind)),
                ledger_leaf.salted(version.salt, version.identifier),
                ledger_leaf.salted(version.salt, version.credential),
                act.effective_on,
                to_micros(act.recorded_at),
                act.revision,
            )
        )
    assert leaves(town, record) == expected
    return True


def identifiers(reply: Body) -> list[Any]:
    return [item["identifier"] for item in reply["certificates"]]

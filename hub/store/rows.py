"""The rows that issuing writes: one type per table, with fields in column order.

A row is also the parameter tuple of its INSERT (see `Writer.insert`), so nothing is copied. Steps and `prepare` build
rows outside the transaction, encrypted and ready; a commit only writes them. Instants are µs UTC, dates yyyymmdd.
`tests/store/test_rows.py` compares the fields with `hub.db.tables`.
"""

from typing import NamedTuple


class PartyRow(NamedTuple):
    """`parties`: a person or body."""

    party: int
    id_type: str
    sealed: bytes


class BlindRow(NamedTuple):
    """`blind_index`: the keyed hash of an identity number or a certificate number, and what it identifies."""

    kind: int
    key_number: int
    hash: bytes
    target: int
    home: int
    rules: int


class HandleRow(NamedTuple):
    """`handles`: an identifier or a public code; `receipt` only for the code of a copy."""

    kind: int
    value: str
    home: int
    certificate: int
    version: int
    receipt: str | None = None


class CaseRow(NamedTuple):
    """`cases`: one revision of a case."""

    source: str
    case_number: str
    authority: str
    accepted_by: str
    status: int
    amendment: int
    matter: str
    accepted_at: int
    completed_at: int | None
    revision: int
    recorded_at: int
    sealed: bytes
    opened_by: str | None
    clerk: str | None
    decided: int | None
    objected_at: int | None


class CaseNumberRow(NamedTuple):
    """`case_numbers`: a second number of a case."""

    source: str
    case_number: str
    of_source: str
    of_case_number: str
    recorded_at: int


class PushRow(NamedTuple):
    """`pushes`: a push and its encrypted reply, which is None until its certificates are issued."""

    month: int
    source: str
    case_number: str
    digest: bytes
    client: str
    amendment: int
    status: int
    at: int
    sealed: bytes
    reply: bytes | None


class IntentRow(NamedTuple):
    """`intents`: a case that is reserved and not published yet."""

    source: str
    case_number: str
    intent: int
    amendment: int
    key_ids: str
    attempts: int
    next_attempt_at: int
    voided: int
    reserved_at: int
    sealed: bytes


class SuccessionRow(NamedTuple):
    """`successions`: the case that replaces a version."""

    version_key: int
    source: str
    case_number: str


class CertificateRow(NamedTuple):
    """`certificates`: a new certificate."""

    home: int
    certificate: int
    type: str
    authority: str
    serial: str
    origin: int
    standing: int
    revision: int
    version: int
    issued_on: int
    valid_from: int
    valid_until: int | None
    superseded_on: int | None
    organisation: str | None


class VersionRow(NamedTuple):
    """`versions`: a signed version."""

    home: int
    certificate: int
    version: int
    version_key: int
    identifier: str
    code: str
    edition: int
    kid: str
    qr_kid: str
    source: str
    case_number: str
    issued_on: int
    valid_from: int
    valid_until: int | None
    superseded_on: int | None
    standing: int
    recorded_at: int
    sealed: bytes


class HoldingRow(NamedTuple):
    """`holdings`: a party that holds, or held, a certificate."""

    party: int
    home: int
    certificate: int
    ordinal: int
    type: str
    standing: int
    issued_on: int
    valid_from: int
    valid_until: int | None
    superseded_on: int | None
    ended: int


class ActRow(NamedTuple):
    """`acts`: one change of a certificate, as decided."""

    home: int
    certificate: int
    revision: int
    kind: int
    version: int
    standing: int
    subkind: str | None
    effective_on: int
    recorded_at: int
    client: str
    sealed: bytes


class OutboxRow(NamedTuple):
    """`outbox`: one change on its way into the ledger."""

    entry: int
    home: int
    certificate: int
    revision: int
    kind: int
    leaf: bytes


class AuditRow(NamedTuple):
    """`audit`: one answer or refusal."""

    month: int
    id: int
    at: int
    client: str
    clerk: str | None
    action: str
    outcome: str
    source: str | None
    case_number: str | None
    party: int | None
    home: int | None
    certificate: int | None
    request: str | None

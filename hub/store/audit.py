"""The audit log: one row for every authenticated answer and refusal about a person or a case.

A row is committed before its answer leaves; if that fails, there is no answer. Rows contain party keys and staff
numbers, never names or identity numbers. The table is append-only, which a trigger enforces.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hub.db.database import Database, Writer
from hub.domain.dates import month_of, to_micros
from hub.domain.errors import Refusal
from hub.runtime.clock import Clock
from hub.store.ids import Ids
from hub.store.rows import AuditRow

_MALFORMED = frozenset({"schema.invalid", "upload.too_large", "upload.timeout", "upload.unreadable"})
"""Refusals of unreadable requests: they go to logs and metrics only, so that outsiders cannot cause writes."""


@dataclass(slots=True)
class AuditEntry:
    """What is known about a request so far; steps fill it in as they proceed."""

    action: str
    client: str
    clerk: str | None = None
    source: str | None = None
    case_number: str | None = None
    party: int | None = None
    home: int | None = None
    certificate: int | None = None
    request: str | None = None
    id: int = 0
    written: bool = False


class Audit:
    """Writes audit entries; steps wrap their work in `of()`."""

    def __init__(self, database: Database, ids: Ids, clock: Clock) -> None:
        self._database = database
        self._ids = ids
        self._clock = clock

    @contextmanager
    def of(self, record: AuditEntry) -> Iterator[AuditEntry]:
        """Record the outcome of the block: `ok`, unless the step wrote it itself, or the refusal's code."""
        record.id = self._ids.take("audit")
        try:
            yield record
        except Refusal as refusal:
            if refusal.code in _MALFORMED:
                raise
            if record.written:
                record.id = self._ids.take("audit")
            with self._database.write() as writer:
                self.write(writer, record, refusal.code)
            raise
        if not record.written:
            with self._database.write() as writer:
                self.write(writer, record, "ok")

    def write(self, writer: Writer, record: AuditEntry, outcome: str) -> None:
        """Add the row to an open transaction, so that the answer and its entry are committed together or not at all."""
        writer.insert("audit", self.row(record, outcome))
        record.written = True

    def row(self, record: AuditEntry, outcome: str) -> AuditRow:
        """The row, for a caller that inserts it together with others and then sets `record.written`."""
        now = self._clock.now()
        return AuditRow(
            month=month_of(now),
            id=record.id,
            at=to_micros(now),
            client=record.client,
            clerk=record.clerk,
            action=record.action,
            outcome=outcome,
            source=record.source,
            case_number=record.case_number,
            party=record.party,
            home=record.home,
            certificate=record.certificate,
            request=record.request,
        )

"""The few statements that are not one text for both engines, and why."""

SEQUENCE = (
    "WITH chosen AS (SELECT o.entry FROM outbox o WHERE NOT EXISTS (SELECT 1 FROM outbox b WHERE b.home = o.home"
    " AND b.certificate = o.certificate AND b.revision < o.revision) ORDER BY o.entry LIMIT :limit),"
    " gone AS (DELETE FROM outbox o USING chosen c WHERE o.entry = c.entry"
    " RETURNING o.entry, o.home, o.certificate, o.revision, o.kind, o.leaf)"
    " INSERT INTO ledger (position, home, certificate, revision, kind, leaf)"
    " SELECT (SELECT COALESCE(MAX(position), 0) FROM ledger) + row_number() OVER (ORDER BY g.entry),"
    " g.home, g.certificate, g.revision, g.kind, g.leaf FROM gone g"
)
"""PostgreSQL: a batch in one message. Only what the DELETE returns is inserted, and only a sequencer that is alone may
run it; its lock is taken by a statement before, so that this one sees all that the sequencer before it has left."""

RESEAL_ACT = (
    "SELECT reseal_act(CAST(:k0 AS BIGINT), CAST(:k1 AS BIGINT), CAST(:k2 AS INTEGER), :before, :after) AS changed"
)
"""PostgreSQL: the service has no right to update acts, only to have their seal replaced (see the first migration)."""

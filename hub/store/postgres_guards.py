"""The few statements that are not one text for both engines, and why."""

from hub.db.writable_cte import Guard
from hub.store import cases, intents, pushes

KEYS_CURRENT = Guard(
    "keys_current",
    "SELECT 1 WHERE (SELECT string_agg(number || ':' || state, ' ' ORDER BY number) FROM data_keys) = :mark",
)
INTENT_GONE = Guard("intent_gone", f"{intents.GONE} AND {{before}} RETURNING 1")
CASE_REPLACED = Guard("case_replaced", f"{cases.REPLACED} AND {{before}} RETURNING 1")
PUSH_REPLIED = Guard("push_replied", f"{pushes.REPLIED} AND {{before}} RETURNING 1")
"""PostgreSQL: the guards of reserve and publish, which are one statement each (hub.db.writable_cte)."""
KEYS_SIGN = "keys_sign"


def keys_sign(count: int) -> Guard:
    """The guard that finds all of `:kid_0` and so on, `count` of them, and none of them retired."""
    kids = ", ".join(f":kid_{n}" for n in range(count))
    found = f"(SELECT COUNT(*) FROM signing_keys WHERE kid IN ({kids}) AND state <> 3)"  # noqa: S608
    return Guard(KEYS_SIGN, f"SELECT 1 WHERE {{before}} AND {found} = {count}")


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

"""The few statements whose SQL differs between the two engines, and the reasons."""

from hub.db.writable_cte import Guard
from hub.store import cases, intents, pushes

KEYS_CURRENT = Guard(
    "keys_current",
    "SELECT 1 WHERE (SELECT string_agg(number || ':' || state, ' ' ORDER BY number) FROM data_keys) = :mark",
)
INTENT_GONE = Guard("intent_gone", f"{intents.GONE} AND {{before}} RETURNING 1")
CASE_REPLACED = Guard("case_replaced", f"{cases.REPLACED} AND {{before}} RETURNING 1")
PUSH_REPLIED = Guard("push_replied", f"{pushes.REPLIED} AND {{before}} RETURNING 1")
"""PostgreSQL: the guards of reserve and publish, each of which is one statement (hub.db.writable_cte)."""
KEYS_SIGN = "keys_sign"


def keys_sign(count: int) -> Guard:
    """The guard that finds all of `:kid_0` to the last of `count`, none of them retired."""
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
"""PostgreSQL: one statement per batch, which inserts only what the DELETE returns. Requires an exclusive sequencer; an
earlier statement takes its lock, so this one sees everything that the previous sequencer committed."""

RESEAL_ACT = (
    "SELECT reseal_act(CAST(:k0 AS BIGINT), CAST(:k1 AS BIGINT), CAST(:k2 AS INTEGER), :before, :after) AS changed"
)
"""PostgreSQL: the service role may not update acts, only replace their encryption (see the first migration)."""

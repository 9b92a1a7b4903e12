"""The second commit of rule 2: the intent goes, everything appears: all certificates of the case, or none."""

from collections.abc import Iterable, Sequence
from typing import Any

from hub.db import writable_cte
from hub.db.database import Conflict, Writer
from hub.db.writable_cte import Insert
from hub.domain.issuing import Intent
from hub.store import cases, changes, intents, keys, postgres_guards, pushes
from hub.store.changes import Change
from hub.vault import StaleKeys, Vault


class KeyRetired(Exception):  # noqa: N818
    """A key that signed was retired before the commit; the intent must be voided and prepared anew."""


def publish(
    writer: Writer,
    vault: Vault,
    intent: Intent,
    all_changes: Sequence[Change],
    case_row: dict[str, Any],
    sealed_reply: bytes,
) -> bool:
    """Write everything; False when somebody else has finished this intent. Raises Conflict, StaleKeys or KeyRetired."""
    kids = sorted({planned.kid for planned in intent.planned if planned.kind is not None})
    rows = sum(4 + len(change.holdings) for change in all_changes)
    if kids and all(change.before is None for change in all_changes) and writable_cte.suits(writer, rows):
        return _publish_new(writer, vault, intent, kids, all_changes, case_row, sealed_reply)
    keys.require_current(writer, vault)
    if not intents.delete(writer, intent):
        return False
    require_in_use(writer, kids)
    for change in all_changes:
        changes.apply(writer, change)
    if not cases.put(writer, case_row):
        raise Conflict
    pushes.set_reply(writer, intent.push_key, sealed_reply)
    return True


def require_in_use(writer: Writer, kids: Iterable[str]) -> None:
    """Raise KeyRetired where a key that has signed may sign no more."""
    for kid in sorted(set(kids)):
        row = writer.one("SELECT state FROM signing_keys WHERE kid = :kid", {"kid": kid})
        if row is None or row["state"] == 3:
            raise KeyRetired


def _publish_new(
    writer: Writer,
    vault: Vault,
    intent: Intent,
    kids: Sequence[str],
    all_changes: Sequence[Change],
    case_row: dict[str, Any],
    sealed_reply: bytes,
) -> bool:
    """New certificates only, as one statement."""
    month, _, _, digest = intent.push_key
    missing = writable_cte.write(
        writer,
        (
            postgres_guards.KEYS_CURRENT,
            postgres_guards.keys_sign(len(kids)),
            postgres_guards.INTENT_GONE,
            postgres_guards.CASE_REPLACED,
            *(Insert(table, rows) for table, rows in changes.rows_of_new(all_changes)),
            postgres_guards.PUSH_REPLIED,
        ),
        {
            **case_row,
            **{f"kid_{n}": kid for n, kid in enumerate(kids)},
            "mark": keys.mark_text(vault),
            "intent": intent.intent,
            "month": month,
            "digest": digest,
            "reply": sealed_reply,
        },
    )
    if missing == postgres_guards.KEYS_CURRENT.name:
        raise StaleKeys
    if missing == postgres_guards.KEYS_SIGN:
        raise KeyRetired
    if missing not in (None, postgres_guards.INTENT_GONE.name):
        raise Conflict
    return missing is None

"""The second commit of rule 2: the intent goes, everything appears: all certificates of the case, or none."""

from collections.abc import Iterable, Sequence
from typing import Any

from hub.domain.issuing import Intent
from hub.store import cases, changes, intents, pushes
from hub.store.changes import Change
from hub.store.database import Raced, Writer


class KeyRetired(Exception):  # noqa: N818
    """A key that signed was retired before the commit; the intent must be voided and prepared anew."""


def publish(
    writer: Writer, intent: Intent, all_changes: Sequence[Change], case_row: dict[str, Any], sealed_reply: bytes
) -> bool:
    """Write everything; False when somebody else has finished this intent. Raises Raced or KeyRetired."""
    if not intents.delete(writer, intent):
        return False
    require_in_use(writer, (planned.kid for planned in intent.planned if planned.kind is not None))
    for change in all_changes:
        changes.apply(writer, change)
    if not cases.put(writer, case_row):
        raise Raced
    pushes.set_reply(writer, intent.push_key, sealed_reply)
    return True


def require_in_use(writer: Writer, kids: Iterable[str]) -> None:
    """Raise KeyRetired where a key that has signed may sign no more."""
    for kid in sorted(set(kids)):
        row = writer.one("SELECT state FROM signing_keys WHERE kid = :kid", {"kid": kid})
        if row is None or row["state"] == 3:
            raise KeyRetired

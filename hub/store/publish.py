"""The second commit of rule 2: delete the intent and insert all certificates of the case, or none.

`prepare` builds and encrypts the rows outside the transaction; `commit_rows` only writes them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hub.db import writable_cte
from hub.db.database import Conflict, Writer
from hub.db.writable_cte import Insert
from hub.domain.case_record import Case
from hub.domain.issuing import Intent
from hub.store import cases, changes, intents, keys, postgres_guards, pushes
from hub.store.changes import Change
from hub.store.rows import CaseRow
from hub.vault import StaleKeys, Vault


class KeyRetired(Exception):  # noqa: N818
    """A signing key was retired before the commit; void the intent and draft it again."""


@dataclass(frozen=True, slots=True)
class Publication:
    """The rows of the second commit, encrypted and ready; `kids` are the keys that signed, `intent` is deleted."""

    intent: Intent
    kids: Sequence[str]
    changes: Sequence[Change]
    case: CaseRow
    reply: bytes


def prepare(
    vault: Vault, at: datetime, *, intent: Intent, changes: Sequence[Change], case: Case, reply: dict[str, Any]
) -> Publication:
    """Build and encrypt the rows; `commit_rows` must follow inside the same `retry_on_conflict`.

    changes: as prepared by `hub.store.changes`.
    """
    sealed_reply = pushes.sealed_reply(vault, intent.push_key, reply)
    return Publication(intent, intent.kids, changes, cases.row_of(vault, case, at), sealed_reply)


def commit_rows(writer: Writer, vault: Vault, publication: Publication) -> bool:
    """Write everything; False if another call has finished this intent. Raises Conflict, StaleKeys or KeyRetired."""
    new_only = all(change.before is None for change in publication.changes)
    rows = sum(4 + len(change.holdings) for change in publication.changes)
    if publication.kids and new_only and writable_cte.suits(writer, rows):
        return _commit_as_one_statement(writer, vault, publication)
    keys.require_current(writer, vault)
    if not intents.delete(writer, publication.intent):
        return False
    require_in_use(writer, publication.kids)
    for change in publication.changes:
        changes.apply(writer, change)
    if not cases.put(writer, publication.case):
        raise Conflict
    pushes.set_reply(writer, publication.intent.push_key, publication.reply)
    return True


def require_in_use(writer: Writer, kids: Iterable[str]) -> None:
    """Raise KeyRetired if a key that signed has been retired."""
    for kid in sorted(set(kids)):
        row = writer.one("SELECT state FROM signing_keys WHERE kid = :kid", {"kid": kid})
        if row is None or row["state"] == 3:
            raise KeyRetired


def _commit_as_one_statement(writer: Writer, vault: Vault, publication: Publication) -> bool:
    """PostgreSQL, for new certificates only."""
    intent, kids = publication.intent, publication.kids
    missing = writable_cte.write(
        writer,
        (
            postgres_guards.KEYS_CURRENT,
            postgres_guards.keys_sign(len(kids)),
            postgres_guards.INTENT_GONE,
            postgres_guards.CASE_REPLACED,
            *(Insert(table, rows) for table, rows in changes.rows_of_new(publication.changes)),
            postgres_guards.PUSH_REPLIED,
        ),
        {
            **publication.case._asdict(),
            **{f"kid_{n}": kid for n, kid in enumerate(kids)},
            "mark": keys.mark_text(vault),
            "intent": intent.intent,
            "month": intent.push_key.month,
            "digest": intent.push_key.digest,
            "reply": publication.reply,
        },
    )
    if missing == postgres_guards.KEYS_CURRENT.name:
        raise StaleKeys
    if missing == postgres_guards.KEYS_SIGN:
        raise KeyRetired
    if missing not in (None, postgres_guards.INTENT_GONE.name):
        raise Conflict
    return missing is None

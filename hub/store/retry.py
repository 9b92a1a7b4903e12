"""Optimistic locking: retry work that was rolled back by a conflict, from its first read."""

from collections.abc import Callable
from typing import TypeVar

from hub.db.database import Conflict, DatabaseUnavailable
from hub.vault import StaleKeys, Vault

ATTEMPTS = 20
_T = TypeVar("_T")


def retry_on_conflict(vault: Vault, work: Callable[[], _T]) -> _T:
    """Return the result of `work`, which reads, prepares and writes in one transaction; retry it on conflicts.

    The keys are pinned while `work` runs, so that `require_current` checks those with which its rows were made.

    Raises DatabaseUnavailable after ATTEMPTS consecutive conflicts, and everything that `work` raises.
    """
    for _ in range(ATTEMPTS):
        try:
            with vault.pinned():
                return work()
        except Conflict:
            continue
        except StaleKeys:
            vault.reload()
    raise DatabaseUnavailable("too many concurrent changes")

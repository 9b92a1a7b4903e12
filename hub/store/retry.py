"""Retry work that met a conflict: it was rolled back, so it may start again from its first read."""

from collections.abc import Callable
from typing import TypeVar

from hub.db.database import Conflict, DatabaseUnavailable
from hub.vault import StaleKeys, Vault

ATTEMPTS = 20
_T = TypeVar("_T")


def retry_on_conflict(vault: Vault, work: Callable[[], _T]) -> _T:
    """The result of `work`, which reads, prepares and writes in one transaction; retried while it meets conflicts.

    The keys stand still while `work` runs, so that `require_current` judges those that its rows were made with.

    Raises DatabaseUnavailable after ATTEMPTS conflicts in a row, and everything that `work` raises.
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

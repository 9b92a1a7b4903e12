"""Do work again that lost a race: nothing of it was kept, so it may be repeated from its first read."""

from collections.abc import Callable
from typing import TypeVar

from hub.db.database import DatabaseUnavailable, Raced
from hub.vault import StaleKeys, Vault

ATTEMPTS = 20
_T = TypeVar("_T")


def attempt(vault: Vault, work: Callable[[], _T]) -> _T:
    """The result of `work`, which reads, prepares and writes in one transaction; it is repeated while it is raced.

    The keys stand still while `work` runs, so that `require_current` judges those that its rows were made with.

    Raises DatabaseUnavailable after ATTEMPTS races in a row, and everything that `work` raises.
    """
    for _ in range(ATTEMPTS):
        try:
            with vault.pinned():
                return work()
        except Raced:
            continue
        except StaleKeys:
            vault.reload()
    raise DatabaseUnavailable("too many changes at once")

"""How long work reports how far it is."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with the number of items done and the total, which is 0 while it is unknown."""


def silent(_done: int, _total: int) -> None:
    """Report nothing."""

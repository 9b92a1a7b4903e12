"""From a place in a status list back to the version: the inverse of `status.index_of`."""

from signing.status import _LOW_BITS, _ROUNDS, INDEX_BITS, _turn


def version_key_of(number: int, index: int, key: bytes) -> int:
    """The version key that has this place."""
    high, low = index >> _LOW_BITS, index & 0x1FF
    for turn in reversed(range(_ROUNDS)):
        high, low = _turn(turn, number, high, low, key)
    return number << INDEX_BITS | high << _LOW_BITS | low

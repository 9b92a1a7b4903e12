"""Deterministic CBOR (RFC 8949 §4.2.1): one byte string for every value, and a decoder that accepts only that one.

Only what our formats use: integers of at most 64 bits, byte strings, UTF-8 text, arrays, maps and null.
"""

import cbor2

from signing.errors import Malformed

MAX_DEPTH = 4
_INTEGER, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _SIMPLE = 0, 1, 2, 3, 4, 5, 7
_NULL = 22


def encode(value: object) -> bytes:
    """Return the deterministic encoding of a value made of the types above; map keys must be small integers.

    Raises Malformed for text with lone surrogates.
    """
    try:
        return cbor2.dumps(value, canonical=True)
    except ValueError as error:
        raise Malformed("cbor.value") from error


def decode(data: bytes, problem: str) -> object:
    """Decode one value that fills all of `data`; raises Malformed(problem) for any encoding but that of encode().

    Rejected: trailing bytes, indefinite lengths, longer heads than needed, unsorted or repeated map keys, tags, floats,
    booleans, map keys other than integers, invalid UTF-8, more than MAX_DEPTH levels.
    """
    reader = _Reader(data, problem)
    value = reader.value(MAX_DEPTH)
    if reader.at != len(data):
        raise Malformed(problem)
    return value


class _Reader:
    def __init__(self, data: bytes, problem: str) -> None:
        self.data = data
        self.at = 0
        self._problem = problem

    def value(self, depth: int) -> object:
        major, argument = self._head()
        if major == _INTEGER:
            return argument
        if major == _NEGATIVE:
            return -1 - argument
        if major == _BYTES:
            return self._take(argument)
        if major == _TEXT:
            try:
                return self._take(argument).decode("utf-8")
            except UnicodeDecodeError as error:
                raise Malformed(self._problem) from error
        if major == _SIMPLE and argument == _NULL:
            return None
        if depth == 0:
            raise Malformed(self._problem)
        if major == _ARRAY:
            # Lengths are untrusted: each element takes at least one byte, so an excessive length fails at the end.
            return [self.value(depth - 1) for _ in range(argument)]
        if major == _MAP:
            return self._map(argument, depth)
        raise Malformed(self._problem)

    def _map(self, length: int, depth: int) -> dict[int, object]:
        entries: dict[int, object] = {}
        previous = b""
        for _ in range(length):
            start = self.at
            key = self.value(0)
            encoded = self.data[start : self.at]
            if not isinstance(key, int) or encoded <= previous:
                raise Malformed(self._problem)
            previous = encoded
            entries[key] = self.value(depth - 1)
        return entries

    def _head(self) -> tuple[int, int]:
        initial = self._take(1)[0]
        major, short = initial >> 5, initial & 31
        if short < 24:
            return major, short
        if short > 27 or major == _SIMPLE:
            raise Malformed(self._problem)
        size = 1 << (short - 24)
        argument = int.from_bytes(self._take(size), "big")
        if argument < (24 if size == 1 else 1 << (4 * size)):
            raise Malformed(self._problem)
        return major, argument

    def _take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise Malformed(self._problem)
        taken = self.data[self.at : end]
        self.at = end
        return taken

"""The marks of a generation: metadata that it stores in the same commits as its entries."""

import json

from hub.directory.entries import FORMAT
from hub.domain.certificate import CertificateKey
from hub.store.ledger import OF_DIRECTORY
from indexer.engine import POSITION, Mark

FORMAT_OF = "format"
NAMES = "names"
WALKED = "walked"
"""How far the build of a generation has walked over the repository: the last key, finally `DONE`."""

RETIRED = "retired_at"
"""When another generation replaced this one, µs UTC."""

DONE = "done"
_FIRST = "-1 -1"

__all__ = [
    "DONE",
    "FORMAT_OF",
    "NAMES",
    "POSITION",
    "RETIRED",
    "WALKED",
    "consumer",
    "first",
    "key_of",
    "key_text",
    "names_of",
]


def consumer(generation: str) -> str:
    """The name of a generation's cursor."""
    return OF_DIRECTORY + generation


def first(position: int, names: str) -> dict[str, Mark]:
    """The marks of a new generation. After its walk, it has every change up to `position`."""
    return {FORMAT_OF: FORMAT, POSITION: position, NAMES: names, WALKED: _FIRST}


def key_text(key: CertificateKey) -> str:
    """A certificate's key as the value of a mark."""
    return f"{key[0]} {key[1]}"


def key_of(text: str) -> CertificateKey:
    """The inverse of `key_text`."""
    home, _, certificate = text.partition(" ")
    return CertificateKey(int(home), int(certificate))


def names_of(mark: Mark | None) -> dict[str, str]:
    """The names that a generation was built with."""
    return dict(json.loads(mark)) if isinstance(mark, str) else {}

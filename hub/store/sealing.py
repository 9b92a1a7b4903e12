"""How rows carry personal data: one sealed CBOR value a column, bound to its table and primary key."""

from typing import Any

import cbor2

from hub.vault import Vault

SEALED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("parties", "sealed", ("party",)),
    ("cases", "sealed", ("source", "case_number")),
    ("pushes", "sealed", ("month", "source", "case_number", "digest")),
    ("pushes.reply", "reply", ("month", "source", "case_number", "digest")),
    ("intents", "sealed", ("source", "case_number", "intent")),
    ("versions", "sealed", ("home", "certificate", "version")),
    ("acts", "sealed", ("home", "certificate", "revision")),
    ("retrievals", "sealed", ("month", "receipt")),
    ("clerks", "sealed", ("authority", "staff_number")),
)
"""(label in the AAD, column, primary key) of every sealed column: what a rotation of data keys has to walk.

The label is the table, with `.column` where the column is not `sealed`. Files of `documents` are sealed too, and walked
beside these (hub.store.documents).
"""

Key = tuple[object, ...]


def key_text(key: Key) -> str:
    """A primary key as the text that a sealed value is bound to."""
    return "|".join([part.hex() if isinstance(part, bytes) else str(part) for part in key])


def seal(vault: Vault, table: str, key: Key, value: Any) -> bytes:
    """Seal a CBOR-able value for the column `sealed` of one row."""
    return vault.seal(table, key_text(key), cbor2.dumps(value))


def unseal(vault: Vault, table: str, key: Key, sealed: bytes) -> Any:
    """The inverse of `seal`; raises VaultError."""
    return cbor2.loads(vault.open(table, key_text(key), sealed))

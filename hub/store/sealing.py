"""Personal data in rows: one encrypted CBOR value per column, bound to its table and primary key."""

from typing import Any

import cbor2

from hub.vault import Vault

RowKey = tuple[object, ...]


def key_text(key: RowKey) -> str:
    """A primary key as text, for the AAD of an encrypted value."""
    return "|".join([part.hex() if isinstance(part, bytes) else str(part) for part in key])


def seal(vault: Vault, table: str, key: RowKey, value: Any) -> bytes:
    """Encrypt a CBOR value for the column `sealed` of one row."""
    return vault.seal(table, key_text(key), cbor2.dumps(value))


def unseal(vault: Vault, table: str, key: RowKey, sealed: bytes) -> Any:
    """The inverse of `seal`; raises VaultError."""
    return cbor2.loads(vault.open(table, key_text(key), sealed))

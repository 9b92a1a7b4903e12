"""The manifest of a backup, written last: a backup without it is incomplete.

It is not encrypted, so that operators and backup tools can read it; it has only counts and times. Its MAC uses the
backup's own key, so rows cannot be removed and parts of two backups cannot be mixed unnoticed.
"""

import hmac
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FORMAT = "certificate-hub-backup/1"
NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class TableFile:
    """One table: its columns in the order of the rows, the number of rows, and size and digest of the file."""

    name: str
    columns: tuple[str, ...]
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """taken_at (RFC 3339): everything acknowledged before this time is included. ledger: the last ledger position.
    master_key: the name of the master key that decrypts it. keys_sha256: digest of the keys part.
    """

    format: str
    backup: str
    hub: str
    schema: str
    engine: str
    taken_at: str
    finished_at: str
    ledger: int
    master_key: str
    keys_sha256: str
    documents: int
    document_bytes: int
    tables: tuple[TableFile, ...]
    mac: str = ""

    @property
    def rows(self) -> int:
        """The number of rows in all tables."""
        return sum(table.rows for table in self.tables)

    def signed(self, secret: bytes) -> "Manifest":
        """A copy with its MAC under the key of the backup."""
        return replace(self, mac=self._mac(secret))

    def is_whole(self, secret: bytes) -> bool:
        """Whether the MAC is correct under this key."""
        return hmac.compare_digest(self.mac, self._mac(secret))

    def _mac(self, secret: bytes) -> str:
        key = HKDF(hashes.SHA256(), 32, salt=None, info=b"hub backup manifest").derive(secret)
        plain = json.dumps({**asdict(self), "mac": ""}, sort_keys=True, separators=(",", ":"))
        return hmac.digest(key, plain.encode(), "sha256").hex()

    def text(self) -> str:
        """The text of the file."""
        return json.dumps(asdict(self), indent=1) + "\n"


def read(text: str) -> Manifest:
    """Parse a manifest; raises ValueError for anything else, including other formats."""
    content: dict[str, Any] = json.loads(text)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError("format")
    try:
        tables = tuple(TableFile(**{**table, "columns": tuple(table["columns"])}) for table in content.pop("tables"))
        found = Manifest(**content, tables=tables)
    except (AttributeError, KeyError, TypeError):
        raise ValueError("manifest") from None
    texts = [found.backup, found.hub, found.schema, found.engine, found.taken_at, found.master_key, found.mac]
    names = [table.name for table in tables]
    if not all(isinstance(value, str) for value in (*texts, *names)) or not all(n.isidentifier() for n in names):
        raise ValueError("manifest")
    return found

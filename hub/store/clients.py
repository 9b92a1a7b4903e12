"""Rows of `clients, client_keys, clerks, jtis`: who may call, with which keys, and which assertions were used.

Clients are few and needed for every request: `ClientCache` holds them all. Clerks are read one at a time, and their
names are encrypted. Every change of a client increments a counter, so running processes see it within a second.
"""

import hashlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hub.db.database import Database, Reader, Row, Writer
from hub.domain.caller import Clerk
from hub.domain.dates import from_micros, to_micros
from hub.store.sealing import seal, unseal
from hub.vault import Vault
from signing.encoding import base64url

REFRESH_S = 0.5
"""A disabled client is refused within a second, on any machine that reads the counter within half of it."""
_COUNTER = "clients"


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A client's public key, accepted until `expires_at`; None means permanently."""

    kid: str
    spki: bytes
    created_at: datetime
    expires_at: datetime | None = None

    def accepted(self, now: datetime) -> bool:
        """Whether an assertion signed with it is accepted now."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True)
class Client:
    """A machine account of one authority; `source` is the namespace of its case numbers.

    acts_for: authorities as `CODE` or, limited to some matters, as `CODE:MATTER,…`. own_source: it acts for them only
    in cases of its own source. dpop: its access tokens must be bound to a key.
    """

    client_id: str
    authority: str
    source: str
    acts_for: frozenset[str]
    scopes: frozenset[str]
    disabled: bool
    created_at: datetime
    keys: tuple[ClientKey, ...] = field(default=())
    dpop: bool = False
    own_source: bool = False


# --- clients ----------------------------------------------------------------------------------------------------------


def clients(reader: Reader) -> dict[str, Client]:
    """All clients by id, each with all its keys, oldest key first."""
    keys: dict[str, list[ClientKey]] = {}
    for row in reader.all("SELECT * FROM client_keys ORDER BY created_at, kid"):
        keys.setdefault(row["client"], []).append(_key(row))
    return {
        row["client"]: Client(
            client_id=row["client"],
            authority=row["authority"],
            source=row["source"],
            acts_for=frozenset(row["acts_for"].split()),
            scopes=frozenset(row["scopes"].split()),
            disabled=bool(row["disabled"]),
            created_at=from_micros(row["created_at"]),
            keys=tuple(keys.get(row["client"], ())),
            dpop=bool(row["dpop"]),
            own_source=bool(row["own_source"]),
        )
        for row in reader.all("SELECT * FROM clients ORDER BY client")
    }


def _key(row: Row) -> ClientKey:
    expires_at = None if row["expires_at"] is None else from_micros(row["expires_at"])
    return ClientKey(row["kid"], bytes(row["spki"]), from_micros(row["created_at"]), expires_at)


def add_client(writer: Writer, client: Client) -> None:
    """Record a client and its keys; raises Duplicate if the id is taken."""
    writer.insert(
        "clients",
        {
            "client": client.client_id,
            "name": client.client_id,
            "authority": client.authority,
            "source": client.source,
            "acts_for": " ".join(sorted(client.acts_for)),
            "scopes": " ".join(sorted(client.scopes)),
            "disabled": int(client.disabled),
            "created_at": to_micros(client.created_at),
            "dpop": int(client.dpop),
            "own_source": int(client.own_source),
        },
    )
    for key in client.keys:
        add_client_key(writer, client.client_id, key)
    _move_counter(writer)


def add_client_key(writer: Writer, client_id: str, key: ClientKey) -> None:
    """Record another key of a client."""
    writer.insert(
        "client_keys",
        {
            "client": client_id,
            "kid": key.kid,
            "spki": key.spki,
            "created_at": to_micros(key.created_at),
            "expires_at": None if key.expires_at is None else to_micros(key.expires_at),
        },
    )
    _move_counter(writer)


def expire_client_key(writer: Writer, client_id: str, kid: str, at: datetime) -> bool:
    """Expire a key at `at`, or earlier if it already has an earlier end; False if the client has no such key."""
    found = writer.run(
        "UPDATE client_keys SET expires_at = CASE WHEN expires_at < :at THEN expires_at ELSE :at END"
        " WHERE client = :client AND kid = :kid",
        {"client": client_id, "kid": kid, "at": to_micros(at)},
    )
    _move_counter(writer)
    return found == 1


def set_client_disabled(writer: Writer, client_id: str, disabled: bool) -> bool:
    """Disable or enable a client; False if there is none."""
    found = writer.run(
        "UPDATE clients SET disabled = :disabled WHERE client = :client",
        {"client": client_id, "disabled": int(disabled)},
    )
    _move_counter(writer)
    return found == 1


def _move_counter(writer: Writer) -> None:
    writer.run(
        "INSERT INTO id_blocks (name, next) VALUES (:name, 1)"
        " ON CONFLICT (name) DO UPDATE SET next = id_blocks.next + 1",
        {"name": _COUNTER},
    )


class ClientCache:
    """All clients, refreshed every half second, and immediately for an unknown id."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._clients: Mapping[str, Client] = {}
        self._counter = -1
        self._checked_at = float("-inf")

    def find(self, client_id: str) -> Client | None:
        """The client, at most half a second old, disabled or not; None if there is none."""
        found = self._clients.get(client_id)
        if found is None or time.monotonic() - self._checked_at > REFRESH_S:
            found = self.refresh().get(client_id)
        return found

    def refresh(self) -> Mapping[str, Client]:
        """All clients as they are now: one cheap query, and all rows only after a change."""
        with self._lock:
            asked_at = time.monotonic()
            counter = self._newest()
            while counter != self._counter:  # a change may commit between two statements: then read again
                self._clients = clients(self._database.reader)
                self._counter, counter = counter, self._newest()
            self._checked_at = asked_at
            return self._clients

    def _newest(self) -> int:
        row = self._database.reader.one("SELECT next FROM id_blocks WHERE name = :name", {"name": _COUNTER})
        return int(row["next"]) if row else 0


# --- assertions that were used ----------------------------------------------------------------------------------------


def jti_is_used(reader: Reader, client_id: str, jti: str) -> bool:
    """Whether this client's assertion was used; reads without the write lock, so replays do not queue for it."""
    values = {"client": client_id, "jti": _jti(jti)}
    return reader.one("SELECT 1 FROM jtis WHERE client = :client AND jti = :jti", values) is not None


def use_jti(writer: Writer, client_id: str, jti: str, expires_at: datetime) -> None:
    """Mark an assertion's `jti` as used until `expires_at`; raises Duplicate if it was used before."""
    writer.insert("jtis", {"client": client_id, "jti": _jti(jti), "expires_at": to_micros(expires_at)})


def forget_jtis(writer: Writer, before: datetime) -> int:
    """Delete expired rows, which can no longer be replayed; returns their number."""
    return writer.run("DELETE FROM jtis WHERE expires_at < :before", {"before": to_micros(before)})


def _jti(jti: str) -> str:
    """The stored form: a hash of fixed length, without any client input."""
    return base64url.encode(hashlib.sha256(jti.encode()).digest())


# --- clerks -----------------------------------------------------------------------------------------------------------


def find_clerk(reader: Reader, vault: Vault, authority: str, staff_number: str) -> Clerk | None:
    """One clerk of one authority, enabled or not; None if there is none."""
    row = reader.one(
        "SELECT * FROM clerks WHERE authority = :authority AND staff_number = :staff_number",
        {"authority": authority, "staff_number": staff_number},
    )
    return None if row is None else _clerk(vault, row)


def enabled_clerks(reader: Reader, authority: str) -> int:
    """How many enabled clerks an authority has."""
    row = reader.one(
        "SELECT COUNT(*) AS n FROM clerks WHERE authority = :authority AND disabled = 0", {"authority": authority}
    )
    return 0 if row is None else int(row["n"])


def clerks(reader: Reader, vault: Vault) -> list[Clerk]:
    """All clerks, by authority and staff number."""
    return [_clerk(vault, row) for row in reader.all("SELECT * FROM clerks ORDER BY authority, staff_number")]


def _clerk(vault: Vault, row: Row) -> Clerk:
    inside = unseal(vault, "clerks", (row["authority"], row["staff_number"]), row["sealed"])
    return Clerk(row["staff_number"], inside["name"], row["authority"], not row["disabled"])


def clerk_row(vault: Vault, clerk: Clerk, at: datetime) -> dict[str, object]:
    """The row of a clerk, encrypted."""
    return {
        "authority": clerk.authority,
        "staff_number": clerk.staff_number,
        "disabled": int(not clerk.enabled),
        "created_at": to_micros(at),
        "sealed": seal(vault, "clerks", (clerk.authority, clerk.staff_number), {"name": clerk.name}),
    }


def add_clerk(writer: Writer, row: Mapping[str, object]) -> None:
    """Insert a row of `clerk_row`; raises Duplicate if the authority already has this staff number."""
    writer.insert("clerks", row)


def set_clerk_disabled(writer: Writer, authority: str, staff_number: str, disabled: bool) -> bool:
    """Disable or enable a clerk; False if there is none."""
    found = writer.run(
        "UPDATE clerks SET disabled = :disabled WHERE authority = :authority AND staff_number = :staff_number",
        {"authority": authority, "staff_number": staff_number, "disabled": int(disabled)},
    )
    return found == 1

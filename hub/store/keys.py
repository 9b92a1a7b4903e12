"""Rows of `data_keys`, `signing_keys`, `x509_certificates` and `public_urls`. Public keys are kept permanently."""

from dataclasses import dataclass
from enum import IntEnum

from hub.db.database import Reader, Row, Writer
from hub.vault import KeyPurpose, KeyState, StaleKeys, Vault, WrappedKey
from signing.keys import PublicKey, Purpose


class SigningState(IntEnum):
    """next: published, not used yet; active: signs; retired: permanently verifies, never signs."""

    NEXT = 1
    ACTIVE = 2
    RETIRED = 3


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public signing key on record."""

    public: PublicKey
    state: SigningState
    created_at: int
    retired_at: int | None


@dataclass(frozen=True, slots=True)
class X509Record:
    """An X.509 certificate on record; times are µs UTC. revoked_at: None unless it was revoked."""

    serial: str
    kid: str
    name: str
    authority: str
    not_before: int
    not_after: int
    der: bytes
    revoked_at: int | None = None


def data_keys(reader: Reader) -> list[WrappedKey]:
    """Every data key, wrapped."""
    rows = reader.all("SELECT number, purpose, state, wrapped FROM data_keys ORDER BY number")
    return [WrappedKey(r["number"], KeyPurpose(r["purpose"]), KeyState(r["state"]), r["wrapped"]) for r in rows]


def require_current(reader: Reader, vault: Vault) -> None:
    """Raise StaleKeys if the keys have changed since the vault read them: hashes need the current keys."""
    rows = reader.all("SELECT number, state FROM data_keys ORDER BY number")
    if tuple((r["number"], r["state"]) for r in rows) != vault.mark:
        raise StaleKeys


def mark_text(vault: Vault) -> str:
    """`number:state` of every data key that the vault knows, in a form that a statement can compare."""
    return " ".join(f"{number}:{state}" for number, state in vault.mark)


def add_data_key(writer: Writer, key: WrappedKey, at: int) -> None:
    """Record a new data key."""
    writer.insert(
        "data_keys",
        {"number": key.number, "purpose": key.purpose, "state": key.state, "created_at": at, "wrapped": key.wrapped},
    )


def signing_keys(reader: Reader) -> list[SigningKey]:
    """All signing keys ever used, oldest first."""
    return [_signing_key(r) for r in reader.all("SELECT * FROM signing_keys ORDER BY created_at, kid")]


def signing_key(reader: Reader, kid: str) -> SigningKey | None:
    """One key on record, or None."""
    return next(
        (_signing_key(r) for r in reader.all("SELECT * FROM signing_keys WHERE kid = :kid", {"kid": kid})), None
    )


def _signing_key(row: Row) -> SigningKey:
    return SigningKey(
        PublicKey(row["kid"], Purpose(row["purpose"]), row["spki"], row["authority"] or None),
        SigningState(row["state"]),
        row["created_at"],
        row["retired_at"],
    )


def active_kid(reader: Reader, purpose: Purpose, authority: str = "") -> str | None:
    """The id of the active key for a purpose (and authority)."""
    row = reader.one(
        "SELECT kid FROM signing_keys WHERE purpose = :purpose AND authority = :authority AND state = 2"
        " ORDER BY created_at DESC, kid LIMIT 1",
        {"purpose": purpose.value, "authority": authority},
    )
    return str(row["kid"]) if row else None


def kids(reader: Reader) -> set[str]:
    """The ids of all signing keys on record."""
    return {str(row["kid"]) for row in reader.all("SELECT kid FROM signing_keys")}


def add_signing_key(writer: Writer, key: PublicKey, state: SigningState, at: int) -> None:
    """Record a public key."""
    values = {"kid": key.kid, "purpose": key.purpose.value, "authority": key.authority or "", "state": int(state)}
    writer.insert("signing_keys", {**values, "created_at": at, "retired_at": None, "spki": key.spki})


def set_signing_state(writer: Writer, kid: str, state: SigningState, at: int) -> None:
    """Change the state of a signing key."""
    writer.run(
        "UPDATE signing_keys SET state = :state, retired_at = CASE WHEN :state = 3 THEN :at ELSE retired_at END"
        " WHERE kid = :kid",
        {"kid": kid, "state": int(state), "at": at},
    )


def x509_certificates(reader: Reader) -> list[X509Record]:
    """All X.509 certificates on record."""
    rows = reader.all("SELECT * FROM x509_certificates ORDER BY not_before, serial")
    return [X509Record(**{name: r[name] for name in X509Record.__slots__}) for r in rows]


def add_x509_certificate(writer: Writer, record: X509Record) -> None:
    """Record an X.509 certificate."""
    writer.insert("x509_certificates", {name: getattr(record, name) for name in X509Record.__slots__})


def x509_mark(reader: Reader) -> tuple[int, ...]:
    """A value that changes whenever an X.509 certificate is issued or revoked; a cheap query."""
    row = reader.one(
        "SELECT COUNT(*) AS issued, COUNT(revoked_at) AS revoked, MAX(revoked_at) AS newest FROM x509_certificates"
    )
    return () if row is None else (row["issued"], row["revoked"], row["newest"] or 0)


def revoke_x509(writer: Writer, kid: str, at: int) -> int:
    """Record that the X.509 certificates of a key are revoked; returns how many were not revoked before."""
    return writer.run(
        "UPDATE x509_certificates SET revoked_at = :at WHERE kid = :kid AND revoked_at IS NULL", {"kid": kid, "at": at}
    )


def public_urls(reader: Reader) -> list[str]:
    """Every address that was ever printed, the current one first."""
    rows = reader.all("SELECT url FROM public_urls ORDER BY current DESC, since DESC")
    return [str(r["url"]) for r in rows]


def set_public_url(writer: Writer, url: str, at: int) -> None:
    """Make `url` the address that is printed from now on; previous addresses stay valid."""
    writer.run("UPDATE public_urls SET current = 0")
    writer.run(
        "INSERT INTO public_urls (url, since, current) VALUES (:url, :at, 1)"
        " ON CONFLICT (url) DO UPDATE SET current = 1",
        {"url": url, "at": at},
    )

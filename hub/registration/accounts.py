"""Machine accounts (clients) with their keys, and counter clerks.

The hub generates a client's key, hands out the private part once and keeps only the public part. `keep`, if given,
receives the private part before anything is recorded, so that a crash leaves a useless file instead of an unusable
account.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from hub.db.database import Database, Duplicate, Reader
from hub.domain.caller import SCOPES, Clerk, acting_for
from hub.domain.case import case_number
from hub.domain.errors import FieldError, Refusal
from hub.domain.numbers import contains_citizen_number, is_uscc
from hub.runtime.clock import Clock
from hub.store import clients as client_store
from hub.store import keys as key_store
from hub.store.catalogue import CatalogueCache
from hub.store.clients import Client, ClientKey
from hub.store.retry import retry_on_conflict
from hub.vault import Vault
from signing.keys import kid_of, spki_of

MAX_KEYS = 4
"""The maximum of accepted keys per client; an assertion without `kid` is tried with each of them."""

Keep = Callable[[bytes], None]

_NAME = re.compile(r"[a-z0-9-]{3,64}")
_STAFF_NUMBER = re.compile(r"[A-Za-z0-9-]{1,32}")


@dataclass(frozen=True, slots=True)
class _NewKey:
    public: ClientKey
    private_pem: bytes


class Accounts:
    """Adds, enables and disables accounts. Accounts are never deleted, because records refer to them."""

    def __init__(self, *, database: Database, clock: Clock, vault: Vault, catalogue: CatalogueCache) -> None:
        self._database = database
        self._clock = clock
        self._vault = vault
        self._catalogue = catalogue

    # --- clients ----------------------------------------------------------------------------------------------------

    def clients(self) -> list[Client]:
        """All clients with their keys, ordered by id."""
        return list(client_store.clients(self._database.reader).values())

    def add_client(
        self,
        name: str,
        authority: str,
        *,
        source: str | None = None,
        acts_for: Sequence[str] = (),
        scopes: Sequence[str] = (),
        own_source: bool = False,
        dpop: bool = False,
        keep: Keep | None = None,
    ) -> tuple[str, bytes]:
        """Register a client; returns (client id, private key as PKCS#8 PEM). The id is the name.

        source: the namespace of its case numbers; default: the code of its authority; never the code of another
        authority, unless it acts for that one without limits. acts_for: authorities as `CODE` or, limited to matters,
        `CODE:MATTER,…`. own_source: it acts for them only in cases of its own source. dpop: its access tokens must be
        bound to a key. Raises Refusal `schema.invalid` with every problem, and whatever `keep` raises; then nothing is
        recorded.
        """
        client = Client(
            client_id=name,
            authority=authority,
            source=authority if source is None else source,
            acts_for=frozenset(acts_for),
            scopes=frozenset(scopes),
            disabled=False,
            created_at=self._clock.now(),
            dpop=dpop,
            own_source=own_source,
        )
        problems = [*self._problems(client, acts_for, scopes), *_taken(self._database.reader, client)]
        if problems:
            raise Refusal("schema.invalid", errors=tuple(problems))
        made = _new_key(client.created_at)
        if keep is not None:
            keep(made.private_pem)
        with self._database.write(exclusive=True) as writer:
            problems = _taken(writer, client)
            if not problems:
                client_store.add_client(writer, client)
                client_store.add_client_key(writer, name, made.public)
        if problems:
            raise Refusal("schema.invalid", errors=tuple(problems))
        return name, made.private_pem

    def add_client_key(self, client_id: str, *, keep: Keep | None = None) -> bytes:
        """Add a key to a client (returned as PKCS#8 PEM); its other keys stay accepted until they are retired.

        Raises Refusal `schema.invalid` for an unknown client and for a client that already has MAX_KEYS.
        """
        made = _new_key(self._clock.now())
        self._require_room(self._database.reader, client_id)
        if keep is not None:
            keep(made.private_pem)
        with self._database.write(exclusive=True) as writer:
            self._require_room(writer, client_id)
            client_store.add_client_key(writer, client_id, made.public)
        return made.private_pem

    def retire_client_key(self, client_id: str, kid: str, at: datetime | None = None) -> None:
        """Let a key expire now or later; an expiry that was set is never postponed. The row is kept.

        Raises Refusal `schema.invalid` if the client has no such key.
        """
        at = self._clock.now() if at is None else at
        with self._database.write() as writer:
            found = client_store.expire_client_key(writer, client_id, kid, at)
        if not found:
            raise _refusal("/kid", "没有这个账号或密钥", "unknown client or key")

    def set_client_disabled(self, client_id: str, disabled: bool) -> None:
        """Disable or enable a client; takes effect within a second. Raises Refusal `schema.invalid`."""
        with self._database.write() as writer:
            found = client_store.set_client_disabled(writer, client_id, disabled)
        if not found:
            raise _no_such_client()

    def _require_room(self, reader: Reader, client_id: str) -> None:
        client = client_store.clients(reader).get(client_id)
        if client is None:
            raise _no_such_client()
        if sum(key.accepted(self._clock.now()) for key in client.keys) >= MAX_KEYS:
            message = (f"最多同时有 {MAX_KEYS} 个有效密钥，请先停用旧的", f"at most {MAX_KEYS} keys; retire one first")
            raise _refusal("/keys", *message)

    def _problems(self, client: Client, acts_for: Sequence[str], scopes: Sequence[str]) -> list[FieldError]:
        found: list[FieldError] = []

        def unless(fits: bool, pointer: str, message: str, message_en: str) -> None:
            if not fits:
                found.append(FieldError(pointer, "schema.invalid", message, message_en))

        unless(
            bool(_NAME.fullmatch(client.client_id)) and not contains_citizen_number(client.client_id),
            "/name",
            "账号名应为 3 至 64 个小写字母、数字或连字符",
            "the name must be 3 to 64 lower-case letters, digits or hyphens",
        )
        known = client.authority in self._catalogue(client.authority).authorities
        unless(known, "/authority", "证照类型目录里没有这个机构代码", "unknown authority")
        found += self._problems_of_acts_for(acts_for)
        unless(bool(scopes), "/scopes", "至少要有一个权限范围", "at least one scope is required")
        for i, scope in enumerate(scopes):
            unless(scope in SCOPES, f"/scopes/{i}", "没有这个权限范围", "unknown scope")
        unless(
            _is_source(client.source),
            "/source",
            "办件来源应为 1 至 64 个字母、汉字、数字或 -._~()〔〕",
            "the source must be 1 to 64 letters, digits or -._~()〔〕",
        )
        foreign = is_uscc(client.source) and client.source not in _bodies(client)
        unless(not foreign, "/source", "办件来源是另一机构的代码", "the source is the code of another authority")
        return found

    def _problems_of_acts_for(self, entries: Sequence[str]) -> Iterator[FieldError]:
        seen = set()
        for i, entry in enumerate(entries):
            pointer = f"/acts_for/{i}"
            try:
                item = acting_for(entry)
            except ValueError:
                yield FieldError(
                    pointer,
                    "schema.invalid",
                    "应写成 CODE 或 CODE:MATTER,MATTER（机构代码，后面可以加冒号和事项代码）",
                    "must be CODE or CODE:MATTER,MATTER",
                )
                continue
            if item.authority not in self._catalogue(item.authority).authorities:
                yield FieldError(pointer, "schema.invalid", "证照类型目录里没有这个机构代码", "unknown authority")
            if item.authority in seen:
                message = ("同一机构的事项请写在一起", "list the matters of one authority together")
                yield FieldError(pointer, "schema.invalid", *message)
            seen.add(item.authority)
            for matter in sorted(item.matters):
                if matter not in self._catalogue(matter).matters:
                    message = (f"证照类型目录里没有事项 {matter}", f"unknown matter {matter}")
                    yield FieldError(pointer, "schema.invalid", *message)

    # --- clerks -----------------------------------------------------------------------------------------------------

    def clerks(self) -> list[Clerk]:
        """All clerks, ordered by authority and staff number."""
        return client_store.clerks(self._database.reader, self._vault)

    def add_clerk(self, name: str, authority: str, staff_number: str) -> Clerk:
        """Register a clerk of an authority (idempotent).

        Raises Refusal `schema.invalid` for invalid values, an unknown authority, or a staff number that is in use.
        """
        name = unicodedata.normalize("NFC", name).strip()
        problems = self._clerk_problems(name, authority, staff_number)
        if problems:
            raise Refusal("schema.invalid", errors=tuple(problems))
        return retry_on_conflict(self._vault, lambda: self._put_clerk(Clerk(staff_number, name, authority)))

    def _put_clerk(self, clerk: Clerk) -> Clerk:
        row = client_store.clerk_row(self._vault, clerk, self._clock.now())
        try:
            with self._database.write() as writer:
                key_store.require_current(writer, self._vault)
                client_store.add_clerk(writer, row)
        except Duplicate:
            known = client_store.find_clerk(self._database.reader, self._vault, clerk.authority, clerk.staff_number)
            if known is None or known.name != clerk.name:
                raise _refusal(
                    "/id", "这个机构已有别人使用这个工号", "another clerk already has this staff number"
                ) from None
            return known
        return clerk

    def set_clerk_disabled(self, authority: str, staff_number: str, disabled: bool) -> None:
        """Disable or enable a clerk, effective at once. Raises Refusal `schema.invalid` for an unknown clerk."""
        with self._database.write() as writer:
            found = client_store.set_clerk_disabled(writer, authority, staff_number, disabled)
        if not found:
            raise _refusal("/id", "这个机构没有这个工号", "the authority has no clerk with this staff number")

    def _clerk_problems(self, name: str, authority: str, staff_number: str) -> list[FieldError]:
        found = []
        printable = all(unicodedata.category(c)[0] != "C" for c in name)
        if not 0 < len(name) <= 64 or not printable or contains_citizen_number(name):
            found.append(
                FieldError("/name", "schema.invalid", "姓名应为 1 至 64 个字", "the name must be 1 to 64 characters")
            )
        if authority not in self._catalogue(authority).authorities:
            message = ("证照类型目录里没有这个机构代码", "unknown authority")
            found.append(FieldError("/authority", "schema.invalid", *message))
        # Audit rows contain staff numbers in clear, so an identity number must not get there.
        if not _STAFF_NUMBER.fullmatch(staff_number) or contains_citizen_number(staff_number):
            message = (
                "工号应为 1 至 32 个字母、数字或连字符",
                "the staff number must be 1 to 32 letters, digits or hyphens",
            )
            found.append(FieldError("/id", "schema.invalid", *message))
        return found


def _new_key(now: datetime) -> _NewKey:
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return _NewKey(ClientKey(kid_of(public), spki_of(public), now), pem)


def _taken(reader: Reader, client: Client) -> list[FieldError]:
    """Conflicts with other clients: the same name, or the same source of an unrelated authority."""
    others = client_store.clients(reader)
    found = []
    if client.client_id in others:
        found.append(FieldError("/name", "schema.invalid", "已有同名账号", "a client with this name already exists"))
    bodies = _bodies(client)
    if any(o.source == client.source and o.authority not in bodies for o in others.values()):
        message = ("另一个机构的系统已在使用这个办件来源", "a client of another authority already uses this source")
        found.append(FieldError("/source", "schema.invalid", *message))
    return found


def _bodies(client: Client) -> set[str]:
    """The authorities whose source it may use as its own: its own one and those that it acts for without limits."""
    unlimited = {entry for entry in client.acts_for if ":" not in entry and not client.own_source}
    return unlimited | {client.authority}


def _is_source(text: str) -> bool:
    try:
        case_number(text)
    except Refusal:
        return False
    return True


def _no_such_client() -> Refusal:
    return _refusal("/client", "没有这个账号", "unknown client")


def _refusal(pointer: str, message: str, message_en: str) -> Refusal:
    return Refusal("schema.invalid", message, errors=(FieldError(pointer, "schema.invalid", message, message_en),))

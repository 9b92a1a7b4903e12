"""Machine accounts (clients) with their keys, and the clerks of counters.

The hub makes a client's key, hands its private part out once and keeps the public part only. `keep`, where it is given,
gets the private part before anything is on record, so that a crash leaves a file that opens nothing rather than an
account that nobody can use.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from hub.db.database import Database, Duplicate, Reader
from hub.domain.caller import SCOPES, Clerk
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
"""Keys of one client that are accepted at the same time: an assertion that names none is tried with each."""

Keep = Callable[[bytes], None]

_NAME = re.compile(r"[a-z0-9-]{3,64}")
_STAFF_NUMBER = re.compile(r"[A-Za-z0-9-]{1,32}")


@dataclass(frozen=True, slots=True)
class _NewKey:
    public: ClientKey
    private_pem: bytes


class Accounts:
    """Adds accounts and switches them off; nothing is ever deleted, for records name them."""

    def __init__(self, *, database: Database, clock: Clock, vault: Vault, catalogue: CatalogueCache) -> None:
        self._database = database
        self._clock = clock
        self._vault = vault
        self._catalogue = catalogue

    # --- clients ----------------------------------------------------------------------------------------------------

    def clients(self) -> list[Client]:
        """Every client with its keys, by id."""
        return list(client_store.clients(self._database.reader).values())

    def add_client(
        self,
        name: str,
        authority: str,
        *,
        source: str | None = None,
        acts_for: Sequence[str] = (),
        scopes: Sequence[str] = (),
        keep: Keep | None = None,
    ) -> tuple[str, bytes]:
        """(client id, private key as PKCS#8 PEM) of a new client; its id is its name.

        source: the space of its case numbers, by default its authority's code; never another body's. Raises Refusal
        `schema.invalid` with every problem, and what `keep` raises; then nothing is on record.
        """
        client = Client(
            client_id=name,
            authority=authority,
            source=authority if source is None else source,
            acts_for=frozenset(acts_for),
            scopes=frozenset(scopes),
            disabled=False,
            created_at=self._clock.now(),
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
        """One more key for a client (PKCS#8 PEM); its other keys stay accepted until they are retired.

        Raises Refusal `schema.invalid` for an unknown client and for one that has MAX_KEYS already.
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
        """Let a key end now or at a later moment; an end that was set is never put off. The row stays for ever.

        Raises Refusal `schema.invalid` where the client has no such key.
        """
        at = self._clock.now() if at is None else at
        with self._database.write() as writer:
            found = client_store.expire_client_key(writer, client_id, kid, at)
        if not found:
            raise _refusal("/kid", "没有这个账号或密钥", "there is no such client or key")

    def set_client_disabled(self, client_id: str, disabled: bool) -> None:
        """Switch a client off or on; running processes follow within two seconds. Raises Refusal `schema.invalid`."""
        with self._database.write() as writer:
            found = client_store.set_client_disabled(writer, client_id, disabled)
        if not found:
            raise _no_such_client()

    def _require_room(self, reader: Reader, client_id: str) -> None:
        client = client_store.clients(reader).get(client_id)
        if client is None:
            raise _no_such_client()
        if sum(key.accepted(self._clock.now()) for key in client.keys) >= MAX_KEYS:
            message = (f"最多同时有 {MAX_KEYS} 把有效密钥,请先停用旧的", f"{MAX_KEYS} keys at most: retire one first")
            raise _refusal("/keys", *message)

    def _problems(self, client: Client, acts_for: Sequence[str], scopes: Sequence[str]) -> list[FieldError]:
        found: list[FieldError] = []

        def unless(fits: bool, pointer: str, message: str, message_en: str) -> None:
            if not fits:
                found.append(FieldError(pointer, "schema.invalid", message, message_en))

        unless(
            bool(_NAME.fullmatch(client.client_id)) and not contains_citizen_number(client.client_id),
            "/name",
            "账号名为 3 至 64 个小写字母、数字或连字符",
            "a name is 3 to 64 lower-case letters, digits or hyphens",
        )
        for pointer, code in [
            ("/authority", client.authority),
            *((f"/acts_for/{i}", c) for i, c in enumerate(acts_for)),
        ]:
            known = code in self._catalogue(code).authorities
            unless(known, pointer, "目录中没有这个机构代码", "no such authority in the catalogue")
        unless(bool(scopes), "/scopes", "至少要有一个权限范围", "at least one scope is required")
        for i, scope in enumerate(scopes):
            unless(scope in SCOPES, f"/scopes/{i}", "没有这个权限范围", "no such scope")
        unless(
            _is_source(client.source),
            "/source",
            "办件来源为 1 至 64 个字母、汉字、数字或 -._~()〔〕",
            "a source is 1 to 64 letters, digits or -._~()〔〕",
        )
        foreign = is_uscc(client.source) and client.source not in client.acts_for | {client.authority}
        unless(not foreign, "/source", "办件来源是另一机构的代码", "the source is another body's code")
        return found

    # --- clerks -----------------------------------------------------------------------------------------------------

    def clerks(self) -> list[Clerk]:
        """Every clerk, by authority and staff number."""
        return client_store.clerks(self._database.reader, self._vault)

    def add_clerk(self, name: str, authority: str, staff_number: str) -> Clerk:
        """A clerk of an authority; the same one again changes nothing.

        Raises Refusal `schema.invalid` for a wrong form, an unknown authority, and a staff number of somebody else.
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
                raise _refusal("/id", "该机构已有另一人使用此工号", "somebody else has this staff number") from None
            return known
        return clerk

    def set_clerk_disabled(self, authority: str, staff_number: str, disabled: bool) -> None:
        """Switch a clerk off or on, at once. Raises Refusal `schema.invalid` where there is none."""
        with self._database.write() as writer:
            found = client_store.set_clerk_disabled(writer, authority, staff_number, disabled)
        if not found:
            raise _refusal("/id", "该机构没有这个工号", "the authority has no such staff number")

    def _clerk_problems(self, name: str, authority: str, staff_number: str) -> list[FieldError]:
        found = []
        printable = all(unicodedata.category(c)[0] != "C" for c in name)
        if not 0 < len(name) <= 64 or not printable or contains_citizen_number(name):
            found.append(FieldError("/name", "schema.invalid", "姓名为 1 至 64 个字", "a name is 1 to 64 characters"))
        if authority not in self._catalogue(authority).authorities:
            message = ("目录中没有这个机构代码", "no such authority in the catalogue")
            found.append(FieldError("/authority", "schema.invalid", *message))
        # Staff numbers stand in audit rows as they are: a citizen's number must not get there.
        if not _STAFF_NUMBER.fullmatch(staff_number) or contains_citizen_number(staff_number):
            message = ("工号为 1 至 32 个字母、数字或连字符", "a staff number is 1 to 32 letters, digits or hyphens")
            found.append(FieldError("/id", "schema.invalid", *message))
        return found


def _new_key(now: datetime) -> _NewKey:
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return _NewKey(ClientKey(kid_of(public), spki_of(public), now), pem)


def _taken(reader: Reader, client: Client) -> list[FieldError]:
    """What another client has already: the name, or the source where neither body acts for the other."""
    others = client_store.clients(reader)
    found = []
    if client.client_id in others:
        found.append(FieldError("/name", "schema.invalid", "已有同名账号", "there is a client of this name"))
    bodies = client.acts_for | {client.authority}
    if any(o.source == client.source and o.authority not in bodies for o in others.values()):
        message = ("办件来源已由另一机构的系统使用", "another body's system uses this source")
        found.append(FieldError("/source", "schema.invalid", *message))
    return found


def _is_source(text: str) -> bool:
    try:
        case_number(text)
    except Refusal:
        return False
    return True


def _no_such_client() -> Refusal:
    return _refusal("/client", "没有这个账号", "there is no such client")


def _refusal(pointer: str, message: str, message_en: str) -> Refusal:
    return Refusal("schema.invalid", message, errors=(FieldError(pointer, "schema.invalid", message, message_en),))

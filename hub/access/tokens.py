"""Access: a client authenticates with its key (RFC 7523) and gets an access token for ten minutes (RFC 9068).

Unauthenticated requests never cause a write: an assertion is fully checked before its `jti` is used up. An unknown or
disabled client, an unknown key and a wrong signature get the same answer at the same cost.
"""

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hub.access import jwt
from hub.access.caches import FailedLogins, Login, Verified, VerifiedTokens
from hub.db.database import Database, Duplicate
from hub.domain.caller import Caller
from hub.domain.dates import from_micros
from hub.domain.errors import Refusal
from hub.keys.keyring import Keyring
from hub.runtime.clock import Clock
from hub.store import clients as client_store
from hub.store import keys as key_store
from hub.store.clients import Client, ClientCache
from signing.encoding import base64url, compact_json
from signing.keys import PublicKey, Purpose

ASSERTION_LIFETIME_S = 120
TOKEN_LIFETIME_S = 600
ASSERTION_TYPES = frozenset({None, "JWT", "client-authentication+jwt"})
TOKEN_TYPE = "at+jwt"  # noqa: S105 (a media type)


class Access:
    """Issues access tokens and authenticates callers; shared by the threads of a process."""

    def __init__(self, *, database: Database, clock: Clock, keyring: Keyring) -> None:
        self._database = database
        self._clock = clock
        self._keyring = keyring
        self._clients = ClientCache(database)
        self._failed = FailedLogins()
        self._verified = VerifiedTokens()
        self._nobody = ec.generate_private_key(ec.SECP256R1()).public_key()

    # --- from an assertion to a token -------------------------------------------------------------------------------

    def issue_token(
        self, assertion: str, scope: str | None = None, *, client_id: str | None = None
    ) -> tuple[str, int, frozenset[str]]:
        """Exchange a new assertion for (access token, lifetime in seconds, granted scopes).

        scope: the requested scopes, separated by spaces; default: all scopes of the client. client_id: if given, it
        must match the assertion.
        Raises Refusal `auth.invalid`, `auth.expired`, `auth.clock_skew`, `auth.replayed`, `rate.limited` or
        `perm.scope`, and KeyMissing while tokens cannot be signed; then the assertion is not used up.
        """
        now = self._clock.now()
        read = jwt.read(assertion)
        login = (read.subject, read.kid or "")
        self._failed.require(login, now)
        client = self._authenticate(read, client_id, login, now)
        scopes = _granted(client, scope)
        token = self._token(client, scopes, now)
        self._use_up(client, read, login, now)
        return token, TOKEN_LIFETIME_S, scopes

    def _authenticate(self, read: jwt.Unverified, client_id: str | None, login: Login, now: datetime) -> Client:
        try:
            client = self._verify_assertion(read, now)
            if client_id is not None and client_id != client.client_id:
                jwt.refuse("client_id 与断言的 sub 不一致")
            self._refuse_replay(client, read)
        except Refusal:
            self._failed.count(login, now)
            raise
        return client

    def _refuse_replay(self, client: Client, read: jwt.Unverified) -> None:
        if client_store.jti_is_used(self._database.reader, client.client_id, read.jti):
            raise Refusal("auth.replayed")

    def _verify_assertion(self, read: jwt.Unverified, now: datetime) -> Client:
        client = self._clients.find(read.subject)
        keys = [] if client is None or client.disabled else _keys(client, read.kid, now)
        expected = jwt.Expected(
            types=ASSERTION_TYPES,
            issuer=read.subject,
            subject=read.subject,
            audience=self.issuer(),
            lifetime_s=ASSERTION_LIFETIME_S,
        )
        jwt.check(read, keys or [self._nobody], expected, now)
        if client is None or not keys:
            jwt.refuse(jwt.UNKNOWN)
        return client

    def _use_up(self, client: Client, read: jwt.Unverified, login: Login, now: datetime) -> None:
        until = datetime.fromtimestamp(read.expires_at + jwt.SKEW_S, tz=UTC)
        try:
            with self._database.write() as writer:
                client_store.forget_jtis(writer, now)
                client_store.use_jti(writer, client.client_id, read.jti, until)
        except Duplicate:
            self._failed.count(login, now)
            raise Refusal("auth.replayed") from None

    def _token(self, client: Client, scopes: frozenset[str], now: datetime) -> str:
        """Build a token (RFC 9068) by hand: the private key does not leave the key folder, so PyJWT cannot sign."""
        issuer = self.issuer()
        key = self._keyring.active(Purpose.ACCESS_TOKEN)
        at = int(now.timestamp())
        header = compact_json.encode({"alg": jwt.ALGORITHM, "typ": TOKEN_TYPE, "kid": key.kid})
        claims = compact_json.encode(
            {
                "iss": issuer,
                "aud": issuer,
                "sub": client.client_id,
                "client_id": client.client_id,
                "iat": at,
                "exp": at + TOKEN_LIFETIME_S,
                "jti": secrets.token_urlsafe(16),
                "scope": " ".join(sorted(scopes)),
            }
        )
        signed = f"{base64url.encode(header)}.{base64url.encode(claims)}"
        signature = self._keyring.sign(key.kid, Purpose.ACCESS_TOKEN, signed.encode())
        return f"{signed}.{base64url.encode(signature)}"

    # --- from a token to a caller -----------------------------------------------------------------------------------

    def caller(self, bearer: str) -> Caller:
        """The caller with this access token, with the scopes that both the token and the client have now.

        Disabling a client or removing a scope takes effect within a second. Raises Refusal `auth.invalid`,
        `auth.expired` or `auth.clock_skew`.
        """
        now = self._clock.now()
        key = self._verified.key(bearer)
        said = self._verified.get(key)
        if said is None:
            said = self._verify_token(bearer, now)
            self._verified.put(key, said)
        if now.timestamp() >= said.expires_at:
            self._verified.drop(key)
            raise Refusal("auth.expired")
        client = self._clients.find(said.client_id)
        if client is None or client.disabled:
            jwt.refuse("此账号已停用")
        return replace(caller_of(client), scopes=client.scopes & said.scopes)

    def _verify_token(self, bearer: str, now: datetime) -> Verified:
        read = jwt.read(bearer)
        expected = jwt.Expected(
            types=frozenset({TOKEN_TYPE}),
            issuer=(issuer := self.issuer()),
            subject=read.subject,
            audience=issuer,
            lifetime_s=TOKEN_LIFETIME_S,
            late_s=0,
        )
        jwt.check(read, [self._token_key(read).key], expected, now)
        scope = read.claims.get("scope")
        if read.claims.get("client_id") != read.subject or not isinstance(scope, str):
            jwt.refuse("访问令牌的内容不完整")
        return Verified(read.subject, frozenset(scope.split()), read.expires_at)

    def _token_key(self, read: jwt.Unverified) -> PublicKey:
        found = self._keyring.find(read.kid) if read.kid else None
        if found is None or found.public.purpose is not Purpose.ACCESS_TOKEN:
            jwt.refuse(jwt.UNKNOWN)
        if found.retired_at is not None:
            # A stolen retired key can sign anything, so refuse tokens issued after the key was retired.
            end = from_micros(found.retired_at) + timedelta(seconds=jwt.SKEW_S)
            if read.issued_at > end.timestamp():
                jwt.refuse(jwt.UNKNOWN)
        return found.public

    def issuer(self) -> str:
        """The current public address, which is issuer and audience of assertions and tokens."""
        return key_store.public_urls(self._database.reader)[0]


def caller_of(client: Client) -> Caller:
    """The caller for a client, with all its scopes."""
    return Caller(
        client_id=client.client_id,
        authority=client.authority,
        source=client.source,
        acts_for=client.acts_for,
        scopes=client.scopes,
    )


def _keys(client: Client, kid: str | None, now: datetime) -> list[ec.EllipticCurvePublicKey]:
    """The candidate keys: the named one, or all accepted keys, newest first."""
    accepted = [key for key in reversed(client.keys) if key.accepted(now) and kid in {None, key.kid}]
    return [_load(key.spki) for key in accepted]


@lru_cache(maxsize=1024)
def _load(spki: bytes) -> ec.EllipticCurvePublicKey:
    key = load_der_public_key(spki)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("a client key on record is not an elliptic-curve key")
    return key


def _granted(client: Client, scope: str | None) -> frozenset[str]:
    wanted = frozenset((scope or "").split())
    if not wanted <= client.scopes:
        raise Refusal("perm.scope")
    return wanted or client.scopes

"""Access: a client authenticates with its key (RFC 7523) and gets an access token for ten minutes (RFC 9068).

Unauthenticated requests never cause a write: an assertion is fully checked before its `jti` is used up. An unknown or
disabled client, an unknown key and a wrong signature get the same answer at the same cost: one verification, so that
every assertion can be verified, whatever was sent before in the same name. A token may be bound to a key (RFC 9449).
"""

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hub.access import dpop, jwt
from hub.access.caches import FailedLogins, Verified, VerifiedTokens
from hub.access.dpop import InvalidProof, Proof, Proven
from hub.db.database import Database, Duplicate
from hub.domain.caller import Caller, authorities_of
from hub.domain.dates import from_micros
from hub.domain.errors import Refusal
from hub.keys.keyring import Keyring
from hub.runtime import logs
from hub.runtime.clock import Clock
from hub.runtime.shared_file import SharedFile
from hub.store import clients as client_store
from hub.store import keys as key_store
from hub.store.clients import Client, ClientCache
from signing.encoding import base64url, compact_json
from signing.keys import PublicKey, Purpose

ASSERTION_LIFETIME_S = 120
TOKEN_LIFETIME_S = 600
ASSERTION_TYPES = frozenset({None, "JWT", "client-authentication+jwt"})
TOKEN_TYPE = "at+jwt"  # noqa: S105 (a media type)
_log = logs.get("access")


class Access:
    """Issues access tokens and authenticates callers; shared by the threads of a process."""

    def __init__(self, *, database: Database, clock: Clock, keyring: Keyring, shared: SharedFile) -> None:
        self._database = database
        self._clock = clock
        self._keyring = keyring
        self._clients = ClientCache(database)
        self._failed = FailedLogins(shared)
        self._verified = VerifiedTokens()
        self._nobody = ec.generate_private_key(ec.SECP256R1()).public_key()

    # --- from an assertion to a token -------------------------------------------------------------------------------

    def issue_token(
        self,
        assertion: str,
        scope: str | None = None,
        *,
        client_id: str | None = None,
        address: str = "",
        proof: Proof | None = None,
    ) -> tuple[str, int, frozenset[str]]:
        """Exchange a new assertion for (access token, lifetime in seconds, granted scopes).

        scope: the requested scopes, separated by spaces; default: all scopes of the client. client_id: if given, it
        must match the assertion. address: where the request comes from. proof: binds the token to its key.
        Raises Refusal `auth.invalid`, `auth.expired`, `auth.clock_skew`, `auth.replayed`, `rate.limited` or
        `perm.scope`, and KeyMissing while tokens cannot be signed; then the assertion is not used up.
        """
        now = self._clock.now()
        claimed = ""
        try:
            read = jwt.read(assertion)
            claimed = read.subject
            client = self._verify_assertion(read, client_id, now)
            proven = self._proven(client, proof, now)
            scopes = _granted(client, scope)
            token = self._token(client, scopes, proven, now)
            self._use_up(client, read, proven, now)
        except Refusal as refusal:
            if refusal.code.startswith("auth."):
                self._failed.count(claimed, address, now)
            raise
        return token, TOKEN_LIFETIME_S, scopes

    def _verify_assertion(self, read: jwt.Unverified, client_id: str | None, now: datetime) -> Client:
        client = self._clients.find(read.subject)
        key = None if client is None or client.disabled else _key(client, read.kid, now)
        expected = jwt.Expected(
            types=ASSERTION_TYPES,
            issuer=read.subject,
            subject=read.subject,
            audience=self.issuer(),
            lifetime_s=ASSERTION_LIFETIME_S,
        )
        jwt.check(read, key or self._nobody, expected, now)
        if client is None or key is None:
            jwt.refuse(jwt.unknown(read))
        if client_id is not None and client_id != client.client_id:
            jwt.refuse("client_id 与断言的 sub 不一致")
        self._refuse_replay(client, read.jti)
        if read.kid is None:
            _log.warning("assertion without kid", client=client.client_id)
        return client

    def _proven(self, client: Client, proof: Proof | None, now: datetime) -> Proven | None:
        if proof is None:
            if client.dpop:
                raise InvalidProof("此账号的访问令牌要绑定密钥：请求应带 DPoP 头（RFC 9449）")
            return None
        proven = dpop.check(proof, self.issuer(), now)
        self._refuse_replay(client, proven.used)
        return proven

    def _refuse_replay(self, client: Client, jti: str) -> None:
        if client_store.jti_is_used(self._database.reader, client.client_id, jti):
            raise Refusal("auth.replayed")

    def _use_up(self, client: Client, read: jwt.Unverified, proven: Proven | None, now: datetime) -> None:
        used = {read.jti: read.expires_at + jwt.SKEW_S}
        if proven is not None:
            used[proven.used] = proven.expires_at
        try:
            with self._database.write() as writer:
                client_store.forget_jtis(writer, now)
                for jti, until in used.items():
                    client_store.use_jti(writer, client.client_id, jti, datetime.fromtimestamp(until, tz=UTC))
        except Duplicate:
            raise Refusal("auth.replayed") from None

    def _token(self, client: Client, scopes: frozenset[str], proven: Proven | None, now: datetime) -> str:
        """Build a token (RFC 9068) by hand: the private key does not leave the key folder, so PyJWT cannot sign."""
        issuer = self.issuer()
        key = self._keyring.active(Purpose.ACCESS_TOKEN)
        at = int(now.timestamp())
        header = compact_json.encode({"alg": jwt.ALGORITHM, "typ": TOKEN_TYPE, "kid": key.kid})
        claims: dict[str, Any] = {
            "iss": issuer,
            "aud": issuer,
            "sub": client.client_id,
            "client_id": client.client_id,
            "iat": at,
            "exp": at + TOKEN_LIFETIME_S,
            "jti": secrets.token_urlsafe(16),
            "scope": " ".join(sorted(scopes)),
        }
        if proven is not None:
            claims["cnf"] = {"jkt": proven.thumbprint}
        signed = f"{base64url.encode(header)}.{base64url.encode(compact_json.encode(claims))}"
        signature = self._keyring.sign(key.kid, Purpose.ACCESS_TOKEN, signed.encode())
        return f"{signed}.{base64url.encode(signature)}"

    # --- from a token to a caller -----------------------------------------------------------------------------------

    def caller(self, token: str, proof: Proof | None = None) -> Caller:
        """The caller with this access token, with the scopes that both the token and the client have now.

        proof: of a request with the scheme DPoP; a token that is bound to a key needs a new one every time. Disabling a
        client or removing a scope takes effect within a second. Raises Refusal `auth.invalid`, `auth.expired`,
        `auth.clock_skew` or `auth.replayed`.
        """
        said, client = self._holder(token)
        if proof is not None:
            self._use_proof(client, said, dpop.check(proof, self.issuer(), self._clock.now(), token))
        elif said.thumbprint is not None:
            jwt.refuse("此访问令牌绑定了密钥，请求应写 Authorization: DPoP，并带 DPoP 头")
        elif client.dpop:
            jwt.refuse("此账号的访问令牌要绑定密钥，请重新取得")
        return replace(caller_of(client), scopes=client.scopes & said.scopes)

    def again(self, token: str) -> Caller:
        """The caller later in the same request, which `caller` accepted; raises `auth.invalid` and `auth.expired`."""
        said, client = self._holder(token)
        return replace(caller_of(client), scopes=client.scopes & said.scopes)

    def _holder(self, token: str) -> tuple[Verified, Client]:
        """What a valid token says, and its client, which is not disabled."""
        now = self._clock.now()
        key = self._verified.key(token)
        said = self._verified.get(key)
        if said is None:
            said = self._verify_token(token, now)
            self._verified.put(key, said)
        if now.timestamp() >= said.expires_at:
            self._verified.drop(key)
            raise Refusal("auth.expired")
        client = self._clients.find(said.client_id)
        if client is None or client.disabled:
            jwt.refuse("此账号已停用")
        return said, client

    def _use_proof(self, client: Client, said: Verified, proven: Proven) -> None:
        if said.thumbprint is None:
            jwt.refuse("此访问令牌没有绑定密钥，请求应写 Authorization: Bearer")
        if said.thumbprint != proven.thumbprint:
            raise InvalidProof("DPoP 证明用的不是访问令牌所绑定的密钥")
        self._refuse_replay(client, proven.used)
        until = datetime.fromtimestamp(proven.expires_at, tz=UTC)
        try:
            with self._database.write() as writer:
                client_store.use_jti(writer, client.client_id, proven.used, until)
        except Duplicate:
            raise Refusal("auth.replayed") from None

    def _verify_token(self, token: str, now: datetime) -> Verified:
        read = jwt.read(token)
        expected = jwt.Expected(
            types=frozenset({TOKEN_TYPE}),
            issuer=(issuer := self.issuer()),
            subject=read.subject,
            audience=issuer,
            lifetime_s=TOKEN_LIFETIME_S,
            late_s=0,
        )
        jwt.check(read, self._token_key(read).key, expected, now)
        scope, bound = read.claims.get("scope"), read.claims.get("cnf", {"jkt": None})
        if read.claims.get("client_id") != read.subject or not isinstance(scope, str) or "jkt" not in bound:
            jwt.refuse("访问令牌的内容不完整")
        return Verified(read.subject, frozenset(scope.split()), read.expires_at, bound["jkt"])

    def _token_key(self, read: jwt.Unverified) -> PublicKey:
        found = self._keyring.find(read.kid) if read.kid else None
        if found is None or found.public.purpose is not Purpose.ACCESS_TOKEN:
            jwt.refuse(jwt.unknown(read))
        if found.retired_at is not None:
            # A stolen retired key can sign anything, so refuse tokens issued after the key was retired.
            end = from_micros(found.retired_at) + timedelta(seconds=jwt.SKEW_S)
            if read.issued_at > end.timestamp():
                jwt.refuse(jwt.unknown(read))
        return found.public

    def issuer(self) -> str:
        """The current public address, which is issuer and audience of assertions and tokens."""
        return key_store.public_urls(self._database.reader)[0]


def caller_of(client: Client) -> Caller:
    """The caller for a client, with all its scopes."""
    acts_for, limited = authorities_of(client.acts_for, client.source if client.own_source else None)
    return Caller(
        client_id=client.client_id,
        authority=client.authority,
        source=client.source,
        acts_for=acts_for,
        scopes=client.scopes,
        limited=limited,
    )


def _key(client: Client, kid: str | None, now: datetime) -> ec.EllipticCurvePublicKey | None:
    """The accepted key with this id; without an id the oldest, which every system knew before a rotation began."""
    accepted = (key for key in client.keys if key.accepted(now) and kid in {None, key.kid})
    found = next(accepted, None)
    return None if found is None else _load(found.spki)


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

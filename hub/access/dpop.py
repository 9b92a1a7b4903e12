"""Proofs that a request comes from the holder of a key (DPoP, RFC 9449); access tokens can be bound to that key."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from hub.access import jwt
from hub.domain.errors import Refusal
from signing.encoding import base64url, compact_json
from signing.errors import Malformed

TYPE = "dpop+jwt"
LIFETIME_S = 60
_P256_BYTES = 32
_PORTS = {"http": 80, "https": 443}


class InvalidProof(Refusal):
    """`auth.invalid` because of the proof and not because of the token."""

    def __init__(self, detail: str) -> None:
        super().__init__("auth.invalid", detail)


@dataclass(frozen=True, slots=True)
class Proof:
    """The DPoP header of a request, with the request's method and path (decoded)."""

    text: str
    method: str
    path: str


@dataclass(frozen=True, slots=True)
class Proven:
    """A proof that was checked. thumbprint: of its key (RFC 7638). The `jti` may be forgotten at `expires_at`."""

    thumbprint: str
    jti: str
    expires_at: int

    @property
    def used(self) -> str:
        """What is remembered: no assertion has this `jti`, and a proof with another key may have the same."""
        return f"{TYPE} {self.thumbprint} {self.jti}"


def check(proof: Proof, public_url: str, now: datetime, token: str | None = None) -> Proven:
    """Check a proof (§4.3) for a request to the hub at this address, and with this access token, if any.

    Raises InvalidProof, and Refusal `auth.clock_skew` for a proof from the future. Whether its `jti` is new is left to
    the caller.
    """
    try:
        header, claims = jwt.parse(proof.text, jwt.FOREIGN - {"jwk"})
        if header.get("typ") != TYPE:
            _refuse(f"typ 应为 {TYPE}")
        key, thumbprint = _key(header.get("jwk"))
        jwt.require_signature(proof.text, key)
        jti, issued_at = jwt.as_text("jti", claims.get("jti")), jwt.as_second("iat", claims.get("iat"))
    except InvalidProof:
        raise
    except Refusal as refusal:
        _refuse(refusal.detail)
    if claims.get("htm") != proof.method:
        _refuse("htm 与请求的方法不符")
    if _place(claims.get("htu")) != _place(public_url, proof.path):
        _refuse("htu 应为请求的地址：平台的公开地址加路径")
    if token is not None and claims.get("ath") != hash_of(token):
        _refuse("ath 与访问令牌不符")
    if issued_at > now.timestamp() + jwt.SKEW_S:
        raise Refusal("auth.clock_skew")
    expires_at = issued_at + LIFETIME_S + jwt.SKEW_S
    if now.timestamp() >= expires_at:
        _refuse("iat 太早，每次请求都要做新的证明")
    return Proven(thumbprint, jti, expires_at)


def thumbprint(key: ec.EllipticCurvePublicKey) -> str:
    """The thumbprint of a P-256 key (RFC 7638), as in `cnf.jkt` of a token."""
    return _hash(compact_json.encode({**jwk_of(key)}))


def hash_of(token: str) -> str:
    """The hash of an access token, as in the claim `ath` of a proof."""
    return _hash(token.encode("utf-8", "surrogatepass"))


def jwk_of(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """A P-256 key as a JWK with its required members in the order of RFC 7638, as in the header of a proof."""
    numbers = key.public_numbers()
    x, y = (base64url.encode(number.to_bytes(_P256_BYTES)) for number in (numbers.x, numbers.y))
    return {"crv": "P-256", "kty": "EC", "x": x, "y": y}


def _key(value: Any) -> tuple[ec.EllipticCurvePublicKey, str]:
    if not isinstance(value, Mapping) or (value.get("kty"), value.get("crv")) != ("EC", "P-256"):
        _refuse("头部的 jwk 应为 P-256 公钥")
    if "d" in value:
        _refuse("jwk 只能是公钥，不能含有 d；请立即更换这把密钥")
    try:
        x, y = (base64url.decode(str(value.get(name)), "jwk") for name in ("x", "y"))
        numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), ec.SECP256R1())
        key = numbers.public_key()
    except (Malformed, ValueError):
        _refuse("头部的 jwk 不是一个 P-256 公钥")
    if (len(x), len(y)) != (_P256_BYTES, _P256_BYTES):
        _refuse("jwk 的 x 和 y 各应为 32 字节")
    return key, thumbprint(key)


def _place(address: Any, path: str | None = None) -> tuple[str, str, int | None, str] | None:
    """Scheme, host, port and path of an address, normalised (RFC 9449 §4.3); query and fragment do not count."""
    try:
        parts = urlsplit(address) if isinstance(address, str) else None
        if parts is None or parts.username is not None or not parts.hostname:
            return None
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    own = unquote(parts.path)
    return parts.scheme, parts.hostname, port, (own if path is None else own + path) or "/"


def _hash(data: bytes) -> str:
    return base64url.encode(hashlib.sha256(data).digest())


def _refuse(detail: str) -> NoReturn:
    raise InvalidProof(f"DPoP 证明无效：{detail}") from None

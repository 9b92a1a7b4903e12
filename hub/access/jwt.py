"""A strict wrapper around PyJWT, for client assertions, access tokens and proofs.

`read` parses a token without trusting it; `check` accepts or refuses it. PyJWT verifies the signature, issuer, audience
and subject. This module additionally refuses what PyJWT accepts by default (RFC 8725): algorithms other than ES256, a
wrong `typ`, keys and URLs in the header, repeated members, non-canonical encodings, times that are not integers, long
lifetimes and missing claims. Times are compared with the time passed in.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from hub.domain.errors import Refusal
from signing.encoding import base64url
from signing.errors import Malformed

MAX_CHARACTERS = 4096
SKEW_S = 60
ALGORITHM = "ES256"
REQUIRED = ("iss", "sub", "aud", "exp", "iat", "jti")

_FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_KID = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_LAST_SECOND = 253_402_300_799  # the end of the year 9999
FOREIGN = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"})
"""Header members that supply a key chosen by the sender, or change the meaning of the token."""

_PYJWT = jwt.PyJWT()
_PYJWS = jwt.PyJWS()
_MISMATCH: dict[type[Exception], str] = {
    jwt.InvalidAudienceError: "aud 应为平台的公开地址",
    jwt.InvalidIssuerError: "iss 不符",
}


@dataclass(frozen=True, slots=True)
class Unverified:
    """A well-formed token with an unverified signature; times are seconds since 1970 UTC."""

    text: str
    typ: str | None
    kid: str | None
    issuer: str
    subject: str
    jti: str
    issued_at: int
    expires_at: int
    not_before: int | None
    claims: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Expected:
    """The required claims: `types` are the allowed values of `typ` (None: may be absent).

    lifetime_s: the maximum of `exp` - `iat`. late_s: how long after `exp` the token is accepted, for clock skew.
    """

    types: frozenset[str | None]
    issuer: str
    subject: str
    audience: str
    lifetime_s: int
    late_s: int = SKEW_S


def read(token: str) -> Unverified:
    """Parse a token; raises Refusal `auth.invalid` if it is malformed. The content is not yet trusted."""
    return _unverified(token, *parse(token, FOREIGN))


def parse(token: str, unwanted: frozenset[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a JWT for ES256, without the header members that are `unwanted`; raises as `read`."""
    match = _FORM.fullmatch(token) if len(token) <= MAX_CHARACTERS else None
    if match is None:
        refuse("不是一个签名的 JWT，或超过 4096 个字符")
    try:
        first, second, _ = (base64url.decode(part, "jwt") for part in match.groups())
    except Malformed:
        refuse("不是规范的 base64url")
    header, claims = _object(first), _object(second)
    if header.get("alg") != ALGORITHM:
        refuse("alg 应为 ES256")
    if unwanted & header.keys():
        refuse("头部不得含有 jku、jwk、x5u、x5c、crit 等")
    return header, claims


def require_signature(token: str, key: EllipticCurvePublicKey) -> None:
    """Raise Refusal `auth.invalid` unless the key signed the token; the claims are not checked."""
    try:
        _PYJWS.decode(token, key, algorithms=[ALGORITHM])
    except jwt.PyJWTError:
        refuse("签名不符")


def check(token: Unverified, key: EllipticCurvePublicKey, expected: Expected, now: datetime) -> None:
    """Accept a token signed with this key, or raise Refusal.

    The codes are `auth.invalid`, `auth.expired` and `auth.clock_skew`. The signature is checked first, so that an
    attacker without a key learns nothing.
    """
    if token.typ not in expected.types:
        refuse("typ 不符")
    try:
        _decode(token, key, expected)
    except jwt.PyJWTError as error:
        refuse(_MISMATCH.get(type(error), unknown(token)))
    _check_times(token, expected, now.timestamp())


def _decode(token: Unverified, key: EllipticCurvePublicKey, expected: Expected) -> None:
    _PYJWT.decode(
        token.text,
        key,
        algorithms=[ALGORITHM],
        audience=expected.audience,
        issuer=expected.issuer,
        subject=expected.subject,
        options={
            "require": list(REQUIRED),
            # RFC 7519 §4.1.3 allows a list; `_unverified` has checked that it has one element.
            "strict_aud": isinstance(token.claims["aud"], str),
            "enforce_minimum_key_length": True,
            # PyJWT would use the system clock; `_check_times` uses the time passed in.
            "verify_exp": False,
            "verify_iat": False,
            "verify_nbf": False,
        },
    )


def _check_times(token: Unverified, expected: Expected, now: float) -> None:
    if now >= token.expires_at + expected.late_s:
        raise Refusal("auth.expired")
    if max(token.issued_at, token.not_before or 0) > now + SKEW_S:
        raise Refusal("auth.clock_skew")
    if not 0 < token.expires_at - token.issued_at <= expected.lifetime_s:
        refuse(f"exp 应晚于 iat，且不超过 {expected.lifetime_s} 秒")


def unknown(token: Unverified) -> str:
    """Why an account, a key or a signature is refused: one text for all, which depends on nothing that is on record."""
    missing = "" if token.kid else "；头部应有 kid，写明用的是哪一把密钥"
    return f"账号、密钥或签名不符{missing}"


def refuse(detail: str) -> NoReturn:
    """Raise Refusal `auth.invalid`."""
    raise Refusal("auth.invalid", detail) from None


# --- form -------------------------------------------------------------------------------------------------------------


def _unverified(token: str, header: dict[str, Any], claims: dict[str, Any]) -> Unverified:
    typ, kid = header.get("typ"), header.get("kid")
    if not (typ is None and "typ" not in header) and not isinstance(typ, str):
        refuse("typ 应为文本")
    if "kid" in header and not (isinstance(kid, str) and _KID.fullmatch(kid)):
        refuse("kid 的格式不符")
    missing = [name for name in REQUIRED if name not in claims]
    if missing:
        refuse(f"缺少 {'、'.join(missing)}")
    audience = claims["aud"]
    as_text("aud", audience[0] if isinstance(audience, list) and len(audience) == 1 else audience)
    return Unverified(
        text=token,
        typ=typ,
        kid=kid,
        issuer=as_text("iss", claims["iss"]),
        subject=as_text("sub", claims["sub"]),
        jti=as_text("jti", claims["jti"]),
        issued_at=as_second("iat", claims["iat"]),
        expires_at=as_second("exp", claims["exp"]),
        not_before=as_second("nbf", claims["nbf"]) if "nbf" in claims else None,
        claims=claims,
    )


def as_text(name: str, value: object) -> str:
    """A claim that is a text of 1 to 512 characters; raises Refusal `auth.invalid`."""
    if not isinstance(value, str) or not 0 < len(value) <= 512 or any("\ud800" <= c <= "\udfff" for c in value):
        refuse(f"{name} 应为 1 至 512 个字符的文本")
    return value


def as_second(name: str, value: object) -> int:
    """A claim that is a time; raises Refusal `auth.invalid`.

    Integers only: readers of RFC 7519 disagree about 1e10 and "1", and a bool is an int in Python.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LAST_SECOND:
        refuse(f"{name} 应为整数秒")
    return value


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        refuse("头部和内容应为 JSON 对象，键不得重复")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is repeated")
    return members


def _no_constant(_: str) -> NoReturn:
    raise ValueError("not a number of RFC 8259")

"""The client side of authentication: assertions (RFC 7523 §3) and proofs (RFC 9449), as `hub token` signs them."""

import secrets
from datetime import datetime

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hub.access import dpop
from signing.keys import kid_of

LIFETIME_S = 60


def sign_assertion(private_pem: bytes, client_id: str, audience: str, now: datetime) -> str:
    """A one-time assertion, valid for a minute, for the hub at `audience`.

    Raises ValueError unless the key is an unencrypted P-256 private key in PEM.
    """
    private = read_key(private_pem)
    at = int(now.timestamp())
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": at,
        "exp": at + LIFETIME_S,
        "jti": secrets.token_urlsafe(16),
    }
    return jwt.encode(claims, private, algorithm="ES256", headers={"kid": kid_of(private.public_key())})


def sign_proof(private_pem: bytes, method: str, url: str, now: datetime, token: str | None = None) -> str:
    """A one-time proof of a key for one request, with this access token, if any; raises ValueError as above."""
    private = read_key(private_pem)
    claims = {"htm": method, "htu": url, "iat": int(now.timestamp()), "jti": secrets.token_urlsafe(16)}
    if token is not None:
        claims["ath"] = dpop.hash_of(token)
    return jwt.encode(
        claims, private, algorithm="ES256", headers={"typ": dpop.TYPE, "jwk": dpop.jwk_of(private.public_key())}
    )


def read_key(private_pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Load a client's private key; raises ValueError like `sign_assertion`."""
    try:
        private = load_pem_private_key(private_pem, None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("the key is encrypted or of another kind") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise ValueError("not a P-256 key")  # noqa: TRY004 (the file is wrong, not the type of an argument)
    return private

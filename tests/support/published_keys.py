"""Read public keys as a client reads them: from a published JWK."""

from base64 import urlsafe_b64decode

from cryptography.hazmat.primitives.asymmetric import ec

from signing.keys import PublicKey, Purpose, spki_of


def public_key_of(jwk: dict[str, str], purpose: Purpose) -> PublicKey:
    """The key of an EC P-256 JWK (RFC 7518 section 6.2.1)."""
    assert (jwk["kty"], jwk["crv"]) == ("EC", "P-256")
    assert "d" not in jwk, "a private key was published"
    x, y = (int.from_bytes(urlsafe_b64decode(jwk[name] + "="), "big") for name in ("x", "y"))
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    return PublicKey(kid=jwk["kid"], purpose=purpose, spki=spki_of(public))

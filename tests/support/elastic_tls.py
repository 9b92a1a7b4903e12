"""Configuration of a secured test server: a certificate authority of its own, and users of the file realm.

The file realm, because native users and API keys need an analyzer that the build for integration tests lacks.
"""

import base64
import hashlib
import ipaddress
import json
import secrets
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

CA = "ca.crt"
SETTINGS = {
    "xpack.security.enabled": True,
    "xpack.security.enrollment.enabled": False,
    "xpack.security.authc.reserved_realm.enabled": False,
    "xpack.security.authc.realms.file.files.order": 0,
    "xpack.security.http.ssl.enabled": True,
    "xpack.security.http.ssl.key": "http.key",
    "xpack.security.http.ssl.certificate": "http.crt",
}
_ITERATIONS = 10_000


def files(prefix: str) -> tuple[dict[str, str], dict[str, str]]:
    """(files of the configuration folder, passwords by user): `superuser`, and `hub`, limited to one index prefix."""
    passwords = {name: secrets.token_urlsafe(18) for name in ("superuser", "hub")}
    role = {
        "hub": {
            "cluster": ["monitor"],
            "indices": [{"names": [f"{prefix}*"], "privileges": ["manage", "read", "write"]}],
        }
    }
    authority, certificate, key = _certificates()
    return {
        CA: authority,
        "http.crt": certificate,
        "http.key": key,
        "users": "".join(f"{name}:{_hashed(password)}\n" for name, password in passwords.items()),
        "users_roles": "superuser:superuser\nhub:hub\n",
        "roles.yml": json.dumps(role),
    }, passwords


def _hashed(password: str) -> str:
    salt = secrets.token_bytes(32)
    derived = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS, 32)
    return f"{{PBKDF2}}{_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(derived).decode()}"


def _certificates() -> tuple[str, str, str]:
    """(CA certificate, server certificate, server key) as PEM."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test server")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    authority = (
        _builder(issuer, issuer, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=False, key_cert_sign=True, crl_sign=True, **usage), critical=True
        )
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        _builder(subject, issuer, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (*(found.public_bytes(Encoding.PEM).decode() for found in (authority, certificate)), private.decode())


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )

"""X.509 certificates and CRLs for document seals: a root, an issuing CA, one certificate for each authority.

P-256 with SHA-256 throughout, profile of RFC 5280. Certificates are DER. The private keys stay in their KeyFolder and
are used only for their purpose: a root key signs the root and issuing CAs, an issuing key signs document certificates.
The caller passes dates as aware datetimes; they never extend beyond the issuer's.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from signing.errors import Malformed, SigningError, WrongPurpose
from signing.keys import KeyFolder, PublicKey, Purpose, kid_of

DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # RFC 9336
_LONGEST_NAME = 64  # ub-common-name, ub-organization-name: RFC 5280 appendix A.1


@dataclass(frozen=True, slots=True)
class Validity:
    """Start and end of validity, aware datetimes with a precision of seconds."""

    not_before: datetime
    not_after: datetime

    def __post_init__(self) -> None:
        if self.not_before.tzinfo is None or self.not_after.tzinfo is None or self.not_before >= self.not_after:
            raise Malformed("x509.dates")


@dataclass(frozen=True, slots=True)
class Revoked:
    """One entry of a CRL; serial: of the X.509 certificate; reason: the name of a CRLReason of RFC 5280 §5.3.1."""

    serial: int
    at: datetime
    reason: str = "unspecified"


@dataclass(frozen=True, slots=True)
class Summary:
    """The listed data of an X.509 certificate; fingerprint: SHA-256 in hex; serial in hex."""

    subject: str
    issuer: str
    serial: str
    kid: str
    not_before: datetime
    not_after: datetime
    fingerprint: str
    is_ca: bool
    organisation_code: str | None


def build_root(folder: KeyFolder, root: PublicKey, name: str, validity: Validity) -> bytes:
    """Return the self-signed root; name: that of the hub; the common name is `{name} Root`."""
    _require(root, Purpose.ROOT)
    subject = _ca_name(name, "Root")
    builder = _builder(subject, subject, root, validity)
    builder = _ca_extensions(builder, root, root.key, path_length=1)
    return _sign(builder, folder, root)


def build_issuing(
    folder: KeyFolder,
    root: PublicKey,
    root_der: bytes,
    issuing: PublicKey,
    *,
    name: str,
    validity: Validity,
    crl_url: str,
) -> bytes:
    """Return the issuing CA's certificate, signed by the root; crl_url: where the root's CRL is published."""
    _require(root, Purpose.ROOT)
    _require(issuing, Purpose.ISSUING)
    builder = _builder(_ca_name(name, "Issuing CA"), _issuer(root_der, root, validity), issuing, validity)
    builder = _ca_extensions(builder, issuing, root.key, path_length=0)
    return _sign(_with_crl(builder, crl_url), folder, root)


def build_document(
    folder: KeyFolder,
    issuing: PublicKey,
    issuing_der: bytes,
    document: PublicKey,
    *,
    authority_name: str,
    validity: Validity,
    crl_url: str,
) -> bytes:
    """Return the certificate of one authority's document key, signed by the issuing CA.

    document: its `authority` is the code in the subject. crl_url: where the issuing CA's CRL is published. The EKU
    includes emailProtection in addition to documentSigning because NSS, and so pdfsig, trusts no signer without it.
    """
    _require(issuing, Purpose.ISSUING)
    _require(document, Purpose.DOCUMENT)
    if not document.authority:
        raise Malformed("x509.authority")
    subject = _name(
        (NameOID.COUNTRY_NAME, "CN"),
        (NameOID.ORGANIZATION_NAME, authority_name),
        (NameOID.ORGANIZATION_IDENTIFIER, document.authority),
        (NameOID.SERIAL_NUMBER, document.authority),
        (NameOID.COMMON_NAME, authority_name),
    )
    builder = _builder(subject, _issuer(issuing_der, issuing, validity), document, validity)
    builder = _identifiers(builder, document, issuing.key)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(digital_signature=True, content_commitment=True), critical=True)
    usages = [ExtendedKeyUsageOID.EMAIL_PROTECTION, DOCUMENT_SIGNING]
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return _sign(_with_crl(builder, crl_url), folder, issuing)


def build_crl(
    folder: KeyFolder,
    issuer: PublicKey,
    issuer_der: bytes,
    *,
    number: int,
    validity: Validity,
    revoked: Sequence[Revoked],
) -> bytes:
    """Return the DER CRL of a root or issuing CA; number: increases with every CRL of this issuer (RFC 5280 §5.2.3)."""
    if issuer.purpose not in {Purpose.ROOT, Purpose.ISSUING}:
        raise WrongPurpose("only a CA publishes a CRL")
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=_parse(issuer_der).subject, last_update=validity.not_before, next_update=validity.not_after
    )
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key), critical=False)
    builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    for entry in revoked:
        line = x509.RevokedCertificateBuilder(serial_number=entry.serial, revocation_date=entry.at)
        if entry.reason != "unspecified":
            line = line.add_extension(x509.CRLReason(_reason(entry.reason)), critical=False)
        builder = builder.add_revoked_certificate(line.build())
    signed = builder.sign(folder.private_key(issuer.kid, issuer.purpose), hashes.SHA256())
    if not signed.is_signature_valid(issuer.key):
        raise SigningError("the private key is not that of the key on record")
    return signed.public_bytes(Encoding.DER)


def summary(der: bytes) -> Summary:
    """Parse the listed data; raises Malformed for bytes that are not an X.509 certificate with a P-256 key."""
    certificate = _parse(der)
    try:
        public = certificate.public_key()
        subject, issuer = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
        codes = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_IDENTIFIER)
        is_ca = any(
            extension.value.ca
            for extension in certificate.extensions
            if isinstance(extension.value, x509.BasicConstraints)
        )
    except (ValueError, x509.DuplicateExtension) as error:
        raise Malformed("x509.certificate") from error
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise Malformed("x509.certificate")
    return Summary(
        subject=subject,
        issuer=issuer,
        serial=f"{certificate.serial_number:x}",
        kid=kid_of(public),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint=hashlib.sha256(der).hexdigest(),
        is_ca=is_ca,
        organisation_code=str(codes[0].value) if codes else None,
    )


def next_update(crl: bytes) -> datetime:
    """Return the nextUpdate of a CRL (DER); raises Malformed."""
    try:
        found = x509.load_der_x509_crl(crl).next_update_utc
    except ValueError as error:
        raise Malformed("x509.crl") from error
    if found is None:
        raise Malformed("x509.crl")
    return found


def ends_of(text: bytes) -> list[datetime]:
    """Return the end of validity of each X.509 certificate in a PEM file, at least one; raises Malformed."""
    try:
        return [certificate.not_valid_after_utc for certificate in x509.load_pem_x509_certificates(text)]
    except ValueError as error:
        raise Malformed("x509.certificate") from error


def pem(der: bytes) -> str:
    """Return an X.509 certificate as PEM text; raises Malformed."""
    return _parse(der).public_bytes(Encoding.PEM).decode("ascii")


def is_issued_by(der: bytes, issuer_der: bytes) -> bool:
    """Say whether the names match and the issuer's key signed it; ignores dates and revocation."""
    try:
        _parse(der).verify_directly_issued_by(_parse(issuer_der))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _require(key: PublicKey, purpose: Purpose) -> None:
    if key.purpose is not purpose:
        raise WrongPurpose(f"key {key.kid} is not for {purpose}")


def _name(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    if any(not 0 < len(value) <= _LONGEST_NAME for _, value in parts):
        raise Malformed("x509.name")
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _ca_name(name: str, role: str) -> x509.Name:
    return _name(
        (NameOID.COUNTRY_NAME, "CN"), (NameOID.ORGANIZATION_NAME, name), (NameOID.COMMON_NAME, f"{name} {role}")
    )


def _parse(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise Malformed("x509.certificate") from error


def _issuer(issuer_der: bytes, issuer: PublicKey, validity: Validity) -> x509.Name:
    """Return the issuer's name after checking that its certificate belongs to this key and outlives the new one."""
    certificate = _parse(issuer_der)
    public = certificate.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey) or kid_of(public) != issuer.kid:
        raise Malformed("x509.issuer")
    if validity.not_before.astimezone(UTC).replace(microsecond=0) < certificate.not_valid_before_utc:
        raise Malformed("x509.dates")
    if validity.not_after > certificate.not_valid_after_utc:
        raise Malformed("x509.dates")
    return certificate.subject


def _builder(subject: x509.Name, issuer: x509.Name, key: PublicKey, validity: Validity) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key.key,
        serial_number=x509.random_serial_number(),  # 159 random bits, positive in 20 bytes: RFC 5280 §4.1.2.2
        not_valid_before=validity.not_before.astimezone(UTC).replace(microsecond=0),
        not_valid_after=validity.not_after.astimezone(UTC).replace(microsecond=0),
    )


def _identifiers(
    builder: x509.CertificateBuilder, key: PublicKey, issuer: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.key), critical=False)
    return builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)


def _ca_extensions(
    builder: x509.CertificateBuilder, key: PublicKey, issuer: ec.EllipticCurvePublicKey, *, path_length: int
) -> x509.CertificateBuilder:
    builder = _identifiers(builder, key, issuer)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    return builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)


def _usage(
    *,
    digital_signature: bool = False,
    content_commitment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _with_crl(builder: x509.CertificateBuilder, crl_url: str) -> x509.CertificateBuilder:
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl_url)], None, None, None)
    return builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)


def _reason(name: str) -> x509.ReasonFlags:
    try:
        return x509.ReasonFlags[name]
    except KeyError as error:
        raise Malformed("x509.reason") from error


def _sign(builder: x509.CertificateBuilder, folder: KeyFolder, issuer: PublicKey) -> bytes:
    certificate = builder.sign(folder.private_key(issuer.kid, issuer.purpose), hashes.SHA256())
    # Verified with the recorded public key, not with one derived from the private file.
    try:
        issuer.key.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise SigningError("the private key is not that of the key on record") from error
    return certificate.public_bytes(Encoding.DER)

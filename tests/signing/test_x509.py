"""X.509 certificates and CRLs, verified by OpenSSL and NSS as well as by our code."""

import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509 as pyca
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from signing import x509
from signing.errors import KeyMissing, Malformed, SigningError, WrongPurpose
from signing.keys import KeyFolder, PublicKey, Purpose
from tests.judges import missing

NOW = datetime(2026, 1, 1, 8, 30, 15, 999_999, UTC)
AUTHORITY, AUTHORITY_NAME = "11350100MB1234567X", "福州市示例建设局"
ROOT_CRL, ISSUING_CRL = "http://127.0.0.1:8080/x509/root.crl", "http://127.0.0.1:8080/x509/issuing.crl"


def years(count: int, start: datetime = NOW) -> x509.Validity:
    return x509.Validity(start, start + timedelta(days=365 * count))


@dataclass
class Pki:
    folder: KeyFolder
    root: PublicKey
    issuing: PublicKey
    document: PublicKey
    root_der: bytes
    issuing_der: bytes
    document_der: bytes


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = KeyFolder(tmp_path_factory.mktemp("keys"), b"x")
    root, issuing = folder.generate(Purpose.ROOT), folder.generate(Purpose.ISSUING)
    document = folder.generate(Purpose.DOCUMENT, authority=AUTHORITY)
    root_der = x509.build_root(folder, root, "示例市电子证照库", years(20))
    issuing_der = x509.build_issuing(
        folder, root, root_der, issuing, name="示例市电子证照库", validity=years(10), crl_url=ROOT_CRL
    )
    document_der = x509.build_document(
        folder, issuing, issuing_der, document, authority_name=AUTHORITY_NAME, validity=years(2), crl_url=ISSUING_CRL
    )
    return Pki(folder, root, issuing, document, root_der, issuing_der, document_der)


def crls(pki: Pki, *revoked: x509.Revoked) -> tuple[bytes, bytes]:
    week = x509.Validity(NOW, NOW + timedelta(days=7))
    return (
        x509.build_crl(pki.folder, pki.root, pki.root_der, number=1, validity=week, revoked=[]),
        x509.build_crl(pki.folder, pki.issuing, pki.issuing_der, number=2, validity=week, revoked=revoked),
    )


def extension(der: bytes, kind: type[pyca.ExtensionType]) -> pyca.Extension[pyca.ExtensionType]:
    return pyca.load_der_x509_certificate(der).extensions.get_extension_for_class(kind)


def test_profile_of_the_authorities(pki: Pki) -> None:
    for der, length in ((pki.root_der, 1), (pki.issuing_der, 0)):
        basic, usage = extension(der, pyca.BasicConstraints), extension(der, pyca.KeyUsage)
        assert basic.critical
        assert usage.critical
        assert (basic.value.ca, basic.value.path_length) == (True, length)
        assert (usage.value.key_cert_sign, usage.value.crl_sign) == (True, True)
        assert not any((usage.value.digital_signature, usage.value.content_commitment))
    root = pyca.load_der_x509_certificate(pki.root_der)
    assert root.issuer == root.subject
    assert root.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "示例市电子证照库 Root"


def test_profile_of_a_document_certificate(pki: Pki) -> None:
    certificate = pyca.load_der_x509_certificate(pki.document_der)
    usage = extension(pki.document_der, pyca.KeyUsage)
    assert usage.critical
    assert (usage.value.digital_signature, usage.value.content_commitment) == (True, True)
    assert not any((usage.value.key_cert_sign, usage.value.crl_sign, usage.value.key_encipherment))
    basic = extension(pki.document_der, pyca.BasicConstraints)
    assert basic.value.ca is False
    assert list(extension(pki.document_der, pyca.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.EMAIL_PROTECTION,
        pyca.ObjectIdentifier("1.3.6.1.5.5.7.3.36"),
    ]
    points = list(extension(pki.document_der, pyca.CRLDistributionPoints).value)
    assert [name.value for point in points for name in point.full_name] == [ISSUING_CRL]
    named = {
        oid: certificate.subject.get_attributes_for_oid(oid)[0].value
        for oid in (NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATION_IDENTIFIER, NameOID.SERIAL_NUMBER)
    }
    assert list(named.values()) == [AUTHORITY_NAME, AUTHORITY, AUTHORITY]
    assert certificate.signature_algorithm_oid.dotted_string == "1.2.840.10045.4.3.2"
    assert len(pki.document_der) < 900


def test_key_identifiers_chain(pki: Pki) -> None:
    chain = (pki.root_der, pki.root_der), (pki.issuing_der, pki.root_der), (pki.document_der, pki.issuing_der)
    for der, issuer in chain:
        own = extension(issuer, pyca.SubjectKeyIdentifier).value
        assert extension(der, pyca.AuthorityKeyIdentifier).value.key_identifier == own.digest
        assert x509.is_issued_by(der, issuer)
    assert not x509.is_issued_by(pki.document_der, pki.root_der)
    assert not x509.is_issued_by(pki.root_der, pki.issuing_der)


def test_serials_are_random_of_160_bits(pki: Pki) -> None:
    serials = {int(x509.summary(x509.build_root(pki.folder, pki.root, "x", years(1))).serial, 16) for _ in range(40)}
    assert len(serials) == 40
    assert 150 < max(serial.bit_length() for serial in serials) < 160
    assert all(serial > 0 for serial in serials)


def test_summary(pki: Pki) -> None:
    shown = x509.summary(pki.document_der)
    assert shown.kid == pki.document.kid
    assert shown.not_before == NOW.replace(microsecond=0)
    assert shown.not_after == (NOW + timedelta(days=730)).replace(microsecond=0)
    assert (shown.is_ca, shown.organisation_code) == (False, AUTHORITY)
    assert x509.summary(pki.root_der).is_ca
    assert "示例市电子证照库 Issuing CA" in shown.issuer
    assert x509.pem(pki.root_der).startswith("-----BEGIN CERTIFICATE-----\n")
    for garbage in (b"", b"x", pki.root_der[:-1], pki.root_der + b"\0", pki.root_der[:200] + b"\xff" * 20 + pki.root_der[220:]):  # fmt: skip
        with pytest.raises(Malformed):
            x509.summary(garbage)


def test_keys_do_only_what_they_are_for(pki: Pki) -> None:
    validity = years(1)
    with pytest.raises(WrongPurpose):
        x509.build_root(pki.folder, pki.issuing, "x", validity)
    with pytest.raises(WrongPurpose):
        x509.build_issuing(
            pki.folder, pki.root, pki.root_der, pki.document, name="x", validity=validity, crl_url=ROOT_CRL
        )
    with pytest.raises(WrongPurpose):
        x509.build_document(
            pki.folder, pki.root, pki.root_der, pki.document, authority_name="x", validity=validity, crl_url=ROOT_CRL
        )
    with pytest.raises(WrongPurpose):
        x509.build_crl(pki.folder, pki.document, pki.document_der, number=1, validity=validity, revoked=[])


def test_what_would_not_verify_is_not_built(pki: Pki) -> None:
    def document(**changes: object) -> bytes:
        arguments = {"authority_name": AUTHORITY_NAME, "validity": years(1), "crl_url": ISSUING_CRL} | changes
        return x509.build_document(pki.folder, pki.issuing, pki.issuing_der, pki.document, **arguments)  # type: ignore[arg-type]

    for changes in (
        {"validity": years(11)},
        {"validity": years(1, NOW - timedelta(days=1))},
        {"authority_name": ""},
        {"authority_name": "某" * 65},
    ):
        with pytest.raises(Malformed):
            document(**changes)
    for start, end in ((NOW, NOW), (NOW.replace(tzinfo=None), NOW.replace(tzinfo=None))):
        with pytest.raises(Malformed):
            x509.Validity(start, end)
    nameless = PublicKey(pki.document.kid, Purpose.DOCUMENT, pki.document.spki)
    with pytest.raises(Malformed):
        x509.build_document(
            pki.folder,
            pki.issuing,
            pki.issuing_der,
            nameless,
            authority_name="x",
            validity=years(1),
            crl_url="http://x",
        )
    with pytest.raises(Malformed, match=r"x509\.issuer"):
        x509.build_document(
            pki.folder,
            pki.issuing,
            pki.root_der,
            pki.document,
            authority_name="x",
            validity=years(1),
            crl_url="http://x",
        )
    with pytest.raises(Malformed):
        crls(pki, x509.Revoked(1, NOW, "because"))


def test_a_missing_key_is_named(pki: Pki, tmp_path: Path) -> None:
    empty = KeyFolder(tmp_path, b"x")
    with pytest.raises(KeyMissing) as caught:
        x509.build_root(empty, pki.root, "x", years(1))
    assert caught.value.kid == pki.root.kid
    assert isinstance(caught.value, SigningError)


def test_a_private_key_that_is_not_the_one_on_record_is_noticed(pki: Pki) -> None:
    class WrongFolder(KeyFolder):
        def private_key(self, kid: str, purpose: Purpose) -> ec.EllipticCurvePrivateKey:
            return ec.generate_private_key(ec.SECP256R1())

    wrong = WrongFolder(Path("nowhere"), b"x")
    with pytest.raises(SigningError, match="on record"):
        x509.build_root(wrong, pki.root, "x", years(1))
    with pytest.raises(SigningError, match="on record"):
        x509.build_crl(wrong, pki.root, pki.root_der, number=1, validity=years(1), revoked=[])


def test_keys_of_other_curves_are_not_listed() -> None:
    private = ec.generate_private_key(ec.SECP384R1())
    name = pyca.Name([pyca.NameAttribute(NameOID.COMMON_NAME, "x")])
    builder = pyca.CertificateBuilder(name, name, private.public_key(), 1, NOW, NOW + timedelta(days=1))
    for extra in ([], [pyca.BasicConstraints(ca=False, path_length=None)]):
        built = builder
        for item in extra:
            built = built.add_extension(item, critical=True)
        with pytest.raises(Malformed):
            x509.summary(built.sign(private, hashes.SHA256()).public_bytes(Encoding.DER))


def test_crls_list_what_is_revoked(pki: Pki) -> None:
    serial = int(x509.summary(pki.document_der).serial, 16)
    _, issuing = crls(pki, x509.Revoked(serial, NOW, "key_compromise"), x509.Revoked(7, NOW))
    crl = pyca.load_der_x509_crl(issuing)
    assert crl.is_signature_valid(pki.issuing.key)
    assert crl.next_update_utc == (NOW + timedelta(days=7)).replace(microsecond=0)
    assert crl.extensions.get_extension_for_class(pyca.CRLNumber).value.crl_number == 2
    found = crl.get_revoked_certificate_by_serial_number(serial)
    assert found is not None
    assert found.extensions.get_extension_for_class(pyca.CRLReason).value.reason is pyca.ReasonFlags.key_compromise
    assert crl.get_revoked_certificate_by_serial_number(7) is not None
    assert crl.get_revoked_certificate_by_serial_number(8) is None


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def openssl_verify(pki: Pki, tmp_path: Path, *revoked: x509.Revoked) -> subprocess.CompletedProcess[str]:
    for name, der in (("root", pki.root_der), ("issuing", pki.issuing_der), ("document", pki.document_der)):
        (tmp_path / f"{name}.pem").write_text(x509.pem(der))
    lists = [pyca.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in crls(pki, *revoked)]  # fmt: skip
    (tmp_path / "crls.pem").write_bytes(b"".join(lists))
    moment = str(int((NOW + timedelta(days=1)).timestamp()))
    return run(
        "openssl", "verify", "-x509_strict", "-crl_check_all", "-purpose", "smimesign", "-attime", moment,
        "-CAfile", tmp_path / "root.pem", "-untrusted", tmp_path / "issuing.pem", "-CRLfile", tmp_path / "crls.pem",
        tmp_path / "document.pem",
    )  # fmt: skip


def test_openssl_accepts_the_chain_and_its_crls(pki: Pki, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        missing("openssl")
    done = openssl_verify(pki, tmp_path)
    assert done.returncode == 0, done.stderr
    serial = int(x509.summary(pki.document_der).serial, 16)
    done = openssl_verify(pki, tmp_path, x509.Revoked(serial, NOW, "superseded"))
    assert done.returncode != 0
    assert "certificate revoked" in done.stderr


def test_nss_accepts_the_chain_for_signing_mail(pki: Pki, tmp_path: Path) -> None:
    """pdfsig asks NSS for this usage, so a document certificate must have it."""
    if shutil.which("certutil") is None:
        missing("certutil (libnss3-tools)")
    store = f"sql:{tmp_path}"
    assert run("certutil", "-N", "-d", store, "--empty-password").returncode == 0
    for name, der, trust in (
        ("root", pki.root_der, "CT,C,C"),
        ("issuing", pki.issuing_der, ",,"),
        ("document", pki.document_der, ",,"),
    ):
        (tmp_path / f"{name}.der").write_bytes(der)
        added = run("certutil", "-A", "-d", store, "-n", name, "-t", trust, "-i", tmp_path / f"{name}.der")
        assert added.returncode == 0, added.stderr
    moment = (NOW + timedelta(days=1)).strftime("%y%m%d%H%M%SZ")
    done = run("certutil", "-V", "-d", store, "-n", "document", "-u", "S", "-b", moment)
    assert "certificate is valid" in done.stdout, done.stdout + done.stderr
    (tmp_path / "issuing.crl").write_bytes(crls(pki)[1])
    assert shutil.which("crlutil") is None or run("crlutil", "-I", "-d", store, "-i", tmp_path / "issuing.crl").returncode == 0  # fmt: skip

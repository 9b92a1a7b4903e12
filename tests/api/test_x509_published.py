"""Check a seal with the PDF and what we publish only, and detect a bad one."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from asn1crypto import x509 as asn1
from cryptography import x509
from pyhanko.pdf_utils.reader import PdfFileReader
from typer.testing import CliRunner

from hub.app import create_app
from hub.cli import build
from hub.domain.version import Version
from hub.rotation import CannotRotate
from signing.keys import Purpose
from tests.documents.test_rendition import all_versions
from tests.judges import missing
from tests.support import city as c
from tests.support.city import City, open_copy
from tests.support.serving import served

pytestmark = pytest.mark.sqlite


@dataclass
class Web:
    city: City
    http: httpx.Client

    def fetch(self, folder: Path) -> tuple[list[Path], list[Path], list[Path]]:
        """Roots, intermediates and CRLs as files, from trust.json only."""
        answer = self.http.get("/x509/trust.json")
        assert answer.status_code == 200
        said = answer.json()
        assert set(said) == {"roots", "intermediates", "crls"}
        folder.mkdir(exist_ok=True)
        made: tuple[list[Path], list[Path], list[Path]] = ([], [], [])
        for kind, texts in enumerate((said["roots"], said["intermediates"])):
            for text in texts:
                made[kind].append(folder / f"{kind}-{len(made[kind])}.pem")
                made[kind][-1].write_text(text)
        for url in said["crls"]:
            assert url.startswith(f"{c.URL}/x509/")
            found = self.http.get(url.removeprefix(c.URL))
            assert (found.status_code, found.headers["content-type"]) == (200, "application/pkix-crl")
            made[2].append(folder / url.rpartition("/")[2])
            made[2][-1].write_bytes(found.content)
        return made


@pytest.fixture
def web(template: Path, tmp_path: Path) -> Iterator[Web]:
    with (
        open_copy(template, tmp_path / "data") as city,
        served(create_app(city.parts)) as address,
        httpx.Client(base_url=address) as http,
    ):
        yield Web(city, http)


def sample(city: City) -> tuple[Version, bytes]:
    version = all_versions(city)[0]
    return version, city.parts.rendition.of_version(version)


def signer_of(pdf: bytes) -> asn1.Certificate:
    return PdfFileReader(BytesIO(pdf)).embedded_signatures[0].signer_cert


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("openssl") is None:
        missing("openssl")
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)


def verify(web: Web, pdf: bytes, folder: Path) -> str:
    """OpenSSL's verdict on the signer's X.509 certificate, using only published files."""
    roots, issuing, crls = web.fetch(folder)
    texts = [path.read_text() for path in roots]
    for path in crls:
        done = openssl("crl", "-inform", "DER", "-in", path)
        assert done.returncode == 0, done.stderr
        texts.append(done.stdout)
    (folder / "trusted.pem").write_text("".join(texts))
    (folder / "signer.der").write_bytes(signer_of(pdf).dump())
    openssl("x509", "-inform", "DER", "-in", folder / "signer.der", "-out", folder / "signer.pem")
    done = openssl(
        "verify", "-x509_strict", "-crl_check_all", "-no-CAfile", "-no-CApath", "-trusted", folder / "trusted.pem",
        "-untrusted", issuing[0], "-CRLfile", folder / "trusted.pem", folder / "signer.pem",
    )  # fmt: skip
    return done.stdout + done.stderr


def test_openssl_follows_the_chain_and_both_lists(web: Web, tmp_path: Path) -> None:
    version, pdf = sample(web.city)
    assert verify(web, pdf, tmp_path / "x").strip().endswith("signer.pem: OK")
    assert signer_of(pdf).subject.native["organization_identifier"] == version.authority


def test_pdfsig_trusts_the_file_with_the_published_root_alone(web: Web, tmp_path: Path) -> None:
    for tool in ("pdfsig", "certutil"):
        if shutil.which(tool) is None:
            missing(tool)
    _, pdf = sample(web.city)
    roots, _, _ = web.fetch(tmp_path / "x")
    store = f"sql:{tmp_path}"
    subprocess.run(["certutil", "-N", "-d", store, "--empty-password"], check=True)
    subprocess.run(["certutil", "-A", "-d", store, "-n", "root", "-t", "CT,C,C", "-a", "-i", str(roots[0])], check=True)
    (tmp_path / "sample.pdf").write_bytes(pdf)
    command = ["pdfsig", "-nssdir", store, str(tmp_path / "sample.pdf")]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    for words in ("Signature is Valid.", "Certificate is Trusted.", "Total document signed"):
        assert words in said


def test_lists_are_where_the_certificates_say_and_good_for_a_week(web: Web, tmp_path: Path) -> None:
    _, pdf = sample(web.city)
    roots, issuing, crls = web.fetch(tmp_path / "x")
    authorities = [x509.load_pem_x509_certificate(path.read_bytes()) for path in (*roots, *issuing)]
    assert len(crls) == len(authorities) == 2
    now = datetime.now(UTC)
    for path, authority in zip(crls, authorities, strict=True):
        found = x509.load_der_x509_crl(path.read_bytes())
        assert found.is_signature_valid(authority.public_key())  # type: ignore[arg-type]
        assert found.issuer == authority.subject
        assert found.last_update_utc <= now
        assert timedelta(days=6) < (found.next_update_utc or now) - now < timedelta(days=8)
        assert len(found) == 0
    for certificate in (authorities[1], x509.load_der_x509_certificate(signer_of(pdf).dump())):
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        (name,) = points[0].full_name or ()
        assert web.http.get(name.value.removeprefix(c.URL)).status_code == 200


def test_a_revoked_key_is_on_the_list_at_once_and_the_file_no_longer_good(web: Web, tmp_path: Path) -> None:
    version, pdf = sample(web.city)
    rotation = web.city.parts.rotation
    signer = web.city.parts.keyring.active(Purpose.DOCUMENT, version.authority)
    before = {path.name: path.read_bytes() for path in web.fetch(tmp_path / "a")[2]}
    with pytest.raises(CannotRotate, match="in use"):
        rotation.revoke(signer.kid)
    rotation.replace(Purpose.DOCUMENT, version.authority)
    assert verify(web, pdf, tmp_path / "b").strip().endswith("OK")
    rotation.revoke(signer.kid)
    told = verify(web, pdf, tmp_path / "c")
    assert "certificate revoked" in told
    after = {path.name: path.read_bytes() for path in web.fetch(tmp_path / "d")[2]}
    issuing = next(name for name in after if name.startswith("issuing"))
    old, new = (x509.load_der_x509_crl(lists[issuing]) for lists in (before, after))
    assert [f"{line.serial_number:x}" for line in new] == [f"{signer_of(pdf).serial_number:x}"]
    numbers = [crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for crl in (old, new)]
    assert numbers[0] < numbers[1]
    with pytest.raises(CannotRotate, match="already revoked"):
        rotation.revoke(signer.kid)
    other = next(v for v in all_versions(web.city) if v.authority != version.authority)
    assert verify(web, web.city.parts.rendition.of_version(other), tmp_path / "e").strip().endswith("OK")


def test_lists_are_cached_for_a_moment_and_then_signed_again(web: Web) -> None:
    path = web.http.get("/x509/trust.json").json()["crls"][1].removeprefix(c.URL)
    first = web.http.get(path).content
    assert web.http.get(path).content == first
    web.city.clock.ahead = timedelta(seconds=6)
    assert web.http.get(path).content != first
    web.city.clock.ahead = -timedelta(hours=1)  # the clock was set back: a list from the future is not served
    assert x509.load_der_x509_crl(web.http.get(path).content).last_update_utc < datetime.now(UTC)


def test_a_missing_key_is_reported_and_what_was_signed_stays_valid(web: Web) -> None:
    root, issuing = (url.removeprefix(c.URL) for url in web.http.get("/x509/trust.json").json()["crls"])
    first = web.http.get(root).content
    keys = web.city.folder / "keys"
    keys.rename(keys.with_name("away"))
    refused = web.http.get(issuing)
    assert (refused.status_code, refused.json()["code"]) == (503, "sign.unavailable")
    assert refused.headers["retry-after"]
    web.city.clock.ahead = timedelta(days=3)
    assert web.http.get(root).content == first
    web.city.clock.ahead = timedelta(days=8)
    assert web.http.get(root).status_code == 503
    keys.with_name("away").rename(keys)
    assert web.http.get(root).status_code == web.http.get(issuing).status_code == 200


@pytest.mark.parametrize("name", ["x", "root-", "root-AAAAAAAAAAA", "document-x", "..%2Fhub", "%00"])
def test_there_is_no_other_list(web: Web, name: str) -> None:
    answer = web.http.get(f"/x509/{name}.crl")
    assert (answer.status_code, answer.json()["code"]) == (404, "page.not_found")


def test_only_authorities_have_a_list(web: Web) -> None:
    for record in web.city.parts.rotation.x509_certificates():
        status = web.http.get(f"/x509/{record.name}.crl").status_code
        assert status == (404 if record.name.startswith("document") else 200)


def test_revoking_from_the_command_line(web: Web) -> None:
    version, _ = sample(web.city)
    kid = web.city.parts.keyring.active(Purpose.DOCUMENT, version.authority).kid
    commands, runner = build(), CliRunner()
    environment = {"HUB_DATA_DIR": str(web.city.folder)}
    assert runner.invoke(commands, ["keys", "revoke", kid], env=environment).exit_code == 1
    web.city.parts.rotation.replace(Purpose.DOCUMENT, version.authority)
    assert runner.invoke(commands, ["keys", "revoke", kid], env=environment).exit_code == 0
    listed = runner.invoke(commands, ["keys", "list", "--json"], env=environment).stdout
    assert len(re.findall(r'"revoked_at": ?"', listed)) == 1
    root = web.city.parts.keyring.active(Purpose.ROOT).kid
    assert runner.invoke(commands, ["keys", "revoke", root], env=environment).exit_code == 1

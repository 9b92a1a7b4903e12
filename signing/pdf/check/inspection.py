"""Inspect an untrusted file: is it as its signer left it, who signed it, what is attached, which QR codes it has.

pyHanko's strict reader checks the signature, with its limits for untrusted input. We make files with one signature over
one revision that spans the whole file, so nothing else counts as intact. Faults of the file become findings; run this
in the checker (checking.py), which bounds time and memory.
"""

import asyncio
import logging
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from io import BytesIO
from typing import Any

from asn1crypto import crl as asn1_crl
from asn1crypto import x509 as asn1
from pyhanko.pdf_utils.misc import PdfDecodeLimitError, PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESIndeterminate
from pyhanko.sign.validation import SignatureCoverageLevel, async_validate_pdf_signature
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import PdfSignatureStatus
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.errors import PathError, ValidationError

from signing.pdf.check import pictures, ranges
from signing.pdf.check.finding import MAX_BYTES, Answer, CheckFinding, Trust, What, kind_of
from signing.pdf.draw import exact
from signing.pdf.draw.archive import CREDENTIAL_NAME

# Its warnings quote untrusted files.
logging.getLogger("pyhanko").setLevel(logging.CRITICAL)

MAX_CREDENTIAL = 64 * 1024
MAX_PAGES = 200
UNSIGNED, NO_CODE = "pdf.unsigned", "upload.no_code"
# Raised by pyHanko and asn1crypto for maliciously crafted files, in addition to their own errors.
_UNREADABLE = (
    PdfError,
    PathError,
    ValidationError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def inspect(
    data: bytes, trust: Trust, at: datetime, early: Callable[[CheckFinding], None] = lambda _: None
) -> CheckFinding:
    """Return the finding for a file; at: aware, the time at which X.509 certificates and CRLs must be valid.

    early: called with what the signature alone says, if that is a no. It must not become unknown because the forger
    also added pages that take too long to draw.
    """
    if len(data) > MAX_BYTES:
        return CheckFinding(What.OTHER, problems=("upload.too_large",))
    if kind_of(data) is What.IMAGE:
        texts = pictures.in_image(data)
        if texts is None:
            return CheckFinding(What.IMAGE, problems=("upload.unreadable",))
        return CheckFinding(What.IMAGE, qr_texts=texts, problems=() if texts else (NO_CODE,))
    if kind_of(data) is not What.PDF:
        return CheckFinding(What.OTHER, problems=("upload.unreadable",))
    finding = _signature(data, trust, at)
    if Answer.NO in {finding.intact, finding.trusted}:
        early(finding)
    seen = pictures.on_pages(data, sealed=finding.intact is not Answer.UNKNOWN)
    if seen is None:
        return replace(finding, problems=(*finding.problems, "upload.unreadable"))
    if seen.is_scan and seen.texts and finding.problems == (UNSIGNED,) and finding.credential is None:
        return CheckFinding(What.IMAGE, qr_texts=seen.texts, pages=seen.pages)
    too_long = ("pdf.too_many_pages",) if seen.pages > MAX_PAGES else ()
    return replace(finding, qr_texts=seen.texts, pages=seen.pages, problems=(*finding.problems, *too_long))


def _signature(data: bytes, trust: Trust, at: datetime) -> CheckFinding:
    """Check the signature; if the strict reader rejects the file, judge it by its raw bytes as far as possible."""
    credential: str | None = None
    try:
        reader = PdfFileReader(BytesIO(data), strict=ranges.names_signature(data))
        if reader.encrypted:
            return CheckFinding(What.PDF, problems=("pdf.encrypted",))
        credential = _credential(reader)
        signatures = reader.embedded_signatures
        if len(signatures) > 1:
            return CheckFinding(What.PDF, Answer.NO, credential=credential, problems=("pdf.several_signatures",))
        if signatures:
            return _judged(data, signatures[0], credential, trust, at)
        return CheckFinding(What.PDF, credential=credential, problems=(UNSIGNED,))
    except PdfDecodeLimitError:
        return CheckFinding(What.PDF, problems=("pdf.too_complex",))
    except SignatureValidationError as error:
        contradicts = error.ades_subindication is AdESIndeterminate.NO_SIGNING_CERTIFICATE_FOUND
        flaw = "pdf.changed" if contradicts else ranges.flaw(data)
    except _UNREADABLE:
        flaw = ranges.flaw(data)
    if flaw is None:
        problem = "pdf.damaged" if ranges.names_signature(data) else UNSIGNED
        return CheckFinding(What.PDF, credential=credential, problems=(problem,))
    return CheckFinding(What.PDF, Answer.NO, credential=credential, problems=(flaw,))


async def _status(signature: EmbeddedPdfSignature, trust: Trust, at: datetime, *, strict: bool) -> PdfSignatureStatus:
    """Validate; strict: every X.509 certificate needs a CRL that is valid at `at`."""
    context = ValidationContext(
        trust_roots=[asn1.Certificate.load(der) for der in trust.roots],
        other_certs=[asn1.Certificate.load(der) for der in trust.intermediates],
        crls=[asn1_crl.CertificateList.load(der) for der in trust.crls] if strict else [],
        revocation_mode="hard-fail" if strict else "soft-fail",
        moment=at,
        allow_fetching=False,
    )
    return await async_validate_pdf_signature(signature, context)


def _judged(
    data: bytes, signature: EmbeddedPdfSignature, credential: str | None, trust: Trust, at: datetime
) -> CheckFinding:
    status = asyncio.run(_status(signature, trust, at, strict=True))
    problems: list[str] = []
    trusted, reason, path = Answer.UNKNOWN, None, frozenset[bytes]()
    if not (status.intact and status.valid):
        problems.append("pdf.changed")
    else:
        trusted, reason, path = _trusted(signature, status, trust, at)
        if signature.reader.total_revisions != 1 or status.coverage is not SignatureCoverageLevel.ENTIRE_FILE:
            problems.append("pdf.appended")
        elif trusted is not Answer.NO and not exact.is_exact(data, signature, path):
            problems.append("pdf.changed")
    certificate = signature.signer_cert
    return CheckFinding(
        What.PDF,
        intact=Answer.NO if problems else Answer.YES,
        trusted=trusted,
        signer_code=_organisation(certificate),
        signer=certificate.sha256.hex(),
        signed_at=None if status.signer_reported_dt is None else status.signer_reported_dt.isoformat(),
        credential=credential,
        problems=(*problems, *((reason,) if reason else ())),
    )


def _trusted(
    signature: EmbeddedPdfSignature, status: PdfSignatureStatus, trust: Trust, at: datetime
) -> tuple[Answer, str | None, frozenset[bytes]]:
    """Whether the certificate chain is valid, a problem code if not, and the certificates of the chain.

    Missing or stale CRLs give no answer, and neither does an X.509 certificate that has expired since the signature:
    seals are checked for decades, and without a time stamp nothing proves that the signature is older than the expiry.
    """
    if status.trusted:
        return Answer.YES, None, _path(status)
    if status.revoked:
        return Answer.NO, "pdf.signer_revoked", frozenset()
    if status.trust_problem_indic is AdESIndeterminate.OUT_OF_BOUNDS_NO_POE and status.signer_reported_dt is not None:
        moment, reason = status.signer_reported_dt, "pdf.signer_expired"
    else:
        moment, reason = at, "pdf.revocation_unknown"
    lenient = asyncio.run(_status(signature, trust, moment, strict=False))
    if lenient.trusted:
        return Answer.UNKNOWN, reason, _path(lenient)
    return Answer.NO, "pdf.untrusted_signer", frozenset()


def _path(status: PdfSignatureStatus) -> frozenset[bytes]:
    path = status.validation_path
    return (
        frozenset()
        if path is None
        else frozenset(certificate.dump() for certificate in path.iter_certs(include_root=True))
    )


def _organisation(certificate: asn1.Certificate) -> str | None:
    code = certificate.subject.native.get("organization_identifier")
    return code if isinstance(code, str) else None


def _credential(reader: PdfFileReader) -> str | None:
    """Return the attached credential; None if there is none or it exceeds MAX_CREDENTIAL."""
    try:
        names: Any = reader.root["/Names"]["/EmbeddedFiles"]["/Names"]
        for place in range(0, len(names) - 1, 2):
            if str(names[place]) == CREDENTIAL_NAME:
                data: bytes = names[place + 1]["/EF"]["/F"].data
                return data.decode("ascii") if len(data) <= MAX_CREDENTIAL else None
    except PdfDecodeLimitError:
        raise
    except _UNREADABLE:
        return None
    return None

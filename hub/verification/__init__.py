"""Verification: anyone can check whether a code, a QR text, a credential or a file is genuine and in force."""

from hub.verification.verdict import (
    Checks,
    Presented,
    PublicCertificate,
    PublicCopy,
    Verdict,
    VerdictAnswer,
    VerdictState,
)
from hub.verification.verification import Verification

__all__ = [
    "Checks",
    "Presented",
    "PublicCertificate",
    "PublicCopy",
    "Verdict",
    "VerdictAnswer",
    "VerdictState",
    "Verification",
]

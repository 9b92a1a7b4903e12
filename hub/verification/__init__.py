"""Verification: a stranger has a code, a QR text or a credential and learns whether it is genuine and in force."""

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

"""Issuance: from a decided case to signed certificates, all of a case or none (rule 2: intent before signature)."""

from hub.issuance.step import Issuance

__all__ = ["Issuance"]

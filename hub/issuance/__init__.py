"""Issuance: from a decided case to signed certificates, all or none (rule 2: intent before signature)."""

from hub.issuance.issue import Finished, Issuance, Reserved

__all__ = ["Finished", "Issuance", "Reserved"]

"""Records (档案): what the hub holds about a certificate, for the authority that issued it."""

from hub.records.step import Certificate, Records

__all__ = ["Certificate", "Records"]

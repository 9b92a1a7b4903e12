"""Lookup (检索): which certificates a person of an open case holds; shows no document."""

from hub.lookup.body import LookupBody
from hub.lookup.entries import Entry, Unavailable
from hub.lookup.step import Found, Lookup

__all__ = ["Entry", "Found", "Lookup", "LookupBody", "Unavailable"]

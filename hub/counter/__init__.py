"""The counter (窗口): look up what a person of an open case holds, and retrieve a certificate instead of the paper.

Gate, lookup (检索) and retrieval (调取、用证): every answer and refusal is recorded before it is returned.
"""

from hub.counter.entries import Entry, Unavailable
from hub.counter.lookup import Lookup, LookupResult
from hub.counter.lookup_body import LookupBody
from hub.counter.retrieval import Retrieval, RetrievalBody, Taken

__all__ = ["Entry", "Lookup", "LookupBody", "LookupResult", "Retrieval", "RetrievalBody", "Taken", "Unavailable"]

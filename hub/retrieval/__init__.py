"""Retrieval (调取、用证): one certificate taken for one case, on record, with the fields that its matter may see."""

from hub.retrieval.step import Retrieval, RetrievalBody, Taken

__all__ = ["Retrieval", "RetrievalBody", "Taken"]

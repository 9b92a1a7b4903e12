"""The directory (目录索引): what exists and where. Derived from the repository, fed by the ledger, decides nothing."""

from hub.directory.building import Busy
from hub.directory.comparison import Difference, Kind, Report
from hub.directory.directory import Directory, Explained, Status
from hub.directory.search import DirectoryQuery, Hit, SearchResult

__all__ = [
    "Busy",
    "Difference",
    "Directory",
    "DirectoryQuery",
    "Explained",
    "Hit",
    "Kind",
    "Report",
    "SearchResult",
    "Status",
]

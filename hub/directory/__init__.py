"""The directory (目录索引): what exists and where. Derived from the repository, fed by the ledger, decides nothing."""

from hub.directory.building import Busy
from hub.directory.comparison import Difference, Kind, Report
from hub.directory.directory import Directory, Explained, Status
from hub.directory.search import Found, Hit, Wanted

__all__ = ["Busy", "Difference", "Directory", "Explained", "Found", "Hit", "Kind", "Report", "Status", "Wanted"]

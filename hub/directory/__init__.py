"""The directory (目录索引): what exists and where. Derived from the repository, fed by the ledger, decides nothing."""

from hub.directory.building import Busy
from hub.directory.comparison import Difference, Kind, Report
from hub.directory.search import Found, Hit, Wanted
from hub.directory.step import Directory, Explained, Status

__all__ = ["Busy", "Difference", "Directory", "Explained", "Found", "Hit", "Kind", "Report", "Status", "Wanted"]

"""Online backup of everything that cannot be derived, and restore into an empty data directory and database."""

from hub.backup.making import Backup
from hub.backup.manifest import Manifest
from hub.backup.place import BackupFolder, NotPossible, Target
from hub.backup.restoring import Restore
from hub.backup.rows import Damaged

__all__ = ["Backup", "BackupFolder", "Damaged", "Manifest", "NotPossible", "Restore", "Target"]

"""Copies of everything that cannot be derived, taken while the hub runs, and put back into an empty place."""

from hub.backup.making import Backup
from hub.backup.manifest import Manifest
from hub.backup.place import BackupFolder, NotPossible, Target
from hub.backup.restoring import Restore
from hub.backup.rows import Damaged

__all__ = ["Backup", "BackupFolder", "Damaged", "Manifest", "NotPossible", "Restore", "Target"]

"""Copies of everything that cannot be derived, taken while the hub runs, and put back into an empty place."""

from hub.backup.making import Backup
from hub.backup.manifest import Manifest
from hub.backup.place import NotPossible, Place, Target
from hub.backup.restoring import Restore
from hub.backup.rows import Damaged

__all__ = ["Backup", "Damaged", "Manifest", "NotPossible", "Place", "Restore", "Target"]

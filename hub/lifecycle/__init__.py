"""Life of a certificate (效力变更): suspend, restore, revoke, by its issuing authority only."""

from hub.lifecycle.step import Lifecycle

__all__ = ["Lifecycle"]

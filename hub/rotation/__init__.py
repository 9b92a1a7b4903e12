"""Online key rotation."""

from hub.rotation.rotation import CannotRotate, Rotation

__all__ = ["CannotRotate", "Rotation"]

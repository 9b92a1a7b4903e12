"""Rotation: new keys in place of old ones while everything runs."""

from hub.rotation.rotation import CannotRotate, Rotation

__all__ = ["CannotRotate", "Rotation"]

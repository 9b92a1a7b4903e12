"""Seal, open and blind personal data; the master key that wraps the data keys."""

from hub.vault.master_key import KeyPurpose, KeyState, MasterKey, VaultError, WrappedKey, next_master_key
from hub.vault.vault import BLIND_BYTES, StaleKeys, Vault

__all__ = [
    "BLIND_BYTES",
    "KeyPurpose",
    "KeyState",
    "MasterKey",
    "StaleKeys",
    "Vault",
    "VaultError",
    "WrappedKey",
    "next_master_key",
]

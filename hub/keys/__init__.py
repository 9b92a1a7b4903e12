"""Signing keys: the key ring, generating and replacing keys, publishing X.509 certificates and CRLs."""

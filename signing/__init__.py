"""Bytes in, bytes or a verdict out: keys, credentials, QR digits, status lists, ledger leaves, X.509 certificates.

Nothing here reads a clock, a database, the network or a setting: what is needed comes as an argument. Every format is
frozen in docs/formats.md. Readers of strangers' bytes raise errors.Malformed and nothing else.
"""

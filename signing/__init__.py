"""Bytes in, bytes or a verdict out: keys, credentials, QR digits, status lists, ledger leaves, X.509 certificates.

No module reads a clock, a database, the network or a setting: all input comes as arguments. Every format is frozen in
docs/formats.md. Functions that parse untrusted bytes raise errors.Malformed and nothing else.
"""

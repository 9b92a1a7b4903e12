"""Authentication: signed assertions (RFC 7523) are exchanged for access tokens (RFC 9068), which identify callers."""

from hub.access.tokens import ASSERTION_LIFETIME_S, TOKEN_LIFETIME_S, Access

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

__all__ = ["ASSERTION_LIFETIME_S", "ASSERTION_TYPE", "TOKEN_LIFETIME_S", "Access"]

"""The door: who may come in. Signed assertions (RFC 7523) become access tokens (RFC 9068), tokens become callers."""

from hub.access.tokens import ASSERTION_LIFETIME_S, TOKEN_LIFETIME_S, Access

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

__all__ = ["ASSERTION_LIFETIME_S", "ASSERTION_TYPE", "TOKEN_LIFETIME_S", "Access"]

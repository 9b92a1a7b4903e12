"""Public data for independent verification: keys, signed status lists, X.509 certificates and CRLs."""

import hashlib
import re

from hub.domain.errors import Refusal
from hub.web.endpoint import PUBLIC_ACCESS, Answer, Call, Lane, Routes
from signing.keys import Purpose

routes = Routes(tag="published 公开数据")
_PUBLISHED = (Purpose.CREDENTIAL, Purpose.STATUS, Purpose.ACCESS_TOKEN, Purpose.LEDGER)
_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")
_STATUS_LIST = "application/statuslist+jwt"
_CRL = "application/pkix-crl"


@routes.add(
    "GET",
    "/.well-known/jwks.json",
    scope=PUBLIC_ACCESS,
    lane=Lane.PUBLIC,
    stray_query=True,
    replies={200: None},
    summary="全部签名公钥 · All public signing keys",
)
def jwks(call: Call) -> Answer:
    """A JWK Set (RFC 7517). `purpose` says what a key signs; accept it for nothing else. Keys are never removed."""
    keys = [
        {**key.public.jwk(), "purpose": key.public.purpose.value}
        for key in call.parts.keyring.all()
        if key.public.purpose in _PUBLISHED
    ]
    return Answer({"keys": keys}, headers={"Cache-Control": "public, max-age=60"})


@routes.add(
    "GET",
    "/status/{list}",
    scope=PUBLIC_ACCESS,
    lane=Lane.PUBLIC,
    stray_query=True,
    replies={200: None, 304: None},
    produces=(_STATUS_LIST,),
    refusals=("page.not_found", "sign.unavailable"),
    summary="签名状态列表 · Signed status list",
)
def status_list(call: Call) -> Answer:
    """A Token Status List JWT with the current status of every version in this list."""
    number = call.path["list"]
    if not _NUMBER.fullmatch(number):
        raise Refusal("page.not_found")
    token = call.parts.verification.status_lists.token(int(number), call.host).encode()
    tag = f'"{hashlib.sha256(token).hexdigest()[:32]}"'
    headers = {"Cache-Control": "no-cache", "ETag": tag}
    if tag in call.if_none_match:
        return Answer(b"", 304, _STATUS_LIST, headers)
    return Answer(token, media_type=_STATUS_LIST, headers=headers)


@routes.add(
    "GET",
    "/x509/trust.json",
    scope=PUBLIC_ACCESS,
    lane=Lane.PUBLIC,
    stray_query=True,
    replies={200: None},
    summary="电子印章信任链 · Trust anchors of the seals",
)
def trust(call: Call) -> Answer:
    """`{roots, intermediates, crls}`: PEM certificates and CRL addresses, for any PDF validator."""
    found = call.parts.x509.trust()
    content = {"roots": found.roots, "intermediates": found.intermediates, "crls": found.crls}
    return Answer(content, headers={"Cache-Control": "public, max-age=60"})


@routes.add(
    "GET",
    "/x509/{name}.crl",
    scope=PUBLIC_ACCESS,
    lane=Lane.PUBLIC,
    stray_query=True,
    replies={200: None},
    produces=(_CRL,),
    refusals=("page.not_found", "sign.unavailable"),
    summary="X.509 吊销列表 · Certificate revocation list",
)
def revocation_list(call: Call) -> Answer:
    """The current CRL (RFC 5280, DER) of a root or issuing CA."""
    found = call.parts.x509.crl(call.path["name"])
    if found is None:
        raise Refusal("page.not_found")
    return Answer(found, media_type=_CRL, headers={"Cache-Control": "public, max-age=60"})

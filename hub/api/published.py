"""What anybody may fetch to check without us: every public key, and the signed status lists."""

import hashlib
import re

from hub.api.endpoint import PUBLIC_ACCESS, Answer, Call, Lane, Routes
from hub.domain.errors import Refusal
from signing.keys import Purpose

routes = Routes(tag="published 公开数据")
_PUBLISHED = (Purpose.CREDENTIAL, Purpose.STATUS, Purpose.ACCESS_TOKEN, Purpose.LEDGER)
_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")
_STATUS_LIST = "application/statuslist+jwt"


@routes.add(
    "GET",
    "/.well-known/jwks.json",
    scope=PUBLIC_ACCESS,
    lane=Lane.PUBLIC,
    stray_query=True,
    replies={200: None},
    summary="全部签名公钥 · Every public key that ever signed",
)
def jwks(call: Call) -> Answer:
    """A JWK Set (RFC 7517). `purpose` tells what a key signs, and it is good for nothing else. None is ever removed."""
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
    summary="签名状态列表 · A signed status list",
)
def status_list(call: Call) -> Answer:
    """A Token Status List JWT: the standing of every version that has its place in this list, as of this moment."""
    number = call.path["list"]
    if not _NUMBER.fullmatch(number):
        raise Refusal("page.not_found")
    token = call.parts.verification.status_lists.token(int(number), call.host).encode()
    tag = f'"{hashlib.sha256(token).hexdigest()[:32]}"'
    headers = {"Cache-Control": "no-cache", "ETag": tag}
    if tag in call.if_none_match:
        return Answer(b"", 304, _STATUS_LIST, headers)
    return Answer(token, media_type=_STATUS_LIST, headers=headers)

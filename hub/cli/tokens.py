"""`hub token`: an access token for testing, from the local data directory or over HTTP."""

from pathlib import Path
from typing import Annotated

import typer

from hub.cli import common
from hub.cli.common import Exit, Stop
from hub.cli.listing import Listing

_MAX_KEY_FILE = 64 * 1024
_PATH = "/oauth/token"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("token", cls=Listing, help="取得访问令牌，十分钟有效。 Print an access token, valid for ten minutes.")(
        token
    )


def token(
    client: Annotated[str, typer.Option(metavar="ID", help="client_id")],
    key: Annotated[Path, typer.Option(metavar="KEYFILE", help="私钥文件。 File with the client's private key.")],
    scope: Annotated[
        list[str] | None, typer.Option(metavar="SCOPE", help="只要这些权限范围。 Request only these scopes.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="向这个地址的平台取令牌。 Request the token from the hub at this URL."),
    ] = None,
    audience: Annotated[
        str | None,
        typer.Option(metavar="URL", help="平台的公开地址，默认和 --url 相同。 The hub's public URL; default: --url."),
    ] = None,
    assertion: Annotated[
        bool, typer.Option("--assertion", help="只输出签名断言。 Print only the signed assertion.")
    ] = False,
    dpop: Annotated[
        Path | None,
        typer.Option(metavar="KEYFILE", help="把令牌绑定到这把密钥（P-256）。 Bind the token to this P-256 key."),
    ] = None,
    proof: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="METHOD URL",
            help="再输出这个请求的 DPoP 证明，要同时用 --dpop。 Also print a proof for this request; needs --dpop.",
        ),
    ] = None,
) -> None:
    """Sign an assertion and exchange it for a token, with the local data directory or over HTTP.

    A key for --dpop: `openssl ecparam -genkey -name prime256v1 -noout -out KEYFILE`, or the client's own key.
    """
    from hub.access.assertion import sign_assertion, sign_proof
    from hub.access.dpop import Proof
    from hub.runtime.clock import Clock

    if proof is not None and dpop is None:
        raise Stop(Exit.USAGE, "--proof 要和 --dpop 一起用。", "--proof needs --dpop.")
    pem, bound = _key_in(key), None if dpop is None else _key_in(dpop)
    wanted, now = " ".join(scope) if scope else None, Clock().now()

    def proven(hub: str) -> str | None:
        return None if bound is None else sign_proof(bound, "POST", hub + _PATH, now)

    if url is not None or (assertion and audience is not None):
        hub = (audience or url or "").rstrip("/")
        signed = sign_assertion(pem, client, hub, now)
        found = signed if assertion or url is None else _ask(url, signed, wanted, proven(hub))
    else:
        with common.opened() as parts:
            hub = audience or parts.access.issuer()
            signed = sign_assertion(pem, client, hub, parts.clock.now())
            text = proven(hub)
            own = None if text is None else Proof(text, "POST", _PATH)
            found = signed if assertion else parts.access.issue_token(signed, wanted, proof=own)[0]
    common.emit(found)
    if proof is not None and bound is not None and not assertion:
        method, address = proof
        common.emit(sign_proof(bound, method.upper(), address, now, found))


def _ask(url: str, assertion: str, scope: str | None, proof: str | None) -> str:
    """Request a token from a running hub; a refusal ends the command."""
    import json
    from urllib.error import HTTPError
    from urllib.parse import urlencode
    from urllib.request import Request, urlopen

    from hub.access import ASSERTION_TYPE

    if not url.startswith(("http://", "https://")):
        raise Stop(Exit.USAGE, "--url 应为 http 或 https 地址。", "--url must be an http or https address.")
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
        **({"scope": scope} if scope else {}),
    }
    headers = {} if proof is None else {"DPoP": proof}
    request = Request(url.rstrip("/") + _PATH, urlencode(form).encode(), headers, method="POST")  # noqa: S310
    try:
        with urlopen(request, timeout=15) as reply:  # noqa: S310 (the scheme was checked)
            return str(json.load(reply)["access_token"])
    except HTTPError as error:
        code = Exit.DEPENDENCY if error.code >= 500 else Exit.FAILED
        raise Stop(code, f"平台拒绝：{_code_of(error.read())}。", f"Refused with status {error.code}.") from None
    except (OSError, ValueError, KeyError):
        raise Stop(Exit.DEPENDENCY, "平台没有应答，请检查地址。", "No answer from a hub at this URL.") from None


def _code_of(body: bytes) -> str:
    import json

    try:
        found = json.loads(body)
        return f"{found['code']} {found.get('detail', '')}".strip()
    except (ValueError, KeyError, TypeError):
        return ""


def _key_in(path: Path) -> bytes:
    """A private key that can sign; anything else ends the command."""
    from hub.access.assertion import read_key

    with path.open("rb") as file:
        pem = file.read(_MAX_KEY_FILE)
    try:
        read_key(pem)
    except ValueError:
        raise Stop(
            Exit.FAILED,
            "密钥文件不是未加密的 P-256 私钥（PEM）。",
            "The key file is not an unencrypted P-256 private key in PEM.",
        ) from None
    return pem

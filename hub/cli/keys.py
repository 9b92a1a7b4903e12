"""`hub keys`: which keys there are, new ones in place of old ones, and the end of a key or of its private part."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli import common
from hub.cli.common import Exit, Stop

if TYPE_CHECKING:
    from hub.parts import Parts
    from hub.rotation import Rotation


class What(StrEnum):
    """What can be rotated: the purposes of signing keys, of data keys, and the master key."""

    CREDENTIAL = "credential"
    DOCUMENT = "document"
    ACCESS_TOKEN = "access_token"  # noqa: S105 (a name, not a secret)
    STATUS = "status"
    LEDGER = "ledger"
    SEAL = "seal"
    BLIND = "blind"
    MASTER = "master"


_ANY_KID = {"ignore_unknown_options": True}  # a key's id may begin with a dash

_What = Annotated[What, typer.Argument(help="用途。 The purpose.", metavar="PURPOSE", show_choices=True)]
_Authority = Annotated[str, typer.Option("--authority", metavar="CODE", help="document 的机构。 For a document key.")]
_Kid = Annotated[str, typer.Argument(metavar="KID", help="密钥编号。 The key's id, from `hub keys list`.")]
_Json = Annotated[bool, typer.Option("--json", help="输出 JSON。 JSON instead of tables.")]

_Rows = Annotated[bool, typer.Option("--rows", help="数据密钥各有多少数据(通读全库)。 Count each data key's rows.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    keys = typer.Typer(help="密钥:列出、更换、销毁私钥。 Keys: list, rotate, retire.", no_args_is_help=True)
    keys.command("list", help="列出签名密钥、X.509 证书和数据密钥。 Signing keys, X.509, data keys.")(list_keys)
    keys.command(
        "rotate",
        help="更换密钥,服务不停:credential document access_token status ledger seal blind master。"
        " New keys while the service runs.",
    )(rotate)
    keys.command(
        "retire", context_settings=_ANY_KID, help="永久删除停用密钥的私钥。 Delete a former private part for good."
    )(retire)
    keys.command(
        "revoke",
        context_settings=_ANY_KID,
        help="吊销已更换的 document 密钥的 X.509 证书(私钥泄露时用)。"
        " Revoke a former document key that fell into other hands.",
    )(revoke)
    app.add_typer(keys, name="keys")


def list_keys(as_json: _Json = False, rows: _Rows = False) -> None:
    """Every key on record."""
    with common.opened() as parts:
        signing, certificates, data = _signing_keys(parts), _x509(parts), _data_keys(parts)
        if rows:
            counts = parts.rotation.rows()
            data = [key | {"rows": counts.get(key["number"], 0)} for key in data]
    if as_json:
        common.emit_json({"signing_keys": signing, "x509_certificates": certificates, "data_keys": data})
        return
    for keys in (signing, certificates, data):
        common.emit_table(tuple(keys[0]) if keys else ("-",), [tuple(key.values()) for key in keys])


def _signing_keys(parts: "Parts") -> list[dict[str, Any]]:
    return [
        {
            "kid": key.public.kid,
            "purpose": key.public.purpose.value,
            "authority": key.public.authority or "",
            "state": key.state.name.lower(),
            "created_at": _moment(key.created_at),
            "retired_at": _moment(key.retired_at),
            "private_part": "here" if here else "absent",
        }
        for key, here in parts.rotation.signing_keys()
    ]


def _x509(parts: "Parts") -> list[dict[str, Any]]:
    from signing import x509

    return [
        {
            "serial": record.serial,
            "kid": record.kid,
            "name": record.name,
            "subject": x509.summary(record.der).subject,
            "not_before": _moment(record.not_before),
            "not_after": _moment(record.not_after),
            "revoked_at": _moment(record.revoked_at),
        }
        for record in parts.rotation.x509_certificates()
    ]


def _data_keys(parts: "Parts") -> list[dict[str, Any]]:
    return [
        {
            "number": key.number,
            "purpose": key.purpose.value,
            "state": key.state.name.lower(),
            "created_at": _moment(key.created_at),
        }
        for key in parts.rotation.data_keys()
    ]


def rotate(what: _What, authority: _Authority = "") -> None:
    """Put a new key in place of the one in use."""
    if (what is What.DOCUMENT) != bool(authority):
        raise Stop(Exit.USAGE, "document 须用 --authority 指明机构,其他不用。", "--authority is for `document`.")
    with common.opened() as parts:
        if what is What.MASTER:
            _rotate_master(parts.rotation)
        elif what in {What.SEAL, What.BLIND}:
            _rotate_data(parts.rotation, what)
        else:
            _rotate_signing(parts.rotation, what, authority)


def _rotate_signing(rotation: "Rotation", what: What, authority: str) -> None:
    from hub.rotation import CannotRotate
    from signing.keys import Purpose

    try:
        made = rotation.replace(Purpose(what.value), authority)
    except CannotRotate as refusal:
        raise Stop(Exit.FAILED, refusal.message, refusal.message_en) from None
    common.emit(made.kid)
    common.say("新密钥已启用;旧密钥签过的永远可以核验。", "What the former one signed verifies for ever.")


def _rotate_data(rotation: "Rotation", what: What) -> None:
    from hub.vault import KeyPurpose

    number = rotation.begin(KeyPurpose(what.value))
    common.emit(str(number))
    common.say("新密钥已启用,正在改写旧数据;可随时中断,再运行本命令或由后台接着做。", "Rewriting; may be interrupted.")
    total = rotation.remaining()
    with common.progress("改写 rewriting") as progress:
        done = 0
        for rows in rotation.run():
            done += rows
            progress(min(done, total), total)
        progress(total, total)
    if not rotation.is_complete():
        raise Stop(
            Exit.PARTLY, "有些数据打不开,旧密钥仍保留;请运行 hub check。", "Some rows do not open: run `hub check`."
        )
    common.say("完成,旧密钥已无数据。", "Done: nothing is left under the former key.")


def _rotate_master(rotation: "Rotation") -> None:
    former = rotation.rotate_master()
    common.say("主密钥已更换,请立即另行备份。", "The master key is new: keep a copy of it elsewhere now.")
    common.say(
        f"旧主密钥留在 {former}:以前的数据备份要用它;与备份分开保存,不再需要时删除。",
        "Backups from before need the former one: move it away, and delete it with them.",
    )


def retire(kid: _Kid) -> None:
    """Delete the private part of a key."""
    from hub.rotation import CannotRotate

    with common.opened() as parts:
        try:
            parts.rotation.retire(kid)
        except CannotRotate as refusal:
            raise Stop(Exit.FAILED, refusal.message, refusal.message_en) from None
    common.say("私钥已删除,公钥永久保留。", "The private part is gone; the public part stays for ever.")


def revoke(kid: _Kid) -> None:
    """Say of a document key's X.509 certificate that it counts no more."""
    from hub.rotation import CannotRotate

    with common.opened() as parts:
        try:
            parts.rotation.revoke(kid)
        except CannotRotate as refusal:
            raise Stop(Exit.FAILED, refusal.message, refusal.message_en) from None
    common.say(
        "已吊销,列表即刻更新;它盖过章的文件不再可信,证照本身不变。",
        "Files that it sealed are no longer trusted; the certificates stay as they are.",
    )


def _moment(micros: int | None) -> str | None:
    from hub.domain.dates import from_micros, show_moment

    return None if micros is None else show_moment(from_micros(micros))

"""`hub keys`: list, rotate, retire and revoke keys."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli import common
from hub.cli.common import Exit, Stop

if TYPE_CHECKING:
    from hub.parts import Parts
    from hub.rotation import Rotation


class What(StrEnum):
    """What can be rotated: signing keys and data keys by purpose, and the master key."""

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
_Authority = Annotated[
    str, typer.Option("--authority", metavar="CODE", help="document 密钥所属的机构。 The authority of a document key.")
]
_Kid = Annotated[
    str, typer.Argument(metavar="KID", help="密钥编号，见 hub keys list。 The key id, see `hub keys list`.")
]
_Json = Annotated[bool, typer.Option("--json", help="输出 JSON。 Print JSON instead of tables.")]

_Rows = Annotated[
    bool, typer.Option("--rows", help="统计每个数据密钥有多少数据（要通读全库）。 Count the rows of each data key.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    keys = typer.Typer(
        help="密钥：列出、更换、删除私钥、吊销。 Keys: list, rotate, retire, revoke.", no_args_is_help=True
    )
    keys.command(
        "list", help="列出签名密钥、X.509 证书和数据密钥。 List signing keys, X.509 certificates and data keys."
    )(list_keys)
    keys.command(
        "rotate",
        help="更换密钥，不用停止服务：credential document access_token status ledger seal blind master。"
        " Rotate a key online.",
    )(rotate)
    keys.command(
        "retire",
        context_settings=_ANY_KID,
        help="永久删除已停用密钥的私钥。 Permanently delete the private part of a retired key.",
    )(retire)
    keys.command(
        "revoke",
        context_settings=_ANY_KID,
        help="吊销已更换的 document 密钥的 X.509 证书（私钥泄露时用）。"
        " Revoke the X.509 certificate of a compromised, already rotated document key.",
    )(revoke)
    app.add_typer(keys, name="keys")


def list_keys(as_json: _Json = False, rows: _Rows = False) -> None:
    """List all keys."""
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
    """Replace the key in use with a new one."""
    if (what is What.DOCUMENT) != bool(authority):
        raise Stop(
            Exit.USAGE,
            "document 要用 --authority 指明机构，其他用途不用。",
            "--authority is required for `document` and only valid there.",
        )
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
    common.say("新密钥已启用；旧密钥签过的永远可以核验。", "New key in use. Old signatures remain valid.")


def _rotate_data(rotation: "Rotation", what: What) -> None:
    from hub.vault import KeyPurpose

    number = rotation.begin(KeyPurpose(what.value))
    common.emit(str(number))
    common.say(
        "新密钥已启用，正在改写旧数据；可以随时中断，再运行本命令或由后台进程接着做。",
        "New key in use. Re-encrypting old data; you may interrupt this at any time.",
    )
    total = rotation.remaining()
    with common.progress("改写 rewriting") as progress:
        done = 0
        for rows in rotation.run():
            done += rows
            progress(min(done, total), total)
        progress(total, total)
    if not rotation.is_complete():
        raise Stop(
            Exit.PARTLY,
            "有些数据打不开，旧密钥仍然保留；请运行 hub check。",
            "Some rows cannot be decrypted; run `hub check`.",
        )
    common.say("完成，旧密钥已经没有数据。", "Done; no data uses the old key any more.")


def _rotate_master(rotation: "Rotation") -> None:
    former = rotation.rotate_master()
    common.say("主密钥已更换，请马上另存一份。", "Master key rotated; store a copy of the new one elsewhere now.")
    common.say(
        f"旧主密钥留在 {former}：恢复以前的备份要用它。请和备份分开保存，不再需要时删除。",
        "Older backups need the old one: keep it apart from them, and delete it when they are gone.",
    )


def retire(kid: _Kid) -> None:
    """Delete the private part of a retired key."""
    from hub.rotation import CannotRotate

    with common.opened() as parts:
        try:
            parts.rotation.retire(kid)
        except CannotRotate as refusal:
            raise Stop(Exit.FAILED, refusal.message, refusal.message_en) from None
    common.say("私钥已删除，公钥永久保留。", "Private part deleted; the public part is kept permanently.")


def revoke(kid: _Kid) -> None:
    """Revoke the X.509 certificate of a document key."""
    from hub.rotation import CannotRotate

    with common.opened() as parts:
        try:
            parts.rotation.revoke(kid)
        except CannotRotate as refusal:
            raise Stop(Exit.FAILED, refusal.message, refusal.message_en) from None
    common.say(
        "已吊销，吊销列表立即更新；它盖过章的文件不再可信，证照本身不变。",
        "Revoked. Files sealed with this key are no longer trusted; the certificates are not affected.",
    )


def _moment(micros: int | None) -> str | None:
    from hub.domain.dates import from_micros, show_moment

    return None if micros is None else show_moment(from_micros(micros))

"""`hub clients`, `hub clerks` and `hub token`: accounts, and a token for testing."""

from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli import common, tokens
from hub.cli.common import Exit, Stop
from hub.cli.listing import Listing
from hub.cli.new_file import new_file
from hub.domain.caller import SCOPES
from hub.domain.dates import show_moment

if TYPE_CHECKING:
    from hub.store.clients import Client, ClientKey


_Name = Annotated[str, typer.Argument(metavar="NAME", help="账号名，也就是 client_id。 The client id.")]
_Authority = Annotated[str, typer.Option(metavar="CODE", help="机构的统一社会信用代码。 The USCC of the authority.")]
_KeyFile = Annotated[
    Path,
    typer.Option(
        "--generate", metavar="KEYFILE", help="把私钥写入这个新文件。 New file for the private key (mode 0600)."
    ),
]


class Dpop(StrEnum):
    """Whether access tokens must be bound to a key."""

    OPTIONAL = "optional"
    REQUIRED = "required"


_Json = Annotated[bool, typer.Option("--json", help="输出 JSON。 Print JSON instead of a table.")]
_StaffNumber = Annotated[str, typer.Argument(metavar="STAFF_NUMBER", help="工号。 Staff number.")]
_MaybeAuthority = Annotated[
    str | None, typer.Option("--authority", metavar="CODE", help="机构。 The USCC of the authority.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    clients = typer.Typer(help="接入系统的账号。 Machine accounts.", no_args_is_help=True)
    clients.command("add", cls=Listing, help="登记账号，生成密钥。 Register a client and generate its key.")(add_client)
    clients.command("list", help="列出账号。 List clients.")(list_clients)
    clients.command("disable", help="停用账号。 Disable a client; takes effect within 2 s.")(disable_client)
    clients.command("enable", help="启用账号。 Enable a client.")(enable_client)
    clients.command(
        "rotate", help="换新密钥，旧密钥还能用一段时间。 Add a new key; the old ones expire after the overlap."
    )(rotate_client_key)
    app.add_typer(clients, name="clients")
    clerks = typer.Typer(help="窗口人员。 Counter clerks.", no_args_is_help=True)
    clerks.command("add", help="登记窗口人员；可以重复运行。 Register a clerk (idempotent).")(add_clerk)
    clerks.command("list", help="列出窗口人员。 List clerks.")(list_clerks)
    clerks.command("disable", help="停用窗口人员。 Disable a clerk.")(disable_clerk)
    clerks.command("enable", help="启用窗口人员。 Enable a clerk.")(enable_clerk)
    app.add_typer(clerks, name="clerks")
    tokens.register(app)


# --- clients ----------------------------------------------------------------------------------------------------------


def add_client(
    name: _Name,
    authority: _Authority,
    scope: Annotated[
        list[str], typer.Option(metavar="SCOPE", help="权限范围，可以有多个。 Scopes: " + ", ".join(sorted(SCOPES)))
    ],
    generate: _KeyFile,
    source: Annotated[
        str | None,
        typer.Option(help="办件来源，默认是机构代码。 Namespace of its case numbers; default: the authority."),
    ] = None,
    acts_for: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODE[:MATTER,…]",
            help="可以代办的机构，可以限于某些事项；可以有多个。 Authorities it acts for, in all matters or some.",
        ),
    ] = None,
    own_source: Annotated[
        bool, typer.Option("--own-source", help="只代办自己来源的办件。 Acts for them only in cases of its own source.")
    ] = False,
    dpop: Annotated[
        Dpop,
        typer.Option(help="required：访问令牌要绑定密钥（RFC 9449）。 required: tokens must be bound to a key."),
    ] = Dpop.OPTIONAL,
) -> None:
    """Register a client. The private key is written to the file before the account exists; the hub does not keep it."""
    with common.opened() as parts, new_file(generate) as keep:
        _, pem = parts.registration.add_client(
            name,
            authority,
            source=source,
            acts_for=acts_for or (),
            scopes=scope,
            own_source=own_source,
            dpop=dpop is Dpop.REQUIRED,
            keep=keep,
        )
    _print_key(name, pem)
    common.say(
        f"账号已登记，私钥在 {generate}，仅此一份，请妥善保管；断言的头部写上面的 kid。",
        "Client registered. This file is the only copy of its key; put the kid above in the header of assertions.",
    )


def _print_key(name: str, pem: bytes) -> None:
    """The client id and the id of its new key, one a line."""
    from hub.access.assertion import read_key
    from signing.keys import kid_of

    common.emit(name)
    common.emit(kid_of(read_key(pem).public_key()))


def list_clients(as_json: _Json = False) -> None:
    """All clients with their scopes and the expiry of their keys."""
    with common.opened() as parts:
        clients = parts.registration.clients()
        now = parts.clock.now()
        names = {c.authority: parts.catalogue().authority_name(c.authority) for c in clients}
    if as_json:
        common.emit_json([_client_entry(client, now) for client in clients])
        return
    columns = ("client_id", "机构 authority", "source", "acts_for", "scopes", "密钥 keys", "状态 state")
    common.emit_table(
        columns,
        [
            (
                c.client_id,
                f"{c.authority} {names[c.authority]}",
                "" if c.source == c.authority else c.source,
                "\n".join([*sorted(c.acts_for), *(["只限本来源 own source"] if c.own_source else [])]),
                "\n".join(sorted(c.scopes)),
                "\n".join(_key_line(key) for key in c.keys if key.accepted(now)),
                ("停用 disabled" if c.disabled else "启用 enabled") + ("\nDPoP" if c.dpop else ""),
            )
            for c in clients
        ],
    )


def _client_entry(client: "Client", now: datetime) -> dict[str, Any]:
    return {
        "client_id": client.client_id,
        "authority_code": client.authority,
        "source": client.source,
        "acts_for": sorted(client.acts_for),
        "own_source": client.own_source,
        "dpop": "required" if client.dpop else "optional",
        "scopes": sorted(client.scopes),
        "enabled": not client.disabled,
        "created_at": show_moment(client.created_at),
        "keys": [
            {
                "kid": key.kid,
                "accepted": key.accepted(now),
                "created_at": show_moment(key.created_at),
                "expires_at": None if key.expires_at is None else show_moment(key.expires_at),
            }
            for key in client.keys
        ],
    }


def _key_line(key: "ClientKey") -> str:
    return key.kid if key.expires_at is None else f"{key.kid} 至 until {show_moment(key.expires_at)}"


def disable_client(name: _Name) -> None:
    """Disable a client."""
    _switch_client(name, disabled=True)


def enable_client(name: _Name) -> None:
    """Enable a client."""
    _switch_client(name, disabled=False)


def _switch_client(name: str, *, disabled: bool) -> None:
    with common.opened() as parts:
        parts.registration.set_client_disabled(name, disabled)
    common.say(*(("已停用。", "Disabled.") if disabled else ("已启用。", "Enabled.")))


def rotate_client_key(
    name: _Name,
    generate: _KeyFile,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=8760, help="旧密钥还能用多少小时。 Hours until the old keys expire.")
    ] = 24,
) -> None:
    """Add a key and let the others expire after the overlap; 0 expires them at once, after a loss or a theft."""
    with common.opened() as parts:
        registration = parts.registration
        now = parts.clock.now()
        former = [key for c in registration.clients() if c.client_id == name for key in c.keys if key.accepted(now)]
        until = now + timedelta(hours=overlap_hours)
        with new_file(generate) as keep:
            if overlap_hours == 0:  # first expire the lost key: a crash must not leave it in use
                _retire(registration, name, former, until)
            pem = registration.add_client_key(name, keep=keep)
        _retire(registration, name, former, until)
    _print_key(name, pem)
    common.say(f"新私钥在 {generate}；旧密钥用到 {show_moment(until)} 为止。", "The old keys expire then.")


def _retire(registration: Any, name: str, keys: "list[ClientKey]", at: datetime) -> None:
    for key in keys:
        registration.retire_client_key(name, key.kid, at)


# --- clerks -----------------------------------------------------------------------------------------------------------


def add_clerk(
    name: Annotated[str, typer.Argument(metavar="NAME", help="姓名。 Name.")],
    authority: _Authority,
    staff_number: Annotated[str, typer.Option("--id", metavar="STAFF_NUMBER", help="工号。 Staff number.")],
) -> None:
    """Register a clerk."""
    with common.opened() as parts:
        clerk = parts.registration.add_clerk(name, authority, staff_number)
    common.emit(clerk.staff_number)
    common.say("已登记。", "Registered.")


def list_clerks(authority: _MaybeAuthority = None, as_json: _Json = False) -> None:
    """All clerks, or those of one authority."""
    with common.opened() as parts:
        clerks = [c for c in parts.registration.clerks() if authority in {None, c.authority}]
        names = {c.authority: parts.catalogue().authority_name(c.authority) for c in clerks}
    if as_json:
        entries = [
            {"id": c.staff_number, "name": c.name, "authority_code": c.authority, "enabled": c.enabled} for c in clerks
        ]
        common.emit_json(entries)
        return
    common.emit_table(
        ("工号 id", "姓名 name", "机构 authority", "状态 state"),
        [
            (
                c.staff_number,
                c.name,
                f"{c.authority} {names[c.authority]}",
                "启用 enabled" if c.enabled else "停用 disabled",
            )
            for c in clerks
        ],
    )


def disable_clerk(staff_number: _StaffNumber, authority: _MaybeAuthority = None) -> None:
    """Disable a clerk."""
    _switch_clerk(staff_number, authority, disabled=True)


def enable_clerk(staff_number: _StaffNumber, authority: _MaybeAuthority = None) -> None:
    """Enable a clerk."""
    _switch_clerk(staff_number, authority, disabled=False)


def _switch_clerk(staff_number: str, authority: str | None, *, disabled: bool) -> None:
    with common.opened() as parts:
        registration = parts.registration
        if authority is None:
            found = [c.authority for c in registration.clerks() if c.staff_number == staff_number]
            if len(found) > 1:
                raise Stop(
                    Exit.USAGE,
                    "好几个机构有这个工号，请用 --authority 指明。",
                    "Several authorities use this staff number; add --authority.",
                )
            authority = found[0] if found else ""
        registration.set_clerk_disabled(authority, staff_number, disabled)
    common.say(*(("已停用。", "Disabled.") if disabled else ("已启用。", "Enabled.")))

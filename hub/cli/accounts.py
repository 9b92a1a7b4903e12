"""`hub clients`, `hub clerks`, `hub token`: who may call, and a token for trying things out."""

from datetime import datetime, timedelta
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


_Name = Annotated[str, typer.Argument(metavar="NAME", help="账号名,即 client_id。 The client's name, which is its id.")]
_Authority = Annotated[str, typer.Option(metavar="CODE", help="机构的统一社会信用代码。 The authority's code.")]
_KeyFile = Annotated[Path, typer.Option("--generate", metavar="KEYFILE", help="私钥写入此新文件。 New key file, 0600.")]
_Json = Annotated[bool, typer.Option("--json", help="输出 JSON。 JSON instead of a table.")]
_StaffNumber = Annotated[str, typer.Argument(metavar="STAFF_NUMBER", help="工号。 Staff number.")]
_MaybeAuthority = Annotated[str | None, typer.Option("--authority", metavar="CODE", help="机构。 The authority.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    clients = typer.Typer(help="机器账号。 Machine accounts of departments' systems.", no_args_is_help=True)
    clients.command("add", cls=Listing, help="登记账号,生成密钥。 Register a client and make its key.")(add_client)
    clients.command("list", help="列出账号。 List clients.")(list_clients)
    clients.command("disable", help="停用账号。 Switch a client off; running processes follow within 2 s.")(
        disable_client
    )
    clients.command("enable", help="启用账号。 Switch a client on again.")(enable_client)
    clients.command("rotate", help="换新密钥,旧密钥在一段时间内仍有效。 A new key; the others end after the overlap.")(
        rotate_client_key
    )
    app.add_typer(clients, name="clients")
    clerks = typer.Typer(help="窗口人员。 Clerks of counters.", no_args_is_help=True)
    clerks.command("add", help="登记窗口人员;重复登记不变。 Register a clerk; the same again changes nothing.")(
        add_clerk
    )
    clerks.command("list", help="列出窗口人员。 List clerks.")(list_clerks)
    clerks.command("disable", help="停用窗口人员。 Switch a clerk off.")(disable_clerk)
    clerks.command("enable", help="启用窗口人员。 Switch a clerk on again.")(enable_clerk)
    app.add_typer(clerks, name="clerks")
    tokens.register(app)


# --- clients ----------------------------------------------------------------------------------------------------------


def add_client(
    name: _Name,
    authority: _Authority,
    scope: Annotated[
        list[str], typer.Option(metavar="SCOPE", help="权限范围,可多个。 Scopes: " + ", ".join(sorted(SCOPES)))
    ],
    generate: _KeyFile,
    source: Annotated[str | None, typer.Option(help="办件来源,默认为机构代码。 Space of its case numbers.")] = None,
    acts_for: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="可代为办理的机构,可多个。 Authorities it acts for.")
    ] = None,
) -> None:
    """Register a client; the private key is written to the file before the account exists, and never kept."""
    with common.opened() as parts, new_file(generate) as keep:
        parts.registration.add_client(name, authority, source=source, acts_for=acts_for or (), scopes=scope, keep=keep)
    common.emit(name)
    common.say(f"账号已登记,私钥在 {generate}。", "The client is registered; this file is the only copy of its key.")


def list_clients(as_json: _Json = False) -> None:
    """Every client; what it may do, and until when its keys are accepted."""
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
                "\n".join(sorted(c.acts_for)),
                "\n".join(sorted(c.scopes)),
                "\n".join(_key_line(key) for key in c.keys if key.accepted(now)),
                "停用 disabled" if c.disabled else "启用 enabled",
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
    """Switch a client off."""
    _switch_client(name, disabled=True)


def enable_client(name: _Name) -> None:
    """Switch a client on."""
    _switch_client(name, disabled=False)


def _switch_client(name: str, *, disabled: bool) -> None:
    with common.opened() as parts:
        parts.registration.set_client_disabled(name, disabled)
    common.say(*(("已停用。", "Disabled.") if disabled else ("已启用。", "Enabled.")))


def rotate_client_key(
    name: _Name,
    generate: _KeyFile,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=8760, help="旧密钥还可使用的小时数。 Hours that the other keys stay accepted.")
    ] = 24,
) -> None:
    """A new key beside the others, which end after the overlap; 0 ends them at once, as after a loss or a theft."""
    with common.opened() as parts:
        registration = parts.registration
        now = parts.clock.now()
        former = [key for c in registration.clients() if c.client_id == name for key in c.keys if key.accepted(now)]
        until = now + timedelta(hours=overlap_hours)
        with new_file(generate) as keep:
            if overlap_hours == 0:  # the lost key first: a crash in between must not leave it in use
                _retire(registration, name, former, until)
            registration.add_client_key(name, keep=keep)
        _retire(registration, name, former, until)
    common.emit(name)
    common.say(f"新私钥在 {generate};旧密钥有效至 {show_moment(until)}。", "The former keys end then.")


def _retire(registration: Any, name: str, keys: "list[ClientKey]", at: datetime) -> None:
    for key in keys:
        registration.retire_client_key(name, key.kid, at)


# --- clerks -----------------------------------------------------------------------------------------------------------


def add_clerk(
    name: Annotated[str, typer.Argument(metavar="NAME", help="姓名。 The clerk's name.")],
    authority: _Authority,
    staff_number: Annotated[str, typer.Option("--id", metavar="STAFF_NUMBER", help="工号。 Staff number.")],
) -> None:
    """Register a clerk."""
    with common.opened() as parts:
        clerk = parts.registration.add_clerk(name, authority, staff_number)
    common.emit(clerk.staff_number)
    common.say("已登记。", "Registered.")


def list_clerks(authority: _MaybeAuthority = None, as_json: _Json = False) -> None:
    """Every clerk, or those of one authority."""
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
    """Switch a clerk off."""
    _switch_clerk(staff_number, authority, disabled=True)


def enable_clerk(staff_number: _StaffNumber, authority: _MaybeAuthority = None) -> None:
    """Switch a clerk on."""
    _switch_clerk(staff_number, authority, disabled=False)


def _switch_clerk(staff_number: str, authority: str | None, *, disabled: bool) -> None:
    with common.opened() as parts:
        registration = parts.registration
        if authority is None:
            found = [c.authority for c in registration.clerks() if c.staff_number == staff_number]
            if len(found) > 1:
                raise Stop(Exit.USAGE, "多个机构有此工号,请加 --authority。", "Several authorities have it: say which.")
            authority = found[0] if found else ""
        registration.set_clerk_disabled(authority, staff_number, disabled)
    common.say(*(("已停用。", "Disabled.") if disabled else ("已启用。", "Enabled.")))

"""`hub backup` and `hub restore`: everything that cannot be derived, copied while the hub runs, and put back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli import common
from hub.cli.common import Exit, Stop

if TYPE_CHECKING:
    from hub.backup import Manifest
    from hub.parts import Parts

_Folder = Annotated[Path, typer.Argument(metavar="DIR", help="备份目录。 The backup's folder.")]
_Keys = Annotated[
    Path | None,
    typer.Option("--keys", metavar="DIR", help="密钥部分另放的目录。 Where its keys part lies, if elsewhere."),
]
_Json = Annotated[bool, typer.Option("--json", help="输出 JSON。 JSON instead of a table.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(help="备份,服务不停;目录须为空。 Make a backup in an empty folder while everything runs.")(backup)
    app.command(help="把备份恢复到空的 HUB_DATA_DIR,需要主密钥文件。 Put a backup back into an empty HUB_DATA_DIR.")(
        restore
    )


def backup(folder: _Folder, keys: _Keys = None, as_json: _Json = False) -> None:
    """Rows in one snapshot, then the files that they name; unfinished without its manifest."""
    from hub.backup import BackupFolder

    place = BackupFolder(folder, keys)
    with common.opened() as parts, common.progress("备份 backing up") as progress:
        made = parts.backup.run(place, progress)
    _show(made, as_json)
    common.say(f"备份完成:{folder}", "The backup is complete.")
    if place.is_on_one_medium:
        common.say(
            f"请把 {place.keys.parent} 移到另一介质保存;主密钥不在备份中,须另行保存。",
            "Move the keys part to another medium (--keys writes it there). The master key is in neither: keep it in a"
            " third place.",
        )


def restore(folder: _Folder, keys: _Keys = None, as_json: _Json = False) -> None:
    """Everything, or nothing; then what was decided is signed, and the directory is built anew."""
    from hub.backup import BackupFolder
    from hub.parts import restore_into

    settings = common.settings()
    if not settings.master_key_path.is_file():
        raise Stop(
            Exit.CONFIGURATION,
            f"没有主密钥文件 {settings.master_key_path}:请设置 HUB_MASTER_KEY_FILE。",
            "The master key file is missing: set HUB_MASTER_KEY_FILE to the one that the backup was made under.",
        )
    with common.progress("恢复 restoring") as progress:
        found = restore_into(settings).run(BackupFolder(folder, keys), progress)
    common.say("数据已恢复。", "The data is back.")
    with common.opened() as parts:
        left = _finish(parts)
        _rebuild(parts)
        url = _address(parts)
    _show(found, as_json)
    _say_what_is_lost(found, left)
    if "public_url" in settings.model_fields_set and settings.public_url != url:
        common.say(
            f"二维码里的地址仍是 {url};要改为 HUB_PUBLIC_URL,请运行 hub init。",
            "That is the address in QR codes, and not HUB_PUBLIC_URL: `hub init` would change it.",
        )


def _finish(parts: "Parts") -> int:
    """Sign what was decided and reserved when the backup was made; how many cases still wait."""
    from hub.store import check_rows
    from hub.worker import finish_due

    while finish_due(parts):
        pass
    return len(check_rows.open_intents(parts.database.reader))


def _rebuild(parts: "Parts") -> None:
    from hub.directory import Busy
    from indexer.errors import DirectoryUnavailable

    try:
        with common.progress("目录 directory") as progress:
            parts.directory.rebuild(progress)
    except (Busy, DirectoryUnavailable):
        common.say("目录暂不能重建,由后台进程接着做。", "The directory cannot be built now: the worker will do it.")


def _address(parts: "Parts") -> str:
    from hub.store.keys import public_urls

    return public_urls(parts.database.reader)[0]


def _show(found: "Manifest", as_json: bool) -> None:
    rows: dict[str, Any] = {
        "backup": found.backup,
        "taken_at": found.taken_at,
        "finished_at": found.finished_at,
        "ledger": found.ledger,
        "rows": found.rows,
        "documents": found.documents,
        "bytes": found.document_bytes + sum(table.bytes for table in found.tables),
        "engine": found.engine,
        "hub": found.hub,
        "schema": found.schema,
        "master_key": found.master_key,
    }
    if as_json:
        common.emit_json({**rows, "tables": {table.name: table.rows for table in found.tables}})
    else:
        common.emit_table(("what", "value"), list(rows.items()))


def _say_what_is_lost(found: "Manifest", left: int) -> None:
    common.say(
        f"恢复到 {found.taken_at}(账本第 {found.ledger} 条)。此后的推送、暂扣、吊销、停用账号、更换或吊销密钥都不在"
        "其中,须重做:请各审批系统重推此后的办件。",
        f"This is the hub of {found.taken_at}, ledger position {found.ledger}. What was done after it is not in it and"
        " must be done again: pushes, suspensions and revocations, accounts that were disabled, keys that were rotated"
        " or revoked.",
    )
    if left:
        common.say(f"还有 {left} 个办件待签,由后台进程接着做。", f"{left} decided cases wait for their signatures.")
    common.say(
        "原服务停止至少三分钟后再启动,然后运行 hub check。",
        "Start it no sooner than three minutes after the former hub has stopped, and run `hub check`.",
    )

"""`hub backup` and `hub restore`: back up everything that cannot be derived, online, and restore it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli import common
from hub.cli.common import Exit, Stop

if TYPE_CHECKING:
    from hub.backup import Manifest
    from hub.parts import Parts

_Folder = Annotated[Path, typer.Argument(metavar="DIR", help="备份目录。 The backup directory.")]
_Keys = Annotated[
    Path | None,
    typer.Option("--keys", metavar="DIR", help="密钥部分另放的目录。 A separate directory for the keys part."),
]
_Json = Annotated[bool, typer.Option("--json", help="输出 JSON。 Print JSON instead of a table.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(help="备份到空目录，不用停止服务。 Back up to an empty directory while the hub is running.")(backup)
    app.command(help="把备份恢复到空的 HUB_DATA_DIR，需要主密钥文件。 Restore a backup into an empty HUB_DATA_DIR.")(
        restore
    )


def backup(folder: _Folder, keys: _Keys = None, as_json: _Json = False) -> None:
    """Copy all rows from one snapshot, then the files they reference; the manifest is written last."""
    from hub.backup import BackupFolder

    place = BackupFolder(folder, keys)
    with common.opened() as parts, common.progress("备份 backing up") as progress:
        made = parts.backup.run(place, progress)
    _show(made, as_json)
    common.say(f"备份完成：{folder}", "Backup complete.")
    if place.is_on_one_medium:
        common.say(
            f"请把 {place.keys.parent} 移到另一个介质保存；主密钥不在备份里，要另外保存。",
            "Move the keys part to another medium (or write it there with --keys). The master key is in neither part:"
            " keep it in a third place.",
        )


def restore(folder: _Folder, keys: _Keys = None, as_json: _Json = False) -> None:
    """Restore everything or nothing, then sign open intents and rebuild the directory."""
    from hub.backup import BackupFolder
    from hub.parts import restore_into

    settings = common.settings()
    if not settings.master_key_path.is_file():
        raise Stop(
            Exit.CONFIGURATION,
            f"没有主密钥文件 {settings.master_key_path}：请设置 HUB_MASTER_KEY_FILE。",
            "Master key file not found: set HUB_MASTER_KEY_FILE to the key that was in use when the backup was made.",
        )
    with common.progress("恢复 restoring") as progress:
        found = restore_into(settings).run(BackupFolder(folder, keys), progress)
    common.say("数据已恢复。", "Data restored.")
    with common.opened() as parts:
        unfinished = _finish(parts)
        _rebuild(parts)
        url = _address(parts)
    _show(found, as_json)
    _say_what_is_lost(found, unfinished)
    if "public_url" in settings.model_fields_set and settings.public_url != url:
        common.say(
            f"二维码里的地址仍是 {url}；要改成 HUB_PUBLIC_URL，请运行 hub init。",
            "QR codes still use that address, not HUB_PUBLIC_URL; run `hub init` to change it.",
        )


def _finish(parts: "Parts") -> int:
    """Sign the intents that were open when the backup was made; returns how many are still open."""
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
        common.say(
            "目录暂时不能重建，后台进程会接着做。", "The directory cannot be rebuilt now; the worker will do it."
        )


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


def _say_what_is_lost(found: "Manifest", unfinished: int) -> None:
    common.say(
        f"恢复到 {found.taken_at}（账本第 {found.ledger} 条）。此后的推送、暂扣、吊销、停用账号、更换或吊销密钥"
        "都没有恢复，要重做：请各审批系统重新推送此后的办件。",
        f"Restored to {found.taken_at}, ledger position {found.ledger}. Everything done later is lost and must be"
        " repeated: pushes, suspensions and revocations, disabled accounts, rotated or revoked keys.",
    )
    if unfinished:
        common.say(
            f"还有 {unfinished} 个办件待签，后台进程会接着做。",
            f"{unfinished} cases are still to be signed; the worker will do it.",
        )
    common.say(
        "原来的服务停止满三分钟后再启动这里的服务，然后运行 hub check。",
        "Wait until the old hub has been stopped for three minutes, then start this one and run `hub check`.",
    )

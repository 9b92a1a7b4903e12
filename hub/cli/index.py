"""`hub index`: the status of the directory, and commands to rebuild, compare, explain and retry."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli import common
from hub.cli.common import Exit, Stop

if TYPE_CHECKING:
    from indexer.entry import Entry

_SHOWN_AT_MOST = 100

_Json = Annotated[bool, typer.Option("--json", help="输出 JSON。 Print JSON instead of a table.")]
_Repair = Annotated[bool, typer.Option("--repair", help="同时改正。 Repair the differences.")]
_Identifier = Annotated[str, typer.Argument(metavar="IDENTIFIER", help="电子证照标识。 Certificate identifier.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    index = typer.Typer(
        help="目录：由证照库派生的索引，可以随时重建。 Work on the directory, the derived index; it can be rebuilt.",
        no_args_is_help=True,
    )
    index.command("status", help="目录更新到哪里，还差多少。 Show the position of the directory and its backlog.")(
        status
    )
    index.command("rebuild", help="重建目录并换上，不用停止服务。 Rebuild the directory online and swap it in.")(
        rebuild
    )
    index.command(
        "compare", help="把目录和证照库逐条核对；加 --repair 改正。 Compare the directory with the database."
    )(compare)
    index.command(
        "explain", help="查看一张证照在证照库和目录里的情况。 Show a certificate in the database and in the directory."
    )(explain)
    index.command("retry", help="重新写入被目录拒绝的条目。 Re-index rejected documents.")(retry)
    app.add_typer(index, name="index")


def status(as_json: _Json = False) -> None:
    """Show generation, entries, position and backlog; exit 5 if the directory is unavailable."""
    with common.opened() as parts:
        found = _available(parts.directory.status)
        now = parts.clock.now()
    from hub.domain.dates import to_micros

    age = None if found.lag.oldest_at is None else round((to_micros(now) - found.lag.oldest_at) / 1_000_000, 1)
    rows: dict[str, Any] = {
        "generation": found.generation,
        "entries": found.entries,
        "position": found.position,
        "head": found.head,
        "pending": found.lag.changes,
        "oldest_pending_s": age,
        "others": list(found.others),
        "set_aside": found.rejected,
    }
    if as_json:
        common.emit_json(rows)
    else:
        common.emit_table(("what", "value"), [(k, " ".join(v) if isinstance(v, list) else v) for k, v in rows.items()])
    if found.generation is None:
        raise _none()


def rebuild() -> None:
    """Build a new generation while lookups and searches continue."""
    from hub.directory import Busy

    with common.opened() as parts, common.progress("重建 rebuilding") as progress:
        try:
            name = _available(lambda: parts.directory.rebuild(progress))
        except Busy:
            raise Stop(Exit.FAILED, "已有重建在进行。", "Another rebuild is in progress.") from None
    common.emit(name)
    common.say("新目录已启用。", "The new generation is in use.")


def compare(repair: _Repair = False, as_json: _Json = False) -> None:
    """Print every difference, one per line; exit 1 if any remains."""
    with common.opened() as parts, common.progress("核对 comparing") as progress:
        report = _available(lambda: parts.directory.compare(repair=repair, progress=progress))
    if report is None:
        raise _none()
    if as_json:
        differences = [{"kind": d.kind.value, "identifier": d.identifier} for d in report.differences]
        counts = {name: getattr(report, name) for name in ("certificates", "entries", "pending", "repaired")}
        common.emit_json({"generation": report.generation, **counts, "differences": differences})
    else:
        for difference in report.differences[:_SHOWN_AT_MOST]:
            common.emit(f"{difference.identifier}  {difference.kind.value}")
    common.say(
        f"证照 {report.certificates}，条目 {report.entries}，在途 {report.pending}，已改正 {report.repaired}。",
        f"{report.certificates} certificates, {report.entries} entries, {report.pending} pending,"
        f" {report.repaired} repaired.",
    )
    remaining = len(report.differences) - report.repaired
    if remaining:
        raise Stop(
            Exit.FAILED,
            f"有 {remaining} 处不一致，加 --repair 可以改正。",
            f"{remaining} differences; repair them with --repair.",
        )


def explain(identifier: _Identifier, as_json: _Json = False) -> None:
    """Compare the record of a certificate with its directory entries, and show whether a change is pending."""
    with common.opened() as parts:
        found = _available(lambda: parts.directory.explain(identifier))
    pairs = list(zip(found.expected, found.found, strict=True))
    head = {
        "generation": found.generation,
        "revision": found.revision,
        "position": found.position,
        "head": found.head,
        "pending": found.pending,
    }
    if as_json:
        holdings = [
            {"repository": _without_keys(should), "directory": has and _without_keys(has)} for should, has in pairs
        ]
        common.emit_json({**head, "holdings": holdings})
        return
    common.emit_table(("what", "value"), list(head.items()))
    for number, (should, has) in enumerate(pairs, 1):
        there = {} if has is None else _without_keys(has)
        rows = [(name, value, there.get(name)) for name, value in _without_keys(should).items()]
        common.emit_table((f"holding {number}", "repository", "directory"), rows)


def retry() -> None:
    """Re-index the entries that the directory rejected; exit 1 if some are rejected again.

    Rejected entries are recorded and counted in metrics; lookups still find their certificates.
    """
    with common.opened() as parts:
        tried, rejected = _available(parts.directory.retry)
    common.say(f"重新写入了 {tried} 张证照的条目。", f"Re-indexed the entries of {tried} certificates.")
    if rejected:
        raise Stop(
            Exit.FAILED,
            f"仍有 {rejected} 条被拒绝，原因见日志。",
            f"{rejected} entries were rejected again; see the log.",
        )


def _without_keys(entry: "Entry") -> dict[str, Any]:
    """An entry without the internal keys."""
    return {k: v for k, v in entry._asdict().items() if k not in {"party", "home", "certificate"}}


def _available(work: Any) -> Any:
    from indexer.errors import DirectoryUnavailable

    try:
        return work()
    except DirectoryUnavailable as error:
        raise Stop(Exit.DEPENDENCY, "目录不可用，检索改由数据库回答。", f"Directory unavailable: {error}.") from None


def _none() -> Stop:
    return Stop(
        Exit.DEPENDENCY,
        "目录还没有建立：后台进程会建立，也可以运行 hub index rebuild。",
        "No directory yet: the worker will build it, or run `hub index rebuild`.",
    )

"""`hub index`: the directory, how far it has come, made anew, compared, explained."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli import common
from hub.cli.common import Exit, Stop

if TYPE_CHECKING:
    from indexer.entry import Entry

_SHOWN_AT_MOST = 100

_Json = Annotated[bool, typer.Option("--json", help="输出 JSON。 JSON instead of a table.")]
_Repair = Annotated[bool, typer.Option("--repair", help="同时改正。 Put right what differs.")]
_Identifier = Annotated[str, typer.Argument(metavar="IDENTIFIER", help="电子证照标识。 A certificate's identifier.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    index = typer.Typer(
        help="目录索引:由证照库派生,可随时重建。 The directory: derived, and rebuilt at any time.", no_args_is_help=True
    )
    index.command("status", help="目录到了哪里,还差多少。 How far it has come and what it lacks.")(status)
    index.command("rebuild", help="重建并换上,服务不停。 Build it anew and swap it in while everything runs.")(rebuild)
    index.command("compare", help="与证照库逐条核对;--repair 改正。 Compare it with the repository.")(compare)
    index.command("explain", help="一份证照在证照库和目录中的情况。 One certificate on both sides.")(explain)
    index.command("retry", help="重写被拒绝的条目。 Write anew what was set aside.")(retry)
    app.add_typer(index, name="index")


def status(as_json: _Json = False) -> None:
    """Generation, entries, position, and what is on its way; exit 5 while nothing answers."""
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
        "set_aside": found.set_aside,
    }
    if as_json:
        common.emit_json(rows)
    else:
        common.emit_table(("what", "value"), [(k, " ".join(v) if isinstance(v, list) else v) for k, v in rows.items()])
    if found.generation is None:
        raise _none()


def rebuild() -> None:
    """A new generation; lookups and searches go on meanwhile."""
    from hub.directory import Busy

    with common.opened() as parts, common.progress("重建 rebuilding") as progress:
        try:
            name = _available(lambda: parts.directory.rebuild(progress))
        except Busy:
            raise Stop(Exit.FAILED, "已有重建在进行。", "Somebody else is rebuilding.") from None
    common.emit(name)
    common.say("新目录已启用。", "The new generation answers.")


def compare(repair: _Repair = False, as_json: _Json = False) -> None:
    """Every difference, one a line; exit 1 when any is left."""
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
        f"证照 {report.certificates},条目 {report.entries},在途 {report.pending},已改正 {report.repaired}。",
        f"{report.certificates} certificates, {report.entries} entries, {report.pending} on their way.",
    )
    left = len(report.differences) - report.repaired
    if left:
        raise Stop(Exit.FAILED, f"有 {left} 处不一致;可加 --repair 改正。", f"{left} differences: try --repair.")


def explain(identifier: _Identifier, as_json: _Json = False) -> None:
    """What the repository says of a certificate, what the directory has, and whether a change is on its way."""
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
        holdings = [{"repository": _shown(should), "directory": has and _shown(has)} for should, has in pairs]
        common.emit_json({**head, "holdings": holdings})
        return
    common.emit_table(("what", "value"), list(head.items()))
    for number, (should, has) in enumerate(pairs, 1):
        there = {} if has is None else _shown(has)
        rows = [(name, value, there.get(name)) for name, value in _shown(should).items()]
        common.emit_table((f"holding {number}", "repository", "directory"), rows)


def retry() -> None:
    """Entries that were refused, from what the repository says now; exit 1 when some are refused again."""
    with common.opened() as parts:
        tried, left = _available(parts.directory.retry)
    common.say(f"重写了 {tried} 份证照的条目。", f"The entries of {tried} certificates were written anew.")
    if left:
        raise Stop(Exit.FAILED, f"仍有 {left} 条被拒绝,原因见日志。", f"{left} are refused again: the log says why.")


def _shown(entry: "Entry") -> dict[str, Any]:
    """An entry without the keys that only the repository understands."""
    return {k: v for k, v in entry._asdict().items() if k not in {"party", "home", "certificate"}}


def _available(work: Any) -> Any:
    from indexer.errors import DirectoryUnavailable

    try:
        return work()
    except DirectoryUnavailable as error:
        raise Stop(
            Exit.DEPENDENCY, "目录不可用;检索改由证照库回答。", f"The directory is not available: {error}."
        ) from None


def _none() -> Stop:
    return Stop(
        Exit.DEPENDENCY,
        "目录尚未建立:后台进程会建立,或运行 hub index rebuild。",
        "No directory yet: the worker makes it, or run `hub index rebuild`.",
    )

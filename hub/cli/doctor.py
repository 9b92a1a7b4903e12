"""`hub doctor`: a health check for operators."""

import os
from dataclasses import asdict
from typing import Annotated

import typer

from hub.cli import common
from hub.cli.common import Exit, Stop

_MARKS = {"ok": "✓", "note": "·", "problem": "✕", "down": "✕"}

_Json = Annotated[bool, typer.Option("--json", help="输出 JSON。 Print JSON instead of text.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        help="体检：版本、时间、磁盘、字体、权限、密钥、证书、积压，有问题就说明怎么办。"
        " Health check: versions, clock, disk, fonts, permissions, keys, certificates and backlog, with fixes."
    )(doctor)


def doctor(as_json: _Json = False) -> None:
    """One line per subject; exit 1 if something needs fixing, 5 if a dependency is down."""
    from hub import settings as names
    from hub.ops.doctor import State, examine, verdict

    found = examine(common.settings(), unknown=names.unknown(os.environ))
    worst = verdict(found)
    if as_json:
        common.emit_json({"state": worst.value, "findings": [asdict(finding) for finding in found]})
    else:
        for finding in found:
            common.emit(f"{_MARKS[finding.state]} {finding.name}  {finding.message} {finding.message_en}")
            if finding.fix:
                common.emit(f"    → {finding.fix} {finding.fix_en}".rstrip())
    count = sum(finding.state in {State.PROBLEM, State.DOWN} for finding in found)
    if worst is State.DOWN:
        raise Stop(Exit.DEPENDENCY, f"有 {count} 处要处理。", f"Problems: {count}; a dependency is down.")
    if worst is State.PROBLEM:
        raise Stop(Exit.FAILED, f"有 {count} 处要处理。", f"Problems: {count}.")
    common.say("一切正常。", "No problems found.")

"""`hub doctor`: what an operator runs when something is odd, and every morning before that."""

import os
from dataclasses import asdict
from typing import Annotated

import typer

from hub.cli import common
from hub.cli.common import Exit, Stop

_MARKS = {"ok": "✓", "note": "·", "problem": "✕", "down": "✕"}

_Json = Annotated[bool, typer.Option("--json", help="输出 JSON。 JSON instead of lines.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        help="体检:版本、时间、磁盘、字体、权限、密钥、证书、积压,并说明怎么办。"
        " Versions, time, disk, fonts, rights, keys, certificates, what waits; and what to do."
    )(doctor)


def doctor(as_json: _Json = False) -> None:
    """Every subject, one line each; exit 1 when somebody has to act, 5 when a dependency does not answer."""
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
        raise Stop(Exit.DEPENDENCY, f"有 {count} 处需要处理。", f"{count} to be seen to; a dependency is down.")
    if worst is State.PROBLEM:
        raise Stop(Exit.FAILED, f"有 {count} 处需要处理。", f"{count} to be seen to.")
    common.say("一切正常。", "All is well.")

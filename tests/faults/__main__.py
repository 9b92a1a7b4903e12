"""Try the faults of the engines and print the table: `python -m tests.faults [--seconds N] [--long] [--row TEXT]`."""

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

from _pytest.outcomes import Failed, Skipped

from tests.faults.rows import AGAIN, ANSWERS, ROWS, Row, Tried
from tests.faults.stage import stage


def fault_of(row: Row, seconds: float, tried: Tried) -> str | None:
    """Why a row does not hold; "" where it could not be tried."""
    with stage() as theatre, tempfile.TemporaryDirectory(prefix="hub-faults-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # where the servers' user gets at its files
        try:
            row.work(theatre, folder, seconds, tried)
        except Skipped as reason:
            print(f"  skipped: {reason}", file=sys.stderr)
            return ""
        except (Exception, Failed):
            return traceback.format_exc()
        return None


def main() -> int:
    """Exit status 1 where a row does not hold."""
    words = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    words.add_argument("--seconds", type=float, help="how long each row is tried; by default 20 s")
    words.add_argument("--long", action="store_true", help="five minutes a row")
    words.add_argument("--row", default="", help="only rows whose name has this text in it")
    given = words.parse_args()
    chosen = [row for row in ROWS if given.row in row.name]
    held = 0
    print(f"{'row':52} {'tried':>6} {'held':>6}")
    for row in chosen:
        began, tried = time.monotonic(), Tried()
        fault = fault_of(row, given.seconds or (row.long_s if given.long else row.usual_s), tried)
        answers, again = tried.pop(ANSWERS, 0), tried.pop(AGAIN, 0)
        for name, times in sorted(tried.items()):
            print(f"{name:52} {times:6} {0 if fault else times:6}")
        verdict = "held" if fault is None else "not tried" if fault == "" else "NOT HELD"
        told = f"{answers} answers, {again} {AGAIN}" if again else f"{answers} answers"
        print(f"= {row.name}: {verdict}; {told}, {time.monotonic() - began:.0f} s", flush=True)
        held += fault is None
        if fault:
            print(fault, file=sys.stderr)
    print(f"rows tried {len(chosen)}, rows held {held}")
    return 0 if held == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())

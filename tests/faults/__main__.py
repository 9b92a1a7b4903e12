"""Try the faults of the engines and print the table: `python -m tests.faults [--seconds N] [--long] [--row TEXT]`."""

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

from _pytest.outcomes import Failed, Skipped

from tests.faults.rows import ROWS, Row, Tried
from tests.faults.stage import stage


def tried(row: Row, seconds: float) -> tuple[Tried, str | None]:
    """What was tried, and why it does not hold; "" where it could not be tried."""
    with stage() as theatre, tempfile.TemporaryDirectory(prefix="hub-faults-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # where the servers' user gets at its files
        try:
            return row.work(theatre, folder, seconds), None
        except Skipped as reason:
            print(f"  skipped: {reason}", file=sys.stderr)
            return Tried(), ""
        except (Exception, Failed):
            return Tried(), traceback.format_exc()


def main() -> int:
    """Exit status 1 where a row does not hold."""
    words = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    words.add_argument("--seconds", type=float, help="how long each row is tried; by default 20 s")
    words.add_argument("--long", action="store_true", help="five minutes a row")
    words.add_argument("--row", default="", help="only rows whose name has this text in it")
    given = words.parse_args()
    wrong = 0
    print(f"{'row':48} {'tried':>6} {'held':>6}")
    for row in (row for row in ROWS if given.row in row.name):
        began = time.monotonic()
        found, fault = tried(row, given.seconds or (row.long_s if given.long else row.usual_s))
        answers, again = found.pop("answers", 0), found.pop("of them told to come again", 0)
        for name, times in sorted(found.items()):
            print(f"{name:48} {times:6} {times:6}")
        verdict = "held" if fault is None else "not tried" if fault == "" else "NOT HELD"
        note = f", {again} told to come again" if again else ""
        print(f"= {row.name}: {verdict}; {answers} answers{note}, {time.monotonic() - began:.0f} s", flush=True)
        if fault:
            wrong += 1
            print(fault, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

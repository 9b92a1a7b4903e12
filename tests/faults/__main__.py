"""Run the engines' fault tests and print the table: `python -m tests.faults [--seconds N] [--long] [--row TEXT]`."""

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

from _pytest.outcomes import Failed, Skipped

from tests.faults.forkserver import fork_server
from tests.faults.rows import ROWS, Row
from tests.faults.trial import Trial


def attempt(row: Row, seconds: float) -> tuple[Trial | None, str | None]:
    """Run a row: the trial, and why it failed, if it did; no trial if it could not be run."""
    with (
        fork_server() as forkserver,
        tempfile.TemporaryDirectory(prefix="hub-faults-", ignore_cleanup_errors=True) as name,
    ):
        trial = Trial(forkserver, Path(name), seconds)
        trial.folder.chmod(0o755)  # so that the servers' user can read its files
        try:
            row.work(trial)
        except Skipped as reason:
            return None, f"skipped: {reason}"
        except (Exception, Failed):
            return trial, traceback.format_exc()
        return trial, None


def main() -> int:
    """Exit status 1 if a row fails."""
    words = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    words.add_argument("--seconds", type=float, help="how long each row is tried; by default 20 s")
    words.add_argument("--long", action="store_true", help="five minutes a row")
    words.add_argument("--row", default="", help="only rows whose name has this text in it")
    given = words.parse_args()
    chosen = [row for row in ROWS if given.row in row.name]
    held = 0
    print(f"{'row':52} {'tried':>6} {'held':>6}")
    for row in chosen:
        began = time.monotonic()
        trial, fault = attempt(row, given.seconds or (row.long_s if given.long else row.usual_s))
        if trial is not None:
            tell(trial, fault)
        verdict = "not tried" if trial is None else "held" if fault is None else "NOT HELD"
        told = "" if trial is None or not trial.answers else f" {trial.answers} answers,"
        again = "" if trial is None or not trial.again else f" {trial.again} told to come again,"
        print(f"= {row.name}: {verdict};{told}{again} {time.monotonic() - began:.0f} s", flush=True)
        held += fault is None
        if fault:
            print(fault, file=sys.stderr)
    print(f"rows tried {len(chosen)}, rows held {held}")
    return 0 if held == len(chosen) else 1


def tell(trial: Trial, fault: str | None) -> None:
    """Print the trial, one line per fault. A failed row that has not counted its failures counts as failed."""
    for name, times in sorted(trial.tried.items()):
        failed = trial.failed[name] if fault is None or trial.failed else times
        print(f"{name:52} {times:6} {times - failed:6}")


if __name__ == "__main__":
    sys.exit(main())

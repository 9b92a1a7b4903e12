"""Prove that the engine tests can fail: `python -m tests.faults.teeth` plants bugs, one at a time, in copied code.

Each bug is a change of a few words in the program's source. The test named with it must pass without it and fail with
it. Prints how many bugs were planted and how many were caught.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

COPIED = ("hub", "signing", "indexer", "tests", "scripts", "pyproject.toml", "docs", "deploy")
LIMIT_S = 400


@dataclass(frozen=True)
class Bug:
    """`old` becomes `new` in a file; `test` is the test id for pytest."""

    name: str
    file: str
    old: str
    new: str
    test: str


_SAME = (
    "tests/indexer/test_engines.py::test_a_lower_revision_changes_nothing_and_the_same_may_be_written_again[elastic]"
)
_COMMIT = "tests/faults/test_servers.py::test_a_commit_that_the_server_has_not_made_is_not_answered[versions]"
_COMMITS = "tests/faults/test_servers.py::test_killed_around_every_commit"

BUGS = (
    Bug(
        "the cursor advances before the entries can be found",
        "indexer/elastic/engine.py",
        "if wanted and self._is_current(name):",
        "if wanted and not self._is_current(name):",
        "tests/indexer/test_engines.py::test_a_party_finds_its_own[elastic]",
    ),
    Bug(
        "a conflict of versions is taken for a lost entry",
        "indexer/elastic/bulk.py",
        "elif status == 409 or (status == 404 and not kind):\n        outcome.older += 1\n    elif status == 400:",
        "elif status in (400, 409):",
        _SAME,
    ),
    Bug(
        "entries are written without their revisions",
        "indexer/elastic/bulk.py",
        """versioned = "" if version is None else f',"version":{version},"version_type":"external_gte"'""",
        'versioned = ""',
        _SAME,
    ),
    Bug(
        "a hit in the directory is believed",
        "hub/directory/search.py",
        "for entry in entries_of(certificate, catalogue) if matches(search, entry))",
        "for entry in entries_of(certificate, catalogue))",
        "tests/directory/test_directory.py::test_what_the_directory_says_is_never_believed",
    ),
    Bug(
        "what is still on its way to the directory is not looked for",
        "hub/counter/holdings.py",
        "{*changed, *((entry.home",
        "{*((entry.home",
        "tests/directory/test_process.py::test_a_counter_finds_everything_while_workers_are_killed",
    ),
    Bug(
        "a commit whose connection was lost is answered",
        "hub/db/postgres.py",
        'if self._control(connection, "COMMIT") != "COMMIT":',
        'done = "COMMIT"\n        with suppress(DatabaseUnavailable):\n'
        '            done = self._control(connection, "COMMIT")\n        if done != "COMMIT":',
        _COMMIT,
    ),
    Bug(
        "a failed transaction is committed, and the reply is ignored",
        "hub/db/postgres.py",
        'if self._control(connection, "COMMIT") != "COMMIT":',
        'if not self._control(connection, "COMMIT"):',
        "tests/store/test_engines.py::test_a_transaction_that_has_failed_is_never_acknowledged",
    ),
    Bug(
        "a snapshot sees what is committed meanwhile",
        "hub/db/postgres.py",
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        "BEGIN READ ONLY",
        "tests/store/test_engines.py::test_writes_do_not_nest_and_a_snapshot_stands_still",
    ),
    Bug(
        "two sequencers at once",
        "hub/db/postgres.py",
        'return row is not None and bool(row["mine"])',
        "return row is not None",
        "tests/store/test_engines.py::test_only_one_sequences_at_a_time",
    ),
    Bug(
        "the feed goes by entries, past those that are committed late",
        "hub/store/postgres_guards.py",
        "(SELECT COALESCE(MAX(position), 0) FROM ledger) + row_number() OVER (ORDER BY g.entry)",
        "g.entry",
        "tests/store/test_engines.py::test_a_reader_after_a_position_never_misses_a_late_commit",
    ),
    Bug(
        "published although another call has deleted the intent",
        "hub/store/publish.py",
        "if not intents.delete(writer, publication.intent):\n        return False",
        "intents.delete(writer, publication.intent)",
        "tests/faults/test_races.py::test_an_amendment_meets_one_that_is_not_published_yet",
    ),
    Bug(
        "assertions are not used up",
        "hub/store/clients.py",
        'writer.insert("jtis", ',
        "dict(",
        "tests/access/test_tokens.py::test_an_assertion_serves_once",
    ),
    Bug(
        "the record is written after the answer",
        "hub/store/audit.py",
        '        writer.insert("audit", ',
        "        import threading\n\n        def later(table: str, row: object) -> None:\n"
        "            def insert() -> None:\n                with self._database.write() as late:\n"
        "                    late.insert(table, row)\n\n            threading.Timer(0.3, insert).start()\n\n"
        '        later("audit", ',
        "tests/counter/test_lookup.py::test_what_cannot_be_put_on_record_is_not_answered",
    ),
    Bug(
        "what was revoked meanwhile is given to a counter",
        "hub/counter/retrieval.py",
        "if certificates.revision_for_update(writer, version.home, version.certificate) != version.revision:",
        "if certificates.revision_for_update(writer, version.home, version.certificate) is None:",
        "tests/counter/test_retrieval.py::test_a_revocation_that_is_committed_first_is_honoured",
    ),
    Bug(
        "positions are given in one commit, and what waits is taken away in the next",
        "hub/directory/directory.py",
        "            return ledger.sequence(writer, SEQUENCED_AT_ONCE)\n",
        "            done = writer.run(\n                'INSERT INTO ledger (position, home, certificate, revision, kind, leaf)'\n"
        "                ' SELECT (SELECT COALESCE(MAX(position), 0) FROM ledger) + row_number() OVER (ORDER BY entry),'\n"
        "                ' home, certificate, revision, kind, leaf FROM outbox'\n            )\n"
        "        with self._database.write() as writer:\n            writer.run('DELETE FROM outbox')\n"
        "        return done\n",
        f"{_COMMITS}[index]",
    ),
    Bug(
        "a receipt is committed before it is on record",
        "hub/counter/retrieval.py",
        '            self._audit.write(writer, record, "ok")\n        if before is not None and again:',
        '        with self._database.write() as writer:\n            self._audit.write(writer, record, "ok")\n'
        "        if before is not None and again:",
        f"{_COMMITS}[retrieve]",
    ),
)


def _copy(to: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        elif source.exists():
            shutil.copy2(source, to / name)
    (to / ".cache").symlink_to(ROOT / ".cache")


def _run(copy: Path, tests: list[str]) -> tuple[int, str]:
    """pytest's exit status and the end of its output."""
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            words, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT_S * len(tests)
        )
    except subprocess.TimeoutExpired:
        return 1, "it hangs"
    return done.returncode, done.stdout[-2000:]


def main() -> int:
    """Exit status 1 if a bug is not caught, or a test fails without any bug."""
    words = argparse.ArgumentParser(prog="python -m tests.faults.teeth", description=__doc__)
    words.add_argument("--bug", default="", help="only bugs whose name has this text in it")
    chosen = [bug for bug in BUGS if words.parse_args().bug in bug.name]
    caught = 0
    with tempfile.TemporaryDirectory(prefix="hub-teeth-") as name:
        copy = Path(name)
        copy.chmod(0o755)
        _copy(copy)
        status, said = _run(copy, sorted({bug.test for bug in chosen}))
        if status:
            print(f"not green without a bug:\n{said}", file=sys.stderr)
            return 1
        print("green without a bug", flush=True)
        for bug in chosen:
            file = copy / bug.file
            before = file.read_text(encoding="utf-8")
            if before.count(bug.old) != 1:
                print(f"cannot be planted  {bug.name}", flush=True)
                continue
            file.write_text(before.replace(bug.old, bug.new), encoding="utf-8")
            status, said = _run(copy, [bug.test])
            file.write_text(before, encoding="utf-8")
            caught += status == 1
            print(f"{'caught' if status == 1 else 'NOT CAUGHT':18} {bug.name}", flush=True)
            if status not in {0, 1}:
                print(said, file=sys.stderr)
    print(f"seeded {len(chosen)}, caught {caught}")
    return 0 if caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())

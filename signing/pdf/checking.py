"""The caller's side of the checker: hands over a file, waits no longer than told, believes nothing unchecked."""

import subprocess
import sys
from datetime import datetime

from signing.errors import Malformed
from signing.pdf.finding import MAX_BYTES, Finding, Trust, What, finding_from_json, question

MAX_ANSWER = 512 * 1024


def check_in_subprocess(data: bytes, trust: Trust, at: datetime, deadline_s: float) -> Finding:
    """Return what a stranger's file turned out to be, or a finding that says why it could not be checked.

    The checker gets no environment, no open files but its pipes, and is killed after deadline_s. Problems of its own:
    `upload.too_large`, `pdf.deadline` when it took too long, `pdf.checker_failed` when it ended without an answer.
    """
    if len(data) > MAX_BYTES:
        return Finding(What.OTHER, problems=("upload.too_large",))
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "signing.pdf.checker"],
            input=question(data, trust, at),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=deadline_s,
            cwd="/",
            env={},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _without_answer(data, "pdf.deadline")
    if done.returncode != 0 or len(done.stdout) > MAX_ANSWER:
        return _without_answer(data, "pdf.checker_failed")
    try:
        return finding_from_json(done.stdout.decode("ascii"))
    except (Malformed, UnicodeDecodeError):
        return _without_answer(data, "pdf.checker_failed")


def _without_answer(data: bytes, problem: str) -> Finding:
    return Finding(What.PDF if data.startswith(b"%PDF-") else What.OTHER, problems=(problem,))

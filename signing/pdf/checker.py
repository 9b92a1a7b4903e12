"""The checker: a program that reads a question on stdin and answers with a finding in JSON on stdout.

Started by checking.py as `python -I -m signing.pdf.checker` with an empty environment: no keys, no settings, no
database. It bounds itself before it looks at the file: CPU seconds, memory, no file may be written, few may be open;
and where the kernel lets it, it leaves the network behind. Whatever goes wrong then ends the program, not the caller.
"""

import ctypes
import json
import resource
import sys
from datetime import datetime

from signing.pdf.finding import MAX_BYTES, trust_of
from signing.pdf.inspection import inspect

MAX_QUESTION_HEAD = 8 * 1024 * 1024
CPU_SECONDS = 8
MEMORY = 1024 * 1024 * 1024
OPEN_FILES = 32
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET


def limit() -> None:
    """Bound this process for good."""
    for kind, bound in (
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (bound, bound))
    ctypes.CDLL(None).unshare(_NEW_USER | _NEW_NETWORK)  # refused on some systems: the other bounds still hold


def main() -> int:
    """Answer one question; returns the exit status."""
    limit()
    head = json.loads(sys.stdin.buffer.readline(MAX_QUESTION_HEAD))
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(data) != head["length"]:
        return 2
    sys.stdout.write(inspect(data, trust_of(head), datetime.fromisoformat(head["at"])).to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())

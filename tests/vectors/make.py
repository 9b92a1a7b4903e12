"""Build the test vectors from fixed keys, dates and salts; every file is a function of this folder and signing/.

`python tests/vectors/make.py` writes them; `--check` writes nothing and fails when a file on disk differs.
"""

import json
import sys
from pathlib import Path
from typing import Any

import credentials
import digits
import others
from fixed import KEYS

FOLDER = Path(__file__).parent


def vectors() -> dict[str, Any]:
    """Return the content of every file by its name."""
    return {
        "keys.json": {"keys": [key.record() for key in KEYS]},
        "identifier.json": others.identifiers(),
        "code.json": others.code_vectors(),
        "credential.json": {"good": credentials.good(), "bad": credentials.bad()},
        "qr.json": {"good": digits.good(), "bad": digits.bad(), "texts": digits.texts()},
        "status.json": others.status_vectors(),
        "leaf.json": others.leaves(),
    }


def main() -> int:
    """Write or check the files; 1 when a check finds a difference."""
    check = sys.argv[1:] == ["--check"]
    different = []
    for name, content in vectors().items():
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
        path = FOLDER / name
        if check:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                different.append(name)
        else:
            path.write_text(text, encoding="utf-8")
    for name in different:
        print(f"{name} differs from what make.py builds", file=sys.stderr)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())

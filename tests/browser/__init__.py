"""A real browser: Debian's Chromium, driven by playwright-core under Node.

Where Chromium, Node or its packages are missing a test is skipped with a printed reason, unless CI is "true": then it
fails.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.judges import ROOT, missing, node

SCRIPT = Path(__file__).parent / "drive.mjs"
TIMEOUT_S = 240


def drive(visits: dict[str, dict[str, Any]]) -> tuple[str, dict[str, dict[str, Any]]]:
    """Open pages one after the other, as drive.mjs does; returns the browser's version, and the findings by name."""
    chromium, program = shutil.which("chromium"), node()
    if chromium is None:
        missing("Chromium (apt-get install chromium)")
    if program is None:
        missing("Node")
    if not all((ROOT / "node_modules" / name).is_dir() for name in ("playwright-core", "axe-core")):
        missing("node_modules (npm ci)")
    done = subprocess.run(
        [str(program), str(SCRIPT)],
        input=json.dumps({"chromium": chromium, "visits": list(visits.values())}),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    return answer["version"], dict(zip(visits, answer["visits"], strict=True))

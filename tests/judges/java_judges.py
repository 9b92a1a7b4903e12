"""veraPDF and EU DSS, asked about PDF files through tests/judges/java; built once into .cache/judges.

Where Java, Maven or its registry are missing a test is skipped with a printed reason, unless CI is "true".
"""

import hashlib
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.judges import ROOT, missing

PROJECT = Path(__file__).parent / "java"
SOURCE = PROJECT / "src" / "main" / "java" / "judges" / "Judge.java"


@cache
def class_path() -> str:
    """Build the judge, or find it built, and return where its classes are."""
    for tool in ("java", "javac", "mvn"):
        if shutil.which(tool) is None:
            missing(tool)
    digest = hashlib.sha256((PROJECT / "pom.xml").read_bytes() + SOURCE.read_bytes()).hexdigest()[:16]
    built = ROOT / ".cache" / "judges" / digest
    if not (built / "done").exists():
        fetched = subprocess.run(
            ["mvn", "-q", "-B", "-f", str(PROJECT / "pom.xml"), "dependency:copy-dependencies",
             f"-DoutputDirectory={built / 'lib'}"],
            capture_output=True, check=False, text=True,
        )  # fmt: skip
        if fetched.returncode:
            missing(f"what Maven fetches ({fetched.stdout[-300:]})")
        subprocess.run(["javac", "-d", str(built), "-cp", f"{built}/lib/*", str(SOURCE)], check=True)
        (built / "done").touch()
    return f"{built}:{built}/lib/*"


def judge(*arguments: str | Path) -> dict[str, list[str]]:
    """Run the judge and return its lines by file name: verdict and reasons."""
    command = ["java", "-Xmx512m", "-cp", class_path(), "judges.Judge", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    lines = [line.split("\t") for line in done.stdout.splitlines() if "\t" in line]
    return {name: verdict for name, *verdict in lines}

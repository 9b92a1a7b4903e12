"""`scripts/start` for a newcomer: what it prints can be opened, typed and scanned; a second start repeats nothing."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.ops.test_serve import wait_for
from tests.support.paths import ROOT
from tests.support.ports import free_port

FIRST_START_S = 120.0


@dataclass
class Started:
    address: str
    out: Path
    err: Path
    cpu_s: float
    process: subprocess.Popen[bytes]

    def printed(self) -> str:
        return self.out.read_text(encoding="utf-8")


@contextmanager
def start(folder: Path, *options: str) -> Iterator[Started]:
    port = free_port()
    out, err = folder.with_suffix(".out"), folder.with_suffix(".err")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    with out.open("wb") as sink, err.open("wb") as errors:
        process = subprocess.Popen(
            [str(ROOT / "scripts/start"), "--port", str(port), "--data-dir", str(folder), *options],
            stdout=sink,
            stderr=errors,
            env=environment,
            process_group=0,
        )
    started = Started(f"http://127.0.0.1:{port}", out, err, 0.0, process)
    try:
        wait_for(lambda: process.poll() is not None or is_ready(started.address), FIRST_START_S)
        started.cpu_s = cpu_s(process.pid)
        assert process.poll() is None, err.read_text(encoding="utf-8")
        wait_for(lambda: "/readyz" in started.printed() and started.printed().endswith("\n"))
        yield started
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C in a terminal does
        assert process.wait(30) == 0


def cpu_s(pid: int) -> float:
    """CPU time of a process and its finished children: the duration of a start on an idle machine."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def is_ready(address: str) -> bool:
    try:
        return httpx.get(address + "/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def scanned(text: str, folder: Path) -> str:
    """What zbarimg reads from terminal blocks, drawn as on a dark terminal."""
    rows = [line for line in text.splitlines() if line and set(line) <= set(" █▀▄")]
    scale = 4
    image = Image.new("L", (max(map(len, rows)) * scale, len(rows) * 2 * scale), 0)
    for y, row in enumerate(rows):
        for x, block in enumerate(row):
            for half, lit in enumerate((block in "█▀", block in "█▄")):
                if lit:
                    image.paste(255, (x * scale, (2 * y + half) * scale, (x + 1) * scale, (2 * y + half + 1) * scale))
    path = folder / "code.png"
    image.save(path)
    command = ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def made_once(folder: Path) -> dict[Path, int]:
    """Modification times of files that a second start must not touch: packages, keys, the sample city."""
    files = [*(ROOT / ".venv").glob(".set-up-*"), ROOT / "signing/fonts/NotoSansSC-Regular.ttf"]
    files += [file for kind in ("keys", "sample") for file in (folder / kind).rglob("*") if file.is_file()]
    assert len(files) > 5
    return {file: file.stat().st_mtime_ns for file in files}


def test_a_newcomer_can_open_type_and_scan_what_is_printed(tmp_path):
    folder = tmp_path / "data"
    with start(folder) as first:
        printed = first.printed()
        for address in re.findall(rf"{first.address}/\S*(?=\n)", printed):
            if "/api/" not in address:
                assert httpx.get(address).status_code == 200, address
        commands = "\n".join(line.strip() for line in printed.splitlines() if line.startswith(("  TOKEN=", "  curl ")))
        typed = subprocess.run(["bash", "-euc", commands], cwd=ROOT, capture_output=True, text=True, check=True)
        assert json.loads(typed.stdout)["state"] == "valid"
        if shutil.which("zbarimg"):
            text = scanned(printed, tmp_path)
            assert text.startswith(first.address + "/v/")
            verdict = httpx.post(first.address + "/api/v1/verifications", json={"qr": text}).json()
            assert (verdict["state"], set(verdict["checks"].values())) == ("valid", {"yes"})
        elif os.environ.get("CI") == "true":
            pytest.fail("zbarimg is not installed")
    before = made_once(folder)
    with start(folder) as second:
        print(f"CPU until ready: {first.cpu_s:.1f} s, at the second start {second.cpu_s:.1f} s")
        assert made_once(folder) == before
        assert not re.search("Installing|Downloading|Creating|Set-up complete", second.err.read_text(encoding="utf-8"))
        assert re.search(rf"{first.address}/v/\w{{16}}", second.printed())  # what was printed stays unchanged


def test_empty_means_keys_and_nothing_else(tmp_path):
    folder = tmp_path / "data"
    with start(folder, "--empty", "--public-url", "https://hub.example/") as started:
        assert "curl" not in started.printed()
        assert not (folder / "sample").exists()
        assert "https://hub.example/v/" in httpx.get(started.address + "/v/0000000000000000").text
        assert httpx.get(started.address + "/.well-known/jwks.json").json()["keys"]


@pytest.mark.parametrize("arguments", [["--port", "0"], ["--port"], ["--nonsense"], ["--port=70000"]])
def test_wrong_usage_is_reported(arguments, tmp_path):
    done = subprocess.run([str(ROOT / "scripts/start"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "scripts/start" in done.stderr

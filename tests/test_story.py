"""The README's commands, typed in order against a real `hub serve`.

Afterwards, no log, metric or file of the data directory contains personal data in plain text.
"""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hub.domain import numbers
from tests.support.paths import ROOT
from tests.support.ports import free_port

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SAMPLE = ROOT / "hub" / "sample"


@dataclass
class Story:
    folder: Path
    port: int
    log: Path
    output: list[str]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return str(answer.read().decode())


def hub(*arguments: str, data: Path) -> None:
    environment = {**os.environ, "HUB_DATA_DIR": str(data)}
    subprocess.run(
        [sys.executable, "-m", "hub", *arguments], cwd=ROOT, env=environment, check=True, capture_output=True
    )


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("story")
    (folder / ".venv").symlink_to(Path(sys.executable).parent.parent)
    data = folder / "data"
    port = free_port()
    environment = {**os.environ, "HUB_DATA_DIR": str(data), "HUB_LOG_LEVEL": "debug"}
    init = {**environment, "HUB_PUBLIC_URL": f"http://127.0.0.1:{port}"}
    subprocess.run([sys.executable, "-m", "hub", "init"], cwd=ROOT, env=init, check=True, capture_output=True)
    hub("sample", "load", data=data)
    log = folder / "hub.log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "hub", "serve", "--port", str(port)]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).close()
                break
            except OSError:
                time.sleep(0.1)
        yield Story(folder, port, log, type_readme(folder, port))
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def type_readme(folder: Path, port: int) -> list[str]:
    """The output of each block; the address is the only thing that the test changes."""
    script = ["set -uo pipefail"]
    for number, block in enumerate(BLOCKS):
        script += [block.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{port}"), f"echo; echo '=== {number}'"]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stderr == "", done.stderr
    return re.split(r"\n=== \d+\n", done.stdout)


def test_it_is_issued_read_found_pulled_verified_revoked_and_seen_as_revoked(story: Story) -> None:
    _, issued, read, found, pulled, files, verified, revoked, after, *_ = story.output
    case = json.loads(issued)
    assert (case["status"], case["issuance"]) == ("completed", "done")
    identifier = case["certificates"][0]["identifier"]
    own = json.loads(read)
    assert (own["identifier"], own["state"]) == (identifier, "valid")
    assert [entry["identifier"] for entry in json.loads(found)["entries"]] == [identifier]
    taken = json.loads(pulled)
    assert taken["receipt_number"]
    assert taken["state"] == "valid"
    assert taken["credential"].endswith("~")
    assert taken["copy"]["url"] == f"/api/v1/retrievals/{taken['receipt_number']}/copy.pdf"
    assert files.split() == ["certificate.pdf", "copy.pdf"]
    original, copy = ((story.folder / name).read_bytes() for name in files.split())
    assert original.startswith(b"%PDF-1.7")
    assert copy.startswith(b"%PDF-1.7")
    assert original != copy
    assert json.loads(verified)["state"] == "valid"
    assert json.loads(revoked)["state"] == "revoked"
    page, as_json, api, *terminal = after.strip().split("\n")
    assert page == "已撤销"
    assert json.loads(as_json)["state"] == "revoked"
    assert json.loads(api)["state"] == "revoked"
    assert "已撤销" in "\n".join(terminal)


def sample_people() -> tuple[set[str], set[str]]:
    """(identity numbers, names) of every person of the sample city; bodies are public."""
    found: tuple[set[str], set[str]] = (set(), set())

    def walk(value: object) -> None:
        if isinstance(value, dict):
            if "id_number" in value and value.get("id_type") not in numbers.ORGANISATION_TYPES:
                found[0].add(value["id_number"])
                found[1].add(value["name"])
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    for path in (SAMPLE / "cases").glob("*.json"):
        walk(json.loads(path.read_text(encoding="utf-8")))
    assert len(found[0]) > 30
    return found


def test_no_log_line_and_no_metric_names_a_person(story: Story) -> None:
    ids, names = sample_people()
    said = story.log.read_text(encoding="utf-8") + story.get("/metrics")
    assert '"event": "request"' in said or '"event":"request"' in said
    assert [text for text in ids | names if text in said] == []
    assert not any(numbers.contains_citizen_number(line) for line in said.splitlines() if "990" in line)


def test_the_data_directory_gives_no_number_away(story: Story) -> None:
    ids, names = sample_people()
    wanted = {text.encode() for text in ids | names}
    for shift in range(3):
        wanted |= {base64.b64encode(b" " * shift + text.encode())[4:-4] for text in ids}
    for path in story.data.rglob("*"):
        if path.is_file() and "sample" not in path.relative_to(story.data).parts:
            content = path.read_bytes()
            assert [text for text in wanted if text in content] == [], path.name


def test_nothing_is_linked_outside(story: Story) -> None:
    for path in ("/", "/v", "/docs"):
        page = story.get(path)
        links = re.findall(r"""(?:src|href|action)=["']?(https?://[^"' >]+)""", page)
        assert [link for link in links if f"127.0.0.1:{story.port}" not in link] == [], path

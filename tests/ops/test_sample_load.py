"""`hub sample load`: loads everything despite interruptions; its index contains what a newcomer needs."""

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hub.domain.certificate import REVOCATION_KINDS, SUSPENSION_KINDS, ActKind, State
from hub.ops import check as checking
from hub.ops.init import initialise
from hub.parts import open_parts
from hub.sample import loader
from hub.settings import Settings
from hub.store import acts, certificates
from tests.support import city as c
from tests.support.city import City, open_copy

pytestmark = pytest.mark.sqlite

STEPS = 1 + len(c.ACCOUNTS["clients"]) + len(c.ACCOUNTS["clerks"]) + len(c.STORY["steps"])


class Killed(BaseException):
    """Simulates the end of the process."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(data_dir=tmp_path / "data", public_url=c.URL)
    initialise(found)
    return found


def index_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "sample" / "index.json").read_bytes())
    return found


def load(settings: Settings, kill_at: int | None = None) -> list[int]:
    """Load, or be killed after a step; returns what was reported as done."""
    reported = []

    def progress(done: int, total: int) -> None:
        assert total == STEPS
        reported.append(done)
        if done == kill_at:
            raise Killed

    with open_parts(settings) as parts:
        try:
            loader.load(parts, settings.data_dir / "sample", progress)
        except Killed:
            assert kill_at is not None
    return reported


def summary(folder: Path) -> dict[str, Any]:
    """Everything that must not depend on how it was loaded: all that is not random."""
    index = index_of(folder)
    left = {name: index[name] for name in ("clients", "clerks", "cases", "open_cases")}
    shown = [(entry["case_number"], entry["type_code"], entry["state"]) for entry in index["certificates"]]
    return left | {"certificates": sorted(shown)}


# --- what is there ---------------------------------------------------------------------------------------------------


def test_the_index_says_what_the_contract_says(template: Path) -> None:
    index = index_of(template)
    assert set(index) == {"clients", "clerks", "cases", "certificates", "open_cases"}
    shapes = {
        "clients": {"client_id", "authority_code", "scopes", "key_file"},
        "clerks": {"id", "name", "authority_code"},
        "cases": {"case_number", "client_id", "body_file"},
        "certificates": {"identifier", "type_code", "case_number", "state", "verify_url"},
        "open_cases": {"case_number", "client_id", "matter_code", "clerk_id", "holder"},
    }
    for name, shape in shapes.items():
        assert index[name], name
        assert all(set(entry) == shape for entry in index[name]), name
    sample = template / "sample"
    for path in [sample / "index.json", *(sample / entry["key_file"] for entry in index["clients"])]:
        assert path.stat().st_mode & 0o777 == 0o600
    assert sample.stat().st_mode & 0o777 == 0o700
    assert sorted(p.name for p in sample.iterdir()) == ["cases", "index.json", "keys"]
    assert all(set(entry["holder"]) == {"name", "id_type", "id_number"} for entry in index["open_cases"])


def test_certificates_of_every_state_and_every_kind_are_left(template: Path, tmp_path: Path) -> None:
    with open_copy(template, tmp_path / "data") as city:
        index = index_of(template)
        states = Counter(entry["state"] for entry in index["certificates"])
        assert set(states) == {state.value for state in State}
        assert len(index["certificates"]) >= 60
        reader, vault = city.parts.database.reader, city.parts.vault
        kinds: dict[ActKind, set[str | None]] = {}
        for entry in index["certificates"]:
            version = certificates.by_identifier(reader, vault, entry["identifier"])
            assert version is not None
            assert version.is_current
            assert version.state(c.today()) == entry["state"]
            assert entry["verify_url"].startswith(f"{c.URL}/v/{version.code}#")
            for act in acts.acts_of(reader, vault, version.home, version.certificate):
                kinds.setdefault(act.kind, set()).add(act.subkind)
        assert kinds[ActKind.SUSPENDED] == set(SUSPENSION_KINDS)
        assert kinds[ActKind.REVOKED] == set(REVOCATION_KINDS)
        assert ActKind.RESTORED in kinds
        assert checking.check(city.parts).findings == []


def test_the_bodies_are_the_exact_bytes_that_were_pushed(template: Path, tmp_path: Path) -> None:
    with open_copy(template, tmp_path / "data") as city:
        for entry in index_of(template)["cases"]:
            raw = (template / "sample" / entry["body_file"]).read_bytes()
            pushed = city.parts.cases.push(c.caller(entry["client_id"]), entry["case_number"], raw)
            assert pushed.status == 200, "a body that was seen before"


def test_the_key_files_hold_the_keys_on_record(template: Path, tmp_path: Path) -> None:
    with open_copy(template, tmp_path / "data") as city:
        known = {client.client_id: client for client in city.parts.registration.clients()}
        for entry in index_of(template)["clients"]:
            assert loader._kid(template / "sample" / entry["key_file"]) in {
                key.kid for key in known[entry["client_id"]].keys
            }


# --- interruptions ---------------------------------------------------------------------------------------------------


def test_a_second_load_changes_nothing(template: Path, tmp_path: Path) -> None:
    with open_copy(template, tmp_path / "data") as city:
        before = everything(city)
        reported: list[tuple[int, int]] = []
        loader.load(city.parts, city.folder / "sample", lambda done, total: reported.append((done, total)))
        assert reported == [(STEPS, STEPS)]
        assert everything(city) == before


def everything(city: City) -> dict[str, Any]:
    files = {str(p): p.read_bytes() for p in sorted((city.folder / "sample").rglob("*")) if p.is_file()}
    tables = ("cases", "pushes", "acts", "versions", "clients", "client_keys", "clerks", "audit", "parties")
    reader = city.parts.database.reader
    return files | {t: sorted(tuple(row) for row in reader.all(f"SELECT * FROM {t}")) for t in tables}


def test_a_load_that_is_interrupted_repeatedly_continues(settings: Settings, template: Path) -> None:
    at = [1, 2, 15, 31, 40, 50, 51, 75, 100, 120, 140, STEPS - 1, STEPS]
    for kill_at in at:
        assert load(settings, kill_at)[-1] == kill_at
        assert not (settings.data_dir / "sample" / "index.json").exists()
    assert load(settings)[-1] == STEPS
    assert summary(settings.data_dir) == summary(template)
    with open_parts(settings) as parts:
        assert checking.check(parts).findings == []
        counts = parts.database.reader.one("SELECT COUNT(*) AS n FROM acts")
    with open_parts(Settings(data_dir=template, public_url=c.URL)) as parts:
        wanted = parts.database.reader.one("SELECT COUNT(*) AS n FROM acts")
    assert counts is not None
    assert wanted is not None
    assert counts["n"] == wanted["n"], "no act was played twice"


def test_a_killed_load_is_resumed(settings: Settings, template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_DATA_DIR", str(settings.data_dir))
    monkeypatch.delenv("HUB_PUBLIC_URL", raising=False)
    command = [sys.executable, "-m", "hub", "sample", "load"]
    killed = 0
    for wait in (0.7, 0.9, 1.1, 1.4):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=Path(loader.__file__).parents[2])
        try:
            process.communicate(timeout=wait)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            killed += 1
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(loader.__file__).parents[2], check=True)
    assert killed
    assert done.stdout == ""
    assert "index.json" in done.stderr
    assert summary(settings.data_dir) == summary(template)


def test_without_a_signer_it_stops_and_continues_later(settings: Settings, template: Path) -> None:
    load(settings, 60)
    keys = settings.data_dir / "keys"
    away = [path.rename(path.with_suffix(".away")) for path in keys.glob("credential-*.pem")]
    with open_parts(settings) as parts, pytest.raises(loader.Unfinished):
        loader.load(parts, settings.data_dir / "sample", lambda _done, _total: None)
    for path in away:
        path.rename(path.with_suffix(".pem"))
    load(settings)
    assert summary(settings.data_dir) == summary(template)

"""`hub doctor` finds every planted problem that it checks for, names it and says what to do; it reports nothing
else."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.domain.dates import to_micros
from hub.ops.doctor import DoctorFinding, State, examine, verdict
from hub.ops.init import initialise
from hub.parts import Parts, open_parts
from hub.runtime import heartbeat
from hub.runtime.clock import Clock
from hub.settings import Settings
from signing.glyphs import FONT
from tests.faults.test_disk import volume
from tests.ops.test_serve import environment, serving, wait_for
from tests.support import town as t
from tests.support.paths import ROOT

CHINESE = re.compile(r"[\u4e00-\u9fff]")
GOOD = {State.OK, State.NOTE}


class Later(Clock):
    def __init__(self, ahead: timedelta) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture(scope="module")
def hub_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with a catalogue and a certificate, with no work pending."""
    folder = tmp_path_factory.mktemp("doctor") / "data"
    settings = Settings(data_dir=folder, public_url=t.URL)
    initialise(settings)
    with open_parts(settings) as parts:
        parts.registration.load_catalogue(t.CATALOGUE)
        issue(parts, "D-1", 1)
        while parts.directory.sequence() + parts.directory.feed() + parts.rendering.step():
            pass
    return folder


def issue(parts: Parts, case: str, number: int) -> None:
    """Issue one certificate, as far as possible now."""
    parts.cases.push(t.TRADER, case, t.raw(t.body(t.grant(case, t.person(number)))))


@pytest.fixture
def folder(hub_template: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "data"
    shutil.copytree(hub_template, copy)
    copy.chmod(0o700)
    return copy


@pytest.fixture
def settings(folder: Path, tmp_path: Path) -> Settings:
    """Move the master key outside the data directory."""
    key = tmp_path / "master.key"
    (folder / "master.key").rename(key)
    return Settings(data_dir=folder, public_url=t.URL, master_key_file=key)


def look(settings: Settings, ahead: timedelta = timedelta(), **more: object) -> dict[str, DoctorFinding]:
    """The problems by name, each with advice in both languages."""
    found = examine(settings, clock=Later(ahead), **more)  # type: ignore[arg-type]
    for finding in found:
        assert CHINESE.search(finding.message)
        assert finding.message_en
        assert not CHINESE.search(finding.message_en)
        if finding.state not in GOOD:
            assert finding.fix
            assert finding.fix_en
    bad = [finding for finding in found if finding.state not in GOOD]
    assert len({finding.name for finding in bad}) == len(bad)
    return {finding.name: finding for finding in bad}


def change(folder: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / "hub.db")) as connection, connection:
        connection.execute(sql, values)


def test_a_good_hub_is_well(settings: Settings) -> None:
    assert look(settings) == {}
    names = [finding.name for finding in examine(settings)]
    assert names == [
        *("settings", "python", "fonts", "disk", "rights", "secrets", "master key", "database", "time"),
        *(
            "keys",
            "key ages",
            "x509",
            "crl",
            "worker",
            "cases",
            "intake",
            "undecided",
            "index",
            "set aside",
            "outbox",
            "documents",
        ),
    ]
    assert verdict(examine(settings)) is State.OK


def test_it_changes_nothing(settings: Settings, folder: Path) -> None:
    def content() -> dict[str, bytes]:
        passing = ("-wal", "-shm")
        files = [p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.endswith(passing)]
        return {str(path): path.read_bytes() for path in files}

    before = content()
    examine(settings)
    assert content() == before


def test_without_a_hub_it_says_what_to_run_first(tmp_path: Path) -> None:
    nowhere = look(Settings(data_dir=tmp_path / "none"))
    assert set(nowhere) == {"folder", "database"}
    assert "hub init" in nowhere["database"].fix
    assert not (tmp_path / "none").exists()
    (tmp_path / "empty").mkdir(mode=0o700)
    found = look(Settings(data_dir=tmp_path / "empty"))
    assert {"database", "secrets"} == set(found)
    assert list((tmp_path / "empty").iterdir()) == []


def test_an_unavailable_or_broken_database_is_down(settings: Settings, folder: Path) -> None:
    (folder / "hub.db").write_bytes(b"something else" * 1000)
    for log in folder.glob("hub.db-*"):
        log.unlink()
    found = look(settings)
    assert {name: finding.state for name, finding in found.items()} == {"database": State.DOWN}


def test_another_schema(settings: Settings, folder: Path) -> None:
    change(folder, "UPDATE alembic_version SET version_num = '9999'")
    assert "that release" in look(settings)["database"].fix_en
    change(folder, "UPDATE alembic_version SET version_num = '0000'")
    assert "hub migrate" in look(settings)["database"].fix


def test_the_master_key(settings: Settings, folder: Path) -> None:
    key = settings.master_key_path
    content = key.read_text()
    key.write_text("ab" * 32)
    assert set(look(settings)) == {"master key"}
    key.unlink()
    assert set(look(settings)) == {"master key", "secrets"}
    key.write_text(content)
    key.chmod(0o640)
    assert set(look(settings)) == {"secrets"}
    key.chmod(0o600)
    former = key.with_name("master.key.former-20260101")
    former.write_text(content)
    assert "离线" in look(settings)["master key"].fix
    former.unlink()
    backup = key.parent / "monday" / "data" / "manifest.json"
    backup.parent.mkdir(parents=True)
    backup.write_text("{}")
    assert "介质" in look(settings)["master key"].fix
    backup.unlink()
    old = (datetime.now(UTC) - timedelta(days=731)).timestamp()
    os.utime(key, (old, old))
    assert "hub keys rotate master" in look(settings)["master key"].fix
    os.utime(key)
    key.rename(folder / "master.key")
    beside = examine(Settings(data_dir=folder, public_url=t.URL))
    assert [f.state for f in beside if f.name == "master key"] == [State.NOTE, State.OK]


def test_names_that_have_no_effect(settings: Settings) -> None:
    found = look(settings, unknown=["HUB_DATABSE_URL"])
    assert "HUB_DATABSE_URL" in found["settings"].message


def test_rights(settings: Settings, folder: Path) -> None:
    folder.chmod(0o750)
    assert "chmod" in look(settings)["rights"].fix
    folder.chmod(0o700)
    key = next((folder / "keys").glob("credential-*.pem"))
    key.chmod(0o644)
    assert key.name in look(settings)["rights"].message
    key.chmod(0o600)
    (folder / "hub.db").chmod(0o660)
    assert "hub.db" in look(settings)["rights"].message


def test_a_file_of_a_service_that_others_may_read(settings: Settings, tmp_path: Path) -> None:
    """A secret of a service may be shared with its group only."""
    fields = [name for name in Settings.model_fields if name.endswith("_password_file")]
    for field in fields:
        secret = tmp_path / field
        secret.write_text("a password")
        secret.chmod(0o440)
        with_it = settings.model_copy(update={field: secret})
        assert "secrets" not in look(with_it)
        secret.chmod(0o444)
        assert f"HUB_{field.upper()}" in look(with_it)["secrets"].message


def test_a_disk_that_is_nearly_full(settings: Settings, folder: Path, tmp_path: Path) -> None:
    with volume(tmp_path / "small"):
        small = tmp_path / "small" / "data"
        small.mkdir(mode=0o700)
        found = look(settings.model_copy(update={"data_dir": small}))
        assert "MiB" in found["disk"].message


def test_a_font_that_is_not_there(folder: Path, tmp_path: Path) -> None:
    """In a copy of the program, like an image that was built without it."""
    program = tmp_path / "program"
    for package in ("hub", "indexer", "signing"):
        shutil.copytree(ROOT / package, program / package, ignore=shutil.ignore_patterns("__pycache__", "vendor"))
    (program / FONT.relative_to(ROOT)).unlink()
    done = subprocess.run(
        [sys.executable, "-m", "hub", "doctor", "--json"],
        cwd=program,
        env={**environment(folder), "PYTHONPATH": str(program)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    states = {finding["name"]: finding["state"] for finding in json.loads(done.stdout)["findings"]}
    assert states["fonts"] == "problem"
    assert states["database"] == "ok"


def test_a_clock_that_was_set_back(settings: Settings) -> None:
    assert set(look(settings, -timedelta(hours=1))) == {"time"}


def test_a_worker_that_is_silent(settings: Settings, folder: Path) -> None:
    def worker() -> State:
        return next(finding.state for finding in examine(settings) if finding.name == "worker")

    assert worker() is State.NOTE
    with serving(folder, HUB_MASTER_KEY_FILE=str(settings.master_key_path)) as running:
        wait_for(lambda: worker() is State.OK)
        (child,) = running.workers()
        os.kill(child, signal.SIGSTOP)
        heartbeat.beat(folder, datetime.now(UTC) - timedelta(seconds=90))
        assert set(look(settings)) == {"worker"}
        os.kill(child, signal.SIGCONT)
        assert running.stop(signal.SIGTERM) == 0
    heartbeat.beat(folder, datetime.now(UTC) - timedelta(seconds=90))
    assert worker() is State.NOTE


def test_a_case_that_waits(settings: Settings, folder: Path) -> None:
    with open_parts(settings) as parts:
        pem = next((folder / "keys").glob("credential-*.pem"))
        pem.rename(folder / "away.pem")
        issue(parts, "D-2", 2)
        (folder / "away.pem").rename(pem)
    assert look(settings) == {}
    assert "cases" in look(settings, timedelta(minutes=20))


def test_changes_that_wait(settings: Settings, folder: Path) -> None:
    with open_parts(settings) as parts:
        issue(parts, "D-3", 3)
    assert set(look(settings, timedelta(minutes=2))) == {"index"}
    assert set(look(settings, timedelta(minutes=20))) == {"index", "documents"}
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10001)"
    change(
        folder,
        f"INSERT INTO outbox (entry, home, certificate, revision, kind, leaf)"
        f" {rows} SELECT -i, -i, -i, 1, 1, x'00' FROM n",
    )
    assert "outbox" in look(settings)


def test_a_directory_that_is_gone(settings: Settings, folder: Path) -> None:
    shutil.rmtree(folder / "index")
    found = look(settings)
    assert {name: finding.state for name, finding in found.items()} == {"index": State.DOWN}
    assert verdict(examine(settings)) is State.DOWN


def test_missing_and_unavailable_keys(settings: Settings, folder: Path) -> None:
    key = next((folder / "keys").glob("x509_issuing-*.pem"))
    key.rename(folder / key.name)
    found = look(settings)
    assert set(found) == {"keys", "crl"}
    assert "x509_issuing" in found["keys"].message
    (folder / key.name).rename(key)
    change(folder, "UPDATE signing_keys SET state = 3 WHERE purpose = 'status'")
    found = look(settings)
    assert set(found) == {"keys"}
    assert "hub init" in found["keys"].fix


def test_keys_and_certificates_that_are_old(settings: Settings, folder: Path) -> None:
    year = timedelta(days=365)
    ages = look(settings, 2 * year + timedelta(days=1))
    assert {"key ages", "master key"} <= set(ages)
    assert "x509" not in ages
    assert "hub keys rotate credential" in ages["key ages"].fix
    soon = look(settings, 10 * year - timedelta(days=80))
    assert f"hub keys rotate document --authority {t.TRADE}" in soon["x509"].fix
    then = to_micros(datetime.now(UTC) + timedelta(days=30))
    change(folder, "UPDATE x509_certificates SET not_after = ? WHERE name LIKE 'root-%'", then)
    assert "docs/operations.md" in look(settings)["x509"].fix


def test_what_rotating_gives_is_well_again(settings: Settings) -> None:
    later = timedelta(days=731)
    with open_parts(settings, clock=Later(later)) as parts:
        for key in parts.keyring.all():
            if not key.public.purpose.value.startswith("x509"):
                parts.rotation.replace(key.public.purpose, key.public.authority or "")
    found = look(settings, later)
    assert found["key ages"].message.endswith("：seal。")


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hub", "doctor", *words],
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_command_tells_people_and_programs(hub_template: Path, folder: Path) -> None:
    well = run(folder)
    assert (well.returncode, "No problems found" in well.stderr) == (0, True)
    assert all(line.startswith(("✓", "·", "    →")) for line in well.stdout.splitlines())
    assert str(folder) not in json.dumps(json.loads(run(folder, "--json").stdout)["findings"])
    folder.chmod(0o755)
    ill = run(folder)
    assert ill.returncode == 1
    assert "✕ rights" in ill.stdout
    assert "Problems: 1" in ill.stderr
    folder.chmod(0o700)
    shutil.rmtree(folder / "index")
    away = run(folder, "--json")
    assert away.returncode == 5
    assert json.loads(away.stdout)["state"] == "down"
    assert set(json.loads(away.stdout)["findings"][0]) == {"name", "state", "message", "message_en", "fix", "fix_en"}


def test_a_new_hub_is_well(tmp_path: Path) -> None:
    initialise(Settings(data_dir=tmp_path / "new", public_url=t.URL))
    assert look(Settings(data_dir=tmp_path / "new", public_url=t.URL)) == {}

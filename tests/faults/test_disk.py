"""No space, no permission, no file: every disk error is reported, nothing is half done, and the hub recovers."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.access.assertion import sign_assertion
from hub.app import create_app
from hub.db.database import DatabaseUnavailable, StorageFull
from hub.parts import Parts, open_parts
from hub.vault import VaultError
from signing.keys import Purpose
from tests.faults import acts
from tests.faults import scene as s
from tests.faults.acts import accepted, certificate, completed
from tests.faults.child import settings_of
from tests.faults.forkserver import Ended, ForkServer, fork_server
from tests.faults.orders import Order, orders
from tests.faults.scene import Scene
from tests.faults.volume import volume
from tests.support import city as c
from tests.support.serving import problem_of, served

PAGE = 4096
BODY = completed(certificate(s.E, s.NEW), certificate(s.F, s.ANNA, s.NEW))
MOST = ("issue two", "replace two and a suspended one", "accept", "revoke")


@pytest.fixture(scope="module")
def forkserver() -> Iterator[ForkServer]:
    with fork_server() as found:
        yield found


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return s.make(tmp_path_factory.mktemp("scene") / "data")


@pytest.fixture
def folder(scene: Scene, tmp_path: Path) -> Path:
    return scene.copy(tmp_path / "data")


def full(ended: Ended) -> bool:
    """Whether the error says that there is no space; any other error is wrong."""
    assert ended.signal is None
    if "value" in ended.value:
        return False
    assert ended.value["fault"] in {"StorageFull", "DatabaseUnavailable"}, ended.value
    return True


def stands(parts: Parts, order: Order, *, acknowledged: bool) -> str:
    """Nothing is half done, and acknowledged work is there; returns how far it got."""
    seen = s.picture(parts, order.case or s.TWO)
    if order.case is None:
        return "done" if acknowledged else "nothing"
    told = seen.cases[order.case]
    if acknowledged:
        assert told is not None
        assert told[2] != "pending"
        return "done"
    return "nothing" if told is None else str(told[2])


# --- no room ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MOST)
def test_a_disk_that_fills_up_at_any_write(forkserver: ForkServer, scene: Scene, tmp_path: Path, name: str) -> None:
    """One page more each time, until there is space for everything."""
    order = orders(scene)[name]
    came = []
    with volume(tmp_path / "small") as small:
        for pages in range(9, 200, 3):
            folder = scene.copy(small.path / f"data-{pages}")
            small.fill(pages * PAGE)
            ended = forkserver.one(data=str(folder), **order.wire)
            refused = full(ended)
            small.free()
            with open_parts(settings_of(folder)) as parts:
                came.append(stands(parts, order, acknowledged=not refused))
                again = acts.ACTS[order.act](parts, **order.values)
                assert refused or again in (ended.value["value"], {**ended.value["value"], "status": 200})
                s.picture(parts)
            if not refused:
                break
            subprocess.run(["rm", "-r", str(folder)], check=True)
    ranks = ["nothing", "pending", "done"]
    assert came == sorted(came, key=ranks.index)
    assert came[0] == "nothing"
    assert came[-1] == "done"
    assert len(came) > 3
    assert ("pending" in came) == (name in MOST[:2])


@pytest.mark.parametrize("name", MOST)
@pytest.mark.parametrize("kind", ["limit_file", "pages"])
def test_a_file_that_cannot_grow(forkserver: ForkServer, scene: Scene, tmp_path: Path, name: str, kind: str) -> None:
    """The WAL with a file size limit (reported as a disk error), the database with a page limit."""
    order = orders(scene)[name]
    size = (scene.folder / "hub.db").stat().st_size
    steps = range(40 * 1024, 2 * size, 12 * 1024) if kind == "limit_file" else range(size // PAGE, size // PAGE + 99)
    refusals = 0
    for limit in steps:
        folder = scene.copy(tmp_path / f"data-{limit}")
        ended = forkserver.one(data=str(folder), **{kind: limit}, **order.wire)
        refused = full(ended)
        refusals += refused
        with open_parts(settings_of(folder)) as parts:
            stands(parts, order, acknowledged=not refused)
            acts.ACTS[order.act](parts, **order.values)
            s.picture(parts)
        if not refused:
            break
    assert refusals > 0 or kind == "pages"
    assert not refused


def test_a_running_hub_serves_the_public_while_the_disk_is_full(scene: Scene, tmp_path: Path) -> None:
    with volume(tmp_path / "small") as small:
        folder = scene.copy(small.path / "data")
        with open_parts(settings_of(folder)) as parts:
            acts.push(parts, "D-0", accepted(s.ANNA))
            code = next(v.code for v in s.versions(parts) if v.number == s.A)
            small.fill(0)
            for _ in range(3):
                with pytest.raises(StorageFull):
                    acts.push(parts, "D-1", BODY)
                with pytest.raises(StorageFull):
                    acts.act(parts, "revoke", scene.identifiers[s.A], kind="penalty")
                assert parts.verification.verify_code(code).state == "valid"
            small.free()
            assert acts.push(parts, "D-1", BODY)["status"] == 201
            acts.act(parts, "revoke", scene.identifiers[s.A], kind="penalty")
            assert parts.verification.verify_code(code).state == "revoked"
            s.picture(parts, "D-1")


def test_over_http_a_full_disk_is_503_for_writers_only(scene: Scene, tmp_path: Path) -> None:
    with volume(tmp_path / "small") as small:
        folder = scene.copy(small.path / "data")
        with open_parts(settings_of(folder)) as parts:
            token = _token(parts)
            code = next(v.code for v in s.versions(parts) if v.number == s.A)
            with served(create_app(parts)) as address, httpx.Client(base_url=address, timeout=20) as web:
                headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
                small.fill(0)
                answer = web.put("/api/v1/cases/D-1", content=acts.raw(BODY), headers=headers)
                assert (answer.status_code, problem_of(answer)["code"]) == (503, "storage.full")
                assert int(answer.headers["retry-after"]) > 0
                # An authority's read is recorded or refused.
                assert web.get(f"/api/v1/cases/{s.TWO}", headers=headers).status_code == 503
                assert web.get(f"/v/{code}").status_code == 200
                assert web.get("/livez").status_code == 200
                small.free()
                answer = web.put("/api/v1/cases/D-1", content=acts.raw(BODY), headers=headers)
                assert answer.status_code == 201
                assert web.get("/api/v1/cases/D-1", headers=headers).json()["issuance"] == "done"


def _token(parts: Parts) -> str:
    keys: list[bytes] = []
    authority = c.caller(acts.CLIENT).authority
    parts.registration.add_client("a-client", authority, scopes=("cases:write",), keep=keys.append)
    signed = sign_assertion(keys[0], "a-client", parts.access.issuer(), parts.clock.now())
    return parts.access.issue_token(signed, None)[0]


@pytest.mark.parametrize("name", ["replace the signing key", "load a catalogue", "look up", "retrieve"])
def test_keys_catalogues_and_counters_on_a_full_disk(
    forkserver: ForkServer, scene: Scene, tmp_path: Path, name: str
) -> None:
    order = orders(scene)[name]
    refusals = 0
    with volume(tmp_path / "small") as small:
        for pages in range(9, 200, 2):
            folder = scene.copy(small.path / f"data-{pages}")
            small.fill(pages * PAGE)
            ended = forkserver.one(data=str(folder), **order.wire)
            small.free()
            refused = "value" not in ended.value
            if refused:
                assert ended.value["fault"] in {"StorageFull", "DatabaseUnavailable", "OSError"}, ended.value
                refusals += 1
            with open_parts(settings_of(folder)) as parts:
                assert s.count(parts, "retrievals") == (order.act == "retrieve" and not refused)
                files = {path.name for path in (folder / "keys").iterdir() if ".pem" in path.name}
                assert files == {f"{k.public.purpose.value}-{k.public.kid}.pem" for k in parts.keyring.all()}
                acts.ACTS[order.act](parts, **order.values)
                assert acts.push(parts, "D-1", BODY)["status"] == 201
                s.picture(parts)
            if not refused:
                break
            subprocess.run(["rm", "-r", str(folder)], check=True)
    assert refusals > 0
    assert not refused


# --- no file ---------------------------------------------------------------------------------------------------------


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name("fresh")
    fresh.write_bytes(content)
    fresh.rename(path)


LOSSES = {
    "the database is deleted": lambda folder: (folder / "hub.db").unlink(),
    "the database is moved away": lambda folder: (folder / "hub.db").rename(folder / "elsewhere"),
    "garbage takes its place": lambda folder: _replace(folder / "hub.db", os.urandom(400_000)),
    "another database takes its place": lambda folder: _replace(folder / "hub.db", (folder / "copy").read_bytes()),
    "garbage is written into it": lambda folder: (folder / "hub.db").write_bytes(os.urandom(400_000)),
    "it is emptied": lambda folder: os.truncate(folder / "hub.db", 0),
    "the log is deleted": lambda folder: (folder / "hub.db-wal").unlink(),
    "the log's index is deleted": lambda folder: (folder / "hub.db-shm").unlink(),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_no_write_to_a_lost_file_is_acknowledged(folder: Path, loss: str) -> None:
    (folder / "copy").write_bytes((folder / "hub.db").read_bytes())
    with open_parts(settings_of(folder)) as parts:
        acts.push(parts, "D-0", accepted(s.ANNA))
        LOSSES[loss](folder)
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                acts.push(parts, "D-1", BODY)
            with pytest.raises(DatabaseUnavailable):
                acts.act(parts, "revoke", s.versions(parts)[0].identifier, kind="penalty")


@pytest.mark.parametrize("loss", ["the database is deleted", "another database takes its place"])
def test_readers_detect_the_loss_and_verification_does_not_report_valid(
    folder: Path, loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.db.sqlite._CHECK_S", 0.0)
    (folder / "copy").write_bytes((folder / "hub.db").read_bytes())
    with open_parts(settings_of(folder)) as parts:
        version = s.versions(parts)[0]
        assert parts.verification.verify_code(version.code).state == "valid"
        LOSSES[loss](folder)
        assert parts.verification.verify_code(version.code).state == "unknown"
        assert parts.verification.verify_credential(version.credential).state == "unknown"


def test_a_database_file_moved_back_is_used_again(folder: Path) -> None:
    with open_parts(settings_of(folder)) as parts:
        acts.push(parts, "D-0", accepted(s.ANNA))
        (folder / "hub.db").rename(folder / "elsewhere")
        with pytest.raises(DatabaseUnavailable):
            acts.push(parts, "D-1", BODY)
        (folder / "elsewhere").rename(folder / "hub.db")
        assert acts.push(parts, "D-1", BODY)["status"] == 201
        s.picture(parts, "D-1")


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 1000, b"SQLite format 3\x00" + bytes(8000)])
def test_a_hub_does_not_open_on_a_database_that_is_not_one(folder: Path, content: bytes | None) -> None:
    (folder / "hub.db").unlink() if content is None else (folder / "hub.db").write_bytes(content)
    with pytest.raises(DatabaseUnavailable), open_parts(settings_of(folder)):
        pass


# --- no right --------------------------------------------------------------------------------------------------------


def test_a_read_only_data_directory(forkserver: ForkServer, folder: Path) -> None:
    """As another user, who can read the files but not write them."""
    if os.getuid() != 0:
        pytest.skip("needs another user to be")
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    for above in folder.parents[:4]:  # up to the folder of all tests, with or without xdist workers
        with suppress(PermissionError):
            above.chmod(above.stat().st_mode | 0o055)
    ended = forkserver.one(data=str(folder), user=65534, act="push", **{"with": {"case": "D-1", "body": BODY}})
    assert ended.value["fault"] == "DatabaseUnavailable", ended
    assert "readonly" in ended.value["text"] or "lock file" in ended.value["text"], ended
    with open_parts(settings_of(folder)) as parts:
        assert s.picture(parts, "D-1").cases["D-1"] is None
        assert acts.push(parts, "D-1", BODY)["status"] == 201


KEY_FAULTS: dict[str, Any] = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(os.urandom(300)),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "another key": lambda path: path.write_bytes(next(path.parent.glob("status-*")).read_bytes()),
    "the folder is gone": lambda path: path.parent.rename(path.parent.with_name("away")),
    "the folder is a file": lambda path: (path.parent.rename(path.parent.with_name("away")), path.parent.touch()),
}


@pytest.mark.parametrize("fault", KEY_FAULTS)
def test_a_push_waits_while_its_key_cannot_sign(folder: Path, fault: str) -> None:
    with open_parts(settings_of(folder), clock=s.Later()) as parts:
        kid = parts.keyring.active(Purpose.CREDENTIAL).kid
        path = next((folder / "keys").glob(f"*{kid}.pem"))
        kept = path.read_bytes()
        KEY_FAULTS[fault](path)
        for status in (202, 202):
            pushed = acts.push(parts, "D-1", BODY)
            assert (pushed["status"], pushed["reply"]["issuance"]) == (status, "pending")
        assert s.picture(parts, "D-1").cases["D-1"] == ("completed", 0, "pending", [])
        promised = s.reserved(parts, "D-1")
        if (folder / "away").exists():
            path.parent.unlink(missing_ok=True)
            (folder / "away").rename(folder / "keys")
        else:
            if path.is_dir():
                path.rmdir()
            path.write_bytes(kept)
        assert parts.issuance.finish(s.SOURCE, "D-1")
        pushed = acts.push(parts, "D-1", BODY)
        assert [item["identifier"] for item in pushed["reply"]["certificates"]] == promised
        s.picture(parts, "D-1")


@pytest.mark.parametrize("content", [None, "", "not a key", "00" * 31, "11" * 32])
def test_a_hub_does_not_open_without_its_master_key(folder: Path, content: str | None) -> None:
    key = settings_of(folder).master_key_path
    kept = key.read_text()
    key.unlink() if content is None else key.write_text(content)
    with pytest.raises(VaultError) as caught, open_parts(settings_of(folder)):
        pass
    assert kept.strip() not in str(caught.value)
    key.write_text(kept)
    with open_parts(settings_of(folder)) as parts:
        key.unlink()  # a running hub has already loaded it
        assert acts.push(parts, "D-1", BODY)["status"] == 201
        s.picture(parts)

"""Clients and clerks: what is registered, what is refused, and what a crash in between leaves behind."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest
import yaml

from hub.access.assertion import read_key, sign_assertion
from hub.access.dpop import Proof
from hub.app import create_app
from hub.cli import main
from hub.db.database import DatabaseUnavailable
from hub.domain.errors import Refusal
from hub.ops.init import initialise
from hub.parts import Parts, open_parts
from hub.registration.accounts import MAX_KEYS
from hub.runtime.clock import Clock
from hub.sample import loader
from hub.settings import Settings
from hub.store import clients as client_store
from signing.keys import kid_of, spki_of
from tests.support.paths import ROOT
from tests.support.serving import served

HUB = "https://hub.example"
BUREAU = "11350100MB9A10175L"
POLICE = "11350100MB9A102558"
STREET = "12350102MB9B204897"
UNKNOWN = "11350100MB9A10925W"
CITIZEN = "990121198307073910"


class SetClock(Clock):
    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class World:
    folder: Path
    parts: Parts
    clock: SetClock

    @property
    def registration(self) -> Any:
        return self.parts.registration

    def add(self, name: str = "a-client", authority: str = BUREAU, **more: Any) -> bytes:
        pem: bytes = self.registration.add_client(name, authority, **{"scopes": ["cases:write"], **more})[1]
        return pem

    def client(self, name: str = "a-client") -> client_store.Client:
        return next(c for c in self.registration.clients() if c.client_id == name)

    def token(self, pem: bytes, name: str = "a-client") -> str:
        with open_parts(self.parts.settings, clock=self.clock) as fresh:
            return fresh.access.issue_token(sign_assertion(pem, name, HUB, self.clock.now()))[0]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    settings = Settings(data_dir=tmp_path / "data", public_url=HUB)
    initialise(settings)
    clock = SetClock()
    with open_parts(settings, clock=clock) as parts:
        authorities = [
            {"code": c, "name": f"机构{i}", "region": "350100"} for i, c in enumerate((BUREAU, POLICE, STREET))
        ]
        parts.registration.load_catalogue({"authorities": authorities})
        yield World(tmp_path, parts, clock)


def pointers(work: Any, *args: Any, **kw: Any) -> list[str]:
    with pytest.raises(Refusal) as error:
        work(*args, **kw)
    assert error.value.code == "schema.invalid"
    assert all(item.message and item.message_en for item in error.value.errors)
    return [item.pointer for item in error.value.errors]


# --- clients ------------------------------------------------------------------------------------------------------------


def test_a_client_is_what_was_registered_and_only_its_public_key_is_kept(world: World) -> None:
    pem = world.add(source="fz-platform", acts_for=[POLICE, STREET], scopes=["cases:write", "audit:read"])
    found = world.client()
    assert (found.authority, found.source, found.disabled) == (BUREAU, "fz-platform", False)
    assert (found.acts_for, found.scopes) == ({POLICE, STREET}, {"cases:write", "audit:read"})
    public = read_key(pem).public_key()
    assert [(k.kid, k.spki, k.expires_at) for k in found.keys] == [(kid_of(public), spki_of(public), None)]
    secret = read_key(pem).private_numbers().private_value.to_bytes(32, "big")
    assert not any(secret in path.read_bytes() for path in world.parts.settings.data_dir.rglob("*") if path.is_file())


def test_its_source_is_its_authority_unless_it_says_otherwise(world: World) -> None:
    world.add()
    assert world.client().source == BUREAU


@pytest.mark.parametrize(
    ("name", "more", "wrong"),
    [
        ("ab", {}, ["/name"]),
        ("a" * 65, {}, ["/name"]),
        ("A-client", {}, ["/name"]),
        ("a_client", {}, ["/name"]),
        ("a-client\n", {}, ["/name"]),
        ("客户端账号", {}, ["/name"]),
        (CITIZEN, {}, ["/name"]),
        (f"c-{CITIZEN}", {}, ["/name"]),
        ("a-client", {"authority": UNKNOWN}, ["/authority"]),
        ("a-client", {"authority": "x"}, ["/authority"]),
        ("a-client", {"acts_for": [POLICE, UNKNOWN]}, ["/acts_for/1"]),
        ("a-client", {"scopes": []}, ["/scopes"]),
        ("a-client", {"scopes": ["cases:write", "cases:*"]}, ["/scopes/1"]),
        ("a-client", {"source": ""}, ["/source"]),
        ("a-client", {"source": "a/b"}, ["/source"]),
        ("a-client", {"source": "x" * 65}, ["/source"]),
        ("a-client", {"source": CITIZEN}, ["/source"]),
        ("a-client", {"source": POLICE}, ["/source"]),
        ("a-client", {"source": UNKNOWN}, ["/source"]),
        ("ab", {"scopes": ["x"], "source": POLICE}, ["/name", "/scopes/0", "/source"]),
    ],
)
def test_every_wrong_place_is_named(world: World, name: str, more: dict[str, Any], wrong: list[str]) -> None:
    assert pointers(world.add, name, **more) == wrong
    assert world.registration.clients() == []


def test_a_name_is_given_once(world: World) -> None:
    world.add()
    assert pointers(world.add) == ["/name"]
    world.registration.set_client_disabled("a-client", True)
    assert pointers(world.add, "a-client", POLICE) == ["/name"]


def test_a_source_is_shared_within_one_body_only(world: World) -> None:
    world.add("platform-1", source="platform", acts_for=[POLICE])
    world.add("platform-2", source="platform")
    assert pointers(world.add, "police-1", POLICE, source="platform") == ["/source"]
    world.add("police-2", POLICE, source="platform", acts_for=[BUREAU])
    world.add("platform-3", source=POLICE, acts_for=[POLICE])


def test_what_cannot_be_kept_is_not_registered(world: World) -> None:
    def fail(_: bytes) -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        world.add(keep=fail)
    assert world.registration.clients() == []


def test_the_key_is_kept_before_the_client_exists(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bytes] = []

    def killed(*_: object) -> None:
        assert kept
        raise DatabaseUnavailable("killed")

    with monkeypatch.context() as patch:
        patch.setattr(client_store, "add_client", killed)
        with pytest.raises(DatabaseUnavailable):
            world.add(keep=kept.append)
    assert world.registration.clients() == []
    assert world.add(keep=kept.append) == kept[1] != kept[0]


def test_switching_off_and_on(world: World) -> None:
    pem = world.add()
    world.registration.set_client_disabled("a-client", True)
    assert world.client().disabled
    with pytest.raises(Refusal, match=r"auth\.invalid"):
        world.token(pem)
    world.registration.set_client_disabled("a-client", False)
    assert world.token(pem)
    assert pointers(world.registration.set_client_disabled, "unknown", True) == ["/client"]


def test_keys_are_few_and_retired_ones_make_room(world: World) -> None:
    world.add()
    for _ in range(MAX_KEYS - 1):
        world.registration.add_client_key("a-client")
    assert pointers(world.registration.add_client_key, "a-client") == ["/keys"]
    first = world.client().keys[0].kid
    world.registration.retire_client_key("a-client", first)
    world.registration.add_client_key("a-client")
    assert len(world.client().keys) == MAX_KEYS + 1
    assert pointers(world.registration.add_client_key, "unknown") == ["/client"]
    assert pointers(world.registration.retire_client_key, "a-client", "AAAAAAAAAAA") == ["/kid"]
    assert pointers(world.registration.retire_client_key, "unknown", first) == ["/kid"]


def test_the_end_of_a_key_is_never_put_off(world: World) -> None:
    world.add()
    kid = world.client().keys[0].kid
    soon, later = (world.clock.now() + timedelta(hours=h) for h in (1, 2))
    for moment in (later, soon, later):
        world.registration.retire_client_key("a-client", kid, moment)
    assert world.client().keys[0].expires_at == soon


# --- clerks -------------------------------------------------------------------------------------------------------------


def test_a_clerk_is_registered_once_and_sealed(world: World) -> None:
    for _ in range(2):
        clerk = world.registration.add_clerk("阿依努尔·艾买提", BUREAU, "FZ-0017")
        assert (clerk.name, clerk.authority, clerk.staff_number, clerk.enabled) == (
            "阿依努尔·艾买提",
            BUREAU,
            "FZ-0017",
            True,
        )
    assert world.registration.clerks() == [clerk]
    found = client_store.find_clerk(world.parts.database.reader, world.parts.vault, BUREAU, "FZ-0017")
    assert found == clerk
    assert client_store.find_clerk(world.parts.database.reader, world.parts.vault, POLICE, "FZ-0017") is None
    files = [path.read_bytes() for path in world.parts.settings.data_dir.rglob("*") if path.is_file()]
    assert not any("艾买提".encode() in content for content in files)


def test_a_staff_number_belongs_to_one_person_of_an_authority(world: World) -> None:
    world.registration.add_clerk("林听雨", BUREAU, "1")
    assert pointers(world.registration.add_clerk, "陈听雨", BUREAU, "1") == ["/id"]
    world.registration.add_clerk("陈听雨", POLICE, "1")


def test_a_disabled_clerk_stays_so(world: World) -> None:
    world.registration.add_clerk("林听雨", BUREAU, "1")
    world.registration.set_clerk_disabled(BUREAU, "1", True)
    assert not world.registration.add_clerk("林听雨", BUREAU, "1").enabled
    world.registration.set_clerk_disabled(BUREAU, "1", False)
    assert world.registration.clerks()[0].enabled
    assert pointers(world.registration.set_clerk_disabled, POLICE, "1", True) == ["/id"]


@pytest.mark.parametrize(
    ("name", "authority", "number", "wrong"),
    [
        ("", BUREAU, "1", ["/name"]),
        ("  ", BUREAU, "1", ["/name"]),
        ("林" * 65, BUREAU, "1", ["/name"]),
        ("林\u202e雨", BUREAU, "1", ["/name"]),
        ("林\x00雨", BUREAU, "1", ["/name"]),
        (f"林{CITIZEN}", BUREAU, "1", ["/name"]),
        ("林听雨", UNKNOWN, "1", ["/authority"]),
        ("林听雨", BUREAU, "", ["/id"]),
        ("林听雨", BUREAU, "x" * 33, ["/id"]),
        ("林听雨", BUREAU, "工号1", ["/id"]),
        ("林听雨", BUREAU, "1|2", ["/id"]),
        ("林听雨", BUREAU, CITIZEN, ["/id"]),
        ("", UNKNOWN, "", ["/name", "/authority", "/id"]),
    ],
)
def test_every_wrong_place_of_a_clerk_is_named(
    world: World, name: str, authority: str, number: str, wrong: list[str]
) -> None:
    assert pointers(world.registration.add_clerk, name, authority, number) == wrong
    assert world.registration.clerks() == []


# --- the sample city's accounts -----------------------------------------------------------------------------------------


class Killed(BaseException):
    pass


def sample_load(parts: Parts) -> Any:
    folder = parts.settings.data_dir / "sample"
    load = loader._Load(parts, folder, lambda _done, _total: None)
    for path in (folder, folder / "keys", folder / "cases"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return load


def all_keys_work(parts: Parts) -> bool:
    sample = parts.settings.data_dir / "sample" / "keys"
    accounts = yaml.safe_load((loader.DATA / "accounts.yaml").read_text(encoding="utf-8"))
    with open_parts(parts.settings) as fresh:
        for client in accounts["clients"]:
            pem = (sample / f"{client['name']}.pem").read_bytes()
            token = fresh.access.issue_token(sign_assertion(pem, client["name"], HUB, fresh.clock.now()))[0]
            assert fresh.access.caller(token).scopes == set(client["scopes"])
    return True


@pytest.mark.parametrize("step", ["add_client", "add_client_key", "written"])
def test_a_sample_load_that_was_killed_gets_its_keys(world: World, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    city = yaml.safe_load((loader.DATA / "city.yaml").read_text(encoding="utf-8"))
    world.registration.load_catalogue(city)
    count = 0

    def die(*args: Any, **kw: Any) -> Any:
        nonlocal count
        count += 1
        if count == 3:
            raise Killed
        return real(*args, **kw)

    target, name = (loader, "_write") if step == "written" else (client_store, step)
    real = getattr(target, name)
    with monkeypatch.context() as patch:
        patch.setattr(target, name, die)
        with pytest.raises(Killed):
            sample_load(world.parts)._add_accounts()
    keys = world.parts.settings.data_dir / "sample" / "keys"
    min(keys.glob("*.pem")).unlink()  # and a key file that was lost altogether
    sample_load(world.parts)._add_accounts()
    assert all_keys_work(world.parts)
    before = {path: path.read_bytes() for path in keys.iterdir()}
    sample_load(world.parts)._add_accounts()
    assert {path: path.read_bytes() for path in keys.iterdir()} == before


# --- commands -----------------------------------------------------------------------------------------------------------


@dataclass
class Ended:
    status: int
    out: str
    err: str


class Hub:
    """`hub` in this process: starting Python for every command takes a second."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.setenv("HUB_DATA_DIR", str(world.parts.settings.data_dir))
        monkeypatch.setenv("no_proxy", "*")

    def __call__(self, *args: object) -> Ended:
        self._capsys.readouterr()
        self._monkeypatch.setattr(sys, "argv", ["hub", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        return Ended(int(ended.value.code or 0), out, err)


@pytest.fixture
def hub(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hub:
    return Hub(world, monkeypatch, capsys)


def process(world: World, *args: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "hub", *map(str, args)]
    environment = {**os.environ, "HUB_DATA_DIR": str(world.parts.settings.data_dir), "no_proxy": "*"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=60, check=True)


def test_the_command_itself(world: World) -> None:
    file = world.folder / "a.pem"
    world.add(keep=file.write_bytes)
    done = process(world, "token", "--client", "a-client", "--key", file)
    assert world.parts.access.caller(done.stdout.strip()).client_id == "a-client"
    assert done.stderr == ""


def test_a_client_from_the_command_line(world: World, hub: Hub) -> None:
    file = world.folder / "a.pem"
    args = ["clients", "add", "a-client", "--authority", BUREAU, "--source", "our-system", "--generate", file]
    scopes = ["--scope", "cases:write", "certificates:manage", "--scope", "audit:read"]
    added = hub(*args, *scopes, "--acts-for", POLICE, STREET)
    kid = kid_of(read_key(file.read_bytes()).public_key())
    assert (added.status, added.out) == (0, f"a-client\n{kid}\n"), added.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(p.name for p in world.folder.iterdir()) == ["a.pem", "data"]
    [entry] = json.loads(hub("clients", "list", "--json").out)
    assert (entry["client_id"], entry["authority_code"], entry["source"]) == ("a-client", BUREAU, "our-system")
    assert entry["scopes"] == ["audit:read", "cases:write", "certificates:manage"]
    assert entry["acts_for"] == [POLICE, STREET]
    assert entry["keys"][0]["kid"] == kid_of(read_key(file.read_bytes()).public_key())
    assert (entry["own_source"], entry["dpop"]) == (False, "optional")
    assert "a-client" in hub("clients", "list").out
    content = file.read_bytes()
    assert hub("clients", "add", "b-client", *args[3:], *scopes).status == 1
    assert file.read_bytes() == content
    assert [c.client_id for c in world.registration.clients()] == ["a-client"]


def test_limits_and_bound_tokens_from_the_command_line(world: World, hub: Hub) -> None:
    file, other = world.folder / "a.pem", world.folder / "b.pem"
    base = ["clients", "add", "a-client", "--authority", BUREAU, "--scope", "cases:write", "--generate", file]
    assert hub(*base, "--acts-for", f"{POLICE}:UNKNOWN").status == 1
    assert hub(*base, "--dpop", "perhaps").status == 2
    added = hub(*base, "--source", "platform", "--acts-for", POLICE, "--own-source", "--dpop", "required")
    assert added.status == 0, added.err
    [entry] = json.loads(hub("clients", "list", "--json").out)
    assert (entry["acts_for"], entry["own_source"], entry["dpop"]) == ([POLICE], True, "required")

    assert hub("token", "--client", "a-client", "--key", file).status == 1
    assert hub("token", "--client", "a-client", "--key", file, "--proof", "GET", HUB).status == 2
    world.registration.add_client("b-client", BUREAU, scopes=["cases:write"], keep=other.write_bytes)
    call = f"{HUB}/api/v1/types"
    words = ["token", "--client", "a-client", "--key", file, "--dpop", other, "--proof", "get", call]
    token, text = hub(*words).out.split()
    proof = Proof(text, "GET", "/api/v1/types")
    assert world.parts.access.caller(token, proof).client_id == "a-client"
    with served(create_app(world.parts)) as address:
        token, text = process(world, *words, "--url", address, "--audience", HUB).stdout.split()
    assert world.parts.access.caller(token, Proof(text, "GET", "/api/v1/types")).client_id == "a-client"


def test_a_refused_client_leaves_no_key_file(world: World, hub: Hub) -> None:
    file = world.folder / "a.pem"
    ended = hub("clients", "add", "A", "--authority", BUREAU, "--scope", "cases:write", "--generate", file)
    assert ended.status == 1
    assert "/name" in ended.err
    assert not file.exists()
    missing = hub("clients", "add", "abc", "--authority", BUREAU, "--generate", file)
    assert (missing.status, file.exists()) == (2, False)
    nowhere = world.folder / "no" / "folder.pem"
    assert (
        hub("clients", "add", "abc", "--authority", BUREAU, "--scope", "cases:write", "--generate", nowhere).status == 1
    )
    assert world.registration.clients() == []


def test_rotation_and_switches_from_the_command_line(world: World, hub: Hub) -> None:
    old, new, last = (world.folder / f"{name}.pem" for name in ("old", "new", "last"))
    world.add(keep=old.write_bytes)
    assert hub("clients", "rotate", "a-client", "--generate", new).status == 0
    for file in (old, new):
        ended = hub("token", "--client", "a-client", "--key", file)
        assert pyjwt.get_unverified_header(ended.out.strip())["typ"] == "at+jwt"
    assert hub("clients", "rotate", "a-client", "--generate", new, "--overlap-hours", "0").status == 1
    assert hub("token", "--client", "a-client", "--key", new).status == 0, "a refused rotation ends no key"
    assert hub("clients", "rotate", "a-client", "--generate", last, "--overlap-hours", "0").status == 0
    assert [hub("token", "--client", "a-client", "--key", f).status for f in (old, new, last)] == [1, 1, 0]
    assert hub("clients", "disable", "a-client").status == 0
    ended = hub("token", "--client", "a-client", "--key", last)
    assert (ended.status, ended.out) == (1, "")
    assert "auth.invalid" in ended.err
    assert hub("clients", "enable", "a-client").status == 0
    assert hub("clients", "disable", "unknown").status == 1
    assert hub("clients", "rotate", "unknown", "--generate", world.folder / "x.pem").status == 1
    assert not (world.folder / "x.pem").exists()


def test_clerks_from_the_command_line(world: World, hub: Hub) -> None:
    for _ in range(2):
        assert hub("clerks", "add", "林听雨", "--authority", BUREAU, "--id", "A-1").status == 0
    assert hub("clerks", "add", "陈听雨", "--authority", BUREAU, "--id", "A-1").status == 1
    assert hub("clerks", "add", "陈听雨", "--authority", POLICE, "--id", "A-1").status == 0
    assert hub("clerks", "disable", "A-1").status == 2
    assert hub("clerks", "disable", "A-1", "--authority", BUREAU).status == 0
    listed = json.loads(hub("clerks", "list", "--json", "--authority", BUREAU).out)
    assert listed == [{"id": "A-1", "name": "林听雨", "authority_code": BUREAU, "enabled": False}]
    assert "陈听雨" in hub("clerks", "list").out
    assert hub("clerks", "enable", "A-9").status == 1


def test_a_token_from_here_and_over_http(world: World, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    file = world.folder / "a.pem"
    world.add(scopes=["cases:write", "audit:read"], keep=file.write_bytes)
    base = ["token", "--client", "a-client", "--key", file]
    here = hub(*base, "--scope", "cases:write").out.strip()
    assert world.parts.access.caller(here).scopes == {"cases:write"}
    signed = hub(*base, "--assertion").out.strip()
    assert world.parts.access.issue_token(signed)[2] == {"cases:write", "audit:read"}
    with served(create_app(world.parts)) as address:
        over = process(world, *base, "--url", address, "--audience", HUB)
        assert world.parts.access.caller(over.stdout.strip()).client_id == "a-client"
        wrong = hub(*base, "--url", address)
        assert wrong.status == 1
        assert "auth.invalid" in wrong.err
        refused = hub(*base, "--url", address, "--audience", HUB, "--scope", "reports:read")
        assert "perm.scope" in refused.err
    assert hub(*base, "--url", address, "--audience", HUB).status == 5
    assert hub(*base, "--url", "file:///etc/passwd").status == 2
    assert hub("token", "--client", "a-client", "--key", world.folder / "none.pem").status == 1
    (world.folder / "no.pem").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    assert hub("token", "--client", "a-client", "--key", world.folder / "no.pem").status == 1
    monkeypatch.setenv("HUB_DATA_DIR", str(world.folder / "nothing"))
    assert hub(*base).status == 4

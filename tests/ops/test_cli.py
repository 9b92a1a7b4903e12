"""The command line: exit codes, one line per error, data on stdout and everything else on stderr."""

import contextlib
import errno
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

from hub import __version__, cli
from hub.cli import common
from hub.cli.common import Exit, Stop
from hub.db.database import DatabaseUnavailable, StorageFull
from hub.db.schema import NewerSchema, TablesInUse, WrongSchema
from hub.domain.errors import TITLES, FieldError, Refusal
from hub.vault import VaultError
from signing.errors import KeyMissing

CITY = Path(cli.__file__).parent.parent / "sample" / "city.yaml"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
COMMANDS = {
    "init",
    "migrate",
    "serve",
    "work",
    "backup",
    "restore",
    "sample load",
    "catalogue load",
    "catalogue check",
    "clients add",
    "clients list",
    "clients disable",
    "clients enable",
    "clients rotate",
    "clerks add",
    "clerks list",
    "clerks disable",
    "clerks enable",
    "token",
    "verify",
    "keys list",
    "keys rotate",
    "keys retire",
    "keys revoke",
    "check",
    "doctor",
    "index status",
    "index rebuild",
    "index compare",
    "index explain",
    "index retry",
}


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Hub = Callable[..., Result]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hub:
    """Run `hub` in this process on a separate data directory."""
    monkeypatch.setenv("HUB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("HUB_PUBLIC_URL", raising=False)

    def run(*words: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["hub", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return Result(ended.value.code or 0, captured.out, captured.err)

    return run


def commands() -> Iterator[tuple[str, Any]]:
    root: Any = typer.main.get_command(cli.build())
    for name, command in root.commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {inner}", found) for inner, found in command.commands.items())
        else:
            yield name, command


# --- help ------------------------------------------------------------------------------------------------------------


def test_help_lists_exactly_the_commands_that_exist() -> None:
    assert {name for name, command in commands() if not command.hidden} == COMMANDS


def test_every_command_and_option_is_explained_in_both_languages() -> None:
    for name, command in commands():
        texts = {name: command.help} | {f"{name} {p.name}": getattr(p, "help", None) for p in command.params}
        for where, text in texts.items():
            if where.endswith((" help", " as_json", " until_eof", " client")):
                continue
            assert text, where
            assert CHINESE.search(text), where
            assert re.search("[A-Za-z]{3}", text), where


def test_the_program_runs_as_installed_and_as_a_module(tmp_path: Path) -> None:
    for command in ([str(Path(sys.executable).with_name("hub"))], [sys.executable, "-m", "hub"]):
        done = subprocess.run([*command, "--help"], capture_output=True, text=True, cwd=CITY.parents[2], check=True)
        assert "catalogue" in done.stdout
        assert done.stderr == ""


def test_the_version_is_that_of_the_installed_package() -> None:
    command = [str(Path(sys.executable).with_name("hub")), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"hub {__version__}\n", "")
    assert version("certificate-hub") == __version__


# --- exit codes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (Stop(Exit.PARTLY, "部分完成。", "Partly done."), 3, "部分完成。 Partly done."),
        (Refusal("number.taken"), 1, "number.taken: " + TITLES["number.taken"][0]),
        (Refusal("schema.invalid", errors=(FieldError("/a", "id.length", "短了", "short"),)), 1, "/a  短了 short"),
        (WrongSchema("x"), 4, "hub init"),
        (NewerSchema("x"), 4, "install that release"),
        (TablesInUse("x"), 5, "Run it again"),
        (VaultError("the master key file is missing"), 4, "HUB_MASTER_KEY_FILE"),
        (StorageFull("x"), 5, "存储空间不足"),
        (OSError(errno.ENOSPC, "No space left"), 5, "存储空间不足"),
        (DatabaseUnavailable("locked"), 5, "数据库暂时不可用"),
        (KeyMissing("abc"), 5, "abc"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 4, "/x: Permission denied"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/y"), 1, "/y: No such file"),
        (ValueError("张三 990102199001010010"), 1, "ValueError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_fault_is_one_line_and_an_exit_code(
    error: Exception, code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert common.report(error) == code
    captured = capsys.readouterr()
    assert text in captured.err
    assert captured.out == ""
    assert CHINESE.search(captured.err)
    assert "990102199001010010" not in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    "words",
    ["keys list", "keys rotate seal", "check", "clients list", "clerks list", "sample load", "serve", "work"],
)
def test_without_a_data_directory_it_says_hub_init(hub: Hub, words: str) -> None:
    result = hub(*words.split())
    assert result.code == 4
    assert "hub init" in result.err
    assert result.out == ""


def test_a_wrong_setting_is_named_and_its_value_is_not(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_COPY_DAYS", "secret")
    monkeypatch.setenv("HUB_PUBLIC_URL", "nowhere")
    result = hub("init")
    assert result.code == 4
    assert "HUB_COPY_DAYS, HUB_PUBLIC_URL" in result.err
    assert "secret" not in result.err


@pytest.mark.parametrize("content", [None, "ab" * 32, "nonsense"], ids=["missing", "another", "no key"])
def test_a_wrong_master_key_is_a_matter_of_configuration(hub: Hub, tmp_path: Path, content: str | None) -> None:
    assert hub("init").code == 0
    path = tmp_path / "data" / "master.key"
    path.unlink()
    if content is not None:
        path.write_text(content)
    for words in (("keys", "list"), ("init",)):
        result = hub(*words)
        assert result.code == 4
        assert "HUB_MASTER_KEY_FILE" in result.err
        assert (path.read_text() if path.exists() else None) == content


def test_a_broken_database_is_a_dependency_that_is_down(hub: Hub, tmp_path: Path) -> None:
    assert hub("init").code == 0
    for name in ("hub.db-wal", "hub.db-shm"):
        (tmp_path / "data" / name).unlink(missing_ok=True)
    (tmp_path / "data" / "hub.db").write_bytes(b"nonsense" * 1000)
    result = hub("keys", "list")
    assert result.code == 5
    assert "数据库" in result.err


@pytest.mark.parametrize(
    "words",
    [
        "nonsense",
        "init --nonsense",
        "catalogue check /nowhere.yaml",
        "keys rotate nonsense",
        "keys rotate document",
        "keys rotate seal --authority 1",
        "token",
    ],
)
def test_wrong_usage_is_two(hub: Hub, words: str) -> None:
    assert hub("init").code == 0
    result = hub(*words.split())
    assert result.code == 2
    assert result.out == ""


# --- init ------------------------------------------------------------------------------------------------------------


def test_init_makes_everything_once(hub: Hub, tmp_path: Path) -> None:
    first = hub("init")
    assert first.code == 0
    assert "master.key" in first.err
    assert "请另存一份" in first.err
    data = tmp_path / "data"
    before = {p.name: p.read_bytes() for p in [*(data / "keys").glob("*.pem"), data / "master.key"]}
    keys = json.loads(hub("keys", "list", "--json").out)
    for words in (("init",), ("migrate",)):
        again = hub(*words)
        assert again.code == 0
        assert "没有改动" in again.err
        assert "请另存一份" not in again.err
    assert {p.name: p.read_bytes() for p in [*(data / "keys").glob("*.pem"), data / "master.key"]} == before
    assert json.loads(hub("keys", "list", "--json").out) == keys


def test_the_first_public_url_is_kept_until_another_is_given(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_PUBLIC_URL", "https://one.example/")
    assert "https://one.example\n" in hub("init").err
    monkeypatch.delenv("HUB_PUBLIC_URL")
    assert "https://one.example\n" in hub("init").err
    monkeypatch.setenv("HUB_PUBLIC_URL", "https://two.example")
    assert "https://two.example\n" in hub("init").err


# --- catalogue -------------------------------------------------------------------------------------------------------


def test_a_catalogue_is_checked_and_loaded(hub: Hub) -> None:
    hub("init")
    assert hub("catalogue", "check", str(CITY)).code == 0
    loaded = hub("catalogue", "load", str(CITY))
    assert loaded.code == 0
    assert re.search(r"editions_new\s+31\b", loaded.out)
    again = hub("catalogue", "load", str(CITY), "--json")
    assert again.code == 0
    assert set(json.loads(again.out).values()) == {0}
    keys = json.loads(hub("keys", "list", "--json").out)
    assert {"credential", "document", "status", "ledger", "access_token"} <= {
        k["purpose"] for k in keys["signing_keys"]
    }
    assert all("subject" in record for record in keys["x509_certificates"])
    assert "CN=" in hub("keys", "list").out


BROKEN = """
authorities:
  - {code: "11350000MB9G00191W", name: 公安局, region: "35"}
  - {code: "11350000MB9G00192W", name: 公安局, region: "350100"}
matters:
  - {code: "a b", name: 事项, authority_code: unknown, yields: [unknown]}
"""


def test_every_problem_of_a_catalogue_is_listed(hub: Hub, tmp_path: Path) -> None:
    hub("init")
    file = tmp_path / "broken.yaml"
    file.write_text(BROKEN, encoding="utf-8")
    checked = hub("catalogue", "check", str(file))
    assert checked.code == 1
    pointers = [line.split()[0] for line in checked.out.splitlines()]
    assert pointers == [
        "/authorities/0/region",
        "/authorities/1/code",
        "/matters/0/code",
        "/matters/0/authority_code",
        "/matters/0/yields/0",
    ]
    assert "5" in checked.err
    refused = hub("catalogue", "load", str(file))
    assert refused.code == 1
    assert refused.out == ""
    assert all(pointer in refused.err for pointer in pointers)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"types: []\ntypes: []\n", "line 2"),
        (b"a: {b: 1, b: 2}", "duplicate key"),
        (b"a: &x [1]\nb: *x\n", "aliases"),
        (b"a: [1\n", "line"),
        (b"a: !!python/object/apply:os.system [true]\n", "tag"),
        (b"\xff\xfe\xfa", "UTF-8"),
        (b"1: 2", "keys must be strings"),
        (b"? [a]\n: 1\n", "keys must be strings"),
        (b"[" * 100_000, ""),
        (b"#" * (16 * 1024 * 1024 + 1), "16 MiB"),
        (b"- 1\n", "/"),
        (b"a: \x00", ""),
        (b"a: 2026-13-45", ""),
    ],
)
def test_what_is_no_catalogue_is_refused_in_words(hub: Hub, tmp_path: Path, content: bytes, text: str) -> None:
    hub("init")
    file = tmp_path / "broken.yaml"
    file.write_bytes(content)
    result = hub("catalogue", "check", str(file))
    assert result.code == 1
    assert text in result.err + result.out
    assert CHINESE.search(result.err)
    assert "RecursionError" not in result.err


# --- keys ------------------------------------------------------------------------------------------------------------


def test_keys_are_rotated_and_retired(hub: Hub) -> None:
    hub("init")

    def states(kind: str, purpose: str) -> list[str]:
        listed = json.loads(hub("keys", "list", "--json").out)[kind]
        return [key["state"] for key in listed if key["purpose"] == purpose]

    for purpose in ("seal", "blind"):
        result = hub("keys", "rotate", purpose)
        assert result.code == 0
        assert result.out.strip().isdigit()
        assert states("data_keys", purpose) == ["spent", "active"]
    master = hub("keys", "rotate", "master")
    assert master.code == 0
    assert "former" in master.err
    old = json.loads(hub("keys", "list", "--json").out)["signing_keys"]
    kid = next(key["kid"] for key in old if key["purpose"] == "credential")
    in_use = hub("keys", "retire", kid)
    assert in_use.code == 1
    made = hub("keys", "rotate", "credential")
    assert made.code == 0
    assert states("signing_keys", "credential") == ["retired", "active"]
    assert hub("keys", "retire", kid).code == 0
    here = {k["kid"]: k["private_part"] for k in json.loads(hub("keys", "list", "--json").out)["signing_keys"]}
    assert (here[kid], here[made.out.strip()]) == ("absent", "here")
    assert hub("keys", "retire", "-nonsense-").code == 1
    assert hub("check").code == 0


def test_a_row_that_does_not_open_is_partly_done(hub: Hub, tmp_path: Path) -> None:
    hub("init")
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "hub.db")) as database:
        database.execute("INSERT INTO parties VALUES (1, '111', x'01000000010203')")
        database.commit()
    for purpose in ("seal", "seal"):
        result = hub("keys", "rotate", purpose)
        assert result.code == 3
        assert "hub check" in result.err
    listed = json.loads(hub("keys", "list", "--json", "--rows").out)["data_keys"]
    assert [(k["state"], k["rows"]) for k in listed if k["purpose"] == "seal"] == [
        ("retired", 1),
        ("spent", 0),
        ("active", 0),
    ]

"""Every setting rejects invalid values: exit code 4 and one line that names the setting, never its value."""

import re
import sys
from pathlib import Path
from typing import Any

import annotated_types
import pytest
from pydantic.fields import FieldInfo

from hub import cli
from hub.cli.common import Exit
from hub.settings import Settings, unknown
from tests.ops.test_cli import Result

FIELDS = Settings.model_fields


def wrong_values(field: FieldInfo) -> list[str]:
    """The values that a field must reject, derived from its declaration."""
    kind = field.annotation
    found: list[str] = []
    if kind in {int, float}:
        found += ["many", "1 2", "0x10"]
        for bound in field.metadata:
            match bound:
                case annotated_types.Ge():
                    found.append(str(int(bound.ge) - 1))  # type: ignore[call-overload]
                case annotated_types.Gt():
                    found += [str(bound.gt), "-1"]
                case annotated_types.Le():
                    found.append(str(int(bound.le) + 1))  # type: ignore[call-overload]
    if kind is int:
        found.append("1.5")
    if kind is float:
        found += ["nan", "inf"]
    if any(getattr(item, "pattern", None) for item in field.metadata):
        found.append("NO SUCH; THING")
    return found


ADDRESSES = [
    "hub.example",
    "ftp://hub.example",
    "https://",
    "https:///path",
    "https://hub.example:99999",
    "https://hub.example:port",
    "https://user@hub.example",
    "https://[::1",
    "https://hub.example/?a=b",
    "https://hub.example/#there",
    "https://hub example",
    'https://hub.example/"',
]
CASES = [(name, value) for name, field in FIELDS.items() for value in wrong_values(field)]
CASES += [("public_url", value) for value in ADDRESSES]


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> Result:
    monkeypatch.setattr(sys, "argv", ["hub", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    return Result(ended.value.code or 0, captured.out, captured.err)


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_wrong_value_stops_the_start(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    variable = f"HUB_{name.upper()}"
    monkeypatch.setenv("HUB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv(variable, value)
    for command in ("serve", "work", "init"):
        result = run(monkeypatch, capsys, command)
        assert result.code == Exit.CONFIGURATION
        (line,) = result.err.splitlines()
        assert line.count(variable) == 2
        assert re.search(r"[\u4e00-\u9fff].*" + variable + r": (must|should) ", line)
        assert len(value) < 5 or value not in line.replace(str(FIELDS[name].default), "")
    assert not (tmp_path / "data").exists()


def test_every_number_and_pattern_has_wrong_values() -> None:
    assert {name for name, field in FIELDS.items() if field.annotation in {int, float}} <= {name for name, _ in CASES}
    assert ("log_level", "NO SUCH; THING") in CASES


def test_an_empty_value_is_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FIELDS:
        monkeypatch.setenv(f"HUB_{name.upper()}", "")
    found = Settings()
    assert found == Settings.model_construct()
    assert found.model_fields_set == set()


def test_unusable_files_and_folders_are_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def told(**environment: Any) -> str:
        for name, value in environment.items():
            monkeypatch.setenv(name, str(value))
        result = run(monkeypatch, capsys, "init")
        assert result.code == Exit.CONFIGURATION
        (line,) = result.err.splitlines()
        return line

    (tmp_path / "a-file").write_text("")
    assert "a-file" in told(HUB_DATA_DIR=tmp_path / "a-file")
    (tmp_path / "a-key").write_text("not hexadecimal")
    assert "HUB_MASTER_KEY_FILE" in told(HUB_DATA_DIR=tmp_path / "data", HUB_MASTER_KEY_FILE=tmp_path / "a-key")
    (tmp_path / "a-key").write_text("ab" * 31)
    assert "HUB_MASTER_KEY_FILE" in told(HUB_MASTER_KEY_FILE=tmp_path / "a-key")
    assert "HUB_MASTER_KEY_FILE" in told(HUB_MASTER_KEY_FILE=tmp_path)


def test_names_that_are_no_settings_are_found() -> None:
    names = ["HUB_DATA_DIR", "hub_log_level", "HUB_DATABSE_URL", "HUBBUB", "PATH", "HUB_"]
    assert unknown(names) == ["HUB_", "HUB_DATABSE_URL"]

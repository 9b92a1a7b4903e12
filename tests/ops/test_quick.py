"""`scripts/test --quick`: the selection of tests that a change affects."""

import subprocess

import pytest

from scripts.lib import affected

IMPORTS = {
    "tests/counter/test_lookup.py": {"hub.counter.lookup", "hub.parts"},
    "tests/counter/test_permission.py": {"hub.counter"},
    "tests/directory/test_directory.py": {"hub.directory.directory"},
    "tests/domain/test_properties.py": {"hub.domain.dates"},
    "tests/ops/test_cli.py": {"hub.cli", "tests.support.city"},
}
IMPORTERS = {
    "hub.counter.lookup": {"hub.counter", "hub.parts"},
    "hub.counter.gate": {"hub.counter.lookup"},
    "hub.domain.dates": {"hub.counter.lookup", "hub.directory.directory"},
}
LOOKUP, PERMISSION, DIRECTORY, PROPERTIES, CLI = IMPORTS


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (LOOKUP, [LOOKUP]),
        ("tests/support/city.py", [CLI]),
        ("hub/counter/lookup.py", [LOOKUP, PERMISSION]),
        ("hub/counter/__init__.py", [PERMISSION, LOOKUP]),
        ("hub/counter/page.html", [LOOKUP, PERMISSION]),
        ("hub/domain/dates.py", [PROPERTIES, LOOKUP, DIRECTORY]),
        ("hub/backup/place.py", [CLI]),
        ("docs/formats.md", ["tests/test_docs.py"]),
        ("LICENSE", []),
    ],
)
def test_the_closest_tests_come_first(file, expected):
    assert affected.touched([file], IMPORTS, IMPORTERS) == expected


def test_every_package_has_a_folder_of_tests():
    files = [file for package in affected.PACKAGES for file in (affected.ROOT / package).rglob("*.py")]
    folders = {affected.folder_of(str(file.relative_to(affected.ROOT))) for file in files}
    missing = {folder for folder in folders if folder and not (affected.ROOT / folder).is_dir()}
    assert missing <= {f"tests/{module}/" for module in ("__init__", "__main__", "parts", "wire")}


def test_a_change_is_what_differs_from_the_main_branch_and_new_files(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr(affected, "ROOT", tmp_path)
    git("init", "-b", "main")
    for name in ("same", "committed", "edited"):
        (tmp_path / name).write_text("1")
    git("add", ".")
    git("commit", "-m", "first")
    git("switch", "-c", "work")
    (tmp_path / "committed").write_text("2")
    git("commit", "-am", "second")
    (tmp_path / "edited").write_text("2")
    (tmp_path / "new").write_text("1")
    assert affected.changed() == ["committed", "edited", "new"]


def test_what_is_left_out_is_named(monkeypatch, capsys):
    monkeypatch.setattr(affected, "changed", lambda: ["hub/counter/gate.py", "tests/faults/scene.py"])
    affected.main()
    run, left = capsys.readouterr()
    assert run.splitlines()[0] == affected.ALWAYS
    assert "tests/counter/test_lookup.py" in run.splitlines()
    assert "left out, takes long: tests/faults/" in left

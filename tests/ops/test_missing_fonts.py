"""In a checkout that is not set up, one message says how to set it up."""

import shutil
import subprocess
import sys

from tests.support.paths import ROOT


def test_one_message_says_how_to_get_the_fonts(tmp_path):
    for file in (
        "pyproject.toml",
        "tests/conftest.py",
        "tests/support/paths.py",
        "tests/support/quick.py",
        "tests/domain/test_properties.py",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    command = [sys.executable, "-m", "pytest", "tests/domain"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stdout == ""
    [line] = done.stderr.strip().splitlines()
    assert "signing/fonts/NotoSansSC-Regular.ttf" in line
    assert "scripts/test" in line
    assert "set_up dev" in line

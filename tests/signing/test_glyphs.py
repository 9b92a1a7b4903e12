"""The font's repertoire."""

import sys
from pathlib import Path

import pytest

from signing import glyphs
from signing.errors import SigningError
from tests.judges import missing


@pytest.fixture(autouse=True)
def font() -> None:
    if not glyphs.FONT.exists():
        missing("the font (set-up copies it)")


def test_names_and_addresses_can_be_drawn() -> None:
    common = (
        "福州市鼓楼区示例路１号（二层）〔2026〕第3号：张三、李四；林小满·阿卜杜拉《证照》“引号”—…￥％ABCxyz0189-/,."
    )
    rare = "䶮犇喆堃昇珺璟赟頔㛃"
    assert glyphs.missing(common) == set()
    assert glyphs.missing(rare) == set()
    assert glyphs.missing("一行\n又一行") == set()


def test_all_of_gb_2312_can_be_drawn() -> None:
    cells = (bytes([row, cell]) for row in range(0xB0, 0xF8) for cell in range(0xA1, 0xFF))
    characters = "".join(cell.decode("gb2312", "ignore") for cell in cells)
    assert len(characters) == 6763
    assert glyphs.missing(characters) == set()


def test_what_cannot_be_drawn_is_named() -> None:
    assert glyphs.missing("张😀三\x00\t\ud800\U000e0100") == {"😀", "\x00", "\t", "\ud800", "\U000e0100"}


def test_a_missing_font_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    glyphs._drawable.cache_clear()
    monkeypatch.setattr(glyphs, "FONT", tmp_path / "NotoSansSC-Regular.ttf")
    with pytest.raises(SigningError, match="set-up"):
        glyphs.missing("a")
    monkeypatch.undo()
    glyphs._drawable.cache_clear()
    assert sys.getsizeof(glyphs._drawable()) < 4_000_000

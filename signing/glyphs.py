"""Which characters the document font can draw; a name with a missing glyph is refused, never substituted."""

from functools import lru_cache
from pathlib import Path

from reportlab.pdfbase.ttfonts import TTFError, TTFontFile

from signing.errors import SigningError

FONT = Path(__file__).parent / "fonts" / "NotoSansSC-Regular.ttf"
_LAYOUT = frozenset("\n")  # breaks a line and is never drawn


def missing(text: str) -> set[str]:
    """Return the characters of a text without a glyph in the font; line breaks do not count.

    Raises SigningError if the font is not installed on this machine.
    """
    drawable = _drawable()
    return {character for character in text if ord(character) not in drawable and character not in _LAYOUT}


@lru_cache(maxsize=1)
def _drawable() -> frozenset[int]:
    try:
        return frozenset(code for code, glyph in TTFontFile(str(FONT)).charToGlyph.items() if glyph)
    except (OSError, TTFError) as error:
        raise SigningError(f"font {FONT.name} cannot be read: run the set-up") from error

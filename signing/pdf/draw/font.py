"""The document font for reportlab: each document embeds a subset font with just the glyphs that it uses.

Text is written as two-byte glyph numbers (Identity-H) with our own ToUnicode map, because reportlab's subsets hold 256
characters each and cannot map those beyond U+FFFF. Outlines are copied unchanged from the font: its glyphs have neither
components (composites) nor instructions, which `_Outlines` verifies.
"""

import struct
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFontFile

from signing.errors import Malformed, SigningError
from signing.glyphs import FONT

NAME = "HubSans"
_EM = 1000
_NO_BREAK_SPACE = 0xA0


class _Outlines:
    """The tables of the font file from which subset fonts are built."""

    def __init__(self) -> None:
        try:
            font = TTFontFile(str(FONT))
            self.glyphs: dict[int, int] = font.charToGlyph
            self._places: list[int] = font.glyphPos
            self._shapes: bytes = font.get_table("glyf")
            self._metrics: bytes = font.get_table("hmtx")
            self.head, self.hhea, self.maxp = (font.get_table(tag) for tag in ("head", "hhea", "maxp"))
        except (OSError, TTFError) as error:
            raise SigningError(f"font {FONT.name} cannot be read: run the set-up") from error
        if font.unitsPerEm != _EM:
            raise SigningError(f"font {FONT.name} has another em than {_EM}")
        (self._long_metrics,) = struct.unpack(">H", self.hhea[34:36])
        self.ascent, self.descent, self.cap_height = font.ascent, font.descent, font.capHeight
        self.box: list[int] = font.bbox

    def metrics(self, glyph: int) -> tuple[int, int]:
        """Return advance width and left side bearing of a glyph, in 1/1000 em."""
        if glyph < self._long_metrics:
            advance, bearing = struct.unpack_from(">Hh", self._metrics, 4 * glyph)
            return advance, bearing
        (advance,) = struct.unpack_from(">H", self._metrics, 4 * self._long_metrics - 4)
        (bearing,) = struct.unpack_from(">h", self._metrics, 4 * self._long_metrics + 2 * (glyph - self._long_metrics))
        return advance, bearing

    def shape(self, glyph: int) -> bytes:
        """Return the outline of a glyph, padded to four bytes."""
        shape = self._shapes[self._places[glyph] : self._places[glyph + 1]]
        if shape[:1] > b"\x7f":
            raise SigningError(f"font {FONT.name} builds a glyph from parts")
        return shape + bytes(-len(shape) % 4)


class SubsetFont:
    """A font in reportlab's protocol for dynamic fonts; each document stores which glyphs it uses."""

    _dynamicFont = 1  # noqa: N815 - reportlab's names
    _multiByte = 1  # noqa: N815
    shapable = False
    fontName = NAME  # noqa: N815

    def __init__(self) -> None:
        self.outlines = _Outlines()
        self.face = SimpleNamespace(name=NAME, ascent=self.outlines.ascent, descent=self.outlines.descent)
        self._widths: dict[str, int] = {}
        self._used: WeakKeyDictionary[Any, dict[int, int]] = WeakKeyDictionary()

    def stringWidth(self, text: str, size: float, encoding: str = "utf-8") -> float:  # noqa: N802, ARG002
        """Return the width of a text in points; raises Malformed for a character without a glyph."""
        widths = self._widths
        try:
            return sum([widths[character] for character in text]) * size / _EM
        except KeyError:
            for character in set(text) - widths.keys():
                widths[character] = self.outlines.metrics(self._glyph(ord(character)))[0]
            return sum([widths[character] for character in text]) * size / _EM

    def splitString(self, text: str, document: Any, encoding: str = "utf-8") -> list[tuple[int, bytes]]:  # noqa: N802, ARG002
        """Return the text as glyph numbers of this document; raises Malformed for a character without a glyph."""
        used = self._used.setdefault(document, {})
        numbers = []
        for character in text:
            code = ord(character)
            number = used.get(code)
            if number is None:
                self._glyph(code)
                number = used[code] = len(used) + 1
            numbers.append(number)
        return [(0, struct.pack(f">{len(numbers)}H", *numbers))]

    def getSubsetInternalName(self, subset: int, document: Any) -> str:  # noqa: N802, ARG002
        """Return the name under which the pages refer to the font."""
        return f"/{NAME}"

    def used(self, document: Any) -> dict[int, int]:
        """Return character → glyph number in this document, in the order of first use."""
        return self._used.get(document, {})

    def subset(self, used: dict[int, int]) -> bytes:
        """Return a TrueType file with the glyphs of a document, numbered as in the document; glyph 0 is empty."""
        shapes, metrics, places, at = [], [struct.pack(">Hh", _EM, 0)], [0, 0], 0
        for code in used:
            glyph = self._glyph(code)
            shape = self.outlines.shape(glyph)
            shapes.append(shape)
            metrics.append(struct.pack(">Hh", *self.outlines.metrics(glyph)))
            at += len(shape)
            places.append(at)
        count = len(used) + 1
        head = bytearray(self.outlines.head)
        head[8:12] = bytes(4)
        head[50:52] = b"\0\1"  # long offsets in loca
        tables = {
            b"glyf": b"".join(shapes) or bytes(4),
            b"head": bytes(head),
            b"hhea": self.outlines.hhea[:34] + struct.pack(">H", count),
            b"hmtx": b"".join(metrics),
            b"loca": struct.pack(f">{len(places)}I", *places),
            b"maxp": self.outlines.maxp[:4] + struct.pack(">H", count) + self.outlines.maxp[6:],
        }
        return _sfnt(tables)

    def widths(self, used: dict[int, int]) -> list[int]:
        """Return the advance widths of the glyphs of a document, from glyph 1 on."""
        return [self.outlines.metrics(self._glyph(code))[0] for code in used]

    def _glyph(self, code: int) -> int:
        glyph: int | None = self.outlines.glyphs.get(32 if code == _NO_BREAK_SPACE else code)
        if not glyph:
            raise Malformed("glyph.missing")
        return glyph


def to_unicode(used: dict[int, int]) -> bytes:
    """Return the CMap from glyph numbers to characters (ISO 32000-1 §9.10.3)."""
    pairs = [f"<{number:04X}> <{chr(code).encode('utf-16-be').hex().upper()}>" for code, number in used.items()]
    blocks = [pairs[start : start + 100] for start in range(0, len(pairs), 100)]
    lines = [
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap",
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
        "/CMapName /Adobe-Identity-UCS def /CMapType 2 def",
        "1 begincodespacerange <0000> <FFFF> endcodespacerange",
    ]
    for block in blocks:
        lines += [f"{len(block)} beginbfchar", *block, "endbfchar"]
    lines.append("endcmap CMapName currentdict /CMap defineresource pop end end")
    return "\n".join(lines).encode("ascii")


@lru_cache(maxsize=1)
def font() -> SubsetFont:
    """Return the font, loaded once and registered with reportlab under NAME."""
    loaded = SubsetFont()
    pdfmetrics.registerFont(loaded)
    return loaded


def _sfnt(tables: dict[bytes, bytes]) -> bytes:
    """Combine tables into one TrueType file (OpenType 1.9, "Organization of an OpenType font")."""
    power = len(tables).bit_length() - 1
    start = 12 + 16 * len(tables)
    directory = [struct.pack(">IHHHH", 0x00010000, len(tables), 16 << power, power, 16 * (len(tables) - (1 << power)))]
    bodies, head_at = [], 0
    for tag, body in tables.items():
        if tag == b"head":
            head_at = start
        padded = body + bytes(-len(body) % 4)
        directory.append(struct.pack(">4sIII", tag, _checksum(padded), start, len(body)))
        bodies.append(padded)
        start += len(padded)
    file = bytearray(b"".join([*directory, *bodies]))
    struct.pack_into(">I", file, head_at + 8, (0xB1B0AFBA - _checksum(file)) & 0xFFFFFFFF)
    return bytes(file)


def _checksum(data: bytes | bytearray) -> int:
    words: tuple[int, ...] = struct.unpack(f">{len(data) // 4}I", data)
    return sum(words) & 0xFFFFFFFF

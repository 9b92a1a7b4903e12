"""Lines of Chinese and Latin text: widths, line breaking with 禁则 (kinsoku), and sizes that fit.

Rules from GB/T 15834 §5.1: no line begins with a closing mark or ends with an opening one; Latin words and numbers are
not broken unless one alone is wider than the line.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from signing.pdf.draw.font import font

_NOT_FIRST = frozenset("、。,,.·::;;!!??%‰℃°)]}»’”〉》」』】〕〗)]}…—~-/々ー")
_NOT_LAST = frozenset("([{«‘“〈《「『【〔〖([{¥$¥$№")
_WORD = re.compile(r"[0-9A-Za-zÀ-ɏ@#&*+=_.'/:-]+|\s|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Lines of one font size, in points."""

    size: float
    lines: tuple[str, ...]


def width(text: str, size: float) -> float:
    """Return the width of a line in points."""
    return font().stringWidth(text, size)


def wrap(text: str, size: float, room: float) -> tuple[str, ...]:
    """Break a text into lines no wider than room (points); keeps its line breaks, drops blanks at breaks."""
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        lines += _paragraph(paragraph.strip(), size, room)
    return tuple(lines)


def fit(text: str, room: float, sizes: Sequence[float], lines: int) -> Fitted:
    """Use the first of the sizes (descending) that needs at most this many lines; the last size takes all it needs."""
    for size in sizes:
        broken = wrap(text, size, room)
        if len(broken) <= lines:
            return Fitted(size, broken)
    return Fitted(sizes[-1], wrap(text, sizes[-1], room))


def fit_line(text: str, room: float, size: float) -> float:
    """Return the size, at most `size`, at which a text fits on one line."""
    wanted = width(text, size)
    return size if wanted <= room else size * room / wanted


def _paragraph(text: str, size: float, room: float) -> list[str]:
    lines, line, filled = [], "", 0.0
    for unit in _units(text):
        pieces = [unit] if width(unit, size) <= room else list(unit)
        for piece in pieces:
            extent = width(piece, size)
            if line and filled + extent > room and filled + width(piece.rstrip(), size) > room:
                lines.append(line.rstrip())
                line, filled = "", 0.0
                if piece.isspace():
                    continue
            line += piece
            filled += extent
    if line or not lines:
        lines.append(line.rstrip())
    return lines


def _units(text: str) -> list[str]:
    """Split a text into units that no line break may divide."""
    units: list[str] = []
    for part in _WORD.findall(text):
        follows = units and (part[0] in _NOT_FIRST or units[-1][-1] in _NOT_LAST)
        if follows and not units[-1].isspace():
            units[-1] += part
        else:
            units.append(part)
    return units

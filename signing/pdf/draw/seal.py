"""The round red seal of an authority: ring, star, its name on the arc, a line below the star.

42 mm in diameter with a star of 14 mm, as 国发〔1999〕25号 prescribes for city departments; drawn under the text, so
that the authority's name and the date stay legible.
"""

from math import cos, degrees, pi, sin

from signing.pdf.draw import guilloche
from signing.pdf.draw.canvas import PageCanvas
from signing.pdf.draw.text import width
from signing.pdf.draw.theme import MM, SEAL_RED

RADIUS = 21 * MM
_RING = 1.3 * MM
_GAP = 1.1 * MM
_LONGEST_ARC = 252 * pi / 180
_NARROWEST = 0.62  # of a character's own width
_SIZES = (20.0, 18.5, 17.0, 15.5, 14.0, 12.5, 11.0, 9.5, 8.0, 6.5, 5.0)


def draw(canvas: PageCanvas, x: float, y: float, name: str, note: str) -> None:
    """Draw the seal with its centre at (x, y); names too long for the arc are set smaller and narrower."""
    canvas.saveState()
    canvas.stroke(SEAL_RED, _RING)
    canvas.circle(x, y, RADIUS - _RING / 2, stroke=1, fill=0)
    canvas.fill(SEAL_RED)
    canvas.put(f"{guilloche.star((x, y + 1.5 * MM), 7 * MM)} f")
    canvas.reads_as(name)
    _arc(canvas, x, y, name)
    canvas.reads_end()
    if note:
        chord = 2 * RADIUS * 0.66
        canvas.write(x, y - RADIUS * 0.60, note, 9.5, SEAL_RED, align="centre", heavy=True, room=chord)
    canvas.restoreState()


def _arc(canvas: PageCanvas, x: float, y: float, name: str) -> None:
    size, narrow = _fit(name)
    reach = RADIUS - _RING - _GAP - size * 0.88  # base line of the characters, whose heads touch the gap
    middle = reach + size * 0.38
    widths = [width(character, size) * narrow for character in name]
    room = _LONGEST_ARC * middle - sum(widths)
    space = max(0.0, min(room / max(1, len(name) - 1), size * 0.55))
    angle = pi / 2 + (sum(widths) + space * (len(name) - 1)) / middle / 2
    for character, extent in zip(name, widths, strict=True):
        angle -= extent / middle / 2
        canvas.saveState()
        canvas.translate(x + reach * cos(angle), y + reach * sin(angle))
        canvas.rotate(degrees(angle) - 90)
        canvas.scale(narrow, 1)
        canvas.write(0, 0, character, size, SEAL_RED, align="centre", heavy=True)
        canvas.restoreState()
        angle -= extent / middle / 2 + space / middle


def _fit(name: str) -> tuple[float, float]:
    """Return size and width factor of the characters on the arc."""
    for size in _SIZES:
        middle = RADIUS - _RING - _GAP - size / 2
        narrow = _LONGEST_ARC * middle / max(1.0, width(name, size) * 1.04)
        if narrow >= _NARROWEST:
            return size, min(1.0, narrow, 0.92)
    return _SIZES[-1], narrow

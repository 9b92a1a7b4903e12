"""The face of a certificate: heading, body, the foot with QR code, authority, date and seal, and following pages.

The foot is always on the first page; body blocks that do not fit there continue on further pages under a short heading.
"""

from collections.abc import Callable
from dataclasses import dataclass

from signing import barcode, public_code
from signing.pdf.draw import annotated, rows, seal
from signing.pdf.draw.annotated import Watermark
from signing.pdf.draw.canvas import PageCanvas
from signing.pdf.draw.rows import SCALES, Block
from signing.pdf.draw.sheet import Annotation, Kind, Sheet
from signing.pdf.draw.text import fit, wrap
from signing.pdf.draw.theme import HEIGHT, INK, MM, QUIET, THEMES, WHITE, WIDTH, Theme

LEFT, RIGHT = 26 * MM, WIDTH - 26 * MM
ROOM = RIGHT - LEFT
FOOT_TOP = 86 * MM
QR = 36 * MM
SEAL_AT = (161 * MM, 57 * MM)
_PHOTO = (28 * MM, 39 * MM)
_LOOSEST = 10.0  # points added to the height of a row
_TOP = HEIGHT - 28 * MM
_NOTE = "本证照由颁发机构以电子签名签发。真伪与效力以扫描二维码所得的核验结果为准。"


@dataclass(frozen=True, slots=True)
class Drawn:
    """The drawing results for the file. pages: operators, over the ornaments; symbol: the modules of the QR code."""

    pages: tuple[bytes, ...]
    glyphs: dict[int, int]
    symbol: list[list[bool]]
    watermark: Watermark | None


def draw(sheet: Sheet, note: Annotation | None = None) -> Drawn:
    """Draw a certificate, or an annotated copy if there is a note to print across it.

    Raises Malformed for a character without a glyph and for a QR text that exceeds the largest symbol.
    """
    canvas, theme = PageCanvas(), THEMES[sheet.kind]
    symbol = barcode.matrix(sheet.qr_text)
    mark = annotated.watermark(canvas, note) if note else None
    below = _HEADINGS[sheet.kind](canvas, sheet, theme) - 4
    if note:
        below = annotated.band(canvas, note, below, LEFT, ROOM)
    _foot(canvas, sheet, theme, len(symbol))
    rest = _first_body(canvas, sheet, theme, below)
    canvas.next_page()
    while rest:
        rest = _following_page(canvas, sheet, theme, rest, note)
        canvas.next_page()
    return Drawn(tuple(canvas.pages()), canvas.glyphs, symbol, mark)


def _first_body(canvas: PageCanvas, sheet: Sheet, theme: Theme, top: float) -> list[Block]:
    keep_free = (_PHOTO[0] + 6 * MM, _PHOTO[1] + 8) if sheet.photo else (0.0, 0.0)
    available = top - FOOT_TOP - 8
    for scale in SCALES:
        blocks = rows.body(sheet, ROOM, scale, keep_free)
        if sum(block.height for block in blocks) <= available:
            break
    else:
        blocks = rows.body(sheet, ROOM, SCALES[2], keep_free)
    placed, used = 0, 0.0
    while placed < len(blocks) and used + blocks[placed].height <= available:
        used += blocks[placed].height
        placed += 1
    spare = (available - used) / max(1, placed) * 0.7 if placed == len(blocks) else 0.0
    if placed < len(blocks):
        placed = _not_after_head(blocks, placed)
    if sheet.photo:
        _photo(canvas, theme, top)
    for block in blocks[:placed]:
        stretch = 0.0 if block.columns or block.is_head or block.runs_on else max(0.0, min(_LOOSEST, spare))
        rows.draw(canvas, block, LEFT, top, theme, stretch)
        top -= block.height + stretch
    if placed < len(blocks):
        canvas.write(RIGHT, FOOT_TOP + 1, "转附页  Continued on the next page", 7, QUIET, align="right")
    return _continued(blocks, placed)


def _continued(blocks: list[Block], placed: int) -> list[Block]:
    rest = blocks[placed:]
    return [rest[0].repeats, *rest] if rest and rest[0].repeats is not None else rest


def _not_after_head(blocks: list[Block], placed: int) -> int:
    """Return where to break, so that no table head is the last row on a page."""
    while placed > 1 and blocks[placed - 1].is_head:
        placed -= 1
    return placed


def _following_page(
    canvas: PageCanvas, sheet: Sheet, theme: Theme, blocks: list[Block], note: Annotation | None
) -> list[Block]:
    number = len(canvas.pages()) + 1
    canvas.write(LEFT, _TOP, f"{sheet.title} 附页", 13, theme.title, heavy=True, room=ROOM * 0.6)
    canvas.write(RIGHT, _TOP, f"第 {number} 页", 9, QUIET, align="right")
    canvas.write(LEFT, _TOP - 15, f"{sheet.number_label} {sheet.number}", 9, INK, room=ROOM * 0.95)
    canvas.stroke(theme.title, 1)
    top = _TOP - 24
    canvas.line(LEFT, top, RIGHT, top)
    if note:
        top = annotated.band(canvas, note, top - 4, LEFT, ROOM)
    bottom, placed, at = 33 * MM, 0, top
    while placed < len(blocks) and (placed == 0 or at - blocks[placed].height >= bottom):
        rows.draw(canvas, blocks[placed], LEFT, at, theme, 0)
        at -= blocks[placed].height
        placed += 1
    mark = "转附页  Continued on the next page" if placed < len(blocks) else "完  End"
    canvas.write(RIGHT, at - 12, mark, 7, QUIET, align="right")
    _identity(canvas, sheet)
    return _continued(blocks, placed)


def _licence_heading(canvas: PageCanvas, sheet: Sheet, theme: Theme) -> float:
    middle = WIDTH / 2
    canvas.write(middle, _TOP - 2, sheet.authority, 13, INK, align="centre", spacing=1.5, room=ROOM)
    if sheet.authority_en:
        canvas.write(middle, _TOP - 15, sheet.authority_en, 8, QUIET, align="centre", room=ROOM)
    y = _TOP - 62
    _title(canvas, sheet, theme, y, 34)
    y = _ornament(canvas, theme, y - 36)
    return _number(canvas, sheet, y - 18)


def _approval_heading(canvas: PageCanvas, sheet: Sheet, theme: Theme) -> float:
    middle, y = WIDTH / 2, _TOP - 18
    spacing = 6 if len(sheet.authority) <= 14 else 1
    canvas.write(middle, y, sheet.authority, 27, theme.title, align="centre", heavy=True, spacing=spacing, room=ROOM)
    if sheet.authority_en:
        canvas.write(middle, y - 17, sheet.authority_en, 8.5, theme.title, align="centre", room=ROOM)
    y -= 28
    canvas.stroke(theme.title, 2.4)
    canvas.line(LEFT, y, RIGHT, y)
    canvas.stroke(theme.title, 0.6)
    canvas.line(LEFT, y - 3.4, RIGHT, y - 3.4)
    y -= 42
    canvas.write(middle, y, sheet.title, 23, INK, align="centre", heavy=True, spacing=2, room=ROOM)
    canvas.write(middle, y - 16, sheet.title_en, 9.5, QUIET, align="centre", room=ROOM)
    return _number(canvas, sheet, y - 36)


def _proof_heading(canvas: PageCanvas, sheet: Sheet, theme: Theme) -> float:
    y = _TOP - 30
    _title(canvas, sheet, theme, y, 30)
    y = _ornament(canvas, theme, y - 34)
    return _number(canvas, sheet, y - 18)


_HEADINGS: dict[Kind, Callable[[PageCanvas, Sheet, Theme], float]] = {
    Kind.LICENCE: _licence_heading,
    Kind.APPROVAL: _approval_heading,
    Kind.PROOF: _proof_heading,
}


def _title(canvas: PageCanvas, sheet: Sheet, theme: Theme, y: float, size: float) -> None:
    spacing = max(1.0, min(12.0, (ROOM * 0.8 / max(1, len(sheet.title)) - size) * 0.6))
    canvas.write(WIDTH / 2, y, sheet.title, size, theme.title, align="centre", heavy=True, spacing=spacing, room=ROOM)
    canvas.write(WIDTH / 2, y - 19, sheet.title_en.upper(), 10, QUIET, align="centre", spacing=1.2, room=ROOM)


def _ornament(canvas: PageCanvas, theme: Theme, y: float) -> float:
    """Draw the rule with a lozenge below a title."""
    middle, reach = WIDTH / 2, 58 * MM
    canvas.stroke(theme.band, 0.8)
    canvas.line(middle - reach, y, middle - 9, y)
    canvas.line(middle + 9, y, middle + reach, y)
    canvas.fill(theme.title)
    canvas.put(f"{middle - 4.5:.1f} {y:.1f} m {middle:.1f} {y + 4.5:.1f} l {middle + 4.5:.1f} {y:.1f} l "
               f"{middle:.1f} {y - 4.5:.1f} l h f")  # fmt: skip
    return y


def _number(canvas: PageCanvas, sheet: Sheet, y: float) -> float:
    text = f"{sheet.number_label} {sheet.number_label_en}  {sheet.number}"
    canvas.write(WIDTH / 2, y, text, 11, INK, align="centre", room=ROOM)
    return y - 12


def _photo(canvas: PageCanvas, theme: Theme, top: float) -> None:
    width, height = _PHOTO
    x, y = RIGHT - width, top - 4 - height
    canvas.put(f"q {width:.2f} 0 0 {height:.2f} {x:.2f} {y:.2f} cm /Photo Do Q")
    canvas.stroke(theme.line, 0.8)
    canvas.rect(x, y, width, height, stroke=1, fill=0)


def _foot(canvas: PageCanvas, sheet: Sheet, theme: Theme, modules: int) -> None:
    """Draw QR code, seal, and authority with date, whose ends overlap the seal as on stamped paper."""
    _qr(canvas, sheet, theme, modules)
    x, y = SEAL_AT
    seal.draw(canvas, x, y, sheet.seal, sheet.seal_note)
    end, label_end = x - 13 * MM, x - seal.RADIUS - 1.5 * MM
    name = fit(sheet.authority, end - LEFT - 45 * MM, (15, 14, 13, 12), 1)
    if len(name.lines) > 1:
        name = fit(sheet.authority, end - LEFT - 45 * MM, (13, 12, 11, 10), 3)
    lead = name.size * 1.35
    top = y + 3 + (len(name.lines) - 1) * lead
    canvas.write(label_end, top + name.size + 6, "颁发机构  Issuing authority", 7.5, QUIET, align="right")
    for place, line in enumerate(name.lines):
        canvas.write(end, top - place * lead, line, name.size, INK, align="right", heavy=True)
    canvas.write(end, y - 21, rows.day(sheet.issued_on), 13, INK, align="right", spacing=1)
    canvas.write(label_end, y - 34, "颁发日期  Date of issue", 7.5, QUIET, align="right")
    _identity(canvas, sheet)


def _qr(canvas: PageCanvas, sheet: Sheet, theme: Theme, modules: int) -> None:
    """Draw the panel of the QR code, 36 mm without its quiet zone, and the code in four groups below."""
    quiet = QR / modules * barcode.QUIET_ZONE
    x, y = LEFT, 40 * MM
    side = QR + 2 * quiet
    canvas.fill(WHITE)
    canvas.stroke(theme.line, 0.6)
    canvas.roundRect(x, y - 22, side, side + 22, 3, stroke=1, fill=1)
    canvas.put(f"q 0 g {QR:.3f} 0 0 {QR:.3f} {x + quiet:.3f} {y + quiet:.3f} cm /QR Do Q")
    middle = x + side / 2
    canvas.write(middle, y - 6, public_code.grouped(sheet.code), 10, INK, align="centre", spacing=0.4, room=side - 8)
    canvas.write(middle, y - 16, "扫码核验  Scan to verify", 6.8, QUIET, align="centre")


def _identity(canvas: PageCanvas, sheet: Sheet) -> None:
    """Draw the last lines: identifier and 附记."""
    y = 27 * MM
    canvas.write(LEFT, y, f"电子证照标识 Identifier  {sheet.identifier}", 7.5, INK, room=ROOM)
    notes = wrap("附记:" + " ".join((*sheet.notes, _NOTE)), 6.8, ROOM)
    for place, line in enumerate(notes[:3]):
        canvas.write(LEFT, y - 10.5 - place * 9, line, 6.8, QUIET)

"""The marks of an annotated copy (加注件): a band on its face, and a watermark under the content of every page.

Both say for whom, for which case and until when the copy was made. The watermark is a tiling pattern: every cut-out of
a page contains it, text extraction does not see it, and its text is stored only once.
"""

from dataclasses import dataclass
from math import cos, pi, sin

from signing.pdf.draw import rows
from signing.pdf.draw.canvas import PageCanvas
from signing.pdf.draw.guilloche import Colour
from signing.pdf.draw.sheet import Annotation
from signing.pdf.draw.text import fit, width
from signing.pdf.draw.theme import HEIGHT, INK, MM, QUIET, WHITE, WIDTH

_BLUE: Colour = (0.13, 0.27, 0.60)
_PALE: Colour = (0.925, 0.945, 0.985)
_WATERMARK: Colour = (0.79, 0.835, 0.915)
_ANGLE = 32 * pi / 180
_TAG = 62.0
_SIZE = 8.6
_STEP = 12.4
_MARK_SIZE = 10.0
_MARK_ROW = 54.0


@dataclass(frozen=True, slots=True)
class Watermark:
    """A tiling pattern (ISO 32000-1 §8.7.3). entries: of its dictionary; cell: operators; under: fills a page."""

    entries: bytes
    cell: bytes
    under: bytes


def band(canvas: PageCanvas, note: Annotation, top: float, left: float, room: float) -> float:
    """Draw the band with its upper edge at `top` and return its lower edge."""
    lines = _lines(note, room - _TAG - 18)
    height = sum(len(texts) for _, texts, _ in lines) * _STEP + 11
    canvas.fill(_PALE)
    canvas.stroke(_BLUE, 0.9)
    canvas.rect(left, top - height, room, height, stroke=1, fill=1)
    canvas.fill(_BLUE)
    canvas.rect(left, top - height, _TAG, height, stroke=0, fill=1)
    middle = left + _TAG / 2, top - height / 2
    canvas.write(middle[0], middle[1] + 1, "加注件", 15, WHITE, align="centre", heavy=True, spacing=1)
    canvas.write(middle[0], middle[1] - 11, "Annotated copy", 6.8, WHITE, align="centre")
    y = top - 5 - _SIZE
    for label, texts, size in lines:
        canvas.write(left + _TAG + 9, y, label, 7.4, QUIET)
        for text in texts:
            canvas.write(left + _TAG + 9 + 62, y, text, size, INK)
            y -= _STEP
    return top - height - 4


def watermark(canvas: PageCanvas, note: Annotation) -> Watermark:
    """Draw the watermark's tile on a canvas whose page is still empty, and take it off the page again."""
    texts = (f"仅供{note.authority}办理“{note.matter}”使用", f"办件 {note.case_number}  有效期至 {note.expires_on}")
    step = max(width(text, _MARK_SIZE) for text in texts) + 46
    for row, (text, aside) in enumerate(zip(texts, (0.0, step / 2), strict=True)):
        canvas.write(aside + 4, _MARK_ROW * row + 12, text, _MARK_SIZE, _WATERMARK)
        # Parts beyond the tile's edge reappear at the opposite edge.
        canvas.write(aside + 4 - step, _MARK_ROW * row + 12, text, _MARK_SIZE, _WATERMARK)
    c, s = cos(_ANGLE), sin(_ANGLE)
    entries = (
        f"/Type/Pattern/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 {step:.2f} {2 * _MARK_ROW:.2f}]"
        f"/XStep {step:.2f}/YStep {2 * _MARK_ROW:.2f}/Matrix[{c:.5f} {s:.5f} {-s:.5f} {c:.5f} 0 0]"
    )
    under = f"q /Pattern cs /Watermark scn 0 0 {WIDTH:.2f} {HEIGHT:.2f} re f Q\n"
    return Watermark(entries.encode("ascii"), canvas.take(), under.encode("ascii"))


def _lines(note: Annotation, room: float) -> list[tuple[str, tuple[str, ...], float]]:
    made = f"{rows.day(note.made_at.date())} {note.made_at:%H:%M}"
    named = (
        ("调取单位 For", f"{note.authority}  经办 {note.clerk}" if note.clerk else note.authority),
        ("办件 Case", f"{note.case_number}  {note.matter}"),
        ("用途 Purpose", note.purpose),
        ("有效期至 Until", f"{rows.day(note.expires_on)}    制作时间 {made}"),
        ("用证凭证 Receipt", f"{note.receipt_number}    仅限本次办件使用,另作他用无效。"),
    )
    fitted = ((label, fit(text, room - 62 - 3 * MM, (_SIZE, 8, 7.4), 1)) for label, text in named if text)
    return [(label, value.lines, value.size) for label, value in fitted]

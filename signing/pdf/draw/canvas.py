"""A reportlab canvas that returns the operators of its pages; objects.py builds the file around them."""

from io import BytesIO
from typing import Literal

from reportlab.pdfgen.canvas import Canvas

from signing.pdf.draw import font as fonts
from signing.pdf.draw.guilloche import Colour
from signing.pdf.draw.text import fit_line, width
from signing.pdf.draw.theme import HEIGHT, INK, WIDTH
from signing.pdf.objects import text_string

_BOLD = 0.026  # of the size: the outline drawn around a heavy character
Align = Literal["left", "centre", "right"]


class PageCanvas(Canvas):  # type: ignore[misc] # reportlab is not typed
    """Draws A4 pages, in points from the lower left corner, with a single font and RGB colours."""

    def __init__(self) -> None:
        fonts.font()
        super().__init__(BytesIO(), pagesize=(WIDTH, HEIGHT), initialFontName=fonts.NAME, invariant=1)
        self._code: list[str]
        self._finished: list[bytes] = []

    @property
    def glyphs(self) -> dict[int, int]:
        """Characters drawn so far, by glyph number."""
        return fonts.font().used(self._doc)

    def next_page(self) -> None:
        """End the page and start a new one."""
        self._finished.append(self.take())

    def pages(self) -> list[bytes]:
        """Return the operators of the finished pages."""
        return self._finished

    def take(self) -> bytes:
        """Return and discard what was drawn since the page began."""
        code, self._code = self._code, []
        self.init_graphics_state()
        return "\n".join(code).encode("latin-1")

    def put(self, operators: str) -> None:
        """Append raw operators."""
        self._code.append(operators)

    def fill(self, rgb: Colour) -> None:
        """Set the colour of areas and text."""
        self.setFillColorRGB(*rgb)

    def stroke(self, rgb: Colour, thickness: float) -> None:
        """Set the colour and thickness of lines."""
        self.setStrokeColorRGB(*rgb)
        self.setLineWidth(thickness)

    def write(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        rgb: Colour = INK,
        *,
        align: Align = "left",
        heavy: bool = False,
        spacing: float = 0,
        room: float | None = None,
    ) -> None:
        """Draw one line with its base line at y.

        spacing: points between characters. room: shrink the line to this width. heavy: draw the outline as well.
        """
        if room is not None:
            gaps = max(1, len(text) - 1)
            spacing = min(spacing, room * 0.4 / gaps)
            size = fit_line(text, room - spacing * gaps, size)
        if align != "left":
            extent = width(text, size) + spacing * (len(text) - 1)
            x -= extent if align == "right" else extent / 2
        line = self.beginText(x, y)
        line.setFont(fonts.NAME, size)
        line.setFillColorRGB(*rgb)
        if spacing:
            line.setCharSpace(spacing)
        if heavy:
            line.setStrokeColorRGB(*rgb)
            self.setLineWidth(size * _BOLD)
            line.setTextRenderMode(2)
        line.textOut(text)
        if heavy:
            line.setTextRenderMode(0)
        if spacing:
            line.setCharSpace(0)
        self.drawText(line)

    def reads_as(self, text: str) -> None:
        """Begin a part that text extraction reads as `text`; end it with reads_end()."""
        self.put(f"/Span<</ActualText{text_string(text).decode('ascii')}>>BDC")

    def reads_end(self) -> None:
        """End the part begun by reads_as()."""
        self.put("EMC")

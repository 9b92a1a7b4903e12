"""Forged files without a seal: the page of a genuine file with a name painted over, saved in one of several forms."""

from io import BytesIO

import pypdfium2
from PIL import Image, ImageDraw
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from tests.support.pdf_files import saved

FORMS = ("JPEG", "PNG", "scan", "outlines", "words")
_DPI = 150


def overpainted(pdf: bytes, form: str) -> bytes:
    """The first page with another name on it: a photo, a PDF of a picture, vector outlines, or a PDF with text."""
    page = pypdfium2.PdfDocument(pdf)[0].render(scale=_DPI / 72).to_pil().convert("RGB")
    pen = ImageDraw.Draw(page)
    left, top = page.width * 0.3, page.height * 0.3
    pen.rectangle((left, top, left + page.width * 0.4, top + 30), fill="white")
    pen.text((left, top), "Li Xiaoming", fill="black", font_size=24)
    if form == "outlines":
        return outlines(page)
    return words(page) if form == "words" else saved(page, "PDF" if form == "scan" else form)


def outlines(page: Image.Image) -> bytes:
    """The page as filled paths: neither a picture nor a letter."""
    canvas, told = _canvas(page)
    bits = page.convert("L").point(lambda grey: 255 if grey > 127 else 0)
    path = canvas.beginPath()
    width, rows = page.width, bits.tobytes()
    for row in range(page.height):
        line, start = rows[row * width : (row + 1) * width], 0
        while (start := line.find(b"\0", start)) >= 0:
            end = line.find(b"\xff", start)
            end = width if end < 0 else end
            path.rect(start, page.height - row - 1, end - start, 1)
            start = end
    canvas.drawPath(path, stroke=0, fill=1)
    canvas.save()
    return told.getvalue()


def words(page: Image.Image) -> bytes:
    """The page as a picture with text over it."""
    canvas, told = _canvas(page)
    canvas.drawImage(ImageReader(page), 0, 0, page.width, page.height)
    canvas.drawString(page.width * 0.3, page.height * 0.6, "Li Xiaoming")
    canvas.save()
    return told.getvalue()


def _canvas(page: Image.Image) -> tuple[Canvas, BytesIO]:
    told = BytesIO()
    canvas = Canvas(told, pagesize=(page.width * 72 / _DPI, page.height * 72 / _DPI), pageCompression=1)
    canvas.scale(72 / _DPI, 72 / _DPI)
    return canvas, told

"""Find QR codes in photos and scans: images, and the pages of a PDF rendered by PDFium.

PDFium (through pypdfium2) renders a file as browsers do; zxing-cpp reads the codes. Both run in the checker.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import pypdfium2
import zxingcpp
from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 50_000_000
MAX_PAGES_READ = 3
_DPI = 150
_LONGEST_SIDE = 2600
_A4_HEIGHT = 842
_CORNER = (0.5, 0.35)  # of width and height
_QR = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
_MAX_CODES = 8
_MAX_TEXT = 4096


def in_image(data: bytes) -> tuple[str, ...] | None:
    """Return the QR texts in a photo; None if it cannot be opened or exceeds MAX_PIXELS."""
    try:
        with Image.open(BytesIO(data), formats=("JPEG", "PNG")) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            image.draft("L", (_LONGEST_SIDE, _LONGEST_SIDE))
            grey = image.convert("L")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    smaller = grey.reduce(-(-max(grey.size) // _LONGEST_SIDE))
    return _codes(smaller) or (_codes(grey) if smaller.size != grey.size else ())


@dataclass(frozen=True, slots=True)
class Seen:
    """QR texts of the first pages, the number of pages, and whether they are pictures without any text."""

    texts: tuple[str, ...]
    pages: int
    is_scan: bool = False


def on_pages(pdf: bytes, *, sealed: bool = False) -> Seen | None:
    """Return what is on the first pages; None if PDFium cannot open the file.

    sealed: first look where our own files have their code, and stop if there is one: rendering a whole page takes three
    times as long, mostly for the ornaments.
    """
    try:
        document = pypdfium2.PdfDocument(pdf)
    except pypdfium2.PdfiumError:
        return None
    try:
        count = len(document)
        texts: list[str] = []
        if sealed and (in_corner := [text for picture in _corner(document) for text in _codes(picture)]):
            return Seen(tuple(in_corner), count)
        for picture in _pictures(document, min(count, MAX_PAGES_READ)):
            texts += [text for text in _codes(picture) if text not in texts]
        return Seen(tuple(texts[:_MAX_CODES]), count, not sealed and _is_scan(document, count))
    finally:
        document.close()


def _is_scan(document: pypdfium2.PdfDocument, count: int) -> bool:
    """Whether every page is a picture, as a scanner produces them: no text characters anywhere."""
    if not 0 < count <= MAX_PAGES_READ:
        return False
    try:
        return all(document[place].get_textpage().count_chars() == 0 for place in range(count))
    except (pypdfium2.PdfiumError, ValueError):
        return False


def _corner(document: pypdfium2.PdfDocument) -> Iterator[Image.Image]:
    """The lower left corner of the first page, if it is A4."""
    with contextlib.suppress(pypdfium2.PdfiumError, ValueError, IndexError):
        page = document[0]
        width, height = page.get_size()
        if max(width, height) <= _A4_HEIGHT:
            crop = (0, 0, width * (1 - _CORNER[0]), height * (1 - _CORNER[1]))
            yield page.render(scale=_DPI / 72, grayscale=True, crop=crop).to_pil()


def _pictures(document: pypdfium2.PdfDocument, count: int) -> Iterator[Image.Image]:
    for place in range(count):
        try:
            page = document[place]
            longest = max(page.get_size())
            scale = min(_DPI / 72, _LONGEST_SIDE / longest) if longest > 0 else 1.0
            yield page.render(scale=scale, grayscale=True).to_pil()
        except (pypdfium2.PdfiumError, ValueError):
            continue


def _codes(image: Image.Image) -> tuple[str, ...]:
    found = zxingcpp.read_barcodes(image, formats=_QR)
    return tuple(code.text for code in found[:_MAX_CODES] if code.valid and 0 < len(code.text) <= _MAX_TEXT)

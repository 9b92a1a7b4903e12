"""Small files that take long to read, each named for its trick; none has a signature or a code."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

from PIL import Image

from tests.support.pdf_forgeries import attachment_bomb, bomb, many_pages, nested, plain

_PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<<%b>>>>"


def stream(data: bytes, entries: bytes = b"", *, packed: bool = False) -> bytes:
    if packed:
        data, entries = zlib.compress(data, 9), entries + b"/Filter/FlateDecode"
    return b"<<%b/Length %d>>\nstream\n%b\nendstream" % (entries, len(data), data)


def on_one_page(content: bytes, resources: bytes, *objects: bytes) -> bytes:
    """A page with this content; `objects` are numbered from 5."""
    return plain(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            _PAGE % resources,
            stream(content, packed=len(content) > 500),
            *objects,
        ]
    )


def form_tree(levels: int, width: int) -> bytes:
    """Forms that draw the next one `width` times each: width ** levels drawings."""
    forms = []
    for number in range(5, 5 + levels):
        entries = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]"
        last = number == 4 + levels
        entries += b"" if last else b"/Resources<</XObject<</F %d 0 R>>>>" % (number + 1)
        forms.append(stream(b"0 0 1 1 re f" if last else b"/F Do " * width, entries, packed=width > 50))
    return on_one_page(b"/F Do", b"/XObject<</F 5 0 R>>", *forms)


def form_in_itself() -> bytes:
    """600 bytes."""
    entries = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</F 5 0 R/G 6 0 R>>>>"
    form = stream(b"/F Do /G Do /F Do /G Do", entries)
    return on_one_page(b"/F Do", b"/XObject<</F 5 0 R>>", form, form)


def form_graph(forms: int) -> bytes:
    """Forms that draw all others: forms! drawings."""
    names = b"".join(b"/F%d %d 0 R" % (n, n) for n in range(5, 5 + forms))
    content = b" ".join(b"/F%d Do" % n for n in range(5, 5 + forms))
    form = stream(content, b"/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<<%b>>>>" % names)
    return on_one_page(b"/F5 Do", b"/XObject<</F5 5 0 R>>", *[form] * forms)


def pattern_tree(levels: int) -> bytes:
    found = []
    for number in range(5, 5 + levels):
        entries = b"/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 3 3]/XStep 1/YStep 1"
        entries += b"/Resources<</Pattern<</P %d 0 R>>>>" % min(number + 1, 4 + levels)
        last = number == 4 + levels
        found.append(stream(b"0 0 3 3 re f" if last else b"/Pattern cs /P scn 0 0 3 3 re f " * 9, entries))
    return on_one_page(b"/Pattern cs /P scn 0 0 595 842 re f", b"/Pattern<</P 5 0 R>>", *found)


def group_tree(levels: int) -> bytes:
    """Transparency groups within groups, each with its own bitmap."""
    found = []
    for number in range(5, 5 + levels):
        entries = b"/Type/XObject/Subtype/Form/BBox[0 0 595 842]/Group<</S/Transparency/I true/K true>>"
        last = number == 4 + levels
        state = b"/ExtGState<</G<</ca 0.5/BM/Luminosity>>>>"
        entries += b"/Resources<<%b%b>>" % (state, b"" if last else b"/XObject<</F %d 0 R>>" % (number + 1))
        found.append(stream(b"/G gs 0 0 595 842 re f" if last else b"/G gs /F Do /F Do", entries))
    return on_one_page(b"/F Do", b"/XObject<</F 5 0 R>>", *found)


def deep_pages(depth: int) -> bytes:
    """A page tree in which every node has one child."""
    nodes = [b"<</Type/Pages/Count 1/Kids[%d 0 R]/Parent %d 0 R>>" % (n + 1, n - 1) for n in range(2, 2 + depth)]
    return plain([b"<</Type/Catalog/Pages 2 0 R>>", *nodes, b"<</Type/Page/MediaBox[0 0 595 842]/Parent 2 0 R>>"])


def wide_pages(width: int, levels: int) -> bytes:
    """Nodes whose children are the next node, many times: width ** levels pages."""
    nodes = [
        b"<</Type/Pages/Count %d/Kids[%b]>>" % (width ** (levels - n), b"%d 0 R " % (n + 3) * width)
        for n in range(levels)
    ]
    return plain([b"<</Type/Catalog/Pages 2 0 R>>", *nodes, b"<</Type/Page/MediaBox[0 0 595 842]/Parent 2 0 R>>"])


def picture_page(width: int, height: int, data: bytes, entries: bytes, times: int = 1) -> bytes:
    picture = b"/Type/XObject/Subtype/Image/Width %d/Height %d%b" % (width, height, entries)
    content = b"q 595 0 0 842 0 0 cm /P Do Q " * times
    return on_one_page(content, b"/XObject<</P 5 0 R>>", stream(data, picture))


def zeros(count: int) -> bytes:
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(min(1 << 20, count - at))) for at in range(0, count, 1 << 20))
    return packed + packer.flush()


def jbig2(width: int, height: int, regions: int = 1) -> bytes:
    """Segments of generic regions as large as the page, from a few bytes each."""
    page = struct.pack(">IBBBI", 0, 48, 0, 1, 19) + struct.pack(">IIIIBH", width, height, 0, 0, 0, 0)
    body = struct.pack(">IIIIB", width, height, 0, 0, 4)
    body += struct.pack(">B8b", 0, 3, -1, -3, -1, 2, -2, -2, -2) + bytes(8)
    region = b"".join(struct.pack(">IBBBI", n + 1, 38, 0, 1, len(body)) + body for n in range(regions))
    return page + region


def file_of(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def many_finders(side: int) -> bytes:
    """A picture full of the corner marks of QR codes."""
    mark = Image.new("L", (10, 10), 255)
    for at, size, shade in ((0, 7, 0), (1, 5, 255), (2, 3, 0)):
        mark.paste(shade, (at, at, at + size, at + size))
    sheet = Image.new("L", (side, side), 255)
    for y in range(0, side, 10):
        for x in range(0, side, 10):
            sheet.paste(mark, (x, y))
    return file_of(sheet, "PNG")


def dashed_lines(count: int) -> bytes:
    """Page content: lines of very short dashes."""
    return b"[0.0001] 0 d 0.1 w " + b"0 0 m 595 842 l S " * count


def long_text() -> bytes:
    font = b"/Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>"
    return on_one_page(b"BT /F 9 Tf " + b"(aaaaaaaaaaaaaaaaaaaaaaaa) Tj " * 2_000_000 + b"ET", font)


def function_shading() -> bytes:
    program = b"{ " + b"2 copy mul sin exch cos add dup " * 400 + b"}"
    return on_one_page(
        b"/S sh " * 40,
        b"/Shading<</S<</ShadingType 1/ColorSpace/DeviceGray/Domain[0 595 0 842]/Function 5 0 R>>>>",
        stream(program, b"/FunctionType 4/Domain[0 595 0 842]/Range[0 1]"),
    )


_ONE_BIT = b"/ColorSpace/DeviceGray/BitsPerComponent 1"
_RGB = b"/ColorSpace/DeviceRGB/BitsPerComponent 8"
_FLATE, _JBIG2 = b"/Filter/FlateDecode", b"/Filter/JBIG2Decode"


def blank(mode: str) -> Image.Image:
    """50 megapixels."""
    return Image.new(mode, (7071, 7071))


BOMBS: dict[str, Callable[[], bytes]] = {
    "form_in_itself": lambda: form_in_itself(),
    "forms_25_levels_of_two": lambda: form_tree(25, 2),
    "forms_4_levels_of_100": lambda: form_tree(4, 100),
    "forms_that_draw_all_others": lambda: form_graph(12),
    "patterns_in_patterns": lambda: pattern_tree(6),
    "groups_in_groups": lambda: group_tree(14),
    "dashed_lines": lambda: on_one_page(dashed_lines(20_000), b""),
    "function_shading": lambda: function_shading(),
    "long_text": lambda: long_text(),
    "content_deflated_once": lambda: bomb(1),
    "content_deflated_twice": lambda: bomb(2, 1_000_000_000),
    "content_deflated_six_times": lambda: bomb(6, 1_000_000_000),
    "attachment": lambda: attachment_bomb(),
    "hundred_thousand_pages": lambda: many_pages(100_000),
    "page_tree_100000_deep": lambda: deep_pages(100_000),
    "page_tree_900_deep": lambda: deep_pages(900),
    "page_tree_10_wide_8_deep": lambda: wide_pages(10, 8),
    "arrays_100000_deep": lambda: nested(100_000),
    "picture_60000_square_in_pdf": lambda: picture_page(60_000, 60_000, zeros(60_000 * 7_500), _ONE_BIT + _FLATE),
    "picture_10000_square_in_pdf": lambda: picture_page(10_000, 10_000, zeros(300_000_000), _RGB + _FLATE),
    "picture_drawn_1000_times": lambda: picture_page(3000, 3000, zeros(27_000_000), _RGB + _FLATE, 1000),
    "jbig2_60000_square": lambda: picture_page(60_000, 60_000, jbig2(60_000, 60_000), _ONE_BIT + _JBIG2),
    "jbig2_500_regions": lambda: picture_page(8000, 8000, jbig2(8000, 8000, 500), _ONE_BIT + _JBIG2),
    "png_50_megapixels_grey": lambda: file_of(blank("L"), "PNG"),
    "png_50_megapixels_colour": lambda: file_of(blank("RGBA"), "PNG"),
    "png_16_megapixels_noise": lambda: file_of(Image.effect_noise((4000, 4000), 200).convert("1"), "PNG"),
    "png_of_corner_marks": lambda: many_finders(4000),
    "jpeg_50_megapixels": lambda: file_of(blank("L"), "JPEG", quality=1),
    "jpeg_50_megapixels_progressive": lambda: file_of(blank("L"), "JPEG", quality=1, progressive=True),
}

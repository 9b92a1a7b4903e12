"""Assemble a file, complete but for its signature: pages, font, images, metadata, attachment, signature field.

The file has one revision: the signature dictionary is part of it from the start, with space reserved for the CMS
object.
"""

from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from PIL import Image, UnidentifiedImageError

from signing.errors import Malformed
from signing.pdf.draw import archive, face, font
from signing.pdf.draw.archive import Description
from signing.pdf.draw.face import Drawn
from signing.pdf.draw.seal import RADIUS
from signing.pdf.draw.sheet import Sheet
from signing.pdf.draw.theme import HEIGHT, WIDTH, ornaments
from signing.pdf.objects import Objects, Written, reference, text_string

MAX_PHOTO_BYTES = 2 * 1024 * 1024
MAX_PHOTO_PIXELS = 4_000_000
_HINT = 37  # flags and box of the font descriptor are those of Noto Sans SC: symbolic, no serifs
_PRINT_AND_LOCKED = 132  # ISO 32000-1 table 165
_SIGNATURES_EXIST_APPEND_ONLY = 3  # table 219


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A file with a gap for its signature: `pdf[:hole]` and `pdf[hole + room * 2 + 2:]` are to be signed."""

    pdf: bytes
    hole: int
    room: int


def assemble(sheet: Sheet, drawn: Drawn, credential: str, made_at: datetime, room: int) -> Unsigned:
    """Return the file; made_at: aware, the signing time; room: bytes to reserve for the CMS object.

    Raises Malformed `pdf.photo` for a photo that is neither JPEG nor PNG or is larger than the limits.
    """
    objects = Objects()
    pages, field, signature = objects.reserve(), objects.reserve(), objects.reserve()
    resources = _resources(objects, sheet, drawn)
    under = b"/Ornaments Do\n" + (drawn.watermark.under if drawn.watermark else b"")
    kids = []
    for place, operators in enumerate(drawn.pages):
        content = objects.stream(b"", under + operators)
        annotations = b"/Annots[%b]" % reference(field) if place == 0 else b""
        kids.append(
            objects.add(
                b"<</Type/Page/Parent %b/MediaBox[0 0 %.2f %.2f]/Resources %b/Contents %b%b>>"
                % (reference(pages), WIDTH, HEIGHT, reference(resources), reference(content), annotations)
            )
        )
    objects.add(b"<</Type/Pages/Count %d/Kids[%b]>>" % (len(kids), b" ".join(map(reference, kids))), pages)
    objects.add(_field(objects, sheet, kids[0], signature), field)
    description = Description(
        f"{sheet.title} {sheet.identifier}", sheet.title_en or sheet.title, sheet.authority, made_at
    )
    information = archive.information(objects, description)
    root = objects.add(
        b"<</Type/Catalog/Pages %b/Lang(zh-CN)/ViewerPreferences<</DisplayDocTitle true>>"
        b"/AcroForm<</Fields[%b]/SigFlags %d>>/Perms<</DocMDP %b>>%b%b%b>>"
        % (
            reference(pages),
            reference(field),
            _SIGNATURES_EXIST_APPEND_ONLY,
            reference(signature),
            archive.output_intent(objects),
            archive.metadata(objects, description),
            archive.attachment(objects, credential, made_at),
        )
    )
    objects.add(_signature(sheet, made_at, room), signature)
    return _with_range(objects.write(root, information), signature, room)


def _resources(objects: Objects, sheet: Sheet, drawn: Drawn) -> int:
    fonts = b"/Font<</%b %b>>" % (font.NAME.encode("ascii"), reference(_font(objects, drawn.glyphs)))
    ground = objects.stream(
        b"/Type/XObject/Subtype/Form/BBox[0 0 %.2f %.2f]/Resources<<>>/Filter/FlateDecode" % (WIDTH, HEIGHT),
        ornaments(sheet.kind, sheet.type_code),
        deflate=False,
    )
    named = b"/Ornaments %b/QR %b" % (reference(ground), reference(_symbol(objects, drawn.symbol)))
    if sheet.photo:
        named += b"/Photo %b" % reference(_photo(objects, sheet.photo))
    pattern = b""
    if drawn.watermark:
        number = objects.stream(drawn.watermark.entries + b"/Resources<<%b>>" % fonts, drawn.watermark.cell)
        pattern = b"/Pattern<</Watermark %b>>" % reference(number)
    return objects.add(b"<<%b/XObject<<%b>>%b>>" % (fonts, named, pattern))


def _symbol(objects: Objects, symbol: list[list[bool]]) -> int:
    """Store the QR code as a stencil mask, one bit per module."""
    side = len(symbol)
    rows = [int("".join("01"[dark] for dark in row).ljust(-(-side // 8) * 8, "0"), 2) for row in symbol]
    data = b"".join(row.to_bytes(-(-side // 8), "big") for row in rows)
    return objects.stream(
        b"/Type/XObject/Subtype/Image/ImageMask true/Decode[1 0]/BitsPerComponent 1/Width %d/Height %d" % (side, side),
        data,
    )


def _photo(objects: Objects, photo: bytes) -> int:
    """Store a photo in RGB; whatever its format, only its pixels are kept."""
    if len(photo) > MAX_PHOTO_BYTES:
        raise Malformed("pdf.photo")
    try:
        with Image.open(BytesIO(photo), formats=("JPEG", "PNG")) as image:
            if image.width * image.height > MAX_PHOTO_PIXELS:
                raise Malformed("pdf.photo")
            pixels = image.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise Malformed("pdf.photo") from error
    pixels.thumbnail((413, 579))  # 35 by 49 mm at 300 dpi
    packed = BytesIO()
    pixels.save(packed, "JPEG", quality=82)
    return objects.stream(
        b"/Type/XObject/Subtype/Image/ColorSpace/DeviceRGB/BitsPerComponent 8/Width %d/Height %d/Filter/DCTDecode"
        % pixels.size,
        packed.getvalue(),
        deflate=False,
    )


def _font(objects: Objects, glyphs: dict[int, int]) -> int:
    loaded = font.font()
    outlines = loaded.outlines
    file = loaded.subset(glyphs)
    name = b"HUBSUB+NotoSansSC"
    stream = objects.stream(b"/Length1 %d" % len(file), file)
    descriptor = objects.add(
        b"<</Type/FontDescriptor/FontName/%b/Flags 4/FontBBox[%b]/ItalicAngle 0/Ascent %d/Descent %d/CapHeight %d"
        b"/StemV 87/FontFile2 %b>>"
        % (
            name,
            b" ".join(b"%d" % edge for edge in outlines.box),
            outlines.ascent,
            outlines.descent,
            outlines.cap_height,
            reference(stream),
        )
    )
    widths = b" ".join(b"%d" % advance for advance in loaded.widths(glyphs))
    cid = objects.add(
        b"<</Type/Font/Subtype/CIDFontType2/BaseFont/%b/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0"
        b">>/FontDescriptor %b/DW 1000/W[1[%b]]/CIDToGIDMap/Identity>>" % (name, reference(descriptor), widths)
    )
    unicode = objects.stream(b"", font.to_unicode(glyphs))
    return objects.add(
        b"<</Type/Font/Subtype/Type0/BaseFont/%b/Encoding/Identity-H/DescendantFonts[%b]/ToUnicode %b>>"
        % (name, reference(cid), reference(unicode))
    )


def _field(objects: Objects, sheet: Sheet, page: int, signature: int) -> bytes:
    """Return the signature field; its widget covers the seal, so that a click on the seal shows who signed."""
    x, y = face.SEAL_AT
    empty = objects.stream(b"/Type/XObject/Subtype/Form/BBox[0 0 1 1]/Resources<<>>", b"", deflate=False)
    return (
        b"<</Type/Annot/Subtype/Widget/FT/Sig/T(Seal)/TU %b/F %d/P %b/Rect[%.2f %.2f %.2f %.2f]/AP<</N %b>>/V %b>>"
        % (
            text_string(f"{sheet.authority} 电子签章"),
            _PRINT_AND_LOCKED,
            reference(page),
            *(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS),
            reference(empty),
            reference(signature),
        )
    )


def _signature(sheet: Sheet, made_at: datetime, room: int) -> bytes:
    """Return the signature dictionary: PAdES (ETSI EN 319 142-1 §5), certifying with no changes allowed (DocMDP 1)."""
    return (
        b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/Name %b/M%b"
        b"/Reference[<</Type/SigRef/TransformMethod/DocMDP/TransformParams<</Type/TransformParams/P 1/V/1.2>>>>]"
        b"/ByteRange[%b]/Contents<%b>>>"
        % (text_string(sheet.authority), archive.pdf_date(made_at), b" " * _HINT, b"0" * (2 * room))
    )


def _with_range(written: Written, signature: int, room: int) -> Unsigned:
    """Fill in the signed byte range: everything but the hexadecimal signature and its brackets."""
    pdf = bytearray(written.pdf)
    start = written.offsets[signature]
    hole = pdf.index(b"/Contents<", start) + len(b"/Contents")
    after = hole + 2 * room + 2
    covered = b"0 %d %d %d" % (hole, after, len(pdf) - after)
    place = pdf.index(b"/ByteRange[", start) + len(b"/ByteRange[")
    pdf[place : place + _HINT] = covered.ljust(_HINT)
    return Unsigned(bytes(pdf), hole, room)

"""Check a portrait that will be printed and signed permanently: a plain JPEG or PNG with nothing but pixels.

A photo is inspected before it is decoded: its segments are parsed here, and its size and dimensions are limited, so
that decoding is cheap for any input. Nothing is stored or changed here.
"""

import base64
import struct
from collections.abc import Iterator
from io import BytesIO

from PIL import Image, UnidentifiedImageError

from hub.domain.values import MAX_PHOTO_BYTES, Problem

MAX_WIDTH, MAX_HEIGHT = 1000, 1400
_MAX_SCANS = 16  # of a progressive JPEG, which is decoded once a scan; cameras and editors write ten at most
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_SOS, _EOI, _APP0, _ADOBE, _COMMENT = 0xDA, 0xD9, 0xE0, 0xEE, 0xFE
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive
_PLAIN_SEGMENTS = frozenset({*_FRAMES, 0xC4, 0xDB, 0xDD, _APP0, _ADOBE, _SOS})
_PLAIN_CHUNKS = frozenset(
    {b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"sBIT", b"bKGD", b"IDAT", b"IEND"}
)
_MODES = frozenset({"L", "LA", "P", "RGB", "RGBA", "1"})

_FORMAT = ("应为 JPEG 或 PNG 照片", "must be a JPEG or PNG photo")
_DAMAGED = ("照片文件损坏或不完整", "the photo's file is damaged or incomplete")
_TOO_LARGE = (f"照片最大 {MAX_PHOTO_BYTES // 1024} KB", f"the photo is larger than {MAX_PHOTO_BYTES // 1024} KB")
_DIMENSIONS = (
    f"照片最大 {MAX_WIDTH}×{MAX_HEIGHT} 像素",
    f"the photo is larger than {MAX_WIDTH} by {MAX_HEIGHT} pixels",
)
_EXTRA = (
    "照片文件含有 EXIF、文本或其他附加信息，请去除后再提交",
    "the photo's file carries EXIF, text or other data besides the image: remove it",
)
_COLOURS = ("照片应为灰度或 RGB", "the photo must be grey or RGB")


def problem(text: str) -> Problem | None:
    """The problem of a photo in base64, in Chinese and English; None if it may be printed."""
    if len(text) > MAX_PHOTO_BYTES * 2:
        return _TOO_LARGE
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return _FORMAT
    if len(data) > MAX_PHOTO_BYTES:
        return _TOO_LARGE
    if base64.b64encode(data).decode() != text:
        return _DAMAGED  # the padding bits are not zero: an image must have exactly one text
    try:
        if data.startswith(_JPEG):
            return _jpeg(data) or _decode(data, "JPEG")
        return (_png(data) or _decode(data, "PNG")) if data.startswith(_PNG) else _FORMAT
    except (struct.error, IndexError):
        return _DAMAGED


def _jpeg(data: bytes) -> Problem | None:
    size: tuple[int, int] | None = None
    scans = 0
    for marker, content in _segments(data):
        if marker not in _PLAIN_SEGMENTS or (marker == _APP0 and not content.startswith(b"JFIF\0")):
            return _EXTRA if marker >= _APP0 else _DAMAGED
        if marker == _APP0 and content[12:14] != b"\0\0":  # a thumbnail
            return _EXTRA
        if marker in _FRAMES:
            if size is not None:
                return _DAMAGED
            height, width = struct.unpack(">HH", content[1:5])
            size = (width, height)
        scans += marker == _SOS
    if size is None or not 1 <= scans <= _MAX_SCANS:
        return _DAMAGED
    return _dimensions(*size)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The marker segments of a JPEG between its start and its end; raises IndexError if the file is truncated."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise IndexError("no marker")
        while data[at] == 0xFF:  # fill bytes
            at += 1
        marker = data[at]
        at += 1
        if marker == _EOI:
            if at != len(data):
                raise IndexError("data after the end")
            return
        (length,) = struct.unpack_from(">H", data, at)
        if length < 2 or at + length > len(data):
            raise IndexError("segment")
        yield marker, data[at + 2 : at + length]
        at += length
        if marker == _SOS:
            at = _after_scan(data, at)


def _after_scan(data: bytes, at: int) -> int:
    """The position of the marker after entropy-coded data, which is neither a stuffed zero nor a restart."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0:
            raise IndexError("no end")
        follower = data[at + 1]
        if follower != 0 and not 0xD0 <= follower <= 0xD7:
            return at
        at += 2


def _png(data: bytes) -> Problem | None:
    at, kinds, size = len(_PNG), [], (0, 0)
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if not kind.isalpha() or at + 12 + length > len(data):
            return _DAMAGED
        if kind not in _PLAIN_CHUNKS:
            return _EXTRA
        if kind == b"IHDR":
            size = struct.unpack_from(">II", data, at + 8)
        kinds.append(kind)
        at += 12 + length
    if not kinds or kinds[0] != b"IHDR" or kinds[-1] != b"IEND" or b"IDAT" not in kinds:
        return _DAMAGED
    if any(kinds.count(kind) > 1 for kind in _PLAIN_CHUNKS - {b"IDAT"}):
        return _DAMAGED
    return _dimensions(*size)


def _dimensions(width: int, height: int) -> Problem | None:
    if width < 1 or height < 1:
        return _DAMAGED
    return _DIMENSIONS if width > MAX_WIDTH or height > MAX_HEIGHT else None


def _decode(data: bytes, kind: str) -> Problem | None:
    """Decode the whole image, so that drawing it cannot fail later; its dimensions are known to be small."""
    try:
        with Image.open(BytesIO(data), formats=(kind,)) as image:
            if image.width > MAX_WIDTH or image.height > MAX_HEIGHT:
                return _DIMENSIONS
            if image.mode not in _MODES:
                return _COLOURS
            if getattr(image, "n_frames", 1) != 1:
                return _EXTRA
            image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        return _DAMAGED
    return None

"""Which files are portraits that may be printed and signed."""

import base64
from io import BytesIO
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from hub.domain.values import MAX_PHOTO_BYTES
from hub.intake import photo


def picture(kind: str = "JPEG", size: tuple[int, int] = (120, 168), mode: str = "RGB", **more: Any) -> bytes:
    packed = BytesIO()
    Image.new(mode, size, 120).save(packed, kind, **more)
    return packed.getvalue()


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def largest() -> bytes:
    """A JPEG of exactly the maximum size, padded with restart intervals and quantisation tables."""
    data = picture("JPEG", (800, 1100), quality=30)
    room = MAX_PHOTO_BYTES - len(data)
    assert room > 0
    return data[:2] + b"\xff" * room + data[2:]  # fill bytes before a marker are allowed (ITU T.81 B.1.1.2)


def many_scans() -> bytes:
    data = picture("JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    return data[:-2] + data[scan:-2] * 20 + b"\xff\xd9"


def png_with(kind: str) -> bytes:
    told = PngImagePlugin.PngInfo()
    if kind == "itxt":
        told.add_itxt("Author", "安试")
    else:
        told.add_text("Author", "Anna", zip=kind == "ztxt")
    return picture("PNG", pnginfo=told)


def exif() -> Image.Exif:
    told = Image.Exif()
    told[0x010F] = "a camera"
    return told


def after(data: bytes, place: int, more: bytes) -> bytes:
    return data[:place] + more + data[place:]


COMMENT = b"\xff\xfe\x00\x06Anna"
THUMBNAIL = b"\xff\xe0\x00\x13JFIF\0\x01\x01\0\0\x01\0\x01\x01\x01\0\0\0"


@pytest.mark.parametrize(
    "data",
    [
        picture(),
        picture("PNG"),
        picture("JPEG", mode="L"),
        picture("PNG", mode="L"),
        picture("PNG", mode="P"),
        picture("PNG", mode="RGBA"),
        picture("JPEG", progressive=True),
        picture("JPEG", (1000, 1400), quality=1),
        picture("PNG", (1000, 1400), mode="1"),
        picture("JPEG", (1, 1)),
        picture("JPEG", dpi=(300, 300)),
        largest(),
    ],
)
def test_a_plain_portrait_is_taken(data: bytes) -> None:
    assert photo.problem(text_of(data)) is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "must be a JPEG or PNG photo"),
        (b"not a picture", "must be a JPEG or PNG photo"),
        (picture("GIF", mode="P"), "must be a JPEG or PNG photo"),
        (picture("WEBP"), "must be a JPEG or PNG photo"),
        (picture("BMP", (30, 42)), "must be a JPEG or PNG photo"),
        (b"%PDF-1.7 " + picture(), "must be a JPEG or PNG photo"),
        (picture("JPEG", (1001, 10)), "1000 by 1400"),
        (picture("PNG", (10, 1401)), "1000 by 1400"),
        (picture("PNG", (20000, 20000), mode="1", compress_level=9), "24 KB"),
        (b"\x89PNG\r\n\x1a\n" + picture("PNG")[8:16] + b"\xff" * 8 + picture("PNG")[24:], "1000 by 1400"),
        (largest()[:2] + b"\xff" + largest()[2:], "24 KB"),
        (picture("JPEG", exif=exif()), "EXIF"),
        (picture("PNG", exif=exif()), "EXIF"),
        (picture("JPEG", icc_profile=b"profile" * 20), "EXIF"),
        (after(picture(), 2, COMMENT), "EXIF"),
        (after(picture(), 2, THUMBNAIL), "EXIF"),
        (png_with("text"), "EXIF"),
        (png_with("ztxt"), "EXIF"),
        (png_with("itxt"), "EXIF"),
        (picture() + b"more", "damaged"),
        (picture("PNG") + b"more", "damaged"),
        (picture()[:-2], "damaged"),
        (picture()[:200], "damaged"),
        (picture("PNG")[:-12], "damaged"),
        (picture("PNG")[:60], "damaged"),
        (picture("PNG")[:-20] + b"\0" * 8 + picture("PNG")[-12:], "damaged"),
        (b"\xff\xd8\xff", "damaged"),
        (b"\xff\xd8\xff\xd9", "damaged"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (many_scans(), "damaged"),
        (picture("JPEG", mode="CMYK"), "grey or RGB"),
        (picture("PNG", mode="I;16"), "grey or RGB"),
    ],
)
def test_anything_else_is_refused_with_a_reason(data: bytes, said: str) -> None:
    found = photo.problem(text_of(data))
    assert found is not None
    assert said in found[1]


def test_base64_has_one_form() -> None:
    whole = text_of(picture()[:-2] + b"\xff\xd9")
    assert photo.problem(whole + "====") is not None
    assert photo.problem(whole[:-1]) is not None
    tail = text_of(b"\xff\xd8\xff\xe0")
    assert photo.problem(tail[:-3] + "B==") is not None


@pytest.mark.parametrize("damage", range(0, 700, 7))
def test_no_damage_makes_it_fall(damage: int) -> None:
    for data in (picture(progressive=True), picture("PNG", mode="P")):
        changed = bytearray(data)
        changed[damage % len(data)] ^= 0xFF
        found = photo.problem(text_of(bytes(changed)))
        assert found is None or all(found)

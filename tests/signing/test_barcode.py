"""QR symbols: two independent readers decode each of them, in every form in which they are drawn."""

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image, ImageDraw

from signing import barcode, public_code, qr
from signing.errors import Malformed
from tests.judges import missing

MODULE = 4


def texts(count: int, seed: int = 1) -> list[str]:
    """QR texts of every possible length, with digits as random as signatures."""
    dice = random.Random(seed)
    hosts = ["http://127.0.0.1:8080", "https://hub.example.test", "https://zz.city.example.test/certificates"]
    made = []
    for place in range(count):
        length = dice.randrange(380, 900) if place % 5 else dice.randrange(1, 2001)
        digits = str(dice.randrange(1, 10)) + "".join(dice.choices("0123456789", k=length - 1))
        made.append(qr.text(dice.choice(hosts), public_code.new_code(dice.randbytes), digits))
    return made


def picture(rows: list[list[bool]], *, quiet: int = barcode.QUIET_ZONE) -> Image.Image:
    """Draw modules, True for black."""
    size = (len(rows) + 2 * quiet) * MODULE
    image = Image.new("L", (size, size), 255)
    draw = ImageDraw.Draw(image)
    for y, row in enumerate(rows):
        for x, dark in enumerate(row):
            if dark:
                left, top = (x + quiet) * MODULE, (y + quiet) * MODULE
                draw.rectangle((left, top, left + MODULE - 1, top + MODULE - 1), fill=0)
    return image


def screen(lines: str, *, ink: int, paper: int) -> Image.Image:
    """Draw a terminal's half blocks: each character is two modules, one above the other."""
    rows = lines.splitlines()
    image = Image.new("L", (len(rows[0]) * MODULE, len(rows) * 2 * MODULE), paper)
    draw = ImageDraw.Draw(image)
    for y, line in enumerate(rows):
        assert len(line) == len(rows[0])
        for x, character in enumerate(line):
            upper, lower = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}[character]
            for half, drawn in enumerate((upper, lower)):
                if drawn:
                    left, top = x * MODULE, (2 * y + half) * MODULE
                    draw.rectangle((left, top, left + MODULE - 1, top + MODULE - 1), fill=ink)
    return image


def by_zxing(image: Image.Image) -> str:
    found = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormat.QRCode)
    assert len(found) == 1
    return found[0].text


def by_zbar(images: list[Image.Image], folder: Path) -> list[str]:
    if shutil.which("zbarimg") is None:
        missing("zbarimg (zbar-tools)")
    paths = [folder / f"{place:04}.png" for place in range(len(images))]
    for image, path in zip(images, paths, strict=True):
        image.save(path)
    done = subprocess.run(
        ["zbarimg", "--quiet", "--raw", "-S*.enable=0", "-Sqrcode.enable=1", *map(str, paths)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_corpus_is_read_by_zxing() -> None:
    for text in texts(120):
        assert by_zxing(picture(barcode.matrix(text))) == text


def test_a_corpus_is_read_by_zbar(tmp_path: Path) -> None:
    corpus = texts(120, seed=2)
    assert by_zbar([picture(barcode.matrix(text)) for text in corpus], tmp_path) == corpus


@pytest.mark.slow
def test_a_large_corpus(tmp_path: Path) -> None:
    for batch in range(4):
        corpus = texts(300, seed=100 + batch)
        images = [picture(barcode.matrix(text)) for text in corpus]
        assert [by_zxing(image) for image in images] == corpus
        assert by_zbar(images, tmp_path) == corpus


def terminal_pictures(text: str) -> dict[str, Image.Image]:
    """As on a dark terminal, and with colours on any terminal."""
    plain, coloured = barcode.terminal(text), barcode.terminal(text, colours=True)
    lines = coloured.splitlines(keepends=True)
    assert all(line.startswith("\x1b[38;5;16;48;5;231m") and line.endswith("\x1b[0m\n") for line in lines)
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    return {"dark": screen(plain, ink=255, paper=0), "coloured": screen(stripped, ink=0, paper=255)}


def test_terminals_are_read(tmp_path: Path) -> None:
    corpus = texts(12, seed=3)
    for look in ("dark", "coloured"):
        images = [terminal_pictures(text)[look] for text in corpus]
        assert [by_zxing(image) for image in images] == corpus
        assert by_zbar(images, tmp_path) == corpus


def test_a_light_terminal_shows_the_negative() -> None:
    text = texts(1)[0]
    assert by_zxing(screen(barcode.terminal(text), ink=0, paper=255)) == text


def test_a_usual_text_fits_eighty_columns() -> None:
    text = qr.text("https://hub.example.test", "0X4T9M2K7PQR8VWZ", "7" * 470)
    assert max(map(len, barcode.terminal(text).splitlines())) <= 80


def test_without_digits_it_is_bytes_only() -> None:
    for text in ("https://hub.example.test/v/0X4T9M2K7PQR8VWZ", "0X4T-9M2K-7PQR-8VWZ", "a#b", "x#", "#1"):
        assert by_zxing(picture(barcode.matrix(text))) == text


def test_digits_are_packed_as_numbers() -> None:
    text = qr.text("https://hub.example.test", "0X4T9M2K7PQR8VWZ", "7" * 470)
    assert len(barcode.matrix(text)) == 61  # version 11, as an alphanumeric text it would need 16
    assert len(barcode.matrix("a" * len(text))) > 77


@pytest.mark.parametrize("text", ["", "福州", "a\n", "a\x00", "é", "x" * 2601, "#" * 2600], ids=lambda text: text[:5])
def test_texts_that_no_symbol_holds(text: str) -> None:
    with pytest.raises(Malformed):
        barcode.matrix(text)


def test_the_longest_digits_fit() -> None:
    text = qr.text("https://" + "h" * 400, "0X4T9M2K7PQR8VWZ", "9" * 2000)
    assert by_zxing(picture(barcode.matrix(text))) == text

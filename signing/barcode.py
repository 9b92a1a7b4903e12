"""QR symbols of our texts: error correction M, the address in byte mode, the digits in numeric mode.

One fixed mask is used: choosing among all eight costs six times as much, and for digits that look random none is
better. tests/signing/test_barcode.py decodes a corpus with two independent readers.
"""

from qrcode.constants import ERROR_CORRECT_M
from qrcode.exceptions import DataOverflowError
from qrcode.main import QRCode
from qrcode.util import MODE_8BIT_BYTE, MODE_NUMBER, QRData

from signing.errors import Malformed

QUIET_ZONE = 4  # modules on every side, ISO/IEC 18004 §6.3.8
MAX_TEXT = 2600  # an address of 500 characters with 2,000 digits still fits version 40
_MASK = 2
_BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
_BLACK_ON_WHITE = "\x1b[38;5;16;48;5;231m"
_RESET = "\x1b[0m"


def matrix(text: str) -> list[list[bool]]:
    """Return the modules row by row, True for dark, without a quiet zone.

    text: printable ASCII, at most MAX_TEXT characters; the part after the last `#`, if it is digits, is encoded in
    numeric mode. Raises Malformed for other texts and for those that exceed the largest symbol.
    """
    if not text or len(text) > MAX_TEXT or not (text.isascii() and text.isprintable()):
        raise Malformed("barcode.text")
    head, sharp, digits = text.rpartition("#")
    symbol = QRCode(error_correction=ERROR_CORRECT_M, border=0, mask_pattern=_MASK)
    if sharp and digits.isdigit():
        symbol.add_data(QRData((head + sharp).encode("ascii"), mode=MODE_8BIT_BYTE))
        symbol.add_data(QRData(digits.encode("ascii"), mode=MODE_NUMBER))
    else:
        symbol.add_data(QRData(text.encode("ascii"), mode=MODE_8BIT_BYTE))
    try:
        symbol.make(fit=True)
    except (DataOverflowError, ValueError) as error:
        raise Malformed("barcode.text") from error
    return [[bool(module) for module in row] for row in symbol.modules]


def terminal(text: str, *, colours: bool = False) -> str:
    """Return lines of half blocks, two rows of modules per line, quiet zone included, each line ending in a newline.

    colours: set black on white by ANSI sequences, readable on any terminal with 256 colours. Without them, light
    modules are drawn, which is right on a dark terminal; phones can also read the negative on a light one.
    """
    rows = _with_quiet_zone(matrix(text))
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    lines = []
    for upper, lower in zip(rows[::2], rows[1::2], strict=True):
        line = "".join(_BLOCKS[(above == colours, below == colours)] for above, below in zip(upper, lower, strict=True))
        lines.append(f"{_BLACK_ON_WHITE}{line}{_RESET}\n" if colours else f"{line}\n")
    return "".join(lines)


def _with_quiet_zone(rows: list[list[bool]]) -> list[list[bool]]:
    side, width = [False] * QUIET_ZONE, len(rows) + 2 * QUIET_ZONE
    margin = [[False] * width for _ in range(QUIET_ZONE)]
    return [*margin, *([*side, *row, *side] for row in rows), *([*row] for row in margin)]

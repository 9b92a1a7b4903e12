"""The file structure of a PDF (ISO 32000-1 §7.5): numbered objects, one cross-reference table, one revision.

Bodies are passed as bytes; nothing is escaped or checked here. The same calls produce the same bytes.
"""

import hashlib
import zlib
from dataclasses import dataclass

_HEADER = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"  # four bytes above 127: §7.5.2


@dataclass(frozen=True, slots=True)
class Written:
    """A finished file and the offset of each object, by its number."""

    pdf: bytes
    offsets: tuple[int, ...]


class Objects:
    """Collects the objects of one file."""

    def __init__(self) -> None:
        self._bodies: list[bytes] = [b""]

    def reserve(self) -> int:
        """Return the number of an object whose body is added later."""
        self._bodies.append(b"")
        return len(self._bodies) - 1

    def add(self, body: bytes, number: int | None = None) -> int:
        """Store the body of a new or reserved object and return its number."""
        number = self.reserve() if number is None else number
        self._bodies[number] = body
        return number

    def stream(self, entries: bytes, data: bytes, *, deflate: bool = True) -> int:
        """Store a stream; entries: of its dictionary, without Length, and without Filter if deflate is set."""
        if deflate:
            entries, data = entries + b"/Filter/FlateDecode", zlib.compress(data, 6)
        return self.add(b"<<%b/Length %d>>\nstream\n%b\nendstream" % (entries, len(data), data))

    def write(self, root: int, info: int) -> Written:
        """Return the file; its identifier is a digest of its content, so equal contents have equal identifiers."""
        parts, offsets, at = [_HEADER], [0], len(_HEADER)
        for number, body in enumerate(self._bodies[1:], start=1):
            if not body:
                raise ValueError(f"object {number} was reserved and never filled")
            part = b"%d 0 obj\n%b\nendobj\n" % (number, body)
            parts.append(part)
            offsets.append(at)
            at += len(part)
        digest = hashlib.sha256(b"".join(parts)).hexdigest()[:32].encode("ascii")
        table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets[1:])
        parts.append(
            b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<</Size %d/Root %d 0 R/Info %d 0 R/ID[<%b><%b>]>>\n"
            b"startxref\n%d\n%%%%EOF\n" % (len(offsets), table, len(offsets), root, info, digest, digest, at)
        )
        return Written(b"".join(parts), tuple(offsets))


def text_string(text: str) -> bytes:
    """Return a text string in UTF-16 (§7.9.2.2), as hexadecimal digits."""
    return b"<" + ("\ufeff" + text).encode("utf-16-be").hex().upper().encode("ascii") + b">"


def reference(number: int) -> bytes:
    """Return an indirect reference."""
    return b"%d 0 R" % number

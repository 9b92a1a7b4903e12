"""One file from a form (`multipart/form-data`, RFC 7578): exactly one part, strictly parsed, in memory only.

The file name and the declared type are ignored; the bytes determine what the file is.
"""

import re

from hub.domain.errors import Refusal

MEDIA_TYPE = "multipart/form-data"
FIELD = "file"
ENVELOPE_BYTES = 16 * 1024
"""The maximum overhead of the form: boundaries and the head of the part."""

_BOUNDARY = re.compile(
    r";[ \t]*boundary=(?:\"([0-9A-Za-z'()+_,\-./:=? ]{1,70})\"|([0-9A-Za-z'+_\-.]{1,70})(?=[; \t]|$))", re.IGNORECASE
)
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_PARAMETER = re.compile(rb";[ \t]*([a-z*]{1,32})=(\"(?:[^\"\\]|\\.)*\"|[^\";\\ \t]+)[ \t]*", re.IGNORECASE)
_MAX_HEAD = 8 * 1024
_ENDINGS = (b"--", b"--\r\n")


def file_in(content_type: str, body: bytes) -> bytes:
    """The bytes of the only part, `file`.

    content_type: the header as sent. Raises Refusal `upload.unreadable` for a malformed form or an empty file,
    `schema.invalid` for a different or additional part.
    """
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise Refusal("upload.unreadable", "Content-Type 缺少 boundary")
    delimiter = b"--" + (found[1] or found[2]).encode("ascii")
    if not body.startswith(delimiter + b"\r\n"):
        raise Refusal("upload.unreadable", "表单内容读不出来")
    begin = len(delimiter) + 2
    head_end = body.find(b"\r\n\r\n", begin, begin + _MAX_HEAD)
    if head_end < 0:
        raise Refusal("upload.unreadable", "表单内容读不出来")
    _require_file(body[begin:head_end])
    start = head_end + 4
    end = body.find(b"\r\n" + delimiter, start - 2)  # in an empty part, the line break may be the end of the head
    if end < 0:
        raise Refusal("upload.unreadable", "表单内容不完整")
    rest = body[end + 2 + len(delimiter) : end + 2 + len(delimiter) + 4]
    if end + 2 + len(delimiter) + len(rest) != len(body) or rest not in _ENDINGS:
        raise Refusal("schema.invalid", "表单里要有且只能有一个文件，字段名为 file", pointer="/file")
    if end <= start:
        raise Refusal("upload.unreadable", "文件是空的", pointer="/file")
    return body[start:end]


def _require_file(head: bytes) -> None:
    """Check that the head of the part names the field; raises like `file_in`."""
    dispositions = []
    for line in head.split(b"\r\n"):
        header = _HEADER.fullmatch(line)
        if header is None:
            raise Refusal("upload.unreadable", "表单内容读不出来")
        name, value = header[1].lower(), header[2].strip()
        if name == b"content-disposition":
            dispositions.append(value)
        elif name == b"content-transfer-encoding" and value.lower() not in {b"binary", b"8bit", b"7bit"}:
            raise Refusal("upload.unreadable", "表单内容不得编码")
    if len(dispositions) != 1 or _name(dispositions[0]) != FIELD.encode():
        raise Refusal("schema.invalid", "表单里要有且只能有一个文件，字段名为 file", pointer="/file")


def _name(disposition: bytes) -> bytes | None:
    kind, separator, _ = disposition.partition(b";")
    if kind.strip().lower() != b"form-data" or not separator:
        return None
    place, names = len(kind), []
    while place < len(disposition):
        found = _PARAMETER.match(disposition, place)
        if found is None:
            return None
        if found[1].lower() == b"name":
            names.append(found[2].strip(b'"'))
        place = found.end()
    return names[0] if len(names) == 1 else None

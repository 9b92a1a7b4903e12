"""Extract the credential from a PDF that we made and stored ourselves: for comparing files with records.

Untrusted files are parsed by the checker (checking.py), never here: nothing bounds this parser's time and memory.
"""

from io import BytesIO
from typing import Any

from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader

from signing.pdf.draw.archive import CREDENTIAL_NAME


def credential_in(data: bytes) -> str | None:
    """Return the text of the attached credential, or None if there is none."""
    try:
        names: Any = PdfFileReader(BytesIO(data)).root["/Names"]["/EmbeddedFiles"]["/Names"]
        for place in range(0, len(names) - 1, 2):
            if str(names[place]) == CREDENTIAL_NAME:
                content: bytes = names[place + 1]["/EF"]["/F"].data
                return content.decode("ascii")
    except (PdfError, LookupError, ValueError, TypeError):
        return None
    return None

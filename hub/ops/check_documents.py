"""The part of `hub check` that opens files: every recorded document exists and has the credential of its version."""

from collections.abc import Iterator, Mapping

from hub.domain.version import Version
from hub.parts import Parts
from hub.store import documents, retrievals
from hub.store.documents import Document, Kind
from hub.vault import VaultError
from signing import credential


def findings(parts: Parts, versions: list[Version]) -> tuple[int, list[str]]:
    """The number of documents of a certificate, and the findings.

    A version without a PDF is fine: the PDF is made at the latest when it is first read.
    """
    home, certificate = versions[0].home, versions[0].certificate
    found = documents.of_certificate(parts.database.reader, home, certificate)
    by_number = {version.version: version for version in versions}
    return len(found), [what for document in found for what in _of(parts, document, by_number)]


def strays(parts: Parts) -> Iterator[str]:
    """Files without a row. Only files older than an hour count, because a new file is written before its row."""
    yield from parts.documents.unreferenced(parts.clock.now())


def _of(parts: Parts, document: Document, versions: Mapping[int, Version]) -> Iterator[str]:
    from signing.pdf.attached import credential_in

    key = document.key
    name = f"version {key.version}: the PDF" if key.kind is Kind.RENDITION else f"the copy of {key.receipt}"
    version = versions.get(key.version)
    if version is None:
        yield f"{name} belongs to no version"
        return
    expected = version.credential
    try:
        if key.kind is Kind.COPY:
            receipt = retrievals.by_number(parts.database.reader, parts.vault, key.receipt)
            if receipt is None:
                yield f"{name} belongs to no retrieval"
                return
            seen = receipt.purpose.fields
            expected = credential.present(expected, None if seen is None else frozenset(seen))
        content = parts.documents.read(document)
    except VaultError as damage:
        yield f"{name}: {damage}"
        return
    if credential_in(content) != expected:
        yield f"{name} contains a different credential"

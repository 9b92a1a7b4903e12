"""Deceptive files, each named for its flaw, with what the checker may say about it; DSS checks the same ones.

`cases()` makes them from sealed samples with keys generated for the run; only the keys are random.
"""

import re
import subprocess
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pypdfium2
from asn1crypto import cms, core
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields as pdf_fields
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner

from signing.keys import ORDER
from signing.pdf.draw.rendition import render, render_copy
from signing.pdf.draw.signature import _FolderSigner
from tests.support import pdf_samples as samples


@dataclass(frozen=True)
class Forgery:
    """intact, trusted: the permitted findings; problem: a code that must be among its problems."""

    name: str
    pdf: bytes
    intact: str
    trusted: str
    problem: str


NO, UNKNOWN = "no", "unknown"


def good() -> bytes:
    return samples.sealed("licence")


def hole(pdf: bytes) -> tuple[int, int]:
    """Start and end of the signature's digits."""
    found = re.search(rb"/Contents<([0-9a-f]+)>", pdf)
    assert found
    return found.span(1)


def message(pdf: bytes) -> cms.ContentInfo:
    start, end = hole(pdf)
    return cms.ContentInfo.load(bytes.fromhex(pdf[start:end].decode()))


def with_message(pdf: bytes, der: bytes) -> bytes:
    start, end = hole(pdf)
    return pdf[:start] + der.hex().encode().ljust(end - start, b"0") + pdf[end:]


def flip(pdf: bytes, place: int) -> bytes:
    return pdf[:place] + bytes([pdf[place] ^ 1]) + pdf[place + 1 :]


def flip_after(mark: bytes, ahead: int = 0, pdf: bytes | None = None) -> bytes:
    pdf = good() if pdf is None else pdf
    return flip(pdf, pdf.index(mark) + len(mark) + ahead)


def swap(old: bytes, new: bytes) -> bytes:
    assert good().count(old) >= 1, old
    assert len(old) == len(new)
    return good().replace(old, new, 1)


def in_message(find: bytes, ahead: int = 0) -> bytes:
    der = message(good()).dump()
    return with_message(good(), flip(der, der.index(find) + len(find) + ahead))


def forced(change: Callable[[cms.SignedData], None]) -> bytes:
    content = message(good())
    change(content["content"])
    return with_message(good(), content.dump(force=True))


def other_value(signed: cms.SignedData) -> None:
    signer = signed["signer_infos"][0]
    r, s = decode_dss_signature(signer["signature"].native)
    signer["signature"] = encode_dss_signature(r, ORDER - s)


def unsigned_attribute(signed: cms.SignedData) -> None:
    attribute = cms.CMSAttribute({"type": "1.2.3.4", "values": [core.UTF8String("added later")]})
    signed["signer_infos"][0]["unsigned_attrs"] = cms.CMSAttributes([attribute])


def leave(signed: cms.SignedData, places: slice) -> None:
    signed["certificates"] = cms.CertificateSet(list(signed["certificates"])[places])


def appended(change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    writer = IncrementalPdfFileWriter(BytesIO(good()))
    change(writer)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def new_page_text(writer: IncrementalPdfFileWriter) -> None:
    page = writer.root["/Pages"]["/Kids"][0]
    text = writer.add_object(generic.StreamObject(stream_data=b"1 0 0 rg 100 400 300 40 re f"))
    page["/Contents"] = generic.ArrayObject([page.raw_get("/Contents"), text])
    writer.update_container(page)


def note_on_page(writer: IncrementalPdfFileWriter) -> None:
    name = generic.NameObject
    box = generic.ArrayObject([generic.NumberObject(n) for n in (100, 500, 300, 560)])
    note = {name("/Type"): name("/Annot"), name("/Subtype"): name("/FreeText"), name("/Rect"): box,
            name("/Contents"): generic.TextStringObject("长期有效"), name("/DA"): generic.TextStringObject("/F 12 Tf")}  # fmt: skip
    page = writer.root["/Pages"]["/Kids"][0]
    page["/Annots"].append(writer.add_object(generic.DictionaryObject(note)))
    writer.update_container(page["/Annots"])
    writer.update_container(page)


def new_title(writer: IncrementalPdfFileWriter) -> None:
    writer.set_info(generic.DictionaryObject({generic.NameObject("/Title"): generic.TextStringObject("另一张证")}))


class Forger(PdfSigner):
    """Signs although the document forbids it."""

    def _enforce_certification_constraints(self, reader: object) -> None:
        pass


def second_signature(pdf: bytes, seal: samples.SealKey) -> bytes:
    signer = Forger(
        PdfSignatureMetadata(field_name="Second", md_algorithm="sha256"),
        signer=_FolderSigner(seal),
        new_field_spec=pdf_fields.SigFieldSpec("Second"),
    )
    out = BytesIO()
    signer.sign_pdf(IncrementalPdfFileWriter(BytesIO(pdf)), output=out, bytes_reserved=16384)
    return out.getvalue()


def qpdf(pdf: bytes, *options: str) -> bytes:
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.pdf", Path(folder) / "out.pdf"
        source.write_bytes(pdf)
        subprocess.run(["qpdf", *options, str(source), str(target)], check=False, capture_output=True)
        return target.read_bytes()


def picture(pdf: bytes) -> samples.Image.Image:
    return pypdfium2.PdfDocument(pdf)[0].render(scale=150 / 72).to_pil()


def plain(objects: list[bytes], trailer: bytes = b"/Root 1 0 R") -> bytes:
    """A small file with a correct cross-reference table."""
    out, places = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    return bytes(out + b"trailer\n<</Size %d %b>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, start))


def bomb(layers: int, last: int = 200_000_000) -> bytes:
    """A page whose content inflates to `last` bytes, compressed `layers` times."""
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(b"\n" * 1_000_000) for _ in range(last // 1_000_000)) + packer.flush()
    for _ in range(layers - 1):
        data = zlib.compress(data, 9)
    filters = b"/FlateDecode " * layers
    stream = b"<</Filter[%b]/Length %d>>\nstream\n%b\nendstream" % (filters, len(data), data)
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R>>"
    return plain([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[3 0 R]>>", page, stream])


def attachment_bomb() -> bytes:
    data = zlib.compress(b"x" * 300_000_000, 9)
    names = b"/Names<</EmbeddedFiles<</Names[(credential.sdjwt) 4 0 R]>>>>"
    file = b"<</Filter/FlateDecode/Length %d>>\nstream\n%b\nendstream" % (len(data), data)
    return plain(
        [
            b"<</Type/Catalog/Pages 2 0 R" + names + b">>",
            b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>",
            b"<</Type/Filespec/F(credential.sdjwt)/EF<</F 5 0 R>>>>",
            file,
        ]
    )


def many_pages(count: int) -> bytes:
    kids = b" ".join(b"%d 0 R" % number for number in range(3, 3 + count))
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>"
    return plain(
        [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count %d/Kids[%b]>>" % (count, kids), *[page] * count]
    )


def nested(depth: int) -> bytes:
    return plain(
        [b"<</Type/Catalog/Pages 2 0 R/X " + b"[" * depth + b"]" * depth + b">>", b"<</Type/Pages/Count 0/Kids[]>>"]
    )


def byte_range(*numbers: int) -> bytes:
    found = re.search(rb"/ByteRange\[([^\]]+)\]", good())
    assert found
    text = b" ".join(b"%d" % number for number in numbers)
    return good()[: found.start(1)] + text.ljust(len(found.group(1))) + good()[found.end(1) :]


def wrapped() -> bytes:
    """Signature wrapping: the signed bytes move behind the gap, and a forged page takes their place."""
    pdf = good()
    start, end = hole(pdf)
    tail = pdf[end + 1 :]
    evil = b"\n8000 0 obj\n<</Type/Pages/Count 0/Kids[]>>\nendobj\n"
    moved = pdf[: end + 1] + evil + tail
    found = re.search(rb"/ByteRange\[([^\]]+)\]", moved)
    assert found
    text = b"0 %d %d %d" % (start - 1, end + 1 + len(evil), len(tail))
    return moved[: found.start(1)] + text.ljust(len(found.group(1))) + moved[found.end(1) :]


def changed() -> Iterator[tuple[str, bytes]]:
    """One byte, or one part, was changed."""
    pdf = good()
    streams = [
        place.end() for place in re.finditer(rb"stream\n", pdf) if pdf[place.start() - 3 : place.start()] != b"end"
    ]
    for number, place in enumerate(streams):
        yield f"stream_{number:02}_changed", flip(pdf, place + 12)
    yield "validity_replaced_in_title", flip_after(b"/Title <FEFF", 8)
    yield "author_changed", flip_after(b"/Author <FEFF", 8)
    yield "signing_time_changed", swap(b"/M(D:2026", b"/M(D:2016")
    yield "certification_level_lowered", swap(b"/P 1/V", b"/P 3/V")
    yield "seal_moved", flip_after(b"/Rect[", 1)
    yield "comment_in_header_changed", flip(pdf, 10)
    yield "file_identifier_changed", flip_after(b"/ID[<", 3)
    yield "last_line_changed", pdf[:-2] + b"f\n"
    yield "signer_name_changed", flip_after(b"/ETSI.CAdES.detached/Name <FEFF", 4)
    yield "bytes_inserted_before_signature", pdf.replace(b"/Type/Sig/", b"/Type /Sig/", 1)


def unsigned_part() -> Iterator[tuple[str, bytes]]:
    """The part that no signature covers: the digits of the signature themselves."""
    pdf = good()
    start, end = hole(pdf)
    yield "digits_in_upper_case", pdf[:start] + pdf[start:end].upper() + pdf[end:]
    yield "padding_filled", pdf[: end - 2] + b"01" + pdf[end:]
    yield "blank_among_digits", pdf[: end - 1] + b" " + pdf[end:]
    yield "other_ecdsa_value", forced(other_value)
    yield "unsigned_attribute_added", forced(unsigned_attribute)
    yield "root_left_out_of_signature", forced(lambda signed: leave(signed, slice(1, None)))
    yield "stranger_instead_of_our_root", forced(stranger_for_root)
    yield (
        "signed_data_version_changed",
        with_message(pdf, message(pdf).dump().replace(b"\x02\x01\x01\x31", b"\x02\x01\x03\x31", 1)),
    )


def stranger_for_root(signed: cms.SignedData) -> None:
    ours = [choice.chosen for choice in signed["certificates"] if choice.chosen.self_signed != "maybe"]
    signed["certificates"] = cms.CertificateSet([stranger_certificate(), *ours])


def stranger_certificate() -> cms.Certificate:
    return cms.Certificate.load(samples.new_city("别的平台").root_der)


def broken_signature() -> Iterator[tuple[str, bytes]]:
    pdf = good()
    yield "signature_value_changed", with_message(pdf, flip(message(pdf).dump(), len(message(pdf).dump()) - 4))
    yield "message_digest_changed", in_message(bytes.fromhex("06092a864886f70d010904"), 8)
    yield "signer_certificate_hash_changed", in_message(bytes.fromhex("060b2a864886f70d010910022f"), 14)
    yield "signature_of_another_certificate", with_message(pdf, message(samples.sealed("proof")).dump())
    yield "signature_of_the_annotated_copy", with_message(pdf, message(copy()).dump())


@cache
def copy() -> bytes:
    return render_copy(samples.licence(), samples.note(), samples.printed()[3], samples.seal(), samples.MADE)


def more() -> Iterator[tuple[str, bytes]]:
    """Bytes added before or after the signed part."""
    pdf = good()
    yield "line_feed_appended", pdf + b"\n"
    yield "comment_appended", pdf + b"% nothing to see\n"
    yield "garbage_appended", pdf + bytes(range(256)) * 8
    yield "revision_with_new_page_text", appended(new_page_text)
    yield "revision_with_note_on_page", appended(note_on_page)
    yield "revision_with_new_title", appended(new_title)


def games() -> Iterator[tuple[str, bytes]]:
    """Manipulated byte ranges and gaps."""
    pdf = good()
    start, end = hole(pdf)
    yield "gap_wider_than_signature", byte_range(0, start - 101, end + 1, len(pdf) - end - 1)
    yield "range_that_ends_early", byte_range(0, start - 1, end + 1, 400)
    yield "range_of_nothing", byte_range(0, 0, 0, 0)
    yield "range_with_negative_number", byte_range(0, start - 1, -5, 400)
    yield "range_beyond_the_end", byte_range(0, start - 1, end + 1, 10**9)
    yield "range_of_two_numbers", byte_range(0, start - 1)
    yield "signed_part_moved_behind_another", wrapped()
    yield "signature_emptied", pdf[:start] + b"0" * (end - start) + pdf[end:]
    yield "another_file_prepended", b"%PDF-1.4\n% in front\n" + pdf
    yield "another_file_appended", pdf + samples.sealed("proof")


def damaged() -> Iterator[tuple[str, bytes]]:
    pdf = good()
    yield "cut_in_half", pdf[: len(pdf) // 2]
    yield "last_hundred_bytes_cut", pdf[:-100]
    yield "cut_before_cross_references", pdf[: pdf.rindex(b"xref\n0 ")]
    yield (
        "cross_references_shifted",
        re.sub(rb"startxref\n(\d+)", lambda found: b"startxref\n%d" % (int(found[1]) - 3), pdf),
    )
    yield (
        "pages_that_contain_themselves",
        plain([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[2 0 R]>>"]),
    )
    yield "arrays_a_hundred_thousand_deep", nested(100_000)
    yield "form_fields_in_a_circle", plain(
        [b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[3 0 R]>>>>", b"<</Type/Pages/Count 0/Kids[]>>",
         b"<</T(a)/Kids[3 0 R]>>"]
    )  # fmt: skip


def unsigned() -> Iterator[tuple[str, bytes]]:
    pdf = good()
    yield "signature_taken_out_of_its_field", re.sub(rb"/V 3 0 R", b"        ", pdf)
    yield "ten_thousand_pages", many_pages(10_000)
    yield "bomb_in_one_layer", bomb(1)
    yield "bomb_in_nested_streams", bomb(6, 1_000_000_000)
    yield "bomb_as_attachment", attachment_bomb()


def look_alikes() -> Iterator[tuple[str, bytes]]:
    """Valid files of another signer."""
    sheet, text = samples.licence(), samples.printed()[3]
    impostor = samples.new_city()
    yield "self_signed_hub_with_our_names", render(sheet, text, impostor.seal(), samples.MADE)
    alone = impostor.seal()
    yield "seal_without_its_chain", render(sheet, text, replace(alone, chain=alone.chain[:1]), samples.MADE)
    ours = samples.seal().chain[1:]
    yield (
        "foreign_seal_with_our_chain_beside_it",
        render(sheet, text, replace(alone, chain=(alone.chain[0], *ours)), samples.MADE),
    )
    early = samples.city().seal(start=samples.CHECKED + timedelta(days=60))
    yield "x509_certificate_not_yet_valid", render(sheet, text, early, samples.MADE)


def cases() -> list[Forgery]:
    """All forgeries."""
    made = [
        Forgery(name, pdf, NO, "any", "pdf.changed")
        for name, pdf in (*changed(), *unsigned_part(), *broken_signature())
    ]
    made += [Forgery(name, pdf, NO, "any", "pdf.appended") for name, pdf in more()]
    made += [Forgery(name, pdf, "any", "any", "") for name, pdf in (*games(), *damaged())]
    made += [Forgery(name, pdf, UNKNOWN, UNKNOWN, "") for name, pdf in unsigned()]
    made += [Forgery(name, pdf, "yes", NO, "pdf.untrusted_signer") for name, pdf in look_alikes()]
    made.append(
        Forgery("second_signature_by_a_stranger", second_signature(good(), samples.new_city().seal()), NO, "any", "")
    )
    made.append(Forgery("second_signature_by_us", second_signature(good(), samples.seal()), NO, "any", ""))
    made.append(
        Forgery("encrypted_with_a_password", qpdf(good(), "--encrypt", "a", "b", "256", "--"), UNKNOWN, UNKNOWN, "")
    )
    made.append(
        Forgery("encrypted_without_a_password", qpdf(good(), "--encrypt", "", "b", "256", "--"), UNKNOWN, UNKNOWN, "")
    )
    made.append(Forgery("rewritten_for_the_web", qpdf(good(), "--linearize"), NO, "any", ""))
    made.append(Forgery("rewritten_with_object_streams", qpdf(good(), "--object-streams=generate"), NO, "any", ""))
    return made

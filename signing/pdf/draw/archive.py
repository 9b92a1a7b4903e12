"""The parts of a file that PDF/A-3b (ISO 19005-3) requires besides pages: colour profile, XMP, embedded file, dates."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from xml.sax.saxutils import escape

from PIL import ImageCms

from signing.pdf.objects import Objects, reference, text_string

PRODUCER = "Certificate Hub"
CREDENTIAL_NAME = "credential.sdjwt"
_CREDENTIAL_TYPE = b"/application#2Fdc+sd-jwt"
_EPOCH = bytes.fromhex("07ea00010001000000000000")  # 2026-01-01: the current time would make every profile different


@dataclass(frozen=True, slots=True)
class Description:
    """The content of the metadata. made_at: aware."""

    title: str
    subject: str
    author: str
    made_at: datetime


@lru_cache(maxsize=1)
def srgb() -> bytes:
    """Return an ICC profile of sRGB, the same at every call."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = _EPOCH
    return bytes(profile)


def pdf_date(moment: datetime) -> bytes:
    """Return a date string of ISO 32000-1 §7.9.4, in the moment's own zone."""
    shift = moment.utcoffset() or timedelta()
    sign = "-" if shift < timedelta() else "+"
    hours, minutes = divmod(abs(int(shift.total_seconds())) // 60, 60)
    return f"(D:{moment:%Y%m%d%H%M%S}{sign}{hours:02}'{minutes:02}')".encode("ascii")


def output_intent(objects: Objects) -> bytes:
    """Store the profile and return the catalogue's entry for it."""
    profile = objects.stream(b"/N 3", srgb())
    return (
        b"/OutputIntents[<</Type/OutputIntent/S/GTS_PDFA1/OutputConditionIdentifier(sRGB)/DestOutputProfile %b>>]"
        % (reference(profile))
    )


def information(objects: Objects, description: Description) -> int:
    """Store the information dictionary and return its number."""
    moment = pdf_date(description.made_at)
    return objects.add(
        b"<</Title %b/Subject %b/Author %b/Creator %b/Producer %b/CreationDate %b/ModDate %b>>"
        % (
            *(text_string(text) for text in (description.title, description.subject, description.author)),
            text_string(PRODUCER),
            text_string(PRODUCER),
            moment,
            moment,
        )
    )


def metadata(objects: Objects, description: Description) -> bytes:
    """Store the XMP packet, with the same content as the information dictionary, and return the catalogue's entry."""
    moment = description.made_at.isoformat(timespec="seconds")
    title, subject, author = (escape(text) for text in (description.title, description.subject, description.author))
    packet = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:pdf="http://ns.adobe.com/pdf/1.3/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/">
<pdfaid:part>3</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>
<dc:format>application/pdf</dc:format>
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt></dc:title>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{subject}</rdf:li></rdf:Alt></dc:description>
<dc:creator><rdf:Seq><rdf:li>{author}</rdf:li></rdf:Seq></dc:creator>
<pdf:Producer>{PRODUCER}</pdf:Producer><xmp:CreatorTool>{PRODUCER}</xmp:CreatorTool>
<xmp:CreateDate>{moment}</xmp:CreateDate><xmp:ModifyDate>{moment}</xmp:ModifyDate>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""
    # Not compressed, so that tools that scan the bytes for the packet find it (XMP part 3 §1.1).
    number = objects.stream(b"/Type/Metadata/Subtype/XML", packet.encode("utf-8"), deflate=False)
    return b"/Metadata " + reference(number)


def attachment(objects: Objects, credential: str, made_at: datetime) -> bytes:
    """Store the credential as an associated file, the data behind the visible content; return its catalogue entries."""
    data = credential.encode("ascii")
    file = objects.stream(
        b"/Type/EmbeddedFile/Subtype%b/Params<</Size %d/ModDate %b>>"
        % (_CREDENTIAL_TYPE, len(data), pdf_date(made_at)),
        data,
    )
    name = b"(" + CREDENTIAL_NAME.encode("ascii") + b")"
    specification = objects.add(
        b"<</Type/Filespec/F%b/UF%b/AFRelationship/Data/Desc(SD-JWT VC)/EF<</F %b/UF %b>>>>"
        % (name, name, reference(file), reference(file))
    )
    link = reference(specification)
    return b"/AF[%b]/Names<</EmbeddedFiles<</Names[%b %b]>>>>" % (link, name, link)

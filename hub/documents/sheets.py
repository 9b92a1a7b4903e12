"""The content of a document: a version as a sheet, and the annotation of a copy, in the wording of the printed form.

Pure functions. Labels and codes are those of the edition under which the version was issued.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hub.domain import numbers, wording
from hub.domain.case import Person
from hub.domain.catalogue import Authority, CertificateType, Edition
from hub.domain.certificate import State
from hub.domain.dates import SHANGHAI
from hub.domain.values import Value
from hub.domain.version import Version
from hub.domain.wording import FieldWords, TableWords
from hub.store.retrievals import Receipt
from signing import glyphs
from signing.pdf.draw.sheet import Annotation, Field, Kind, Sheet, SheetHolder, Table

_NUMBERS = {
    Kind.LICENCE: ("证照编号", "No."),
    Kind.APPROVAL: ("文号", "Document No."),
    Kind.PROOF: ("证明编号", "No."),
}
_ID_TYPES_EN = {
    "001": "USCC",
    "099": "Registration No.",
    "111": "ID number",
    "411": "Passport No.",
    "412": "Passport No.",
    "413": "Passport No.",
    "414": "Passport No.",
    "511": "Permit No.",
    "516": "Permit No.",
}
_STATES = {
    State.REVOKED: "已失效(吊销、撤销、注销或撤回)",
    State.SUPERSEDED: "已被新证照替代",
    State.EXPIRED: "已过有效期",
    State.SUSPENDED: "已暂停(暂扣、挂失或变更中)",
    State.NOT_YET: "尚未生效",
}


@dataclass(frozen=True, slots=True)
class Template:
    """What a version's sheet is drawn from: its type and edition, and its authority as the catalogue has it."""

    kind: CertificateType
    edition: Edition
    authority: Authority


def sheet(version: Version, template: Template, code: str, qr_text: str) -> Sheet:
    """The complete sheet of a version."""
    return _sheet(version, template, code, qr_text, version.fields, ())


def sheet_of_copy(version: Version, template: Template, receipt: Receipt, qr_text: str) -> Sheet:
    """The sheet of a copy: with its own code, and only the fields that the matter may see."""
    seen = receipt.purpose.fields
    fields = {name: value for name, value in version.fields.items() if seen is None or name in seen}
    notes = [] if seen is None else ["本件只载明本次事项可以查看的内容。"]
    if receipt.state in _STATES:
        notes.append(f"调取时原证照{_STATES[receipt.state]}。")
    return _sheet(version, template, receipt.code, qr_text, fields, tuple(notes))


def annotation(receipt: Receipt) -> Annotation:
    """For whom, which case and which purpose a copy was made, and until when it is valid."""
    purpose, taking = receipt.purpose, receipt.taking
    materials = "、".join(purpose.materials)
    return Annotation(
        receipt_number=receipt.number,
        authority=_drawable(purpose.authority_name),
        clerk=_drawable(f"{purpose.clerk_name}(工号 {taking.clerk})"),
        case_number=_drawable(taking.case_number),
        matter=_drawable(purpose.matter_name),
        purpose=_drawable(f"申请材料:{materials}(免提交纸质件)"),
        made_at=receipt.at.astimezone(SHANGHAI),
        expires_on=receipt.expires_on,
    )


def _sheet(
    version: Version,
    template: Template,
    code: str,
    qr_text: str,
    fields: Mapping[str, Value],
    notes: tuple[str, ...],
) -> Sheet:
    kind, authority = Kind(template.kind.kind), template.authority
    return Sheet(
        kind=kind,
        type_code=version.type_code,
        title=template.kind.name,
        title_en=template.kind.name_en,
        authority=authority.name,
        authority_en=authority.name_en,
        identifier=version.identifier,
        code=code,
        qr_text=qr_text,
        number=version.number,
        number_label=_NUMBERS[kind][0],
        number_label_en=_NUMBERS[kind][1],
        holders=tuple(_holder(holder) for holder in version.holders),
        fields=tuple(_field(field) for field in wording.face_in_words(template.edition, fields)),
        issued_on=version.dates.issued_on,
        valid_from=version.dates.valid_from,
        valid_until=version.dates.valid_until,
        seal=authority.name,
        notes=notes,
        photo=wording.photo(template.edition, fields),
    )


def _holder(holder: Person) -> SheetHolder:
    return SheetHolder(
        name=holder.name,
        number=holder.id_number,
        number_label=numbers.ID_TYPES.get(holder.id_type, "证件号码"),
        number_label_en=_ID_TYPES_EN.get(holder.id_type, "ID number"),
    )


def _field(field: FieldWords) -> Field:
    value = field.value
    return Field(
        field.label,
        field.label_en,
        Table(value.columns, value.rows) if isinstance(value, TableWords) else value,
    )


def _drawable(text: str) -> str:
    """The text, with code points in place of characters that the font lacks: nothing checked them at the push."""
    lacking = glyphs.missing(text)
    return "".join(f"[U+{ord(character):X}]" if character in lacking else character for character in text)

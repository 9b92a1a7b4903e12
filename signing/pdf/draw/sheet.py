"""The content of a certificate's face or of an annotated copy: plain values, chosen and worded by the caller."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


class Kind(StrEnum):
    """The legal kind of document; it determines colours and headings."""

    LICENCE = "licence"
    APPROVAL = "approval"
    PROOF = "proof"


@dataclass(frozen=True, slots=True)
class SheetHolder:
    """One holder: name and, where the number is shown, its label (公民身份号码, 统一社会信用代码) and the number."""

    name: str
    number_label: str = ""
    number: str = ""
    number_label_en: str = "ID number"


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one field; columns: labels in Chinese and English. Every row has as many cells as columns."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if not self.columns or any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError("every row of a table has one cell for each column")


@dataclass(frozen=True, slots=True)
class Field:
    """One field as displayed: labels and a value as text; line breaks in the value are kept."""

    label: str
    label_en: str
    value: str | Table


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything that is drawn.

    type_code: seeds the ornaments, which are the same for every certificate of a type. code: 16 characters,
    printed in groups. qr_text: printable ASCII. number: 证照编号. valid_until: None is printed as 长期. seal: the text
    around the seal, normally the authority's name; seal_note: the line below its star. notes: 附记. photo: JPEG or
    PNG, up to 2 MB. Not validated here: missing glyphs are detected when the sheet is drawn.
    """

    kind: Kind
    type_code: str
    title: str
    title_en: str
    authority: str
    authority_en: str
    identifier: str
    code: str
    qr_text: str
    number: str
    holders: tuple[SheetHolder, ...]
    fields: tuple[Field, ...]
    issued_on: date
    valid_from: date
    valid_until: date | None
    seal: str
    seal_note: str = "电子证照专用章"
    notes: tuple[str, ...] = ()
    photo: bytes | None = None
    number_label: str = "证照编号"
    number_label_en: str = "No."


@dataclass(frozen=True, slots=True)
class Annotation:
    """Why an annotated copy (加注件) was made; printed across the face. made_at: aware; expires_on: the last day."""

    receipt_number: str
    authority: str
    clerk: str
    case_number: str
    matter: str
    purpose: str
    made_at: datetime
    expires_on: date

"""Field values as text, as documents and pages print them: codes by label, dates as dates, rows as texts.

Photos are not text: they are returned separately, as the bytes of an image.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from hub.domain.catalogue import Edition, Field
from hub.domain.dates import read_day
from hub.domain.values import Cell, Value


@dataclass(frozen=True, slots=True)
class TableWords:
    """A table as text; columns: labels in Chinese and English. Rows have one text per column, "" for missing values."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class FieldWords:
    """One field with its labels and its value as text."""

    name: str
    label: str
    label_en: str
    value: str | TableWords


def face_in_words(edition: Edition, fields: Mapping[str, Value]) -> tuple[FieldWords, ...]:
    """The fields present in `fields`, in the edition's order, without photos.

    `fields` are values that the edition allows; names that it does not define are skipped.
    """
    return tuple(
        FieldWords(field.name, field.label, field.label_en, in_words(field, fields[field.name]))
        for field in edition.fields
        if field.type != "photo" and field.name in fields
    )


def photo(edition: Edition, fields: Mapping[str, Value]) -> bytes | None:
    """The image (JPEG or PNG) of the edition's photo field; None without such a field or value."""
    for field in edition.fields:
        value = fields.get(field.name)
        if field.type == "photo" and isinstance(value, str):
            return base64.b64decode(value, validate=True)
    return None


def in_words(field: Field, value: Value) -> str | TableWords:
    """One valid value of a field, as text; raises ValueError for photos, which are images."""
    if field.type == "photo":
        raise ValueError("a photo has no words")
    if field.type == "table" and not isinstance(value, str | int):
        columns = tuple((column.label, column.label_en) for column in field.columns)
        rows = (tuple(_cell(column.type, row.get(column.name, "")) for column in field.columns) for row in value)
        return TableWords(columns, tuple(rows))
    if field.type == "code":
        return next((label for code, label, _ in field.codes if code == value), str(value))
    return _cell(field.type, value) if isinstance(value, str | int) else ""


def day_in_words(day: date) -> str:
    """A date as printed on documents: 2026年1月5日."""
    return f"{day.year}年{day.month}月{day.day}日"


def _cell(kind: str, value: Cell) -> str:
    if isinstance(value, bool):  # a bool is an int, and would print as an English word
        return "是" if value else "否"
    if kind == "date" and isinstance(value, str) and value:
        return day_in_words(read_day(value))
    return str(value)

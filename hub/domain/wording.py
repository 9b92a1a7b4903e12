"""Field values in words, as paper and pages print them: codes by their labels, days as days, rows as texts.

A photo is no text: it stands apart, as the bytes of a picture.
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
    """A table as texts; columns: labels in Chinese and English. Every row has one text a column, "" where none is."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class FieldWords:
    """One field with its labels and its value in words."""

    name: str
    label: str
    label_en: str
    value: str | TableWords


def face_in_words(edition: Edition, fields: Mapping[str, Value]) -> tuple[FieldWords, ...]:
    """The fields that stand in `fields`, in the edition's order, but for photos and optional ones without a value.

    `fields` are values that the edition allows; names that it does not know are left out.
    """
    return tuple(
        FieldWords(field.name, field.label, field.label_en, in_words(field, fields[field.name]))
        for field in edition.fields
        if field.type != "photo" and field.name in fields
    )


def photo(edition: Edition, fields: Mapping[str, Value]) -> bytes | None:
    """The picture (JPEG or PNG) of the edition's photo field; None where it has none, or no value."""
    for field in edition.fields:
        value = fields.get(field.name)
        if field.type == "photo" and isinstance(value, str):
            return base64.b64decode(value, validate=True)
    return None


def in_words(field: Field, value: Value) -> str | TableWords:
    """One value that its field allows, in words; not for photos, which are pictures."""
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
    """A day as it is written on paper: 2026年1月5日."""
    return f"{day.year}年{day.month}月{day.day}日"


def _cell(kind: str, value: Cell) -> str:
    if isinstance(value, bool):  # a bool is an int, and would be printed as an English word
        return "是" if value else "否"
    if kind == "date" and isinstance(value, str) and value:
        return day_in_words(read_day(value))
    return str(value)

"""Field values: a string, an integer, or the rows of a table; and the validation rules of each type.

No message repeats a value. Every message is in Chinese and in English.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from hub.domain.dates import read_day
from hub.domain.errors import FieldError, pointer

Cell: TypeAlias = str | int
Value: TypeAlias = str | int | Sequence[Mapping[str, str | int]]
Problem: TypeAlias = tuple[str, str]

MAX_COLUMNS = 8
MAX_ROWS = 100
MAX_TEXT = 2000
MAX_CELL = 200
MAX_PHOTO_BYTES = 24 * 1024  # so that a credential with a photo stays below its 64 KiB
MAX_PHOTO_TEXT = MAX_PHOTO_BYTES // 3 * 4
_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?", re.ASCII)
_BASE64 = re.compile(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", re.ASCII)
_INTEGER = ("应为整数", "must be an integer")
_ROWS = (f"应为 1 至 {MAX_ROWS} 行的数组", f"must be an array of 1 to {MAX_ROWS} rows")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table field."""

    name: str
    label: str
    label_en: str
    type: str
    required: bool = True
    max_length: int | None = None


def problem_of(kind: str, value: object, limit: int) -> Problem | None:
    """The problem of a single value of a type, or None if it is valid. limit: maximum length of a text."""
    if kind == "integer":
        fits = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**15
        return None if fits else _INTEGER
    if not isinstance(value, str):
        return "应为文本", "must be a string"
    if not value.strip():
        return "不能为空", "must not be empty"
    if kind == "photo":
        return _photo_problem(value)
    if len(value) > limit:
        return f"最多 {limit} 个字符", f"at most {limit} characters"
    if kind == "decimal" and not _DECIMAL.fullmatch(value):
        return '应为写成文本的小数，例如 "86.42"', 'must be a decimal written as a string, such as "86.42"'
    return _day_problem(value) if kind == "date" else None


def _day_problem(value: str) -> Problem | None:
    try:
        read_day(value)
    except ValueError:
        return "应为 YYYY-MM-DD 形式的日期", "must be a date in the form YYYY-MM-DD"
    return None


def _photo_problem(value: str) -> Problem | None:
    """Checks that need not decode the image."""
    if len(value) > MAX_PHOTO_TEXT:
        return "照片最大 24 KB", "the photo is larger than 24 KB"
    if not _BASE64.fullmatch(value):
        return (
            "应为照片的 Base64 文本（标准字母表，不换行）",
            "must be the photo in base64 (standard alphabet, one line)",
        )
    return None


def table_problems(columns: Sequence[Column], value: object, at: str) -> list[FieldError]:
    """Every table cell that its column does not allow, with its JSON pointer; `at`: the pointer of the table."""
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_ROWS:
        return [_wrong(at, _ROWS)]
    found: list[FieldError] = []
    for place, row in enumerate(value):
        found += _row_problems(columns, row, f"{at}/{place}")
    return found


def _row_problems(columns: Sequence[Column], row: object, at: str) -> list[FieldError]:
    if not isinstance(row, Mapping):
        return [_wrong(at, ("应为对象", "must be an object"))]
    known = {column.name for column in columns}
    found = [_wrong(at + pointer((name,)), ("表格没有此列", "unknown column")) for name in row if name not in known]
    for column in columns:
        here = f"{at}/{column.name}"
        if column.name not in row:
            if column.required:
                found.append(_wrong(here, ("缺少必填列", "required column is missing")))
        elif problem := problem_of(column.type, row[column.name], column.max_length or MAX_CELL):
            found.append(_wrong(here, problem))
    return found


def _wrong(at: str, problem: Problem) -> FieldError:
    return FieldError(at, "schema.invalid", *problem)

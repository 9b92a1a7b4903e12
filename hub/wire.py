"""Parse request bytes into a validated model, or raise one refusal that lists every invalid field.

Stricter than JSON libraries are by default: rejects duplicate keys, NaN, unknown fields, deep nesting, too many values,
lone surrogates and NUL, and no message repeats a value.
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub.domain.errors import FieldError, Refusal, pointer

_T = TypeVar("_T", bound=BaseModel)

MAX_DEPTH = 12
MAX_ERRORS = 50
MAX_NAMES = 200
"""No valid object has more members; checking a million unknown ones would block the other requests."""

MAX_VALUES = 500_000
"""No valid body has nearly as many; three million empty arrays, which fit into one, would take 300 MB."""
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)

_MESSAGES = {
    "missing": ("缺少必填字段", "required field is missing"),
    "extra_forbidden": ("没有这个字段", "unknown field"),
    "string_too_long": ("文本过长", "text is too long"),
    "string_too_short": ("不能为空", "must not be empty"),
    "too_long": ("项数过多", "too many items"),
    "too_short": ("项数过少", "too few items"),
    "string_type": ("应为文本", "must be a string"),
    "int_type": ("应为整数", "must be an integer"),
    "text_or_integer": ("应为文本或整数", "must be a string or an integer"),
    "inexact_integer": ("整数超出可精确表示的范围", "integer is too large to be represented exactly"),
    "field_value": ("应为文本、整数或表格的行", "must be a string, an integer or a list of rows"),
    "list_type": ("应为数组", "must be an array"),
    "tuple_type": ("应为数组", "must be an array"),
    "dict_type": ("应为对象", "must be an object"),
    "model_type": ("应为对象", "must be an object"),
    "literal_error": ("不是允许的取值", "not one of the allowed values"),
    "enum": ("不是允许的取值", "not one of the allowed values"),
    "string_pattern_mismatch": ("格式不对", "does not have the required format"),
}


class Body(BaseModel):
    """Base of every request body: rejects unknown fields and coerces nothing."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, str_strip_whitespace=False)


class ClerkBody(Body):
    """The person at the counter (窗口人员), as registered with the hub."""

    id: Annotated[str, Field(min_length=1, max_length=64, description="工号 Staff number", examples=["FZYC0107"])]
    name: Annotated[str, Field(min_length=1, max_length=200, description="姓名 Name", examples=["郑予舟"])]


class _DuplicateKeyError(ValueError):
    pass


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateKeyError
    return found


def _no_constant(_: str) -> NoReturn:
    raise ValueError("constant")


def loads(raw: bytes) -> Any:
    """Parse JSON (RFC 8259, UTF-8, no BOM); raises Refusal `schema.invalid`."""
    if _has_too_many_values(raw):
        detail = f"数组元素和对象成员一共最多 {MAX_VALUES} 个，请分几次提交"
        raise Refusal("schema.invalid", detail, pointer="")
    try:
        text = raw.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except _DuplicateKeyError:
        raise Refusal("schema.invalid", "同一对象中有重复的键", pointer="") from None
    except RecursionError:
        raise Refusal("schema.invalid", "嵌套过深", pointer="") from None
    except ValueError:
        raise Refusal("schema.invalid", "不是合法的 JSON（UTF-8，不含 NaN）", pointer="") from None
    _check(value, MAX_DEPTH)
    return value


def _has_too_many_values(raw: bytes) -> bool:
    """Count the values of a JSON text before anything is made of them; a fast and high estimate comes first."""
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") < MAX_VALUES:
        return False
    values, end = 1, 0
    for texts, text in enumerate(_STRING.finditer(raw)):
        values += _values_in(raw[end : text.start()])
        end = text.end()
        if values > MAX_VALUES or texts > 2 * MAX_VALUES:  # names of members are texts, too
            return True
    return values + _values_in(raw[end:]) > MAX_VALUES


def _values_in(part: bytes) -> int:
    """How many values begin in a part without texts: one after each comma, and the first one of each container."""
    plain = part.translate(None, b" \t\r\n")
    containers = plain.count(b"[") + plain.count(b"{") - plain.count(b"[]") - plain.count(b"{}")
    return plain.count(b",") + containers


def _check(value: Any, depth: int) -> None:
    if depth == 0:
        raise Refusal("schema.invalid", "嵌套过深", pointer="")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        if len(value) > MAX_NAMES:
            raise Refusal("schema.invalid", "同一对象中的键过多", pointer="")
        for key, item in value.items():
            _check_text(key)
            _check(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth - 1)


def _check_text(text: str) -> None:
    if "\x00" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
        raise Refusal("schema.invalid", "含有不能保存的字符", pointer="")


def parse(model: type[_T], raw: bytes) -> _T:
    """The body as a model; raises Refusal `schema.invalid` with one entry per invalid field (at most 50)."""
    return validate(model, loads(raw))


def validate(model: type[_T], value: Any) -> _T:
    """A decoded JSON value as a model; raises as `parse`."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise refusal_of(error.errors(include_url=False, include_input=False, include_context=False)) from None


def refusal_of(errors: list[Any] | list[Mapping[str, Any]]) -> Refusal:
    """pydantic's errors as one refusal, without the values."""
    found = []
    for item in errors[:MAX_ERRORS]:
        message, message_en = _MESSAGES.get(item["type"], ("取值不对", "invalid value"))
        found.append(FieldError(pointer(item["loc"]), "schema.invalid", message, message_en))
    return Refusal("schema.invalid", f"{len(errors)} 个字段要修改", errors=tuple(found))

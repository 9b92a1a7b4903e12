"""The catalogue as a document (YAML or JSON): its schema and all validation rules."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field as Limit
from pydantic import ValidationError

from hub.domain.catalogue import (
    CENTRES,
    PLATFORM,
    Authority,
    Catalogue,
    CertificateType,
    Edition,
    Field,
    Material,
    Matter,
)
from hub.domain.certificate import State
from hub.domain.errors import FieldError, Refusal
from hub.domain.numbers import is_uscc
from hub.domain.values import MAX_CELL, MAX_COLUMNS, Column
from hub.wire import MAX_ERRORS, Body, refusal_of

_LONGEST_AUTHORITY = 64  # an X.509 certificate's organizationName: RFC 5280 appendix A.1
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_MATTER = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)
_REGION = re.compile(r"[0-9]{6}", re.ASCII)
_TEXTUAL = frozenset({"text", "code"})
MissingGlyphs = Callable[[str], set[str]]

Text = Annotated[str, Limit(min_length=1, max_length=200)]
English = Annotated[str, Limit(max_length=200)]
Accepted = Literal["valid", "expired", "suspended", "not_yet", "superseded", "revoked"]


class AuthorityBody(Body):
    """An authority."""

    code: Text
    name: Annotated[str, Limit(min_length=1, max_length=_LONGEST_AUTHORITY)]
    name_en: English = ""
    region: Text
    kind: Literal["department", "centre", "platform"] = "department"


class CodeBody(Body):
    """One entry of a code table."""

    code: Annotated[str, Limit(min_length=1, max_length=64)]
    label: Text
    label_en: English = ""


class ColumnBody(Body):
    """One column of a table. Labels are short, because the table head is repeated on every page."""

    name: Text
    label: Annotated[str, Limit(min_length=1, max_length=40)]
    label_en: Annotated[str, Limit(max_length=60)] = ""
    type: Literal["text", "date", "integer", "decimal"]
    required: bool = True
    max_length: Annotated[int, Limit(ge=1, le=MAX_CELL)] | None = None


class FieldBody(Body):
    """One field of the certificate."""

    name: Text
    label: Text
    label_en: English = ""
    type: Literal["text", "date", "integer", "decimal", "code", "table", "photo"]
    required: bool
    max_length: Annotated[int, Limit(ge=1, le=2000)] | None = None
    pattern: Annotated[str, Limit(min_length=1, max_length=500)] | None = None
    codes: Annotated[list[CodeBody], Limit(min_length=1, max_length=1000)] | None = None
    columns: Annotated[list[ColumnBody], Limit(min_length=1, max_length=MAX_COLUMNS)] | None = None
    masked: bool = True


class TypeBody(Body):
    """A certificate type with the content of its newest edition."""

    code: Text
    name: Text
    name_en: English = ""
    kind: Literal["licence", "approval", "proof"]
    number_personal: bool
    fields: Annotated[list[FieldBody], Limit(max_length=100)]


class MaterialBody(Body):
    """One material that a matter requires."""

    name: Text
    name_en: English = ""
    of: Literal["applicant", "agent", "related"]
    type_codes: Annotated[list[Text], Limit(min_length=1, max_length=50)]
    accepts: Annotated[list[Accepted], Limit(min_length=1)] | None = None
    fields: Annotated[list[Text], Limit(max_length=100)] | None = None


class MatterBody(Body):
    """A kind of application."""

    code: Text
    name: Text
    name_en: English = ""
    authority_code: Text
    open_days: Annotated[int, Limit(ge=1, le=3650)] = 90
    intake: Literal["own", "centres"] | Annotated[list[Text], Limit(min_length=1, max_length=500)] | None = None
    regions: Annotated[list[Text], Limit(min_length=1, max_length=100)] | None = None
    max_people: Annotated[int, Limit(ge=1, le=200)] | None = None
    yields: Annotated[list[Text], Limit(max_length=100)] = Limit(default_factory=list)
    materials: Annotated[list[MaterialBody], Limit(max_length=100)] = Limit(default_factory=list)


class CatalogueBody(Body):
    """The whole file; each section is optional."""

    authorities: list[AuthorityBody] = Limit(default_factory=list)
    types: list[TypeBody] = Limit(default_factory=list)
    matters: list[MatterBody] = Limit(default_factory=list)


@dataclass(frozen=True, slots=True)
class Read:
    """The result of reading a document: all problems, and the content (empty if there are problems)."""

    content: Catalogue
    problems: tuple[FieldError, ...]


def read(document: object, known: Catalogue, missing_glyphs: MissingGlyphs, today: date) -> Read:
    """Validate a document against the schema, the rules and the `known` catalogue; reports every problem."""
    try:
        body = CatalogueBody.model_validate(document if document is not None else {})
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        slices = (refusal_of(list(found[i : i + MAX_ERRORS])).errors for i in range(0, len(found), MAX_ERRORS))
        return Read(Catalogue(), tuple(problem for part in slices for problem in part))
    content = _content(body, known, today)
    problems = tuple(_Checks(body, content, known, missing_glyphs).run())
    return Read(Catalogue() if problems else content, problems)


def refusal(problems: Iterable[FieldError]) -> Refusal:
    """The refusal of a document with these problems."""
    found = tuple(problems)
    return Refusal("schema.invalid", f"证照类型目录文件有 {len(found)} 处要修改", errors=found)


def _content(body: CatalogueBody, known: Catalogue, today: date) -> Catalogue:
    authorities = {a.code: Authority(a.code, a.name, a.region, a.name_en, a.kind) for a in body.authorities}
    types = {
        t.code: CertificateType(
            t.code,
            t.name,
            t.name_en,
            t.kind,
            t.number_personal,
            (Edition(0, today, tuple(_field(f) for f in t.fields)),),
        )
        for t in body.types
    }
    matters = {m.code: _matter(m, known.matters.get(m.code)) for m in body.matters}
    return Catalogue(authorities, types, matters)


def _matter(body: MatterBody, known: Matter | None) -> Matter:
    """The matter; without `intake`, a known one keeps what is stored, and a new one takes in only its own cases."""
    found = Matter(
        code=body.code,
        name=body.name,
        authority_code=body.authority_code,
        open_days=body.open_days,
        yields=tuple(body.yields),
        materials=tuple(_material(item) for item in body.materials),
        name_en=body.name_en,
        max_people=body.max_people,
    )
    if body.intake is not None:
        intake = body.intake if isinstance(body.intake, str) else tuple(body.intake)
        return replace(found, intake=intake, regions=None if body.regions is None else tuple(body.regions))
    if known is None or known.authority_code != body.authority_code:
        return found
    return replace(found, intake=known.intake, regions=known.regions, confirmed=known.confirmed)


def _field(body: FieldBody) -> Field:
    return Field(
        name=body.name,
        label=body.label,
        label_en=body.label_en,
        type=body.type,
        required=body.required,
        masked=body.masked,
        max_length=body.max_length,
        pattern=body.pattern,
        codes=tuple((c.code, c.label, c.label_en) for c in body.codes or ()),
        columns=tuple(
            Column(c.name, c.label, c.label_en, c.type, c.required, c.max_length) for c in body.columns or ()
        ),
    )


def _material(body: MaterialBody) -> Material:
    return Material(
        name=body.name,
        of=body.of,
        type_codes=tuple(body.type_codes),
        accepts=frozenset(State(text) for text in body.accepts or (State.VALID,)),
        fields=None if body.fields is None else tuple(body.fields),
        name_en=body.name_en,
    )


class _Checks:
    """The rules that the schema cannot express."""

    def __init__(
        self, body: CatalogueBody, content: Catalogue, known: Catalogue, missing_glyphs: MissingGlyphs
    ) -> None:
        self._body = body
        self._missing = missing_glyphs
        self._authorities: Mapping[str, Authority] = {**known.authorities, **content.authorities}
        self._types: Mapping[str, CertificateType] = {**known.types, **content.types}

    def run(self) -> Iterator[FieldError]:
        for part, items in (("authorities", self._body.authorities), ("types", self._body.types)):
            yield from _twice(f"/{part}", [item.code for item in items])
        yield from _twice("/matters", [item.code for item in self._body.matters])
        for i, authority in enumerate(self._body.authorities):
            yield from self._authority(authority, f"/authorities/{i}")
        for i, kind in enumerate(self._body.types):
            yield from self._type(kind, f"/types/{i}")
        for i, matter in enumerate(self._body.matters):
            yield from self._matter(matter, f"/matters/{i}")

    def _authority(self, body: AuthorityBody, at: str) -> Iterator[FieldError]:
        if not is_uscc(body.code):
            yield _uscc(f"{at}/code")
        if not _REGION.fullmatch(body.region):
            yield _region(f"{at}/region")
        yield from self._drawable(body.name, f"{at}/name")

    def _type(self, body: TypeBody, at: str) -> Iterator[FieldError]:
        if not (len(body.code) == 21 and body.code[18:].isascii() and body.code[18:].isdecimal()):
            yield _wrong(
                f"{at}/code",
                "应为 21 位：18 位统一社会信用代码加 3 位数字",
                "must be 21 characters: an 18-character USCC and three digits",
            )
        elif not is_uscc(body.code[:18]):
            yield _uscc(f"{at}/code")
        yield from self._drawable(body.name, f"{at}/name")
        yield from _twice(f"{at}/fields", [field.name for field in body.fields], "/name")
        for i, field in enumerate(body.fields):
            yield from self._face_field(field, f"{at}/fields/{i}")
        for i in [i for i, field in enumerate(body.fields) if field.type == "photo"][1:]:
            yield _wrong(f"{at}/fields/{i}/type", "一个类型最多一个照片字段", "a type can have only one photo field")

    def _face_field(self, body: FieldBody, at: str) -> Iterator[FieldError]:
        yield from self._labelled(body, at)
        yield from self._columns(body, at)
        if body.type == "photo" and not body.masked:
            yield _wrong(f"{at}/masked", "照片不公开，只能为 true", "photos are never public; must be true")
        if (body.type == "code") != (body.codes is not None):
            yield _wrong(
                f"{at}/codes", "代码字段要有代码表，其他字段不能有", "required for code fields, not allowed for others"
            )
        yield from _twice(f"{at}/codes", [entry.code for entry in body.codes or ()])
        for i, entry in enumerate(body.codes or ()):
            yield from self._drawable(entry.label, f"{at}/codes/{i}/label")
        if body.max_length is not None and body.type not in _TEXTUAL:
            yield _wrong(f"{at}/max_length", "只能用于文本和代码字段", "only allowed for text and code fields")
        if body.pattern is not None:
            yield from _pattern(body, at)

    def _labelled(self, body: FieldBody | ColumnBody, at: str) -> Iterator[FieldError]:
        if not _NAME.fullmatch(body.name):
            yield _wrong(
                f"{at}/name",
                "字段名应为小写字母开头的字母、数字和下划线",
                "must be lower-case letters, digits and underscores, starting with a letter",
            )
        yield from self._drawable(body.label, f"{at}/label")

    def _columns(self, body: FieldBody, at: str) -> Iterator[FieldError]:
        if (body.type == "table") != (body.columns is not None):
            yield _wrong(
                f"{at}/columns", "表格字段要有列，其他字段不能有", "required for table fields, not allowed for others"
            )
        columns = body.columns or []
        yield from _twice(f"{at}/columns", [column.name for column in columns], "/name")
        for i, column in enumerate(columns):
            yield from self._labelled(column, f"{at}/columns/{i}")
            if column.max_length is not None and column.type != "text":
                yield _wrong(f"{at}/columns/{i}/max_length", "只能用于文本列", "only allowed for text columns")

    def _matter(self, body: MatterBody, at: str) -> Iterator[FieldError]:
        if not _MATTER.fullmatch(body.code):
            yield _wrong(
                f"{at}/code", "应为 1 至 64 位字母、数字或连字符", "must be 1 to 64 letters, digits or hyphens"
            )
        if body.authority_code not in self._authorities:
            yield _wrong(f"{at}/authority_code", "没有这个机构", "unknown authority")
        yield from self._intake(body, at)
        yield from _twice(f"{at}/yields", body.yields, "")
        for i, code in enumerate(body.yields):
            yield from self._known_type(code, f"{at}/yields/{i}")
        for i, material in enumerate(body.materials):
            yield from self._material(material, f"{at}/materials/{i}")

    def _intake(self, body: MatterBody, at: str) -> Iterator[FieldError]:
        if body.regions is not None and body.intake != CENTRES:
            yield _wrong(f"{at}/regions", "只能与 intake: centres 同用", "only allowed with intake: centres")
        yield from _twice(f"{at}/regions", body.regions or (), "")
        for i, region in enumerate(body.regions or ()):
            if not _REGION.fullmatch(region):
                yield _region(f"{at}/regions/{i}")
        codes = body.intake if isinstance(body.intake, list) else []
        yield from _twice(f"{at}/intake", codes, "")
        for i, code in enumerate(codes):
            known = self._authorities.get(code)
            if known is None:
                yield _wrong(f"{at}/intake/{i}", "没有这个机构", "unknown authority")
            elif known.kind == PLATFORM:
                yield _wrong(f"{at}/intake/{i}", "平台自身不收件", "a platform takes in nothing itself")

    def _material(self, body: MaterialBody, at: str) -> Iterator[FieldError]:
        for part in ("type_codes", "accepts", "fields"):
            yield from _twice(f"{at}/{part}", getattr(body, part) or (), "")
        for i, code in enumerate(body.type_codes):
            yield from self._known_type(code, f"{at}/type_codes/{i}")
        types = [self._types[code] for code in body.type_codes if code in self._types]
        names = {field.name for kind in types for edition in kind.editions[-1:] for field in edition.fields}
        for i, name in enumerate(body.fields or ()):
            if types and name not in names:
                yield _wrong(
                    f"{at}/fields/{i}",
                    "这项材料的证照类型都没有这个字段",
                    "none of the material's certificate types has this field",
                )

    def _known_type(self, code: str, at: str) -> Iterator[FieldError]:
        if code not in self._types:
            yield _wrong(at, "没有这个证照类型", "unknown certificate type")

    def _drawable(self, text: str, at: str) -> Iterator[FieldError]:
        if text != text.strip() or not text.isprintable():
            yield _wrong(
                at, "首尾不能有空白，也不能含控制字符", "must not have leading or trailing spaces or control characters"
            )
        elif self._missing(text):
            yield FieldError(at, "glyph.missing", "有版式文件字库里没有的字", "the document font lacks a character")


def _pattern(body: FieldBody, at: str) -> Iterator[FieldError]:
    if body.type not in _TEXTUAL:
        yield _wrong(f"{at}/pattern", "只能用于文本和代码字段", "only allowed for text and code fields")
    try:
        re.compile(body.pattern or "")
    except (re.error, RecursionError, OverflowError):
        yield _wrong(f"{at}/pattern", "不是合法的正则表达式", "invalid regular expression")


def _twice(at: str, values: Iterable[Any], suffix: str = "/code") -> Iterator[FieldError]:
    seen: set[Any] = set()
    for i, value in enumerate(values):
        if value in seen:
            yield _wrong(f"{at}/{i}{suffix}", "重复", "duplicate value")
        seen.add(value)


def _wrong(at: str, message: str, message_en: str) -> FieldError:
    return FieldError(at, "schema.invalid", message, message_en)


def _region(at: str) -> FieldError:
    return _wrong(at, "应为 6 位行政区划代码（GB/T 2260）", "must be six digits (GB/T 2260)")


def _uscc(at: str) -> FieldError:
    return FieldError(
        at, "uscc.checksum", "统一社会信用代码的格式或校验位不对", "the format or check character of the USCC is wrong"
    )

"""The catalogue: authorities, certificate types with immutable editions, and matters with their materials."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from hub.domain import errors
from hub.domain.certificate import State
from hub.domain.dates import read_day
from hub.domain.errors import FieldError

ROLES = ("applicant", "agent", "related")
FIELD_TYPES = ("text", "date", "integer", "decimal", "code")
KINDS = {"licence": "证照", "approval": "批文", "proof": "证明"}
_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?", re.ASCII)
_MAX_TEXT = 2000


@dataclass(frozen=True, slots=True)
class Authority:
    """A body that decides and grants; code = 18-character USCC, region = GB/T 2260."""

    code: str
    name: str
    region: str
    name_en: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One field on the face of a certificate."""

    name: str
    label: str
    label_en: str
    type: str
    required: bool
    masked: bool = True
    max_length: int | None = None
    pattern: str | None = None
    codes: tuple[tuple[str, str, str], ...] = ()

    def problem(self, value: object) -> str | None:
        """What is wrong with a value, in Chinese without repeating it; None when it may be printed."""
        if self.type == "integer":
            fits = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**15
            return None if fits else "应为整数"
        if not isinstance(value, str):
            return "应为文本"
        return self._text_problem(value)

    def _text_problem(self, value: str) -> str | None:
        limit = self.max_length or _MAX_TEXT
        if not value.strip():
            return "不能为空"
        if len(value) > limit:
            return f"最多 {limit} 个字符"
        if self.type == "date":
            try:
                read_day(value)
            except ValueError:
                return "应为 YYYY-MM-DD 形式的日期"
        if self.type == "decimal" and not _DECIMAL.fullmatch(value):
            return '应为写成文本的小数,如 "86.42"'
        if self.type == "code" and value not in {code for code, _, _ in self.codes}:
            return "不在代码表中"
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            return "不符合规定的格式"
        return None


@dataclass(frozen=True, slots=True)
class Edition:
    """One immutable content of a certificate type, kept by number and digest."""

    number: int
    since: date
    fields: tuple[Field, ...]
    digest: str = ""
    until: date | None = None

    def problems(self, values: Mapping[str, object], pointer: str) -> list[FieldError]:
        """Every field of `values` that this edition does not allow, with its JSON pointer."""
        found: list[FieldError] = []
        known = {f.name: f for f in self.fields}
        for name, value in values.items():
            at = pointer + errors.pointer((name,))
            declared = known.get(name)
            if declared is None:
                found.append(FieldError(at, "schema.invalid", "该类型没有此字段", "no such field in this edition"))
            elif (problem := declared.problem(value)) is not None:
                found.append(FieldError(at, "schema.invalid", problem, "does not fit the rule for this field"))
        for declared in self.fields:
            if declared.required and declared.name not in values:
                at = f"{pointer}/{declared.name}"
                found.append(FieldError(at, "schema.invalid", "缺少必填字段", "a required field is missing"))
        return found


@dataclass(frozen=True, slots=True)
class CertificateType:
    """A kind of certificate that exists, known by its 21-character national or local code."""

    code: str
    name: str
    name_en: str
    kind: str
    number_personal: bool
    editions: tuple[Edition, ...]

    def edition(self, number: int | None, on: date) -> Edition | None:
        """The edition with that number, or the newest one that has begun by a day; None where there is none."""
        if number is not None:
            return next((e for e in self.editions if e.number == number), None)
        begun = [e for e in self.editions if e.since <= on]
        return max(begun, key=lambda e: e.number) if begun else None


@dataclass(frozen=True, slots=True)
class Material:
    """One thing that a matter requires; any one of `type_codes` in a state of `accepts` satisfies it."""

    name: str
    of: str
    type_codes: tuple[str, ...]
    accepts: frozenset[State] = frozenset({State.VALID})
    fields: tuple[str, ...] | None = None
    name_en: str = ""


@dataclass(frozen=True, slots=True)
class Matter:
    """A kind of application, decided by one authority."""

    code: str
    name: str
    authority_code: str
    open_days: int
    yields: tuple[str, ...]
    materials: tuple[Material, ...]
    name_en: str = ""

    def materials_for(self, roles: frozenset[str], type_code: str | None = None) -> tuple[Material, ...]:
        """The materials that a person with these roles may be looked up for; the agent only for the agent's own."""
        wanted: set[str] = set()
        if roles & {"applicant", "related"}:
            wanted |= {"applicant", "related"}
        if "agent" in roles:
            wanted.add("agent")
        return tuple(m for m in self.materials if m.of in wanted and (type_code is None or type_code in m.type_codes))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that exists, as one immutable picture; a reload makes a new one."""

    authorities: Mapping[str, Authority] = field(default_factory=dict)
    types: Mapping[str, CertificateType] = field(default_factory=dict)
    matters: Mapping[str, Matter] = field(default_factory=dict)

    def authority_name(self, code: str) -> str:
        """The authority's name, or its code where the catalogue no longer has it."""
        known = self.authorities.get(code)
        return known.name if known else code

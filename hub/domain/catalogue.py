"""The catalogue: authorities, certificate types with immutable editions, and matters with their materials."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from hub.domain import errors
from hub.domain.certificate import State
from hub.domain.errors import FieldError
from hub.domain.values import MAX_TEXT, Column, Problem, problem_of, table_problems

DEPARTMENT, CENTRE, PLATFORM = "department", "centre", "platform"
OWN, CENTRES = "own", "centres"


@dataclass(frozen=True, slots=True)
class Authority:
    """A body that decides cases and issues certificates; code = 18-character USCC, region = GB/T 2260.

    `kind`: a `department`; a `centre`, which takes in cases for other authorities; or a `platform`, a system that takes
    in nothing itself.
    """

    code: str
    name: str
    region: str
    name_en: str = ""
    kind: str = DEPARTMENT


@dataclass(frozen=True, slots=True)
class Field:
    """One field on the face of a certificate. A `table` has columns; an edition has at most one `photo`."""

    name: str
    label: str
    label_en: str
    type: str
    required: bool
    masked: bool = True
    max_length: int | None = None
    pattern: str | None = None
    codes: tuple[tuple[str, str, str], ...] = ()
    columns: tuple[Column, ...] = ()

    def problems(self, value: object, at: str) -> list[FieldError]:
        """The problems of a value at a JSON pointer; those of a table are reported cell by cell."""
        if self.type == "table":
            return table_problems(self.columns, value, at)
        problem = problem_of(self.type, value, self.max_length or MAX_TEXT) or self._text_problem(value)
        return [] if problem is None else [FieldError(at, "schema.invalid", *problem)]

    def _text_problem(self, value: object) -> Problem | None:
        if self.type == "code" and value not in {code for code, _, _ in self.codes}:
            return "不在代码表中", "is not in the code table"
        if self.pattern is not None and isinstance(value, str) and not re.fullmatch(self.pattern, value):
            return "格式不对", "does not have the required form"
        return None


@dataclass(frozen=True, slots=True)
class Edition:
    """One immutable version of a certificate type's definition, identified by number and digest."""

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
                found.append(FieldError(at, "schema.invalid", "这个类型没有这个字段", "unknown field in this edition"))
            else:
                found += declared.problems(value, at)
        for declared in self.fields:
            if declared.required and declared.name not in values:
                at = f"{pointer}/{declared.name}"
                found.append(FieldError(at, "schema.invalid", "缺少必填字段", "required field is missing"))
        return found


@dataclass(frozen=True, slots=True)
class CertificateType:
    """A type of certificate, identified by its 21-character national or local code."""

    code: str
    name: str
    name_en: str
    kind: str
    number_personal: bool
    editions: tuple[Edition, ...]

    def edition(self, number: int | None, on: date) -> Edition | None:
        """The edition with that number, or the newest one in effect on a day; None if there is none."""
        if number is not None:
            return next((e for e in self.editions if e.number == number), None)
        begun = [e for e in self.editions if e.since <= on]
        return max(begun, key=lambda e: e.number) if begun else None


@dataclass(frozen=True, slots=True)
class Material:
    """One document that a matter requires: a certificate of any of `type_codes` in a state of `accepts`."""

    name: str
    of: str
    type_codes: tuple[str, ...]
    accepts: frozenset[State] = frozenset({State.VALID})
    fields: tuple[str, ...] | None = None
    name_en: str = ""


@dataclass(frozen=True, slots=True)
class Matter:
    """A type of application, decided by one authority.

    `intake`: who else may take cases in: no authority (`own`), the centres in `regions` (`centres`), or the authorities
    with these codes. `regions`: GB/T 2260 codes, which include the regions below them; None: the deciding authority's.
    `max_people`: how many people one of its cases may name; None: as many as the setting allows. `confirmed`: whether
    a person has set `intake`.
    """

    code: str
    name: str
    authority_code: str
    open_days: int
    yields: tuple[str, ...]
    materials: tuple[Material, ...]
    name_en: str = ""
    intake: str | tuple[str, ...] = OWN
    regions: tuple[str, ...] | None = None
    max_people: int | None = None
    confirmed: bool = True

    def materials_for(self, roles: frozenset[str], type_code: str | None = None) -> tuple[Material, ...]:
        """The materials for which a person with these roles may be looked up; an agent only for the agent's own."""
        wanted: set[str] = set()
        if roles & {"applicant", "related"}:
            wanted |= {"applicant", "related"}
        if "agent" in roles:
            wanted.add("agent")
        return tuple(m for m in self.materials if m.of in wanted and (type_code is None or type_code in m.type_codes))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The whole catalogue as an immutable snapshot; a reload creates a new one."""

    authorities: Mapping[str, Authority] = field(default_factory=dict)
    types: Mapping[str, CertificateType] = field(default_factory=dict)
    matters: Mapping[str, Matter] = field(default_factory=dict)

    def may_take_in(self, matter: Matter, code: str) -> bool:
        """Whether an authority may take in cases of a matter: the deciding one always may."""
        if code == matter.authority_code:
            return True
        authority = self.authorities.get(code)
        if authority is None or authority.kind == PLATFORM:
            return False
        if matter.intake == CENTRES:
            return authority.kind == CENTRE and any(
                authority.region.startswith(_prefix(region)) for region in self._regions(matter)
            )
        return matter.intake != OWN and code in matter.intake

    def _regions(self, matter: Matter) -> tuple[str, ...]:
        if matter.regions is not None:
            return matter.regions
        deciding = self.authorities.get(matter.authority_code)
        return () if deciding is None else (deciding.region,)

    def authority_name(self, code: str) -> str:
        """The authority's name, or its code if it is no longer in the catalogue."""
        known = self.authorities.get(code)
        return known.name if known else code


def _prefix(region: str) -> str:
    """What the codes of a region and of all regions below it begin with: 35 of a province, 3501 of a city."""
    return region.removesuffix("00").removesuffix("00")

"""The catalogue: what authorities, certificate types and matters there are. For any client."""

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Described

from hub.api.certificate_reply import StateWord
from hub.domain.catalogue import Authority, CertificateType, Edition, Field, Material, Matter
from hub.domain.certificate import State
from hub.domain.errors import Refusal
from hub.domain.values import Column
from hub.web.endpoint import ANY_TOKEN, Answer, Call, Lane, Routes

routes = Routes(prefix="/api/v1", tag="catalogue 目录")
_EDITION = {"edition": "模板版本;默认为现行版本。 The edition whose fields are listed; by default the one in force."}
_USABLE_FIRST = tuple(reversed(State))


class CodeReply(BaseModel):
    """One allowed value of a coded field."""

    code: str
    label: str
    label_en: str


class ColumnReply(BaseModel):
    """One column of a table field (表格的列)."""

    name: str
    label: str
    label_en: str
    type: Literal["text", "date", "integer", "decimal"]
    required: bool
    max_length: int | None = None


class FieldReply(BaseModel):
    """One field on the face (照面字段). `masked`: hidden from the public page.

    A `table` is a list of rows, each an object of its `columns`; a `photo` is the base64 text of a JPEG or PNG file.
    """

    name: str
    label: str
    label_en: str
    type: Literal["text", "date", "integer", "decimal", "code", "table", "photo"]
    required: bool
    max_length: int | None = None
    pattern: str | None = None
    codes: list[CodeReply] | None = None
    columns: list[ColumnReply] | None = None
    masked: bool


class EditionReply(BaseModel):
    """An immutable content of a type, and the days from and until which new certificates get it."""

    model_config = ConfigDict(populate_by_name=True)

    edition: int
    since: date = Described(alias="from")
    until: date | None = None


class TypeReply(BaseModel):
    """A kind of certificate. `fields` are those of `edition`."""

    code: str
    name: str
    name_en: str
    kind: Literal["licence", "approval", "proof"]
    number_personal: bool
    editions: list[EditionReply]
    edition: int
    fields: list[FieldReply]


class TypesReply(BaseModel):
    """Every type."""

    types: list[TypeReply]


class MaterialReply(BaseModel):
    """One thing that a matter requires; any one of the types in an accepted state satisfies it.

    `fields`: what the matter may see of such a certificate; null for all of it.
    """

    name: str
    name_en: str
    of: Literal["applicant", "agent", "related"]
    type_codes: list[str]
    accepts: list[StateWord]
    fields: list[str] | None


class MatterReply(BaseModel):
    """A kind of application, decided by one authority."""

    code: str
    name: str
    name_en: str
    authority_code: str
    open_days: int
    yields: list[str]
    materials: list[MaterialReply]


class MattersReply(BaseModel):
    """Every matter."""

    matters: list[MatterReply]


class AuthorityReply(BaseModel):
    """A body that decides and grants; `code` is its USCC, `region` GB/T 2260."""

    code: str
    name: str
    name_en: str
    region: str


class AuthoritiesReply(BaseModel):
    """Every authority."""

    authorities: list[AuthorityReply]


@routes.add(
    "GET",
    "/types",
    scope=ANY_TOKEN,
    lane=Lane.READ,
    replies={200: TypesReply},
    summary="证照类型 Certificate types",
)
def get_types(call: Call) -> Answer:
    """Every certificate type with the fields of its edition in force."""
    types = call.parts.catalogue().types.values()
    return Answer({"types": [_type(kind, _in_force(kind, call)) for kind in types]})


@routes.add(
    "GET",
    "/types/{code}",
    scope=ANY_TOKEN,
    lane=Lane.READ,
    query=_EDITION,
    replies={200: TypeReply},
    refusals=("page.not_found", "schema.invalid", "type.unknown"),
    summary="证照类型 One certificate type",
)
def get_type(call: Call) -> Answer:
    """One type, with the fields of the edition asked for; `page.not_found` for no such type, `type.unknown` for no such
    edition.
    """
    kind = call.parts.catalogue(call.path["code"]).types.get(call.path["code"])
    if kind is None:
        raise Refusal("page.not_found")
    text = call.query.get("edition")
    if text is None:
        return Answer(_type(kind, _in_force(kind, call)))
    if not (text.isascii() and text.isdecimal() and len(text) <= 5):
        raise Refusal("schema.invalid", "edition 应为整数", pointer="/edition")
    edition = kind.edition(int(text), call.parts.clock.today())
    if edition is None:
        raise Refusal("type.unknown", "没有这个模板版本")
    return Answer(_type(kind, edition))


@routes.add(
    "GET",
    "/matters",
    scope=ANY_TOKEN,
    lane=Lane.READ,
    replies={200: MattersReply},
    summary="事项 Matters",
)
def get_matters(call: Call) -> Answer:
    """Every matter with the materials that it requires."""
    return Answer({"matters": [_matter(matter) for matter in call.parts.catalogue().matters.values()]})


@routes.add(
    "GET",
    "/matters/{code}",
    scope=ANY_TOKEN,
    lane=Lane.READ,
    replies={200: MatterReply},
    refusals=("page.not_found",),
    summary="事项 One matter",
)
def get_matter(call: Call) -> Answer:
    """One matter with its materials."""
    matter = call.parts.catalogue(call.path["code"]).matters.get(call.path["code"])
    if matter is None:
        raise Refusal("page.not_found")
    return Answer(_matter(matter))


@routes.add(
    "GET",
    "/authorities",
    scope=ANY_TOKEN,
    lane=Lane.READ,
    replies={200: AuthoritiesReply},
    summary="机构 Authorities",
)
def get_authorities(call: Call) -> Answer:
    """Every authority."""
    return Answer({"authorities": [_authority(body) for body in call.parts.catalogue().authorities.values()]})


def _in_force(kind: CertificateType, call: Call) -> Edition:
    """The edition that new certificates get today; a type always has one."""
    return kind.edition(None, call.parts.clock.today()) or kind.editions[-1]


def _type(kind: CertificateType, shown: Edition) -> dict[str, Any]:
    return {
        "code": kind.code,
        "name": kind.name,
        "name_en": kind.name_en,
        "kind": kind.kind,
        "number_personal": kind.number_personal,
        "editions": [_edition(edition) for edition in kind.editions],
        "edition": shown.number,
        "fields": [_field(field) for field in shown.fields],
    }


def _edition(edition: Edition) -> dict[str, Any]:
    found: dict[str, Any] = {"edition": edition.number, "from": edition.since.isoformat()}
    if edition.until is not None:
        found["until"] = edition.until.isoformat()
    return found


def _field(field: Field) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": field.name,
        "label": field.label,
        "label_en": field.label_en,
        "type": field.type,
        "required": field.required,
    }
    if field.max_length is not None:
        found["max_length"] = field.max_length
    if field.pattern is not None:
        found["pattern"] = field.pattern
    if field.codes:
        found["codes"] = [{"code": code, "label": label, "label_en": english} for code, label, english in field.codes]
    if field.columns:
        found["columns"] = [_column(column) for column in field.columns]
    return found | {"masked": field.masked}


def _column(column: Column) -> dict[str, Any]:
    found = {name: getattr(column, name) for name in ("name", "label", "label_en", "type", "required")}
    return found if column.max_length is None else found | {"max_length": column.max_length}


def _matter(matter: Matter) -> dict[str, Any]:
    return {
        "code": matter.code,
        "name": matter.name,
        "name_en": matter.name_en,
        "authority_code": matter.authority_code,
        "open_days": matter.open_days,
        "yields": list(matter.yields),
        "materials": [_material(material) for material in matter.materials],
    }


def _material(material: Material) -> dict[str, Any]:
    return {
        "name": material.name,
        "name_en": material.name_en,
        "of": material.of,
        "type_codes": list(material.type_codes),
        "accepts": [state.value for state in _USABLE_FIRST if state in material.accepts],
        "fields": None if material.fields is None else list(material.fields),
    }


def _authority(body: Authority) -> dict[str, Any]:
    return {"code": body.code, "name": body.name, "name_en": body.name_en, "region": body.region}

"""The catalogue: authorities, certificate types and matters. Readable by every client."""

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

routes = Routes(prefix="/api/v1", tag="catalogue 证照类型目录")
_EDITION = {"edition": "模板版本；不填就用现行版本。 The edition whose fields are listed; default: the one in force."}
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
    """One field of the certificate (照面字段). `masked`: not shown on the public page.

    The value of a `table` is a list of rows, each an object with its `columns`; that of a `photo` is a JPEG or PNG file
    in base64.
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
    """An immutable edition of a type. `from` and `until` are the days between which new certificates use it."""

    model_config = ConfigDict(populate_by_name=True)

    edition: int
    since: date = Described(alias="from")
    until: date | None = None


class TypeReply(BaseModel):
    """A certificate type. `fields` are the fields of `edition`."""

    code: str
    name: str
    name_en: str
    kind: Literal["licence", "approval", "proof"]
    number_personal: bool
    editions: list[EditionReply]
    edition: int
    fields: list[FieldReply]


class TypesReply(BaseModel):
    """All certificate types."""

    types: list[TypeReply]


class MaterialReply(BaseModel):
    """One material that a matter requires. A certificate of any of the types in an accepted state satisfies it.

    `fields`: the fields that the matter may see; null means all of them.
    """

    name: str
    name_en: str
    of: Literal["applicant", "agent", "related"]
    type_codes: list[str]
    accepts: list[StateWord]
    fields: list[str] | None


class MatterReply(BaseModel):
    """A kind of application; one authority decides it."""

    code: str
    name: str
    name_en: str
    authority_code: str
    open_days: int
    yields: list[str]
    intake: Literal["own", "centres"] | list[str] = Described(
        description="除决定机构外谁可以收件 Who else may take cases in: no authority, centres, or these authorities"
    )
    regions: list[str] | None = Described(
        None, description="哪些地区的中心；不填为决定机构的地区 Regions of the centres; absent: the authority's own"
    )
    max_people: int | None = Described(None, description="一个办件先后最多几人 How many people a case may name")
    materials: list[MaterialReply]


class MattersReply(BaseModel):
    """All matters."""

    matters: list[MatterReply]


class AuthorityReply(BaseModel):
    """An authority. `code` is its USCC, `region` its GB/T 2260 code."""

    code: str
    name: str
    name_en: str
    region: str
    kind: Literal["department", "centre", "platform"]


class AuthoritiesReply(BaseModel):
    """All authorities."""

    authorities: list[AuthorityReply]


@routes.add(
    "GET",
    "/types",
    scope=ANY_TOKEN,
    lane=Lane.READ,
    replies={200: TypesReply},
    summary="证照类型 · List certificate types",
)
def get_types(call: Call) -> Answer:
    """List all certificate types, each with the fields of the edition in force."""
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
    summary="查询证照类型 · Read a certificate type",
)
def get_type(call: Call) -> Answer:
    """Read a certificate type with the fields of one edition.

    Refused with `page.not_found` if there is no such type, and with `type.unknown` if there is no such edition.
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
    summary="事项 · List matters",
)
def get_matters(call: Call) -> Answer:
    """List all matters, each with the materials it requires."""
    return Answer({"matters": [_matter(matter) for matter in call.parts.catalogue().matters.values()]})


@routes.add(
    "GET",
    "/matters/{code}",
    scope=ANY_TOKEN,
    lane=Lane.READ,
    replies={200: MatterReply},
    refusals=("page.not_found",),
    summary="查询事项 · Read a matter",
)
def get_matter(call: Call) -> Answer:
    """Read a matter with the materials it requires."""
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
    summary="机构 · List authorities",
)
def get_authorities(call: Call) -> Answer:
    """All authorities."""
    return Answer({"authorities": [_authority(body) for body in call.parts.catalogue().authorities.values()]})


def _in_force(kind: CertificateType, call: Call) -> Edition:
    """The edition that new certificates use today; every type has one."""
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
    found: dict[str, Any] = {
        "code": matter.code,
        "name": matter.name,
        "name_en": matter.name_en,
        "authority_code": matter.authority_code,
        "open_days": matter.open_days,
        "yields": list(matter.yields),
        "intake": matter.intake if isinstance(matter.intake, str) else list(matter.intake),
        "materials": [_material(material) for material in matter.materials],
    }
    if matter.regions is not None:
        found["regions"] = list(matter.regions)
    if matter.max_people is not None:
        found["max_people"] = matter.max_people
    return found


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
    return {
        "code": body.code,
        "name": body.name,
        "name_en": body.name_en,
        "region": body.region,
        "kind": body.kind,
    }

"""The body of `PUT /cases/{case_number}`."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter
from pydantic_core import PydanticCustomError

from hub.domain.case import MAX_CERTIFICATES
from hub.domain.values import MAX_COLUMNS, MAX_ROWS
from hub.wire import MAX_NAMES, Body, ClerkBody

Name = Annotated[str, Field(min_length=1, max_length=200, description="姓名或名称 Name of the person or organisation")]
IdType = Annotated[
    str, Field(pattern=r"^[0-9]{3}$", description="GB/T 36903 证件类型代码 Identity document type", examples=["111"])
]
IdNumber = Annotated[str, Field(min_length=1, max_length=60, description="证件号码 Identity number")]
Identifier = Annotated[str, Field(max_length=160, description="电子证照标识 Certificate identifier")]
Code = Annotated[str, Field(min_length=1, max_length=64)]
Day = Annotated[str, Field(max_length=40, description="YYYY-MM-DD", examples=["2026-03-01"])]
_EXACT = 2**53  # RFC 8785 §3.2.2.3: integers from here on are not exact in every reader


def _text_or_integer(value: Any) -> Any:
    """Runs before the union, which would report one error for each of its types."""
    if not isinstance(value, str) and type(value) is not int:
        raise PydanticCustomError("text_or_integer", "must be a string or an integer")
    if isinstance(value, int) and abs(value) >= _EXACT:
        raise PydanticCustomError("inexact_integer", "integer is too large to be represented exactly")
    return value


CellValue = Annotated[str | int, BeforeValidator(_text_or_integer)]
FieldName = Annotated[str, Field(max_length=64)]
Row = Annotated[dict[FieldName, CellValue], Field(max_length=MAX_COLUMNS)]
Rows = Annotated[list[Row], Field(min_length=1, max_length=MAX_ROWS, description="表格字段的行 Rows of a table field")]
_ROWS: TypeAdapter[list[dict[str, str | int]]] = TypeAdapter(Rows, config=ConfigDict(strict=True))


def _value(value: Any) -> Any:
    """Errors of a table are reported cell by cell; any other value counts as one cell."""
    if isinstance(value, list):
        return _ROWS.validate_python(value)
    if isinstance(value, dict):
        raise PydanticCustomError("field_value", "must be a string, an integer or a list of rows")
    return _text_or_integer(value)


Value = Annotated[str | int | Rows, BeforeValidator(_value)]
Moment = Annotated[str, Field(max_length=40, description="RFC 3339", examples=["2026-03-01T09:30:00+08:00"])]


class PersonBody(Body):
    """A person or organisation."""

    name: Name
    id_type: IdType
    id_number: IdNumber


class RelatedBody(PersonBody):
    """A related person whose certificates the case may need in addition to the applicant's."""

    relation: Literal["legal_representative", "spouse", "parent", "child", "owner", "employee", "former_id", "other"]


class CertificateBody(Body):
    """One certificate granted by the case."""

    type_code: Code
    edition: Annotated[int, Field(ge=1, le=10000)] | None = None
    number: Annotated[str, Field(min_length=1, max_length=64, description="证照编号 Certificate number")]
    holders: Annotated[list[PersonBody], Field(min_length=1, max_length=20)]
    fields: Annotated[dict[FieldName, Value], Field(max_length=MAX_NAMES)]
    issued_on: Day
    valid_from: Day | None = None
    valid_until: Day | None = Field(
        description="截止日期；null 表示长期有效 The last day of validity; null means no end"
    )
    supersedes: Annotated[list[Identifier], Field(max_length=20)] = Field(default_factory=list)


class TakenInAsBody(Body):
    """The case under the number of the authority that took it in."""

    source: Code
    case_number: Code


class PushBody(Body):
    """What an approval system reports about a case (审批结果推送)."""

    amendment: Annotated[int, Field(ge=0, le=999, description="更正次数，0 为首次推送 0 for the first push")] = 0
    matter_code: Code
    accepted_by: Code | None = None
    status: Literal["accepted", "completed", "refused", "withdrawn"]
    applicants: Annotated[list[PersonBody], Field(min_length=1, max_length=100)]
    agent: PersonBody | None = None
    related: Annotated[list[RelatedBody], Field(max_length=100)] = Field(default_factory=list)
    clerk: Annotated[ClerkBody, Field(description="收件的窗口人员；中心代收时必填 Who took the case in")] | None = None
    taken_in_as: (
        Annotated[TakenInAsBody, Field(description="同一办件在收件机构的编号 The case under its other number")] | None
    ) = None
    accepted_at: Moment
    completed_at: Moment | None = None
    certificates: Annotated[list[CertificateBody], Field(max_length=MAX_CERTIFICATES)] = Field(default_factory=list)

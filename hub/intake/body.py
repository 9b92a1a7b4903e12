"""The body of `PUT /cases/{case_number}` exactly as the contract has it."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from hub.domain.case import MAX_CERTIFICATES
from hub.wire import Body

Name = Annotated[str, Field(min_length=1, max_length=200, description="姓名或名称")]
IdType = Annotated[str, Field(pattern=r"^[0-9]{3}$", description="GB/T 36903 证件类型代码", examples=["111"])]
IdNumber = Annotated[str, Field(min_length=1, max_length=60, description="证件号码")]
Identifier = Annotated[str, Field(max_length=160, description="电子证照标识")]
Code = Annotated[str, Field(min_length=1, max_length=64)]
Day = Annotated[str, Field(max_length=40, description="YYYY-MM-DD", examples=["2026-03-01"])]
_EXACT = 2**53  # RFC 8785 §3.2.2.3: integers from here on are not exact in every reader


def _text_or_integer(value: Any) -> Any:
    """Before the union is tried, which would name a place for each of its types."""
    if not isinstance(value, str) and type(value) is not int:
        raise PydanticCustomError("text_or_integer", "must be a text or an integer")
    if isinstance(value, int) and abs(value) >= _EXACT:
        raise PydanticCustomError("inexact_integer", "the integer is too large to be exact")
    return value


Value = Annotated[str | int, BeforeValidator(_text_or_integer)]
Moment = Annotated[str, Field(max_length=40, description="RFC 3339", examples=["2026-03-01T09:30:00+08:00"])]


class PersonBody(Body):
    """A person or body."""

    name: Name
    id_type: IdType
    id_number: IdNumber


class RelatedBody(PersonBody):
    """Somebody whose certificates the case may need beside the applicant's."""

    relation: Literal["legal_representative", "spouse", "parent", "child", "owner", "employee", "former_id", "other"]


class CertificateBody(Body):
    """One certificate that the case grants."""

    type_code: Code
    edition: Annotated[int, Field(ge=1, le=10000)] | None = None
    number: Annotated[str, Field(min_length=1, max_length=64, description="证照编号")]
    holders: Annotated[list[PersonBody], Field(min_length=1, max_length=20)]
    fields: dict[Annotated[str, Field(max_length=64)], Value]
    issued_on: Day
    valid_from: Day | None = None
    valid_until: Day | None = Field(description="null 为长期")
    supersedes: Annotated[list[Identifier], Field(max_length=20)] = Field(default_factory=list)


class PushBody(Body):
    """What an approval system says about a case (审批结果推送)."""

    amendment: Annotated[int, Field(ge=0, le=999, description="更正次数")] = 0
    matter_code: Code
    accepted_by: Code | None = None
    status: Literal["accepted", "completed", "refused", "withdrawn"]
    applicants: Annotated[list[PersonBody], Field(min_length=1, max_length=100)]
    agent: PersonBody | None = None
    related: Annotated[list[RelatedBody], Field(max_length=100)] = Field(default_factory=list)
    accepted_at: Moment
    completed_at: Moment | None = None
    certificates: Annotated[list[CertificateBody], Field(max_length=MAX_CERTIFICATES)] = Field(default_factory=list)

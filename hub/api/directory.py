"""`GET /directory`: search the certificates that organisations hold and that authorities have issued."""

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, Field

from hub.api.certificate_reply import StateWord
from hub.directory import DirectoryQuery, Hit, SearchResult
from hub.domain.dates import from_int, read_day, to_int
from hub.domain.errors import FieldError, Refusal
from hub.web.endpoint import Answer, Call, Lane, Routes
from indexer.entry import FOREVER
from indexer.query import MAX_LIMIT, state_of

routes = Routes(prefix="/api/v1", tag="directory 目录")
_DEFAULT_LIMIT = 50
_LENGTHS = {"q": 64, "type_code": 64, "authority_code": 18, "state": 20, "uscc": 40, "cursor": 64}
_QUERY = {
    "q": "持证单位名称或证照类型名称中的文字，2 至 64 个字符；不能含公民身份号码 Text in holder or type names",
    "type_code": "证照类型代码 Certificate type",
    "authority_code": "颁发机构的统一社会信用代码 USCC of the issuing authority",
    "region": "颁发机构所在行政区划，例如 350100；包括下级 Region (GB/T 2260), with the regions below it",
    "state": "今天的状态 State today: revoked superseded expired suspended not_yet valid",
    "uscc": "持证单位的统一社会信用代码 USCC of the holder",
    "issued_from": "颁发日期从哪天起 Issued on or after, YYYY-MM-DD",
    "issued_to": "颁发日期到哪天为止 Issued on or before, YYYY-MM-DD",
    "limit": f"每页条数，1 至 {MAX_LIMIT}，默认 {_DEFAULT_LIMIT} Entries per page",
    "cursor": "上一页的 next；其他条件不能变 `next` of the previous page, with the same other parameters",
}


class DirectoryEntryReply(BaseModel):
    """The newest version of a certificate. holder_names: empty if a natural person is among the holders."""

    identifier: str
    type_code: str
    type_name: str
    holder_names: list[str]
    authority_code: str
    authority_name: str
    region: str
    issued_on: date
    valid_from: date
    valid_until: date | None
    state: StateWord


class DirectoryReply(BaseModel):
    """One page, newest first. Entries show the current record, so a page may have fewer entries than `limit`."""

    entries: list[DirectoryEntryReply]
    facets: Annotated[
        dict[str, dict[str, int]],
        Field(
            description="仅第一页：最新 250 条结果中各取值的条数 First page only: counts over the newest 250 matches"
        ),
    ]
    next: Annotated[
        str | None,
        Field(description="下一页的 cursor；没有就是最后一页 The cursor of the next page; absent on the last page"),
    ] = None
    complete: Annotated[
        bool,
        Field(
            description="false 表示还有许多新证照没有进入目录 false: many recent changes are not yet in the directory"
        ),
    ]


@routes.add(
    "GET",
    "/directory",
    scope="directory:search",
    lane=Lane.READ,
    query=_QUERY,
    replies={200: DirectoryReply},
    refusals=("schema.invalid", "id.length", "uscc.checksum", "index.unavailable"),
    summary="查询目录 · Search the directory",
)
def get_directory(call: Call) -> Answer:
    """Search the certificates that organisations hold and that authorities have issued.

    Certificates of natural persons are shown only to the issuing authority, without the holder. To find the
    certificates of a person, use `POST /lookups`.
    """
    return Answer(_page(call.parts.directory.search(call.client, _wanted(call))))


def _wanted(call: Call) -> DirectoryQuery:
    query = call.query
    for name, longest in _LENGTHS.items():
        if len(query.get(name, "")) > longest:
            raise _invalid(name, f"最多 {longest} 个字符")
    empty = next((name for name in query if not query[name]), None)
    if empty is not None:
        raise _invalid(empty, "不能为空")
    region = query.get("region", "")
    if region and not (region.isascii() and region.isdigit() and len(region) in {2, 4, 6}):
        raise _invalid("region", "应为 2、4 或 6 位行政区划代码")
    return DirectoryQuery(
        text=query.get("q", ""),
        type_code=query.get("type_code", ""),
        authority_code=query.get("authority_code", ""),
        region=region,
        state=query.get("state", ""),
        uscc=query.get("uscc", ""),
        issued_from=_day(call, "issued_from"),
        issued_to=_day(call, "issued_to"),
        cursor=query.get("cursor", ""),
        limit=_limit(query.get("limit")),
    )


def _day(call: Call, name: str) -> int | None:
    text = call.query.get(name)
    if text is None:
        return None
    try:
        return to_int(read_day(text))
    except ValueError:
        raise _invalid(name, "应为 YYYY-MM-DD 形式的日期") from None


def _limit(text: str | None) -> int:
    if text is None:
        return _DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MAX_LIMIT):
        raise _invalid("limit", f"应为 1 至 {MAX_LIMIT}")
    return int(text)


def _invalid(name: str, message: str) -> Refusal:
    error = FieldError(f"/{name}", "schema.invalid", message, "invalid value")
    return Refusal("schema.invalid", message, errors=(error,))


def _page(found: SearchResult) -> dict[str, Any]:
    page: dict[str, Any] = {"entries": [_entry(hit, found.today) for hit in found.hits], "facets": found.facets}
    if found.next is not None:
        page["next"] = found.next
    return {**page, "complete": found.complete}


def _entry(hit: Hit, today: int) -> dict[str, Any]:
    entry = hit.entry
    until = None if entry.valid_until == FOREVER else from_int(entry.valid_until)
    return {
        "identifier": entry.identifier,
        "type_code": entry.type_code,
        "type_name": entry.title,
        "holder_names": list(hit.holder_names),
        "authority_code": entry.authority,
        "authority_name": hit.authority_name,
        "region": entry.region,
        "issued_on": from_int(entry.issued_on).isoformat(),
        "valid_from": from_int(entry.valid_from).isoformat(),
        "valid_until": None if until is None else until.isoformat(),
        "state": state_of(entry, today),
    }

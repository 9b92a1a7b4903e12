"""The public's pages: `/`, `/v` and `/v/{code}`. One request each, no script, no cookie, nothing from elsewhere."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import hub
from hub.api.compression import compressed
from hub.api.endpoint import PUBLIC_ACCESS, Answer, Call, Lane, Later, Routes
from hub.api.negotiation import prefers_json
from hub.api.problems import STATUS
from hub.api.verifications import VerdictReply, of_file
from hub.domain.dates import SHANGHAI, show_moment
from hub.domain.errors import TITLES, Refusal
from hub.verification import Checks, Finding, Presented, Verdict, VerdictState, Verification, problems, words
from signing import codes, qr
from signing.errors import Malformed

routes = Routes(tag="pages 页面")
_HTML = "text/html"
_TEMPLATES = Path(hub.__file__).parent / "templates"
_STYLE = (_TEMPLATES / "style.css").read_text(encoding="utf-8").replace("\n", "")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "Content-Language": "zh-CN"}
_VERDICT_HEADERS = {
    **_HEADERS,
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
    "Vary": "Accept",
}
_NO_CODE = ("请输入公开码。", "Type the code.")
_NOT_A_CODE = ("公开码应为 16 位字母和数字,请核对。", "A code has 16 letters and digits: compare it.")
_FOREIGN = ("这不是本平台的码,未打开其中网址。", "This is not our code; its address was not opened.")

_environment = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_environment.globals["style"] = Markup(_STYLE)  # noqa: S704 (our own file)
_verdict_page = _environment.get_template("verdict.html")
_answers_part = _environment.get_template("answers.html")
_form_page = _environment.get_template("form.html")
_home_page = _environment.get_template("home.html")


@routes.add(
    "GET",
    "/",
    scope=PUBLIC_ACCESS,
    lane=Lane.PUBLIC,
    stray_query=True,
    replies={200: None},
    produces=(_HTML,),
    summary="平台首页 · What this is, for whom",
)
def home(call: Call) -> Answer:
    """Lead everybody to where they want to go."""
    return compressed(Answer(_home_page.render(_place(call)), media_type=_HTML, headers=_HEADERS), call)


@routes.add(
    "GET",
    "/v",
    scope=PUBLIC_ACCESS,
    lane=Lane.PUBLIC,
    query={"code": "公开码,或扫码所得全文 · a code as typed, or a scanned text"},
    stray_query=True,
    replies={200: None, 303: None},
    produces=(_HTML,),
    summary="输入公开码核验 · A form to type a code",
)
def form(call: Call) -> Answer:
    """Show the form; with a readable code, lead to its page."""
    typed = call.query.get("code")
    code, fault = (None, None) if typed is None else _read(call.parts.verification, typed)
    place = _place(call)
    if code is not None:
        return Answer("", 303, _HTML, {**_HEADERS, "Location": f"{place['root']}/v/{code}"})
    page = _form_page.render(place, typed=(typed or "")[: codes.LONGEST_TYPED], fault=fault, file_fault=None)
    return compressed(Answer(page, media_type=_HTML, headers=_HEADERS), call)


def _no_file(refusal: Refusal) -> Answer:
    """The form again, saying what is wrong with what was sent; it knows no address but its own."""
    zh, en = TITLES[refusal.code]
    page = _form_page.render(
        base="", root=".", typed="", fault=None, file_fault=(f"{refusal.detail or zh}。", f"{en}.")
    )
    return Answer(page, STATUS[refusal.code], _HTML, _HEADERS)


@routes.add(
    "POST",
    "/v",
    scope=PUBLIC_ACCESS,
    lane=Lane.PUBLIC,
    takes_file=True,
    consumes=(),
    stray_query=True,
    replies={200: None},
    produces=(_HTML,),
    refuse=_no_file,
    summary="上传文件核验 · The verdict on a file, as a page",
)
def file_verdict(call: Call) -> Answer | Later:
    """The verdict on a PDF, or on a photo or scan of one; the file is not kept, and its name is not looked at."""
    if call.file is None:
        raise Refusal("upload.unreadable", "请选择文件")
    place = _place(call)
    answer = Answer("", media_type=_HTML, headers=_VERDICT_HEADERS)
    return of_file(call.parts, call.file, lambda found: compressed(replace(answer, content=render(found, place)), call))


@routes.add(
    "GET",
    "/v/{code}",
    scope=PUBLIC_ACCESS,
    lane=Lane.PUBLIC,
    stray_query=True,
    replies={200: VerdictReply},
    produces=(_HTML, "application/json"),
    summary="核验结果页 · The verdict on a code",
)
def verdict(call: Call) -> Answer:
    """The verdict on the record of a code, 200 whatever it is: a page, or JSON where the Accept header prefers it."""
    found = call.parts.verification.verify_code(call.path["code"])
    if prefers_json(call.accept):
        return Answer(found.as_json(), headers={"Vary": "Accept", "X-Robots-Tag": "noindex"})
    return compressed(Answer(render(found, _place(call)), media_type=_HTML, headers=_VERDICT_HEADERS), call)


def render(found: Verdict, place: Mapping[str, str]) -> str:
    """The page of a verdict; `place`: `base`, the address that people should see, and `root`, its path."""
    context: dict[str, Any] = {
        "head": words.headline(found),
        "shown": found.certificate,
        "own_state": _own_state(found),
        "copy": found.copy,
        "answers": _answers(found.checks, found.problems, _is_of_file(found)),
        "checked_at": show_moment(found.checked_at),
        "checked_at_local": f"{found.checked_at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}",
    }
    return _verdict_page.render(context, **place)


def _is_of_file(found: Verdict) -> bool:
    return found.presented is Presented.PDF or problems.FILE_IMAGE in found.problems


@lru_cache(maxsize=256)
def _answers(checks: Checks, noted: tuple[str, ...], is_file: bool) -> Markup:
    """The four answers and what was noted, which are the same words for many certificates: they tell of none."""
    found = [getattr(checks, name) for name, _, _ in words.CHECKS]
    rows = [
        (icon, zh, answer, en, answer_en)
        for (_, zh, en), finding in zip(words.CHECKS, found, strict=True)
        for icon, answer, answer_en in (words.ANSWERS[finding],)
    ]
    return Markup(  # noqa: S704 (a template of ours, which escapes)
        _answers_part.render(
            checks=rows,
            open=any(finding is not Finding.YES for finding in found),
            problems=[problems.meaning(code) for code in noted],
            is_file=is_file,
        )
    )


def _own_state(found: Verdict) -> tuple[str, str] | None:
    """The certificate's own state, where the headline speaks of something else."""
    shown = found.certificate
    if shown is None or shown.state is found.state or shown.state is VerdictState.UNKNOWN:
        return None
    return words.state_words(shown.state, shown.kind)


def _place(call: Call) -> dict[str, str]:
    """The address that is printed in QR codes, as people should see it, and the path under which the pages lie."""
    base = call.parts.verification.addresses.known() or call.parts.settings.public_url
    return {"base": base, "root": urlsplit(base).path}


def _read(verification: Verification, typed: str) -> tuple[str | None, tuple[str, str] | None]:
    """The code in what somebody typed or pasted, or what is wrong with it."""
    if not typed.strip():
        return None, _NO_CODE
    try:
        parts = qr.split(typed)
    except Malformed:
        return None, _FOREIGN if "://" in typed else _NOT_A_CODE
    if parts.base_url is not None and not verification.addresses.owns(parts.base_url):
        return None, _FOREIGN
    code = codes.read_code(parts.code or "")
    return (None, _NOT_A_CODE) if code is None else (code, None)

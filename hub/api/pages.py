"""The public pages `/`, `/v` and `/v/{code}`: one request each, without scripts, cookies or external resources."""

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
from hub.api.verifications import VerdictReply, of_file
from hub.domain.dates import SHANGHAI, show_moment
from hub.domain.errors import TITLES, Refusal
from hub.verification import (
    Checks,
    Presented,
    Verdict,
    VerdictAnswer,
    VerdictState,
    Verification,
    problems,
    verdict_text,
)
from hub.web.compression import compressed
from hub.web.endpoint import PUBLIC_ACCESS, Answer, Call, Lane, Later, Routes
from hub.web.negotiation import prefers_json
from hub.web.problems import STATUS
from signing import public_code, qr
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
_NO_CODE = ("请输入公开码。", "Enter the code.")
_NOT_A_CODE = ("公开码应为 16 位字母和数字，请核对。", "A code has 16 letters and digits; please check it.")
_FOREIGN = ("这不是本平台的码，里面的网址没有打开。", "This code is not ours; its link was not opened.")

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
    summary="平台首页 · Home page",
)
def home(call: Call) -> Answer:
    """The home page, with links for the public, for integrators and for operators."""
    return compressed(Answer(_home_page.render(_place(call)), media_type=_HTML, headers=_HEADERS), call)


@routes.add(
    "GET",
    "/v",
    scope=PUBLIC_ACCESS,
    lane=Lane.PUBLIC,
    query={"code": "输入的公开码，或扫码得到的全文 A typed code or a scanned text"},
    stray_query=True,
    replies={200: None, 303: None},
    produces=(_HTML,),
    summary="输入公开码核验 · Verification form",
)
def form(call: Call) -> Answer:
    """Show the form, or redirect to the page of a valid code."""
    typed = call.query.get("code")
    code, fault = (None, None) if typed is None else _read(call.parts.verification, typed)
    place = _place(call)
    if code is not None:
        return Answer("", 303, _HTML, {**_HEADERS, "Location": f"{place['root']}/v/{code}"})
    page = _form_page.render(place, typed=(typed or "")[: public_code.LONGEST_TYPED], fault=fault, file_fault=None)
    return compressed(Answer(page, media_type=_HTML, headers=_HEADERS), call)


def _no_file(refusal: Refusal) -> Answer:
    """The form with an error message; its links are relative because the hub's address is unknown here."""
    zh, en = TITLES[refusal.code]
    page = _form_page.render(
        base="", root=".", typed="", fault=None, file_fault=(f"{refusal.detail or zh}。", f"{en}.")
    )
    headers = _HEADERS if refusal.retry_after is None else {**_HEADERS, "Retry-After": str(refusal.retry_after)}
    return Answer(page, STATUS[refusal.code], _HTML, headers)


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
    summary="上传文件核验 · Verify a file",
)
def file_verdict(call: Call) -> Answer | Later:
    """Verify a PDF, or a photo or scan of one. The file is not stored and its name is ignored."""
    if call.file is None:
        raise Refusal("upload.unreadable", "请选择文件")
    place = _place(call)
    answer = Answer("", media_type=_HTML, headers=_VERDICT_HEADERS)
    return of_file(call, call.file, lambda found: compressed(replace(answer, content=render(found, place)), call))


@routes.add(
    "GET",
    "/v/{code}",
    scope=PUBLIC_ACCESS,
    lane=Lane.PUBLIC,
    stray_query=True,
    replies={200: VerdictReply},
    produces=(_HTML, "application/json"),
    summary="核验结果页 · Verification result",
)
def verdict(call: Call) -> Answer:
    """The verdict on a public code, always with status 200: a page, or JSON if the Accept header prefers it."""
    found = call.parts.verification.verify_code(call.path["code"])
    if prefers_json(call.accept):
        return Answer(found.as_json(), headers={"Vary": "Accept", "X-Robots-Tag": "noindex"})
    return compressed(Answer(render(found, _place(call)), media_type=_HTML, headers=_VERDICT_HEADERS), call)


def render(found: Verdict, place: Mapping[str, str]) -> str:
    """The page of a verdict. `place`: `base`, the public address, and `root`, its path."""
    context: dict[str, Any] = {
        "head": verdict_text.headline(found),
        "to_compare": found.state is VerdictState.COMPARE,
        "shown": found.certificate,
        "own_state": _own_state(found),
        "copy": found.copy,
        "answers": _answers(found.checks, found.problems, _is_of_file(found)),
        "checked_at": show_moment(found.checked_at),
        "checked_at_local": f"{found.checked_at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}",
    }
    return _verdict_page.render(context, **place)


def _is_of_file(found: Verdict) -> bool:
    return found.presented in {Presented.PDF, Presented.PICTURE}


@lru_cache(maxsize=256)
def _answers(checks: Checks, noted: tuple[str, ...], is_file: bool) -> Markup:
    """The four answers and the problems. Cached, because many certificates share them and they identify none."""
    given = [getattr(checks, name) for name, _, _ in verdict_text.CHECKS]
    rows = [
        (icon, zh, answer, en, answer_en)
        for (_, zh, en), check in zip(verdict_text.CHECKS, given, strict=True)
        for icon, answer, answer_en in (verdict_text.ANSWERS[check],)
    ]
    return Markup(  # noqa: S704 (our own template, which escapes)
        _answers_part.render(
            checks=rows,
            open=any(check is not VerdictAnswer.YES for check in given),
            problems=[problems.meaning(code) for code in noted],
            is_file=is_file,
        )
    )


def _own_state(found: Verdict) -> tuple[str, str] | None:
    """The certificate's own state if the headline shows a different one."""
    shown = found.certificate
    if shown is None or shown.state is found.state or shown.state is VerdictState.UNKNOWN:
        return None
    return verdict_text.state_words(shown.state, shown.kind)


def _place(call: Call) -> dict[str, str]:
    """The public address as printed in QR codes, and the path prefix of the pages."""
    base = call.parts.verification.addresses.known() or call.parts.settings.public_url
    return {"base": base, "root": urlsplit(base).path}


def _read(verification: Verification, typed: str) -> tuple[str | None, tuple[str, str] | None]:
    """The code in the typed or pasted text, or what is wrong with the text."""
    if not typed.strip():
        return None, _NO_CODE
    try:
        parts = qr.split(typed)
    except Malformed:
        return None, _FOREIGN if "://" in typed else _NOT_A_CODE
    if parts.base_url is not None and not verification.addresses.owns(parts.base_url):
        return None, _FOREIGN
    code = public_code.read_code(parts.code or "")
    return (None, _NOT_A_CODE) if code is None else (code, None)

"""The public pages and the API documentation in a real browser: small phones, large fonts, no scripts, slow
networks."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from hub.app import create_app
from hub.domain.certificate import State
from hub.verification import verdict_text
from signing import public_code
from tests.browser import drive
from tests.support import drawings, pdf_files
from tests.support.city import load_city, open_copy
from tests.support.serving import served
from tests.support.verified import kill, personal, versions

TEXT_PX = 16
PHONES = [
    {"width": width, "height": height, "font_px": size}
    for width, height in ((375, 667), (320, 568))
    for size in (TEXT_PX, 2 * TEXT_PX)
]
DESK = {"width": 1280, "height": 800, "font_px": TEXT_PX}
SLOW = {"kbit_s": 50, "latency_ms": 400}
MOST_BYTES = 4096
VERDICTS = [*(state.value for state in State), "not_found", "unknown", "compare"]
PAGES = ["home", "form", "fault", "docs", *VERDICTS]
OWN = [name for name in PAGES if name != "docs"]
Found = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    """The results of one browser, by visit; `titles`: the Chinese title of every verdict; `openapi`: what /docs
    describes."""
    folder = tmp_path_factory.mktemp("browser")
    load_city(folder / "template")
    with ExitStack() as stack:
        city = stack.enter_context(open_copy(folder / "template", folder / "city"))
        dead = stack.enter_context(open_copy(folder / "template", folder / "dead"))
        address, lost = (stack.enter_context(served(create_app(each.parts))) for each in (city, dead))
        code = personal(city).code
        kill(dead)
        shown = {state.value: versions(city, state)[0].code for state in State} | {"not_found": "0" * 16}
        urls = {"home": f"{address}/", "form": f"{address}/v", "fault": f"{address}/v?code=7F3K-9Q2M"}
        urls |= {"docs": f"{address}/docs"} | {name: f"{address}/v/{each}" for name, each in shown.items()}
        urls["unknown"] = f"{lost}/v/{code}"
        urls["compare"] = f"{address}/v"
        (folder / "forged.jpg").write_bytes(drawings.overpainted(pdf_files.sealed(city, personal(city)), "JPEG"))
        version, seen = drive(visits(urls, address, code, folder))
        titles = {
            name: verdict_text.headline(city.parts.verification.verify_code(each)).title for name, each in shown.items()
        }
        print(f"Chromium {version}; pictures in {folder}")
        described = httpx.get(f"{address}/openapi.json").json()
        yield seen | {"openapi": described, "titles": titles | {"unknown": "暂时无法核验", "compare": "请逐项核对"}}


DRAWN = ".json-schema-2020-12-expand-deep-button"
"""What the viewer of /docs draws last: the list of schemas below all operations."""


def visits(urls: dict[str, str], address: str, code: str, folder: Path) -> Found:
    wanted: Found = {}
    for name, url in urls.items():
        scripted = {"wait_for": DRAWN} if name == "docs" else {}
        sent = {"upload": f"{folder}/forged.jpg"} if name == "compare" else {}
        plain = {"url": url, **sent, "javascript": False, "screens": PHONES, "picture": f"{folder}/{name}.png"}
        full = {
            "url": url,
            "javascript": True,
            "screens": [DESK, PHONES[0]],
            "axe": True,
            "walk": True,
            **sent,
            **scripted,
        }
        wanted |= {name: plain, f"{name} with scripts": full}
    for submit in ("Enter", "click"):
        typed = {"text": public_code.grouped(code).lower(), "submit": submit}
        wanted[submit] = {"url": urls["form"], "javascript": False, "screens": PHONES[:1], "enter": typed}
    wanted["slow"] = {"url": f"{address}/v/{code}", "javascript": False, "screens": PHONES[:1], "slow": SLOW}
    return wanted


@pytest.mark.parametrize("name", PAGES)
def test_small_screens_and_large_letters_without_scripts(found: Found, name: str) -> None:
    normal, _, _, large = (layout["smallest_px"] for layout in found[name]["layouts"])
    assert large == 2 * normal  # every letter follows the reader's own text size
    assert normal >= 12
    for layout, phone in zip(found[name]["layouts"], PHONES, strict=True):
        assert layout["sideways_px"] <= 0, phone
        for fault in ("outside", "clipped", "covered"):
            assert layout[fault] == [], (fault, phone)
        if name != "docs":
            assert layout["heading"]["in_sight"], phone


@pytest.mark.parametrize("name", VERDICTS)
def test_the_title_of_every_state_stands_in_the_first_screen(found: Found, name: str) -> None:
    for layout in found[name]["layouts"]:
        assert found["titles"][name] in layout["heading"]["said"]
        assert layout["heading"]["in_sight"]
    assert found[name]["page"]["title"].startswith(found["titles"][name])


@pytest.mark.parametrize("how", ["", " with scripts"])
@pytest.mark.parametrize("name", PAGES)
def test_no_other_host_is_requested_and_no_error_is_logged(found: Found, name: str, how: str) -> None:
    seen = found[name + how]
    assert seen["status"] == 200
    assert seen["errors"] == []
    asked = [urlsplit(request["url"]) for request in seen["requests"]]
    assert {url.netloc for url in asked if url.scheme != "data"} == {urlsplit(seen["address"]).netloc}
    if name != "docs":
        assert len(asked) == (2 if name == "compare" else 1)


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_are_accessible(found: Found, name: str) -> None:
    judged = found[f"{name} with scripts"]["axe"]
    assert judged["passed"] > 10
    assert [fault for fault in judged["violations"] if fault["impact"] in {"serious", "critical"}] == []
    if name != "docs":
        assert judged["violations"] == []


@pytest.mark.parametrize("name", PAGES)
def test_the_keyboard_reaches_everything_and_one_sees_where_it_is(found: Found, name: str) -> None:
    seen = found[f"{name} with scripts"]
    assert [stop for stop in seen["focus"] if not stop["seen"]] == []
    if name != "docs":  # it has more than a hundred places
        assert len(seen["focus"]) == seen["page"]["reachable"] > 0
    if name in {"form", "fault"}:
        assert seen["focus"][0]["id"] == "code"


@pytest.mark.parametrize("submit", ["Enter", "click"])
def test_the_form_leads_to_the_verdict_without_scripts(found: Found, submit: str) -> None:
    seen = found[submit]
    assert "证照有效" in seen["layouts"][0]["heading"]["said"]
    paths = [urlsplit(request["url"]).path for request in seen["requests"]]
    assert paths == ["/v", "/v", urlsplit(seen["address"]).path]
    assert re.fullmatch(r"/v/[0-9A-Z]{16}", paths[-1])
    assert seen["errors"] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_word_says_its_language(found: Found, name: str) -> None:
    page = found[name]["page"]
    assert page["lang"] == "zh-CN"
    english = [said for lang, said in page["pieces"] if lang == "en"]
    chinese = [said for lang, said in page["pieces"] if lang != "en"]
    assert english
    assert [said for said in english if re.search(r"[\u3400-\u9fff]", said)] == []
    is_english = re.compile(r"(?<![\w./:])[a-z]{3,}(?![\w./:])")
    assert [said for said in chinese if is_english.search(said) and not re.search(r"[\u3400-\u9fff]", said)] == []


def test_the_documentation_shows_every_operation(found: Found) -> None:
    seen = found["docs with scripts"]
    said = "".join(text for _, text in seen["page"]["pieces"]).replace("\u200b", "")
    operations = [f"{method.upper()}{path}" for path, ways in found["openapi"]["paths"].items() for method in ways]
    assert len(operations) > 20
    assert [operation for operation in operations if operation not in said] == []
    assert [layout["sideways_px"] for layout in seen["layouts"]] == [0, 0]
    asked = [urlsplit(request["url"]).path for request in seen["requests"] if request["url"].startswith("http")]
    assert sorted(asked) == [
        "/docs",
        "/docs/docs.css",
        "/docs/start.js",
        "/docs/swagger-ui-bundle.js",
        "/docs/swagger-ui.css",
        "/openapi.json",
    ]


def test_a_verdict_is_one_small_answer_on_a_slow_line(found: Found) -> None:
    seen = found["slow"]
    (request,) = seen["requests"]
    kbit_s, latency_ms = SLOW.values()
    print(f"{request['bytes']} bytes; read after {seen['page']['dom_ms']} ms at {kbit_s} kbit/s, {latency_ms} ms away")
    assert 0 < request["bytes"] <= MOST_BYTES
    sizes = {name: sum(each["bytes"] for each in found[name]["requests"]) for name in [*OWN, "docs with scripts"]}
    print(json.dumps(sizes))
    answers = {name: found[name]["requests"][-1]["bytes"] for name in OWN}
    assert max(answers.values()) <= MOST_BYTES

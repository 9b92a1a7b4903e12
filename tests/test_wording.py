"""Wording: phrases that a native engineer would not write become fewer, and Chinese text has full-width punctuation.

tests/wording.json has the permitted number of each phrase. After rewriting some, lower the numbers:
`python tests/test_wording.py --update`.
"""

import ast
import io
import json
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PERMITTED = Path(__file__).with_name("wording.json")
ITSELF = "tests/test_wording.py"
HAN = "\u3400-\u9fff"

PHRASES = {
    "whoever": "the caller, the user, the process that …",
    "whomever": "anyone, or name the person",
    "somebody": "another process, another user, someone",
    "anybody": "the public, anyone, everyone",
    "everybody": "all callers, the public",
    "nobody": "no process, no user, no one",
    "anew": "again; rebuild, re-index, re-encrypt",
    "beside": "next to, in addition to, with",
    "alike": "both; as well",
    "for ever": "permanently, forever",
    "hence": "so, therefore",
    "(is|are|was|be) told": "is reported, is called with, gets",
    "set aside": "rejected",
    "all the same": "still",
    "(stand|stands|stood) (in|here|there)": "is in, is here",
    "the door": "access control",
    "who asks": "the caller",
    "(say|says|said) so": "reports it, requires it",
    "of no account": "ignored",
    "(goes|go|went) on": "continues, resumes",
    "(come|comes|came) to its end": "finishes",
    "as it was": "unchanged",
    "in our words": "translated into our exceptions",
    "put back": "restore",
    "(is|are|was) away": "is unavailable, is missing",
    "by itself": "automatically, on its own",
    "in hand": "in progress",
    "(lie|lies)": "is in, is stored in",
    "look after": "supervise",
    "mend(s|ed)?": "fix, recover",
    "shuts? out": "excludes",
    "(gave|gives?|given) out": "issued, served, assigned",
    "(goes|went|go|gone) away": "is unavailable, fails",
    "in the making": "unfinished",
    "(a|the) stranger": "anyone, the public, a third party",
    "at all times": "always",
}

AREAS = {
    "product": ("hub", "signing", "indexer", "scripts"),
    "tests": ("tests",),
    "documents": ("docs", "*.md"),
}

FROZEN = {
    "docs/adr/": "decisions are never edited",
    "docs/formats.md": "a frozen format",
    "hub/sample/": "case bodies and catalogue of the sample city; what is in them was signed and drawn",
    "hub/documents/sheets.py": "drawn into PDF files",
    "signing/pdf/draw/": "drawn into PDF files",
    "tests/vectors/": "frozen vectors",
}
NOT_PROSE = {
    "tests/support/pdf_samples.py": "drawn into PDF files",
    "tests/signing/test_pdf_sheet.py": "drawn into PDF files",
    "tests/benchmarks/": "bodies of pushes, drawn and signed",
    "tests/ops/test_worker.py": "the body of a push",
    "tests/ops/test_cli.py": "YAML in flow style, where a comma separates",
}

MESSAGES = (
    "hub/api/",
    "hub/backup/",
    "hub/cli/",
    "hub/ops/",
    "hub/registration/",
    "hub/rotation/",
    "hub/web/",
    "hub/domain/errors.py",
    "hub/settings.py",
    "hub/verification/problems.py",
    "hub/verification/verdict_text.py",
    "hub/wire.py",
)
"""The packages whose string literals are read by callers, operators or the public."""
NAMES = {"set aside"}
"""A log event and a finding of `hub doctor`: names, which texts quote."""


@cache
def files(area: str) -> tuple[str, ...]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *AREAS[area]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return tuple(name for name in listed if name != ITSELF and is_text(name) and not name.startswith(tuple(FROZEN)))


def is_text(name: str) -> bool:
    path = ROOT / name
    if not path.is_file() or path.is_symlink():
        return False
    return path.suffix in {".py", ".sh", ".html", ".md", ".yml", ".yaml"} or path.parent == ROOT / "scripts"


@cache
def content(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def tokens(name: str) -> tuple[tokenize.TokenInfo, ...]:
    found = tokenize.generate_tokens(io.StringIO(content(name)).readline)
    return tuple(token for token in found if token.type in {tokenize.STRING, tokenize.COMMENT})


def prose(name: str) -> str:
    """The human-readable text of a file: of Python code, comments, docstrings and literals, but not identifiers."""
    return "\n".join(token.string for token in tokens(name)) if name.endswith(".py") else content(name)


def literals(name: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every string literal that is not a docstring."""
    statements = (node for node in ast.walk(ast.parse(content(name))) if isinstance(node, ast.Expr))
    docstrings = {node.lineno for node in statements if isinstance(node.value, ast.Constant)}
    for token in tokens(name):
        if token.type == tokenize.STRING and token.start[0] not in docstrings:
            yield token.start[0], token.string


def phrases_in(text: str) -> Counter[str]:
    text = re.sub(r"\s+(#\s+)?", " ", text)
    found = {phrase: len(re.findall(rf"\b{phrase}\b", text, re.IGNORECASE)) for phrase in PHRASES}
    return Counter({phrase: count for phrase, count in found.items() if count})


def count(area: str) -> dict[str, int]:
    found = sum((phrases_in(prose(name)) for name in files(area)), Counter[str]())
    if area == "documents":
        found["half-width punctuation"] = len([hit for name in files(area) for hit in half_width_in_document(name)])
    return {phrase: number for phrase, number in sorted(found.items()) if number}


# --- English ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("area", AREAS)
def test_phrases_become_fewer(area):
    permitted = json.loads(PERMITTED.read_text(encoding="utf-8"))[area]
    found = count(area)
    more = {
        f"{phrase} ({number}, permitted {permitted.get(phrase, 0)})": PHRASES.get(phrase, "use ，；：？！ next to Han")
        for phrase, number in found.items()
        if number > permitted.get(phrase, 0)
    }
    assert not more, "write something else"
    fewer = sorted(phrase for phrase, number in permitted.items() if number > found.get(phrase, 0))
    assert not fewer, "well done: lower the numbers with `python tests/test_wording.py --update`"


def test_messages_have_none():
    names = [name for name in files("product") if name.startswith(MESSAGES)]
    texts = [(name, text) for name in names if name.endswith(".py") for _, text in literals(name)]
    texts += [(name, content(name)) for name in files("product") if name.endswith(".html")]
    found = [(name, phrase, text) for name, text in texts for phrase in phrases_in(text) if phrase not in NAMES]
    assert found == []


def test_the_api_description_has_none():
    from hub.api import (
        cases,
        catalogue,
        certificates,
        counter,
        directory,
        lifecycle,
        pages,
        tokens,
        verifications,
        well_known,
    )

    modules = (cases, catalogue, certificates, counter, directory, lifecycle, pages, tokens, verifications, well_known)
    endpoints = [endpoint for module in modules for endpoint in module.routes.endpoints]
    assert len(endpoints) > 25
    models = {model for e in endpoints for model in (e.body, *e.replies.values()) if model is not None}
    texts = [text for e in endpoints for text in (e.summary, e.description, *e.query.values())]
    texts += [json.dumps(model.model_json_schema(), ensure_ascii=False) for model in models]
    assert [(text, dict(found)) for text in texts if (found := phrases_in(text))] == []


# --- Chinese ----------------------------------------------------------------------------------------------------------

HALF_WIDTH = re.compile(f"[{HAN}][,;:?!]")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def half_width_in_document(name: str) -> list[str]:
    """Ignores code; an English sentence that quotes a Chinese term continues after a comma and a space."""
    text = re.sub(r"`[^`\n]*`", "``", FENCE.sub("", content(name)))
    return re.findall(f".{{0,12}}[{HAN}][,;:?!](?! |$)", text, re.MULTILINE)


def half_width() -> Iterator[str]:
    skipped = (*FROZEN, *NOT_PROSE)
    for name in (*files("product"), *files("tests"), *others()):
        if name.startswith(skipped):
            continue
        lines = literals(name) if name.endswith(".py") else enumerate(content(name).splitlines(), 1)
        yield from (f"{name}:{line}: {text.strip()}" for line, text in lines if HALF_WIDTH.search(text))


def others() -> list[str]:
    """Files that operators read and run."""
    return ["deploy/make-secrets", "deploy/nginx/nginx.conf", "docs/operations/alerts.yml"]


def test_chinese_text_has_full_width_punctuation():
    assert list(half_width()) == []


# --- python tests/test_wording.py --update ----------------------------------------------------------------------------

if __name__ == "__main__":
    if sys.argv[1:] != ["--update"]:
        sys.exit("usage: python tests/test_wording.py --update")
    PERMITTED.write_text(json.dumps({area: count(area) for area in AREAS}, indent=2) + "\n", encoding="utf-8")

"""Pushing a case: each thing that is wrong has its code and its place, and leaves nothing but a row of the record."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.domain.caller import Caller
from hub.domain.dates import show_moment
from hub.domain.errors import Refusal
from tests import town as t
from tests.town import Body, Town

UNREADABLE = {"schema.invalid"}
"""Refusals of what could not even be read are not on record."""
GONE = object()
RARE = "𬬭"  # CJK extension E
PLAIN = t.body(
    t.grant("P-1"),
    agent=t.DORA,
    related=[t.person(3, "柴小试", relation="child")],
    accepted_by=t.STREET,
)


def changed(at: str, value: Any, body: Body | None = None) -> Body:
    """A body with another value at a JSON pointer; GONE takes the place away."""
    found = json.loads(json.dumps(PLAIN if body is None else body))  # no two places are one object
    *path, last = at.strip("/").split("/")
    here: Any = found
    for part in path:
        here = here[int(part) if isinstance(here, list) else part]
    if isinstance(here, list):
        here[int(last) :] = [value]
    elif value is GONE:
        del here[last]
    else:
        here[last] = value
    return found


def personal(value: Any, key: str = "") -> Iterator[str]:
    """Everything in a body that names somebody."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from personal(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from personal(item, key)
    elif isinstance(value, str) and key in {"name", "id_number"} and len(value) > 1:
        yield value


def counts(town: Town) -> dict[str, int]:
    reader = town.parts.database.reader
    tables = [row["name"] for row in reader.all("SELECT name FROM sqlite_master WHERE type = 'table'")]
    query = " UNION ALL ".join(f"SELECT '{n}' AS name, COUNT(*) AS n FROM {n}" for n in tables if n != "id_blocks")
    return {row["name"]: row["n"] for row in reader.all(query)}


def last_audit(town: Town) -> Body:
    row = town.parts.database.reader.one("SELECT * FROM audit ORDER BY id DESC LIMIT 1")
    assert row is not None
    return dict(row)


def refusal(
    town: Town,
    content: Body | bytes,
    code: str,
    *pointers: str,
    case: str = "A-1",
    by: Caller = t.TRADER,
    source: str | None = None,
) -> Refusal:
    """The refusal of a push, which must be this one and leave nothing else behind."""
    before = counts(town)
    with pytest.raises(Refusal) as caught:
        town.push(case, content, by, source)
    found = caught.value
    assert found.code == code
    assert tuple(e.pointer for e in found.errors) == pointers
    after = counts(town)
    grown = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert grown == ({} if code in UNREADABLE else {"audit": 1})
    said = [found.detail, str(found), *(f"{e.pointer} {e.message} {e.message_en}" for e in found.errors)]
    if code not in UNREADABLE:
        row = last_audit(town)
        assert (row["outcome"], row["client"], row["action"]) == (code, by.client_id, "case.push")
        said += [str(value) for value in row.values()]
    sent = set(personal(content)) if isinstance(content, dict) else set()
    assert not [name for name in sent if any(name in text for text in said)]
    return found


@pytest.fixture(scope="module")
def shared(town_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A town for all the pushes that leave nothing behind."""
    with t.open_copy(town_template, tmp_path_factory.mktemp("shared") / "town") as found:
        yield found


def dumped(body: Body = PLAIN) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


# --- bytes ------------------------------------------------------------------------------------------------------------

BYTES = {
    "empty": b"",
    "not JSON": b"{",
    "two values": b"{} {}",
    "trailing comma": dumped()[:-1] + b",}",
    "single quotes": b"{'a': 1}",
    "comment": dumped() + b"// end",
    "byte order mark": b"\xef\xbb\xbf" + dumped(),
    "UTF-16": dumped().decode().encode("utf-16"),
    "GB 18030": dumped().decode().encode("gb18030"),
    "cut character": dumped()[:-1] + b'"\xe4\xb8": 1}',
    "surrogate in UTF-8": dumped()[:-1] + b', "x": "\xed\xa0\x80"}',
    "NaN": dumped()[:-1] + b', "amendment": NaN}',
    "Infinity": dumped()[:-1] + b', "amendment": Infinity}',
    "minus Infinity": dumped()[:-1] + b', "amendment": -Infinity}',
    "huge number": dumped()[:-1] + b', "amendment": ' + b"1" * 5000 + b"}",
    "duplicate key": dumped()[:-1] + b', "matter_code": "T-GRANT"}',
    "duplicate key in depth": dumped().replace(b'"place":', b'"place": "x", "place":'),
    "duplicate key, escaped": dumped()[:-1] + b', "matter_\\u0063ode": "T-GRANT"}',
    "deep": dumped()[:-1] + b', "x": ' + b"[" * 13 + b"]" * 13 + b"}",
    "abyss": b"[" * 200_000,
    "abyss of objects": b'{"a":' * 200_000,
    "lone high surrogate": dumped().replace(b'"P-1"', b'"P-\\ud800"'),
    "lone low surrogate": dumped().replace(b'"P-1"', b'"P-\\udc00"'),
    "surrogates the wrong way": dumped().replace(b'"P-1"', b'"P-\\udc00\\ud800"'),
    "surrogate in a key": dumped()[:-1] + b', "\\ud800": 1}',
    "NUL": dumped().replace(b'"P-1"', b'"P-\\u0000"'),
    "NUL in a key": dumped()[:-1] + b', "\\u0000": 1}',
    "raw control character": dumped().replace(b'"P-1"', b'"P-\x01"'),
    "a text": b'"case"',
    "an array": b"[]",
    "null": b"null",
}


@pytest.mark.parametrize("name", BYTES)
def test_bytes_that_are_no_body(shared: Town, name: str) -> None:
    refusal(shared, BYTES[name], "schema.invalid", "")


# --- schema -----------------------------------------------------------------------------------------------------------

CERTIFICATE = "/certificates/0"
HOLDER = f"{CERTIFICATE}/holders/0"
FIELDS = f"{CERTIFICATE}/fields"
REQUIRED = (
    "/matter_code",
    "/status",
    "/applicants",
    "/accepted_at",
    "/applicants/0/name",
    "/applicants/0/id_type",
    "/applicants/0/id_number",
    "/agent/name",
    "/related/0/relation",
    f"{CERTIFICATE}/type_code",
    f"{CERTIFICATE}/number",
    f"{CERTIFICATE}/holders",
    f"{CERTIFICATE}/fields",
    f"{CERTIFICATE}/issued_on",
    f"{CERTIFICATE}/valid_until",
)
WRONG: list[tuple[str, Any]] = [
    *((at, GONE) for at in REQUIRED),
    ("/matter_code", 1),
    ("/matter_code", ""),
    ("/matter_code", "x" * 65),
    ("/matter_code", None),
    ("/status", "COMPLETED"),
    ("/status", "done"),
    ("/status", 2),
    ("/amendment", "0"),
    ("/amendment", -1),
    ("/amendment", 1000),
    ("/amendment", 1.5),
    ("/amendment", True),
    ("/amendment", None),
    ("/applicants", []),
    ("/applicants", {}),
    ("/applicants", None),
    ("/applicants/0", "安试"),
    ("/applicants/0", None),
    ("/applicants/0/name", 7),
    ("/applicants/0/name", ""),
    ("/applicants/0/name", "   "),
    ("/applicants/0/name", "试" * 201),
    ("/applicants/0/id_type", 111),
    ("/applicants/0/id_type", "11"),
    ("/applicants/0/id_type", "ABC"),
    ("/applicants/0/id_type", "１１１"),
    ("/applicants/0/id_type", "112"),
    ("/applicants/0/id_number", ""),
    ("/applicants/0/id_number", 990102197001011006),
    ("/applicants/0/id_number", "1" * 61),
    ("/agent", []),
    ("/agent/id_type", "000"),
    ("/related", {}),
    ("/related/0/relation", "friend"),
    ("/related/0/relation", None),
    ("/accepted_by", ""),
    ("/accepted_by", 3),
    ("/certificates", {}),
    ("/certificates", None),
    ("/certificates/0", None),
    (f"{CERTIFICATE}/edition", 0),
    (f"{CERTIFICATE}/edition", 10_001),
    (f"{CERTIFICATE}/edition", "1"),
    (f"{CERTIFICATE}/number", ""),
    (f"{CERTIFICATE}/number", "  "),
    (f"{CERTIFICATE}/number", 5),
    (f"{CERTIFICATE}/number", "1" * 65),
    (f"{CERTIFICATE}/holders", []),
    (f"{CERTIFICATE}/holders", [t.person(n) for n in range(21)]),
    (f"{CERTIFICATE}/fields", []),
    (f"{CERTIFICATE}/fields", None),
    (f"{CERTIFICATE}/supersedes", "x"),
    (f"{CERTIFICATE}/supersedes", None),
    (f"{CERTIFICATE}/supersedes/0", GONE),
    (f"{CERTIFICATE}/issued_on", None),
]
WRONG.remove((f"{CERTIFICATE}/supersedes/0", GONE))


@pytest.mark.parametrize(("at", "value"), WRONG)
def test_a_place_that_does_not_fit(shared: Town, at: str, value: Any) -> None:
    refusal(shared, changed(at, value), "schema.invalid", at)


@pytest.mark.parametrize(
    "at", ["/amendments", "/applicants/0/sex", "/agent/relation", "/related/0/age", f"{CERTIFICATE}/state", f"{HOLDER}/role"]
)
def test_a_field_that_nobody_knows(shared: Town, at: str) -> None:
    refusal(shared, changed(at, "1"), "schema.invalid", at)


def test_every_wrong_place_is_named(shared: Town) -> None:
    body = changed("/matter_code", GONE, changed("/applicants/0/name", 1, changed(f"{CERTIFICATE}/edition", 0)))
    refusal(shared, body, "schema.invalid", "/matter_code", "/applicants/0/name", f"{CERTIFICATE}/edition")


@pytest.mark.parametrize("value", [1.5, True, None, [], {}, 2**53, -(2**53), 10**30, 1e400])
def test_a_value_that_no_field_takes(shared: Town, value: Any) -> None:
    at = f"{FIELDS}/place"
    raw = dumped(changed(at, value)).replace(b"Infinity", b"1e400")
    refusal(shared, raw, "schema.invalid", at)

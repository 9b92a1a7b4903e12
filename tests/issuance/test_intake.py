"""Pushing a case: every error has its code and pointer, and leaves nothing but an audit row."""

import json
import unicodedata
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.db.tables import metadata
from hub.domain.caller import Caller
from hub.domain.dates import show_moment
from hub.domain.errors import Refusal
from hub.domain.numbers import citizen_check_character
from signing import glyphs
from tests.support import town as t
from tests.support.town import Body, Town

UNREADABLE = {"schema.invalid"}
"""Refusals of what could not even be read are not on record."""
GONE = object()
RARE = next(chr(code) for code in range(0x20000, 0x2A6D0) if glyphs.missing(chr(code)))
"""A character of CJK extension B that the font of the documents lacks."""
PLAIN = t.body(
    t.grant("P-1"),
    agent=t.DORA,
    related=[t.person(3, "柴小试", relation="child")],
    accepted_by=t.STREET,
)


def changed(at: str, value: Any, body: Body | None = None) -> Body:
    """A body with another value at a JSON pointer; GONE removes the member."""
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
    """Everything in a body that names a person."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from personal(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from personal(item, key)
    elif isinstance(value, str | int) and key in {"name", "id_number"} and len(str(value)) > 1:
        yield str(value)
        yield unicodedata.normalize("NFKC", str(value)).upper()


def counts(town: Town) -> dict[str, int]:
    reader = town.parts.database.reader
    names = [name for name in metadata.tables if name != "id_blocks"]
    query = " UNION ALL ".join(f"SELECT '{n}' AS name, COUNT(*) AS n FROM {n}" for n in names)
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
    """The refusal of a push, which must be this one and have no other effect."""
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
    """A town for all pushes that have no effect."""
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
    "very many names": dumped({**PLAIN, **{f"x{n}": 1 for n in range(200)}}),
    "very many fields": dumped(PLAIN).replace(
        b'"place":', b"".join(b'"x%d": 1, ' % n for n in range(200)) + b'"place":'
    ),
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


# --- form -------------------------------------------------------------------------------------------------------------

CERTIFICATE = "/certificates/0"
HOLDER = f"{CERTIFICATE}/holders/0"
FIELDS = f"{CERTIFICATE}/fields"
DAY, MOMENT = f"{CERTIFICATE}/issued_on", "/accepted_at"
REQUIRED = [
    *("/matter_code", "/status", "/applicants", "/accepted_at"),
    *("/applicants/0/name", "/applicants/0/id_type", "/applicants/0/id_number", "/agent/name", "/related/0/relation"),
    *(f"{CERTIFICATE}/{name}" for name in ("type_code", "number", "holders", "fields", "issued_on", "valid_until")),
    *(f"{HOLDER}/name", f"{HOLDER}/id_type", f"{HOLDER}/id_number"),
    f"{FIELDS}/place",
]
WRONG: dict[str, list[Any]] = {
    "/matter_code": [1, "", "x" * 65, None, ["T-GRANT"]],
    "/status": ["COMPLETED", "done", 2, None, ""],
    "/amendment": ["0", -1, 1000, 1.5, 1.0, True, None],
    "/applicants": [[], {}, None, "安试"],
    "/applicants/0": ["安试", None, []],
    "/applicants/0/name": [7, "", "   ", "\u3000", "试" * 201, None, ["安试"]],
    "/applicants/0/id_type": [111, "", "11", "1111", "ABC", "１１１", "112", "000", "111\n", None],
    "/applicants/0/id_number": ["", 990102197001011006, "1" * 61, None],
    "/agent": [[], "", "安试"],
    "/agent/id_type": ["000"],
    "/related": [{}, None],
    "/related/0/relation": ["friend", None, "", "Child"],
    "/accepted_by": ["", 3, "x" * 65],
    "/accepted_at": [1772326800, None],
    "/completed_at": [1772326800, ""],
    "/certificates": [{}, None, "P-1", [t.grant(f"P-{n}") for n in range(51)]],
    CERTIFICATE: [None, "P-1", []],
    f"{CERTIFICATE}/type_code": ["", 1, None],
    f"{CERTIFICATE}/edition": [0, 10_001, "1", 1.0, True],
    f"{CERTIFICATE}/number": ["", "  ", 5, "1" * 65, None, "-", " —－ "],
    f"{CERTIFICATE}/holders": [[], {}, None, [t.person(n) for n in range(21)]],
    FIELDS: [[], None, ""],
    f"{CERTIFICATE}/supersedes": ["x", None, {}, [f"x{n}" for n in range(21)]],
    f"{CERTIFICATE}/supersedes/0": [1, None, "x" * 161],
    DAY: [None, 20260301, "", "2026-3-1", "2026/03/01", "20260301", "2026-02-30", "2026-02-29", "2026-13-01", "0000-01-01",
          "1899-12-31", "２０２６-０３-０１", "2026-03-01T00:00:00Z", " 2026-03-01", "2026-W10-1", "٢٠٢٦-٠٣-٠١"],
    f"{CERTIFICATE}/valid_from": ["2026-02-30", ""],
    f"{CERTIFICATE}/valid_until": ["2027-02-29", "", "长期", "9999-99-99", 0],
    MOMENT: [
        *("", "2026-03-01", "2026-03-01T09:00:00", "2026-03-01T09:00:00.5", "2026-03-01 09:00:00+08:00", "2026-03-01T09:00+08:00"),
        *("2026-03-01T09:00:00+0800", "2026-03-01T09:00:00+08", "2026-03-01T09:00:00 +08:00", "2026-03-01T24:00:00+08:00"),
        *("2026-03-01T09:60:00+08:00", "2026-03-01T09:00:61+08:00", "2026-02-29T09:00:00+08:00", "2026-03-01T09:00:00+24:00"),
        *("2026-03-01T09:00:00+07:60", "2026-03-01T09:00:00.+08:00", "2026-03-01T09:00:00,5+08:00", "20260301T090000Z"),
        *("1899-12-31T00:00:00Z", "0001-01-01T00:00:00+23:59", "９026-03-01T09:00:00+08:00", "2026-03-01T09:00:00Asia/Shanghai"),
        *("2026-03-01T09:00:00.1234567890Z", "2026-03-01T09:00:00Z\n", "9999-12-31T23:59:59-23:59"),
    ],
    f"{FIELDS}/place": [1.5, True, None, [], {}, 1e400, 2**53, -(2**53), 10**30, 7, "", "  ", "试" * 21, "东\n市"],
    f"{FIELDS}/area": [86, "1e3", "86,42", "+1", "1.", ".5", "1.1234567", "1" * 16, "NaN"],
    f"{FIELDS}/seats": ["4", 10**15, -(10**15), "四"],
    f"{FIELDS}/opened_on": [20260301, "2026-02-30", "2026.03.01", "1899-12-31"],
    f"{FIELDS}/row": ["G1", "A", "A123", "xA1", "A1x", "A1\n2", "Ａ1"],
    f"{FIELDS}/kind": ["3", "果", 1, "１"],
}  # fmt: skip
LINES = {
    "a tab": "安\t试",
    "two lines": "安\n试",
    "a carriage return": "安\r试",
    "an escape": "安\x1b[2J试",
    "a character to delete": "安\x7f试",
    "a C1 character": "安\x85试",
    "no width": "安\u200b试",
    "a joiner": "安\u200d试",
    "a mark of direction": "安\u202e试",
    "an isolate": "安\u2066试",
    "a byte order mark": "\ufeff安试",
    "a soft hyphen": "安\u00ad试",
    "a line separator": "安\u2028试",
    "a paragraph separator": "安\u2029试",
    "private use": "安\ue000试",
    "no character": "安\uffff试",
    "unassigned": "安\u0378试",
    "a tag": "安\U000e0041试",
}
PRINTED = [
    "/applicants/0/name",
    "/agent/name",
    "/related/0/name",
    f"{HOLDER}/name",
    f"{CERTIFICATE}/number",
    f"{FIELDS}/place",
]


@pytest.mark.parametrize("at", REQUIRED)
def test_what_is_required(shared: Town, at: str) -> None:
    refusal(shared, changed(at, GONE), "schema.invalid", at)


@pytest.mark.parametrize("at", WRONG)
def test_a_value_of_the_wrong_form(shared: Town, at: str) -> None:
    body = changed(f"{CERTIFICATE}/supersedes", ["x"]) if "supersedes/" in at else PLAIN
    for value in WRONG[at]:
        raw = dumped(changed(at, value, body)).replace(b"Infinity", b"1e400")
        refusal(shared, raw, "schema.invalid", at)


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("at", PRINTED)
def test_what_cannot_stand_in_a_line(shared: Town, at: str, name: str) -> None:
    refusal(shared, changed(at, LINES[name]), "schema.invalid", at)


@pytest.mark.parametrize("text", [RARE, f"安{RARE}", "安\U0001f600", "\u0e3f安"])
@pytest.mark.parametrize("at", PRINTED)
def test_what_cannot_be_drawn(shared: Town, at: str, text: str) -> None:
    refusal(shared, changed(at, text), "glyph.missing", at)


@pytest.mark.parametrize(
    "at",
    [
        *("/amendments", "/Status", "/certificate_s", "/_x", "/x-y"),
        *("/applicants/0/sex", "/applicants/0/relation", "/agent/role", "/related/0/age"),
        *(f"{CERTIFICATE}/state", f"{HOLDER}/relation", f"{FIELDS}/colour", f"{FIELDS}/Place"),
    ],
)
def test_an_unknown_field(shared: Town, at: str) -> None:
    refusal(shared, changed(at, "1"), "schema.invalid", at)


@pytest.mark.parametrize("at", ["", "/applicants/0", CERTIFICATE, HOLDER, FIELDS])
def test_the_name_of_an_unknown_field_is_repeated_only_where_it_is_a_plain_word(shared: Town, at: str) -> None:
    for plain in ("a~b", "a/b"):
        pointer = f"{at}/{plain.replace('~', '~0').replace('/', '~1')}"
        refusal(shared, unknown(at, plain), "schema.invalid", pointer)
    for name in (t.ANNA["id_number"], f"id_{t.ANNA['id_number']}", t.ANNA["name"], "a b", "", "x" * 65, "x" * 100_000):
        refusal(shared, unknown(at, name), "schema.invalid", at)


def unknown(at: str, name: str) -> Body:
    found = changed("/amendment", 0)
    here: Any = found
    for part in at.split("/")[1:]:
        here = here[int(part) if isinstance(here, list) else part]
    here[name] = "1"
    return found


def test_every_wrong_place_is_named_and_at_most_fifty(shared: Town) -> None:
    body = changed("/matter_code", GONE, changed("/applicants/0/name", 1, changed(f"{CERTIFICATE}/edition", 0)))
    refusal(shared, body, "schema.invalid", "/matter_code", "/applicants/0/name", f"{CERTIFICATE}/edition")
    rules = {"place": "试" * 21, "area": "x", "seats": "x", "kind": "x", "row": "x", "opened_on": "x"}
    refusal(shared, changed(FIELDS, rules), "schema.invalid", *(f"{FIELDS}/{name}" for name in rules))
    many = {f"x{n}": "1" for n in range(100)}
    refusal(shared, {**PLAIN, **many}, "schema.invalid", *(f"/{name}" for name in list(many)[:50]))
    refusal(shared, changed(FIELDS, many), "schema.invalid", *(f"{FIELDS}/{name}" for name in list(many)[:50]))


@pytest.mark.parametrize("place", ["issued_on", "valid_from", "valid_until"])
@pytest.mark.parametrize("text", ["2026-3-1", "2026-02-30"])
def test_a_wrong_day_is_refused_with_the_format(shared: Town, place: str, text: str) -> None:
    found = refusal(shared, changed(f"{CERTIFICATE}/{place}", text), "schema.invalid", f"{CERTIFICATE}/{place}")
    assert "YYYY-MM-DD" in found.errors[0].message


@pytest.mark.parametrize("place", ["/accepted_at", "/completed_at"])
@pytest.mark.parametrize("text", ["2026-03-01", "2026-03-01T09:00:00", "2026-03-01T09:00:00+08:60"])
def test_a_wrong_moment_is_refused_with_the_zone(shared: Town, place: str, text: str) -> None:
    found = refusal(shared, changed(place, text), "schema.invalid", place)
    assert "带时区" in found.errors[0].message


# --- truth ------------------------------------------------------------------------------------------------------------

ANNA_ID = t.ANNA["id_number"]
WRONG_CHECK = ANNA_ID[:17] + ("0" if ANNA_ID[17] != "0" else "1")


def with_check(digits: str) -> str:
    return digits + citizen_check_character(digits)


TRADE_WRONG = t.TRADE[:17] + ("0" if t.TRADE[17] != "0" else "1")
NUMBERS = {
    "a wrong check character": ("111", WRONG_CHECK, "id.checksum"),
    "two digits changed places": ("111", "991002" + ANNA_ID[6:], "id.checksum"),
    "no such birthday": ("111", with_check("99010219700230100"), "id.checksum"),
    "no such month": ("111", with_check("99010219701301100"), "id.checksum"),
    "a residence permit": ("111", f"{with_check('81000019700101100')[:17]}Q", "id.checksum"),
    "an X inside": ("111", f"{ANNA_ID[:10]}X{ANNA_ID[11:]}", "id.checksum"),
    "letters": ("111", "A" * 18, "id.checksum"),
    "Arabic digits": ("111", "٩٩٠١٠٢١٩٧٠٠١٠١١٠٠٠", "id.checksum"),
    "14 digits": ("111", ANNA_ID[:14], "id.length"),
    "16 digits": ("111", ANNA_ID[:16], "id.length"),
    "17 digits": ("111", ANNA_ID[:17], "id.length"),
    "19 digits": ("111", f"{ANNA_ID}0", "id.length"),
    "15 digits without a birthday": ("111", "990102700230100", "id.checksum"),
    "dashes": ("111", "-- --", "id.length"),
    "a USCC": ("001", TRADE_WRONG, "uscc.checksum"),
    "the letter I": ("001", f"{t.HEALTH[:10]}I{t.HEALTH[11:]}", "uscc.checksum"),
    "the letter O": ("001", f"{t.TRADE[:10]}O{t.TRADE[11:]}", "uscc.checksum"),
    "a citizen as a body": ("001", ANNA_ID, "uscc.checksum"),
    "17 characters": ("001", t.firm(1)["id_number"][:17], "id.length"),
    "a number of before": ("001", "350100100123456", "id.length"),
    "a permit of Macao without letter": ("516", "12345678", "id.length"),
    "a permit of another letter": ("516", "X12345678", "id.length"),
    "a permit of seven digits": ("516", "H1234567", "id.length"),
    "a permit of nine digits": ("516", "H123456789", "id.length"),
    "signs": ("414", "E#1234", "id.length"),
    "nothing but spaces": ("414", "  ", "id.length"),
    "41 characters": ("999", "A" * 41, "id.length"),
    "no width": ("414", "E12\u200b34", "id.length"),
    "Cyrillic": ("414", "Е1234", "id.length"),
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("at", ["/applicants/0", "/agent", "/related/0", HOLDER])
def test_an_identity_number_that_is_none(shared: Town, at: str, name: str) -> None:
    id_type, number, code = NUMBERS[name]
    body = changed(f"{at}/id_type", id_type, changed(f"{at}/id_number", number))
    refusal(shared, body, code, f"{at}/id_number")


UNTRUE: dict[str, tuple[str, Any, str, str]] = {
    "an unknown matter": ("/matter_code", "T-NONE", "matter.unknown", "/matter_code"),
    "a matter in small letters": ("/matter_code", "t-grant", "matter.unknown", "/matter_code"),
    "a matter that yields something else": ("/matter_code", t.REGISTER, "type.not_in_matter", f"{CERTIFICATE}/type_code"),
    "an unknown type": (f"{CERTIFICATE}/type_code", "x", "type.unknown", f"{CERTIFICATE}/type_code"),
    "a type of another matter": (f"{CERTIFICATE}/type_code", t.LICENCE, "type.not_in_matter", f"{CERTIFICATE}/type_code"),
    "a type of another authority": (f"{CERTIFICATE}/type_code", t.HYGIENE, "type.not_in_matter", f"{CERTIFICATE}/type_code"),
    "an unknown edition": (f"{CERTIFICATE}/edition", 2, "type.unknown", f"{CERTIFICATE}/edition"),
    "an unknown authority": ("/accepted_by", "99990100MB9A70999X", "schema.invalid", "/accepted_by"),
    "issued tomorrow": (DAY, "2026-03-11", "date.future", DAY),
    "the end before the beginning": (f"{CERTIFICATE}/valid_until", "2026-02-28", "date.order", f"{CERTIFICATE}/valid_until"),
    "accepted in six minutes": (MOMENT, show_moment(t.NOW + timedelta(minutes=6)), "date.future", MOMENT),
    "accepted tomorrow in another zone": (MOMENT, "2026-03-10T10:00:00-08:00", "date.future", MOMENT),
    "completed in six minutes": ("/completed_at", show_moment(t.NOW + timedelta(minutes=6)), "date.future", "/completed_at"),
    "completed a microsecond too late": ("/completed_at", "2026-03-10T10:05:00.000001+08:00", "date.future", "/completed_at"),
    "completed before accepted": ("/completed_at", "2026-03-01T08:59:59+08:00", "date.order", "/completed_at"),
    "completed before accepted, by its zone": ("/completed_at", "2026-03-01T10:00:00+09:30", "date.order", "/completed_at"),
    "supersedes what does not exist": (f"{CERTIFICATE}/supersedes", ["x"], "certificate.not_found", f"{CERTIFICATE}/supersedes/0"),
    "supersedes one twice": (f"{CERTIFICATE}/supersedes", ["x", "x"], "schema.invalid", f"{CERTIFICATE}/supersedes"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNTRUE)
def test_what_is_not_so(shared: Town, name: str) -> None:
    at, value, code, pointer = UNTRUE[name]
    refusal(shared, changed(at, value), code, pointer)


def test_the_end_comes_after_the_beginning_and_the_day_of_issue(shared: Town) -> None:
    until = f"{CERTIFICATE}/valid_until"
    later = changed(f"{CERTIFICATE}/valid_from", "2026-05-01", changed(until, "2026-04-30"))
    refusal(shared, later, "date.order", until)
    before_issue = changed(f"{CERTIFICATE}/valid_from", "2026-01-01", changed(until, "2026-02-01"))
    refusal(shared, before_issue, "date.order", until)


TWICE: dict[str, tuple[Body, Body]] = {
    "the same": (t.ANNA, t.ANNA),
    "under another name": (t.ANNA, {**t.ANNA, "name": "安小试"}),
    "spaced": (t.ANNA, {**t.ANNA, "id_number": f" {ANNA_ID[:6]}-{ANNA_ID[6:]}"}),
    "as something else": (t.ANNA, {**t.ANNA, "id_type": "999"}),
    "by fifteen digits": (t.ANNA, {**t.ANNA, "id_number": ANNA_ID[:6] + ANNA_ID[8:17]}),
    "with a renewed permit": tuple({"name": "安试", "id_type": "516", "id_number": n} for n in ("H1234567801", "H1234567802")),
    "with and without a count": tuple({"name": "安试", "id_type": "516", "id_number": n} for n in ("M12345678", "M1234567801")),
}  # fmt: skip


@pytest.mark.parametrize("name", TWICE)
def test_one_holder_twice(shared: Town, name: str) -> None:
    at = f"{CERTIFICATE}/holders"
    refusal(shared, changed(at, list(TWICE[name])), "schema.invalid", at)


@pytest.mark.parametrize("number", ["P-1", "p1", " P - 1 ", "Ｐ1", "P—1", "P\u30001"])
def test_one_number_twice_in_a_push(shared: Town, number: str) -> None:
    body = changed("/certificates", [t.grant("P-1"), t.grant("P-2"), t.grant(number, t.BERT)])
    refusal(shared, body, "number.taken", "/certificates/2/number")


@pytest.mark.parametrize("status", ["accepted", "refused", "withdrawn"])
def test_only_a_completed_case_grants(shared: Town, status: str) -> None:
    refusal(shared, changed("/status", status), "schema.invalid", "/certificates")


def test_too_many_people(shared: Town) -> None:
    people = [t.person(n) for n in range(100, 120)]
    refusal(shared, t.body(applicants=[*people, t.person(120)]), "schema.invalid", "/applicants")
    refusal(shared, t.body(applicants=people, agent=t.ANNA), "schema.invalid", "/applicants")
    related = [{**who, "relation": "other"} for who in people]
    refusal(shared, t.body(related=related), "schema.invalid", "/applicants")
    refusal(shared, t.body(applicants=[*people, *[t.ANNA] * 81]), "schema.invalid", "/applicants")
    refusal(shared, t.body(related=[*related, *[{**t.ANNA, "relation": "other"}] * 81]), "schema.invalid", "/related")


def test_the_second_of_two_certificates_is_pointed_to(shared: Town) -> None:
    for at, value, code in (
        ("type_code", t.LICENCE, "type.not_in_matter"),
        ("issued_on", "2026-03-11", "date.future"),
        ("holders/0/id_number", WRONG_CHECK, "id.checksum"),
        ("fields/place", RARE, "glyph.missing"),
    ):
        body = changed("/certificates", [t.grant("P-1"), t.grant("P-2")])
        pointer = f"/certificates/1/{at}"
        refusal(shared, changed(pointer, value, body), code, pointer)


def test_a_face_too_large_to_sign(shared: Town) -> None:
    holders = [t.firm(n, "试" * 200) for n in range(20)]
    refusal(shared, changed(f"{CERTIFICATE}/holders", holders), "schema.invalid", CERTIFICATE)

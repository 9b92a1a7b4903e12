"""Tables and photos from the catalogue file to the signed data and to text; older editions stay unchanged."""

import base64
import copy
import hashlib
import json
from datetime import date
from typing import Any

import pytest
import rfc8785
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hub.counter import RetrievalBody
from hub.domain import wording
from hub.domain.catalogue import Catalogue, Edition, Field
from hub.domain.values import MAX_PHOTO_BYTES, Column
from hub.intake.body import PushBody
from hub.intake.receive import canonical
from hub.registration import catalogue_document
from hub.store.catalogue import content_of
from hub.wire import loads, validate
from signing import credential
from tests.issuance.test_photo import exif, largest, picture, text_of
from tests.support import town as t
from tests.support.paths import ROOT

ROOM, NAME = "住宅", "甲"
UNITS: t.Body = {
    "name": "units",
    "label": "单元",
    "label_en": "Units",
    "type": "table",
    "required": False,
    "columns": [
        {"name": "unit", "label": "部位", "label_en": "Unit", "type": "text", "max_length": 10},
        {"name": "area", "label": "面积", "label_en": "Area", "type": "decimal"},
        {"name": "floor", "label": "层", "label_en": "Floor", "type": "integer"},
        {"name": "since", "label": "自", "label_en": "Since", "type": "date", "required": False},
    ],
}
PHOTO: t.Body = {"name": "photo", "label": "照片", "label_en": "Photo", "type": "photo", "required": False}
ROW: t.Body = {"unit": "甲室", "area": "12.50", "floor": 3}


# --- the catalogue's file ---------------------------------------------------------------------------------------------

pytestmark = pytest.mark.sqlite  # what is asked here is decided before any database


def catalogue_with(*fields: t.Body) -> t.Body:
    content = copy.deepcopy(t.CATALOGUE)
    content["types"][0]["fields"] += copy.deepcopy(list(fields))
    return content


def read(content: t.Body) -> catalogue_document.Read:
    return catalogue_document.read(content, Catalogue(), lambda text: {"𠮷"} & set(text), date(2026, 3, 1))


def wrong(*fields: t.Body) -> list[tuple[str, str]]:
    """(pointer within the first new field's list, code) of every problem."""
    at = f"/types/0/fields/{len(t.CATALOGUE['types'][0]['fields'])}"
    problems = read(catalogue_with(*fields)).problems
    assert all(problem.message and problem.message_en for problem in problems)
    return [(problem.pointer.removeprefix(at), problem.code) for problem in problems]


@pytest.mark.parametrize(
    ("change", "place", "code"),
    [
        ({"columns": None}, "/columns", "schema.invalid"),
        ({"columns": []}, "/columns", "schema.invalid"),
        ({"columns": [{**UNITS["columns"][0], "name": f"c{n}"} for n in range(9)]}, "/columns", "schema.invalid"),
        ({"columns": [UNITS["columns"][0]] * 2}, "/columns/1/name", "schema.invalid"),
        ({"columns": [{**UNITS["columns"][0], "name": "Unit"}]}, "/columns/0/name", "schema.invalid"),
        ({"columns": [{**UNITS["columns"][0], "label": "𠮷"}]}, "/columns/0/label", "glyph.missing"),
        ({"columns": [{**UNITS["columns"][0], "label": "列" * 41}]}, "/columns/0/label", "schema.invalid"),
        ({"columns": [{**UNITS["columns"][0], "type": "code"}]}, "/columns/0/type", "schema.invalid"),
        ({"columns": [{**UNITS["columns"][0], "type": "table"}]}, "/columns/0/type", "schema.invalid"),
        ({"columns": [{**UNITS["columns"][0], "max_length": 201}]}, "/columns/0/max_length", "schema.invalid"),
        ({"columns": [{**UNITS["columns"][1], "max_length": 9}]}, "/columns/0/max_length", "schema.invalid"),
        ({"columns": [{**UNITS["columns"][0], "pattern": "a"}]}, "/columns/0/pattern", "schema.invalid"),
        ({"type": "text"}, "/columns", "schema.invalid"),
        ({"max_length": 5}, "/max_length", "schema.invalid"),
        ({"pattern": "a"}, "/pattern", "schema.invalid"),
    ],
)
def test_a_table_is_declared_whole(change: t.Body, place: str, code: str) -> None:
    declared = {name: value for name, value in {**UNITS, **change}.items() if value is not None}
    assert wrong(declared) == [(place, code)]


def test_one_photo_a_type_and_never_public() -> None:
    assert wrong(UNITS, PHOTO) == []
    assert wrong({**PHOTO, "masked": False}) == [("/masked", "schema.invalid")]
    assert [code for _, code in wrong(PHOTO, {**PHOTO, "name": "second"})] == ["schema.invalid"]
    assert wrong({**PHOTO, "max_length": 9}) == [("/max_length", "schema.invalid")]
    assert wrong({**PHOTO, "columns": UNITS["columns"]}) == [("/columns", "schema.invalid")]


OLD_DIGESTS = {  # of the sample city's first editions, as they were before there were tables and photos
    "11350000MB9G00191W002": "4d0c423e6cdeb439",
    "11350000MB9G00191W003": "169ddcb5ade52fd5",
    "11350000MB9G00191W004": "c1521206604fcc04",
    "11100000MB0143028R001": "c1e861254dc36307",
    "11350000MB9G00271G001": "c129f33f5749798b",
    "11100000MB03271699022": "7fed1557f588cee8",
    "11350000MB9G01071C001": "ef8238b4d8a24ad7",
    "11100000000013338W001": "f591931559ff1517",
    "11350000MB9G009415001": "282199c56b17d885",
    "11350000MB9G00431P004": "a3e6e84c326b1b2c",
    "11350000MB9G00861H002": "5fcd05366e61c255",
}


def test_editions_that_exist_keep_their_digest() -> None:
    content = yaml.safe_load((ROOT / "hub/sample/city.yaml").read_text("utf-8"))
    types = catalogue_document.read(content, Catalogue(), lambda _: set(), date(2026, 1, 1)).content.types
    found = {code: hashlib.sha256(content_of(types[code].editions[0].fields)).hexdigest()[:16] for code in OLD_DIGESTS}
    assert found == OLD_DIGESTS


# --- a town whose permits have both -----------------------------------------------------------------------------------


@pytest.fixture
def city(town: t.Town) -> t.Town:
    content = catalogue_with(UNITS, PHOTO)
    materials = [
        {"name": "摊位许可证", "of": "applicant", "type_codes": [t.PERMIT], "fields": ["units"]},
        {"name": "全部", "of": "agent", "type_codes": [t.PERMIT]},
    ]
    content["matters"][2]["materials"] = materials
    town.parts.registration.load_catalogue(content)
    return town


def permit(**fields: Any) -> t.Body:
    return t.grant("许可-1", fields={"place": "东市", **fields})


def refused_at(city: t.Town, **fields: Any) -> list[tuple[str, str]]:
    found = t.refusal(city.push, "办件-1", t.body(permit(**fields)))
    assert all(error.message and error.message_en for error in found.errors)
    return [(pointer.removeprefix("/certificates/0/fields"), code) for pointer, code in t.places(found)]


def test_it_is_stored_signed_and_returned_as_it_was_pushed(city: t.Town) -> None:
    rows = [ROW, {"unit": "乙室", "area": "7", "floor": -1, "since": "2025-12-31"}]
    shown = text_of(picture("PNG"))
    (version,) = city.issue("办件-1", permit(units=rows, photo=shown))
    assert version.fields == {"place": "东市", "units": rows, "photo": shown}
    assert credential.read(version.credential).fields == version.fields
    assert city.agrees()


def test_cells_are_normalised_like_other_texts(city: t.Town) -> None:
    (version,) = city.issue("办件-1", permit(units=[{**ROW, "unit": " e\u0301 ", "area": " 1.5"}]))
    assert version.fields["units"] == [{**ROW, "unit": "é", "area": "1.5"}]


@pytest.mark.parametrize(
    ("rows", "places"),
    [
        ([], ["/units"]),
        ([ROW] * 101, ["/units"]),
        ("甲室", ["/units"]),
        (5, ["/units"]),
        ({}, ["/units"]),
        (None, ["/units"]),
        ([5], ["/units/0"]),
        ([[ROW]], ["/units/0"]),
        ([ROW, {}], ["/units/1/unit", "/units/1/area", "/units/1/floor"]),
        ([{**ROW, "colour": "红"}], ["/units/0/colour"]),
        ([{**ROW, **{f"c{n}": 1 for n in range(8)}}], ["/units/0"]),
        ([{**ROW, "area": 12}], ["/units/0/area"]),
        ([{**ROW, "area": "12,5"}], ["/units/0/area"]),
        ([{**ROW, "floor": "3"}], ["/units/0/floor"]),
        ([{**ROW, "floor": True}], ["/units/0/floor"]),
        ([{**ROW, "floor": 1.5}], ["/units/0/floor"]),
        ([{**ROW, "floor": 10**15}], ["/units/0/floor"]),
        ([{**ROW, "floor": 2**53}], ["/units/0/floor"]),
        ([{**ROW, "floor": None}], ["/units/0/floor"]),
        ([{**ROW, "floor": {"deep": 1}}], ["/units/0/floor"]),
        ([ROW, {**ROW, "unit": "甲" * 11}], ["/units/1/unit"]),
        ([{**ROW, "unit": " "}], ["/units/0/unit"]),
        ([{**ROW, "unit": "甲\n乙"}], ["/units/0/unit"]),
        ([{**ROW, "since": "2025-02-30"}], ["/units/0/since"]),
        ([{**ROW, "unit": "甲" * 11, "area": "x"}], ["/units/0/unit", "/units/0/area"]),
    ],
)
def test_a_table_is_refused_cell_by_cell(city: t.Town, rows: Any, places: list[str]) -> None:
    assert refused_at(city, units=rows) == [(place, "schema.invalid") for place in places]


def test_a_cell_that_cannot_be_drawn_is_refused(city: t.Town) -> None:
    assert refused_at(city, units=[ROW, {**ROW, "unit": "\u0e01"}]) == [("/units/1/unit", "glyph.missing")]


def test_other_fields_take_no_rows_and_columns_no_names_of_people(city: t.Town) -> None:
    assert refused_at(city, place=[ROW]) == [("/place", "schema.invalid")]
    assert refused_at(city, seats=[ROW]) == [("/seats", "schema.invalid")]
    assert refused_at(city, photo=[ROW]) == [("/photo", "schema.invalid")]
    assert refused_at(city, units=[{**ROW, "安试": 1}]) == [("/units/0", "schema.invalid")]


def test_many_wrong_cells_are_reported_up_to_fifty(city: t.Town) -> None:
    assert len(refused_at(city, units=[{}] * 100)) == 50


def test_what_is_too_large_to_sign_is_refused(city: t.Town) -> None:
    content = catalogue_with({**UNITS, "columns": [{**UNITS["columns"][0], "max_length": 200}]}, PHOTO)
    city.parts.registration.load_catalogue(content)
    rows = [{"unit": "面" * 200}] * 100
    assert refused_at(city, units=rows) == [("/certificates/0", "schema.invalid")]
    (version,) = city.issue("办件-1", permit(units=rows[:20], photo=text_of(largest())))
    assert len(version.credential) < 64 * 1024
    assert city.agrees()


def test_amendments_see_whether_a_table_has_changed(city: t.Town) -> None:
    rows = [ROW, {**ROW, "unit": "乙室"}]
    (first,) = city.issue("办件-1", permit(units=rows))
    turned = [dict(reversed(row.items())) for row in rows]
    (same,) = city.issue("办件-1", permit(units=turned), amendment=1)
    assert same.identifier == first.identifier
    (other,) = city.issue("办件-1", permit(units=rows[::-1]), amendment=2)
    assert (other.version, other.fields["units"]) == (2, rows[::-1])
    assert city.agrees()


def test_an_equal_push_is_equal_in_any_order_of_names(city: t.Town) -> None:
    first = city.push("办件-1", t.body(permit(units=[ROW])))
    again = city.push("办件-1", t.body(permit(units=[dict(reversed(ROW.items()))])))
    assert (first.status, again.status, again.reply) == (201, 200, first.reply)


def test_an_intent_waits_with_its_table(city: t.Town) -> None:
    with city.without_signer():
        assert city.push("办件-1", t.body(permit(units=[ROW], photo=text_of(picture())))).status == 202
    assert city.parts.issuance.finish(t.TRADE, "办件-1")
    (item,) = city.live("办件-1")["certificates"]
    assert city.version(item["identifier"]).fields["units"] == [ROW]
    assert city.agrees()


# --- photos in a push (what makes a photo: test_photo.py) --------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("照片", "base64"),
        ("ab", "base64"),
        (text_of(picture())[:80] + "\n" + text_of(picture())[80:], None),
        ("A" * (MAX_PHOTO_BYTES // 3 * 4 + 4), "24 KB"),
        (text_of(picture("JPEG", exif=exif())), "EXIF"),
        ("data:image/png;base64," + text_of(picture("PNG")), "base64"),
        (7, "string"),
    ],
)
def test_a_push_with_a_wrong_photo_is_refused(city: t.Town, value: Any, said: str | None) -> None:
    found = t.refusal(city.push, "办件-1", t.body(permit(photo=value)))
    assert t.places(found) == [("/certificates/0/fields/photo", "schema.invalid")]
    assert said is None or said in found.errors[0].message_en


# --- the form ---------------------------------------------------------------------------------------------------------

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
CELL = TEXT | st.integers(-(2**53) + 1, 2**53 - 1)
ROWS = st.lists(st.dictionaries(TEXT, CELL, max_size=8), min_size=1, max_size=5)


@given(st.dictionaries(TEXT, CELL | ROWS, max_size=6))
def test_bodies_with_tables_are_compared_in_their_canonical_form(fields: dict[str, Any]) -> None:
    value = loads(t.raw(t.body(t.grant("许可-1", fields=fields))))
    assert canonical(value, validate(PushBody, value)) == rfc8785.dumps(value)


def test_the_form_is_described() -> None:
    schema = PushBody.model_json_schema()
    values = schema["$defs"]["CertificateBody"]["properties"]["fields"]["additionalProperties"]["anyOf"]
    assert [kind["type"] for kind in values] == ["string", "integer", "array"]
    rows = values[2]
    assert (rows["minItems"], rows["maxItems"], rows["items"]["maxProperties"]) == (1, 100, 8)
    assert [kind["type"] for kind in rows["items"]["additionalProperties"]["anyOf"]] == ["string", "integer"]


def test_a_table_is_not_too_deep_and_what_is_deeper_is_refused(city: t.Town) -> None:
    deep: Any = "x"
    for _ in range(30):
        deep = [deep]
    assert refused_at(city, units=deep) == [("", "schema.invalid")]


# --- who sees it ------------------------------------------------------------------------------------------------------


def retrieve(city: t.Town, identifier: str, case: str, **people: Any) -> Any:
    city.push(case, t.body(matter_code=t.INSPECT, **people), by=t.HEALER)
    number = "TSWS0001"
    city.parts.registration.add_clerk("办事员", t.HEALTH, number)
    caller = t.caller("town-health", t.HEALTH, scopes=frozenset({"certificates:retrieve"}))
    body = {"case_number": case, "clerk": {"id": number, "name": "办事员"}, "identifier": identifier}
    return city.parts.retrieval.retrieve(caller, RetrievalBody.model_validate(body))


def test_a_matter_sees_the_fields_that_it_names(city: t.Town) -> None:
    (version,) = city.issue("办件-1", permit(units=[ROW], photo=text_of(picture())))
    taken = retrieve(city, version.identifier, "检查-1", applicants=[t.ANNA])
    assert dict(taken.fields) == {"units": [ROW]}
    assert credential.read(taken.credential).fields == {"units": [ROW]}
    whole = retrieve(city, version.identifier, "检查-2", applicants=[t.BERT], agent=t.ANNA)
    assert whole.fields == version.fields


def test_nothing_public_and_no_directory_has_the_photo_or_a_cell(city: t.Town) -> None:
    marked = text_of(picture("JPEG", (97, 131), quality=71))
    (version,) = city.issue("办件-1", permit(units=[{**ROW, "unit": "秘密室"}], photo=marked))
    parts = city.parts
    told = [repr(parts.verification.verify_code(version.code)), repr(parts.verification.verify_qr(version.digits))]
    while parts.directory.sequence() or parts.directory.feed():
        pass
    files = b"".join(path.read_bytes() for path in city.folder.rglob("*") if path.is_file())
    assert files
    for secret in (marked, marked[200:300], "秘密室"):
        assert all(secret not in text for text in told)
        assert secret.encode() not in files
    assert base64.b64decode(marked)[300:400] not in files


# --- words ------------------------------------------------------------------------------------------------------------


def edition() -> Edition:
    kind = read(catalogue_with(UNITS, PHOTO)).content.types[t.PERMIT]
    return kind.editions[0]


def test_values_in_words() -> None:
    shown = picture()
    fields: Any = {
        "photo": text_of(shown),
        "kind": "2",
        "units": [ROW, {**ROW, "since": "2025-12-03"}],
        "opened_on": "2026-01-05",
        "seats": 0,
        "area": "86.40",
        "place": "东市",
        "unknown": "x",
    }
    words = {word.name: word for word in wording.face_in_words(edition(), fields)}
    assert list(words) == ["place", "area", "seats", "opened_on", "kind", "units"]
    assert [words[name].value for name in list(words)[:5]] == ["东市", "86.40", "0", "2026年1月5日", "鱼"]
    assert (words["seats"].label, words["seats"].label_en) == ("座位", "Seats")
    assert words["units"].value == wording.TableWords(
        columns=(("部位", "Unit"), ("面积", "Area"), ("层", "Floor"), ("自", "Since")),
        rows=(("甲室", "12.50", "3", ""), ("甲室", "12.50", "3", "2025年12月3日")),
    )
    assert wording.photo(edition(), fields) == shown
    assert wording.photo(edition(), {"place": "东市"}) is None


def test_single_values_in_words() -> None:
    codes = Field("k", "类", "Kind", "code", True, codes=(("1", "果", "Fruit"),))
    assert (wording.in_words(codes, "1"), wording.in_words(codes, "9")) == ("果", "9")
    yes = Field("y", "是否", "Yes", "integer", True)
    assert (wording.in_words(yes, True), wording.in_words(yes, False), wording.in_words(yes, -7)) == ("是", "否", "-7")
    table = Field("u", "表", "Table", "table", True, columns=(Column("a", "甲", "A", "text", required=False),))
    assert wording.in_words(table, [{}]) == wording.TableWords((("甲", "A"),), (("",),))
    with pytest.raises(ValueError, match="photo"):
        wording.in_words(Field("p", "照片", "Photo", "photo", True), "AAAA")


def test_the_face_in_a_reply_is_json(city: t.Town) -> None:
    (version,) = city.issue("办件-1", permit(units=[ROW]))
    from hub.api import certificates

    found = city.parts.records.read(t.TRADER, version.identifier)
    reply = json.loads(json.dumps(certificates._certificate(found), ensure_ascii=False))
    assert certificates.CertificateReply.model_validate(reply).fields == {"place": "东市", "units": [ROW]}

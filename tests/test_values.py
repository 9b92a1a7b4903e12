"""Tables and photos from the catalogue's file to what is signed, and in words; older editions stay as they were."""

import base64
import copy
import hashlib
import json
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image, PngImagePlugin

from hub import photo
from hub.domain import wording
from hub.domain.catalogue import Catalogue, Edition, Field
from hub.domain.values import MAX_PHOTO_BYTES, Column
from hub.registration import document
from hub.retrieval import RetrievalBody
from hub.store.catalogue import content_of
from signing import credential
from tests import town as t

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


def picture(kind: str = "JPEG", size: tuple[int, int] = (120, 168), mode: str = "RGB", **more: Any) -> bytes:
    packed = BytesIO()
    Image.new(mode, size, 120).save(packed, kind, **more)
    return packed.getvalue()


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


# --- the catalogue's file ---------------------------------------------------------------------------------------------


def catalogue_with(*fields: t.Body) -> t.Body:
    content = copy.deepcopy(t.CATALOGUE)
    content["types"][0]["fields"] += copy.deepcopy(list(fields))
    return content


def read(content: t.Body) -> document.Read:
    return document.read(content, Catalogue(), lambda text: {"𠮷"} & set(text), date(2026, 3, 1))


def wrong(*fields: t.Body) -> list[tuple[str, str]]:
    """(place inside the first new field's list, code) of every problem."""
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
    content = yaml.safe_load((Path(__file__).parents[1] / "hub/sample/city.yaml").read_text("utf-8"))
    types = document.read(content, Catalogue(), lambda _: set(), date(2026, 1, 1)).content.types
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


def test_many_wrong_cells_are_told_up_to_fifty(city: t.Town) -> None:
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


# --- photos -----------------------------------------------------------------------------------------------------------


def largest() -> bytes:
    """A JPEG of exactly as many bytes as may be: restart intervals and quantisation fill it up."""
    data = picture("JPEG", (800, 1100), quality=30)
    room = MAX_PHOTO_BYTES - len(data)
    assert room > 0
    return data[:2] + b"\xff" * room + data[2:]  # fill bytes before a marker are allowed (ITU T.81 B.1.1.2)


def many_scans() -> bytes:
    data = picture("JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    return data[:-2] + data[scan:-2] * 20 + b"\xff\xd9"


def png_with(kind: str) -> bytes:
    told = PngImagePlugin.PngInfo()
    if kind == "itxt":
        told.add_itxt("Author", "安试")
    else:
        told.add_text("Author", "Anna", zip=kind == "ztxt")
    return picture("PNG", pnginfo=told)


def exif() -> Image.Exif:
    told = Image.Exif()
    told[0x010F] = "a camera"
    return told


def after(data: bytes, place: int, more: bytes) -> bytes:
    return data[:place] + more + data[place:]


COMMENT = b"\xff\xfe\x00\x06Anna"
THUMBNAIL = b"\xff\xe0\x00\x13JFIF\0\x01\x01\0\0\x01\0\x01\x01\x01\0\0\0"


@pytest.mark.parametrize(
    "data",
    [
        picture(),
        picture("PNG"),
        picture("JPEG", mode="L"),
        picture("PNG", mode="L"),
        picture("PNG", mode="P"),
        picture("PNG", mode="RGBA"),
        picture("JPEG", progressive=True),
        picture("JPEG", (1000, 1400), quality=1),
        picture("PNG", (1000, 1400), mode="1"),
        picture("JPEG", (1, 1)),
        picture("JPEG", dpi=(300, 300)),
        largest(),
    ],
)
def test_a_plain_portrait_is_taken(data: bytes) -> None:
    assert photo.problem(text_of(data)) is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "must be a JPEG or PNG photo"),
        (b"not a picture", "must be a JPEG or PNG photo"),
        (picture("GIF", mode="P"), "must be a JPEG or PNG photo"),
        (picture("WEBP"), "must be a JPEG or PNG photo"),
        (picture("BMP", (30, 42)), "must be a JPEG or PNG photo"),
        (b"%PDF-1.7 " + picture(), "must be a JPEG or PNG photo"),
        (picture("JPEG", (1001, 10)), "1000 by 1400"),
        (picture("PNG", (10, 1401)), "1000 by 1400"),
        (picture("PNG", (20000, 20000), mode="1", compress_level=9), "24 KB"),
        (b"\x89PNG\r\n\x1a\n" + picture("PNG")[8:16] + b"\xff" * 8 + picture("PNG")[24:], "1000 by 1400"),
        (largest()[:2] + b"\xff" + largest()[2:], "24 KB"),
        (picture("JPEG", exif=exif()), "EXIF"),
        (picture("PNG", exif=exif()), "EXIF"),
        (picture("JPEG", icc_profile=b"profile" * 20), "EXIF"),
        (after(picture(), 2, COMMENT), "EXIF"),
        (after(picture(), 2, THUMBNAIL), "EXIF"),
        (png_with("text"), "EXIF"),
        (png_with("ztxt"), "EXIF"),
        (png_with("itxt"), "EXIF"),
        (picture() + b"more", "damaged"),
        (picture("PNG") + b"more", "damaged"),
        (picture()[:-2], "damaged"),
        (picture()[:200], "damaged"),
        (picture("PNG")[:-12], "damaged"),
        (picture("PNG")[:60], "damaged"),
        (picture("PNG")[:-20] + b"\0" * 8 + picture("PNG")[-12:], "damaged"),
        (b"\xff\xd8\xff", "damaged"),
        (b"\xff\xd8\xff\xd9", "damaged"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (many_scans(), "damaged"),
        (picture("JPEG", mode="CMYK"), "grey or RGB"),
        (picture("PNG", mode="I;16"), "grey or RGB"),
    ],
)
def test_anything_else_is_refused_with_a_reason(data: bytes, said: str) -> None:
    found = photo.problem(text_of(data))
    assert found is not None
    assert said in found[1]


def test_base64_has_one_form() -> None:
    whole = text_of(picture()[:-2] + b"\xff\xd9")
    assert photo.problem(whole + "====") is not None
    assert photo.problem(whole[:-1]) is not None
    tail = text_of(b"\xff\xd8\xff\xe0")
    assert photo.problem(tail[:-3] + "B==") is not None


@pytest.mark.parametrize("damage", range(0, 700, 7))
def test_no_damage_makes_it_fall(damage: int) -> None:
    for data in (picture(progressive=True), picture("PNG", mode="P")):
        changed = bytearray(data)
        changed[damage % len(data)] ^= 0xFF
        found = photo.problem(text_of(bytes(changed)))
        assert found is None or all(found)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("照片", "base64"),
        ("ab", "base64"),
        (text_of(picture())[:80] + "\n" + text_of(picture())[80:], None),
        ("A" * (MAX_PHOTO_BYTES // 3 * 4 + 4), "24 KB"),
        (text_of(picture("JPEG", exif=exif())), "EXIF"),
        ("data:image/png;base64," + text_of(picture("PNG")), "base64"),
        (7, "text"),
    ],
)
def test_a_push_with_a_wrong_photo_is_refused(city: t.Town, value: Any, said: str | None) -> None:
    found = t.refusal(city.push, "办件-1", t.body(permit(photo=value)))
    assert t.places(found) == [("/certificates/0/fields/photo", "schema.invalid")]
    assert said is None or said in found.errors[0].message_en


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

"""Rendering: programs can read every text, no line overflows, every QR code scans, and equal input gives equal
output."""

import re
import shutil
import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path

import pypdfium2
import pytest
import zxingcpp
from PIL import Image, ImageFilter

from signing.errors import Malformed
from signing.pdf.draw import face, font, guilloche, rows, seal, text
from signing.pdf.draw.rendition import render, render_copy
from signing.pdf.draw.sheet import Annotation, Field, Sheet, SheetHolder, Table
from signing.pdf.draw.theme import THEMES, ornaments
from tests.judges import missing
from tests.support import pdf_samples as samples

NAMES = sorted(samples.SHEETS)
LONG = "福建省福州市" + "鼓楼区东街街道军门社区榕荫路" * 12 + "7号2座101室"


def read(pdf: bytes, folder: Path, *options: str) -> str:
    """All the text of a file, by poppler, without blanks."""
    if shutil.which("pdftotext") is None:
        missing("pdftotext")
    path = folder / "read.pdf"
    path.write_bytes(pdf)
    done = subprocess.run(["pdftotext", *options, str(path), "-"], capture_output=True, check=True)
    return re.sub(r"\s", "", done.stdout.decode("utf-8"))


def solid(value: str) -> str:
    return re.sub(r"\s", "", value)


def sealed(sheet: Sheet) -> bytes:
    return render(sheet, samples.printed()[3], samples.seal(), samples.MADE)


def texts(sheet: Sheet) -> list[str]:
    """Every text that must be found on the pages."""
    found = [sheet.title, sheet.authority, sheet.identifier, sheet.number, rows.day(sheet.issued_on)]
    found += [rows.validity(sheet), sheet.seal_note]
    for holder in sheet.holders:
        found += [holder.name, holder.number_label, holder.number]
    for field in sheet.fields:
        found += [field.label, field.label_en]
        if isinstance(field.value, Table):
            found += [cell for row in field.value.rows for cell in row]
            found += [label for column in field.value.columns for label in column]
        else:
            found.append(field.value)
    return [solid(value) for value in found]


@pytest.mark.parametrize("name", NAMES)
def test_every_text_can_be_read_back(name: str, tmp_path: Path) -> None:
    page = read(samples.sealed(name), tmp_path)
    lost = [value for value in texts(samples.SHEETS[name]()) if value not in page]
    assert not lost


def test_rare_characters_and_unlimited_terms_can_be_read_back(tmp_path: Path) -> None:
    page = read(samples.sealed("licence"), tmp_path)
    assert f"欧阳{samples.RARE}川" in page
    assert "长期" in page


def test_a_character_without_a_glyph_is_refused() -> None:
    with pytest.raises(Malformed, match=r"glyph\.missing"):
        sealed(replace(samples.licence(), number="🀄"))


@pytest.mark.parametrize("name", NAMES)
def test_fonts_are_embedded_subset_and_mapped(name: str, tmp_path: Path) -> None:
    if shutil.which("pdffonts") is None:
        missing("pdffonts")
    path = tmp_path / "fonts.pdf"
    path.write_bytes(samples.sealed(name))
    listed = subprocess.run(["pdffonts", str(path)], capture_output=True, check=True, text=True).stdout.splitlines()[2:]
    assert [line.split()[-5:-2] for line in listed] == [["yes", "yes", "yes"]]


@pytest.mark.parametrize("name", NAMES)
def test_equal_in_is_equal_out(name: str) -> None:
    assert sealed(samples.SHEETS[name]()) == samples.sealed(name)


@pytest.mark.parametrize("name", NAMES)
def test_files_are_small(name: str) -> None:
    assert len(samples.sealed(name)) <= 90 * 1024


def pages(pdf: bytes, dpi: int = 150) -> list[Image.Image]:
    document = pypdfium2.PdfDocument(pdf)
    return [page.render(scale=dpi / 72, grayscale=True).to_pil() for page in document]


@pytest.mark.parametrize("name", NAMES)
def test_the_code_scans_from_a_plain_and_from_a_bad_picture(name: str) -> None:
    plain = pages(samples.sealed(name))[0]
    bad = plain.rotate(4, expand=True, fillcolor=255).filter(ImageFilter.GaussianBlur(0.9))
    for picture in (plain, bad):
        assert [code.text for code in zxingcpp.read_barcodes(picture)] == [samples.printed()[2]]


@pytest.mark.parametrize("name", NAMES)
def test_zbar_reads_the_code_too(name: str, tmp_path: Path) -> None:
    if shutil.which("zbarimg") is None:
        missing("zbarimg")
    path = tmp_path / "page.png"
    pages(samples.sealed(name))[0].save(path)
    done = subprocess.run(["zbarimg", "-q", "--raw", str(path)], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == samples.printed()[2]


def test_the_code_is_36_mm_wide() -> None:
    picture = pages(samples.sealed("licence"), dpi=254)[0]  # ten dots a millimetre
    (code,) = zxingcpp.read_barcodes(picture)
    corners = code.position
    assert abs(corners.top_right.x - corners.top_left.x - 360) <= 4


HARD = {
    "long_names": replace(
        samples.licence(),
        holders=(SheetHolder("福州湾畔" * 20 + "有限公司", "统一社会信用代码", "91990100MA9G0D37XE"),),
        authority="福建省福州市长乐区" * 4 + "行政审批服务局",
        seal="福建省福州市长乐区" * 4 + "行政审批服务局",
        authority_en="Administrative Approval Service Bureau " * 6,
        title="福州市城镇污水排入排水管网许可及特种设备使用登记合并证书",
        title_en="Permit " * 30,
    ),
    "long_values": replace(samples.licence(), fields=(Field("住址", "Address", LONG), Field("经营范围", "Scope", LONG * 12))),
    "many_fields": replace(samples.licence(), fields=tuple(Field(f"字段{n}", f"Field {n}", LONG[:n]) for n in range(1, 60))),
    "one_word": replace(samples.licence(), fields=(Field("编号", "Number", "A" * 400), Field("b" * 60, "c" * 90, "1" * 90))),
    "ten_holders": replace(samples.proof(), holders=tuple(SheetHolder(f"持证人{n}" * 8, "护照", f"E{n:08}") for n in range(10))),
    "three_hundred_units": samples.estate(300),
    "wide_cells": replace(
        samples.licence(),
        fields=(Field("表", "Table", Table((("列" * 9, "Column " * 9),) * 7, ((LONG[:40],) * 7, ("x" * 50,) * 7))),),
    ),
    "nothing": replace(samples.licence(), fields=(), holders=()),
    "notes": replace(samples.licence(), notes=(LONG,)),
    "photo_and_table": replace(samples.driver(), fields=samples.estate(4).fields),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(HARD))
def test_nothing_leaves_the_frame(name: str, tmp_path: Path) -> None:
    pdf = sealed(HARD[name])
    document = pypdfium2.PdfDocument(pdf)
    for page in document:
        found = page.get_textpage()
        for place in range(found.count_rects()):
            left, bottom, right, top = found.get_rect(place)
            assert left >= face.LEFT - 3, found.get_text_bounded(left, bottom, right, top)
            assert right <= face.RIGHT + 3, found.get_text_bounded(left, bottom, right, top)
            assert bottom > 45
    page_text = read(pdf, tmp_path)
    assert not [value for value in texts(HARD[name]) if value not in page_text and len(value) < 30]


def test_long_tables_continue_with_their_head_on_the_next_page(tmp_path: Path) -> None:
    pdf = sealed(samples.estate(60))
    assert len(pypdfium2.PdfDocument(pdf)) >= 2
    second = read(pdf, tmp_path, "-f", "2", "-l", "2")
    assert "不动产单元号" in second
    assert "附页" in second


def test_kinsoku() -> None:
    for value in (
        "吸收公众存款、发放贷款。办理结算,《条例》(第716号)“长期”;" * 9,
        "根据《中华人民共和国行政许可法》第三十八条,准予许可。",
    ):
        for room in range(60, 200, 7):
            lines = text.wrap(value, 12, room)
            assert "".join(lines) == value
            assert not [line for line in lines if line[0] in ",。、;:)》”〉】!?"]
            assert not [line for line in lines if line[-1] in "(《“〈【"]


def test_words_and_numbers_stay_whole() -> None:
    lines = text.wrap("统一社会信用代码91990100MA9G0D37XE号 Fujian Province", 12, 150)
    assert any("91990100MA9G0D37XE" in line for line in lines)
    assert any("Province" in line for line in lines)


def test_the_same_type_has_the_same_ornaments_and_another_has_others() -> None:
    sheet = samples.licence()
    assert ornaments(sheet.kind, sheet.type_code) == ornaments(sheet.kind, sheet.type_code)
    assert len({ornaments(sheet.kind, f"type {n}") for n in range(20)}) == 20
    assert len({THEMES[kind].title for kind in THEMES}) == len(THEMES)


def test_seal_names_of_every_length_stay_inside_the_ring() -> None:
    for count in range(1, 60):
        size, narrow = seal._fit("福" * count)
        middle = seal.RADIUS - seal._RING - seal._GAP - size / 2
        assert text.width("福" * count, size) * narrow <= seal._LONGEST_ARC * middle * 1.001


def test_subset_holds_what_was_used() -> None:
    used = {ord(character): place for place, character in enumerate("福州A" + samples.RARE, start=1)}
    data = font.font().subset(used)
    assert data[:4] == b"\0\1\0\0"
    assert len(data) < 4000
    assert b"<D872DF4A>" in font.to_unicode(used)


def test_annotated_copies_say_what_for(tmp_path: Path) -> None:
    note = samples.note()
    for name in NAMES:
        pdf = render_copy(samples.SHEETS[name](), note, samples.printed()[3], samples.seal(), samples.MADE)
        page = read(pdf, tmp_path)
        expected = [
            note.receipt_number,
            note.authority,
            note.case_number,
            note.matter,
            note.purpose,
            "2026年4月1日",
            "加注件",
        ]
        assert not [value for value in expected if solid(value) not in page]
        assert not [value for value in texts(samples.SHEETS[name]()) if value not in page]
        assert [code.text for code in zxingcpp.read_barcodes(pages(pdf)[0])] == [samples.printed()[2]]


def test_the_watermark_is_everywhere_on_a_copy() -> None:
    """Any part of 45 by 45 mm differs from the same part of the original by the watermark."""
    sheet = replace(samples.licence(), fields=())
    note = samples.note()
    marked = pages(render_copy(sheet, note, samples.printed()[3], samples.seal(), samples.MADE), dpi=72)[0]
    plain = pages(sealed(sheet), dpi=72)[0]
    side = 128
    for left in range(0, marked.width - side, side):
        for top in range(0, marked.height - side, side):
            box = (left, top, left + side, top + side)
            assert marked.crop(box).tobytes() != plain.crop(box).tobytes(), box


def test_long_notes_fit_the_band(tmp_path: Path) -> None:
    note = Annotation(
        "R" * 40, "福州市" * 20, "王小谷" * 9, "榕" * 64, "事项" * 30, LONG, samples.MADE, date(2026, 4, 1)
    )
    pdf = render_copy(samples.estate(40), note, samples.printed()[3], samples.seal(), samples.MADE)
    assert "附页" in read(pdf, tmp_path)


def test_photos_that_are_none_are_refused() -> None:
    for photo in (b"", b"GIF89a", samples.driver().photo[:300] if samples.driver().photo else b"", b"\xff\xd8\xff" * 9):
        if photo:
            with pytest.raises(Malformed, match=r"pdf\.photo"):
                sealed(replace(samples.driver(), photo=photo))


def test_tables_are_regular() -> None:
    with pytest.raises(ValueError, match="one cell for each column"):
        Table((("a", "A"), ("b", "B")), (("1",),))


def test_curves_repeat() -> None:
    operators = list(guilloche.curve([(0.0, 0.0), (1.0, 2.0), (2.0, 0.0)]))
    assert operators[0].endswith(" m")
    assert operators[-1] == "S"

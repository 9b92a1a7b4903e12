"""The scale benchmark, small: its city is plausible and reproducible, its command runs, its document is consistent."""

from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from hub.domain import numbers
from hub.domain.catalogue import Catalogue
from hub.registration import catalogue_document
from signing import glyphs
from tests.benchmarks.scale import __main__ as command
from tests.benchmarks.scale import city, plausible, postgres, reckoning, table
from tests.benchmarks.scale.plausible import PARTS, Fate, Plausible, Stage

STAGE = Stage(0, 4000)


def everything(stage: Stage = STAGE, seed: int = 1) -> list[Plausible]:
    return [item for part in range(PARTS) for item in plausible.certificates(seed, stage, part)]


def test_the_same_seed_makes_the_same_city():
    assert everything() == everything()
    assert everything() != everything(seed=2)


def test_a_part_does_not_depend_on_who_makes_the_others():
    assert list(plausible.certificates(1, STAGE, 3)) == everything()[3 * 500 : 4 * 500]


def test_numbers_of_people_bodies_and_certificates_are_right_and_unique():
    items = everything()
    assert len({numbers.number_text(i.authority, i.pushed.type_code, i.pushed.number) for i in items}) == len(items)
    assert len({(i.authority, i.case_number) for i in items}) == len(items)
    for holder in {holder for item in items for holder in item.pushed.holders}:
        assert numbers.normalise(holder.id_type, holder.id_number) == (holder.id_type, holder.id_number)
        assert holder.id_type == "001" or holder.id_number.startswith("99"), "an area with inhabitants"


def test_stages_and_additional_loads_never_share_a_holder():
    stages = [Stage(0, 400), Stage(2, 400), Stage(15, 400), Stage(29, 400)]
    holders = [{h.id_number for part in (0, PARTS - 1) for h, _ in plausible.holders(1, s, part)} for s in stages]
    assert len(set.union(*holders)) == sum(map(len, holders))


def test_every_certificate_is_one_that_its_type_allows():
    content = catalogue_document.read(city.catalogue(), Catalogue(), glyphs.missing, date(2026, 1, 1)).content
    for item in everything():
        edition = content.types[item.pushed.type_code].editions[-1]
        assert edition.problems(dict(item.pushed.fields), "/fields") == []
        assert item.authority in content.authorities
        assert item.pushed.valid_until is None or item.pushed.valid_until >= item.pushed.valid_from


def test_a_few_hold_many_and_most_hold_few():
    items = everything(Stage(0, 20_000))
    held = sorted(Counter(item.pushed.holders[0].id_number for item in items).values(), reverse=True)
    assert held[0] > 50
    assert 2 <= sum(held) / len(held) <= 6
    assert sorted(held)[len(held) // 2] <= 3
    bodies = sum(item.pushed.holders[0].id_type == "001" for item in items) / len(items)
    assert 0.1 < bodies < 0.4
    fates = Counter(item.fate for item in items)
    assert 0.9 < fates[Fate.NONE] / len(items) < 0.99
    assert all(fates[fate] > 50 for fate in Fate)
    assert len({len(item.pushed.holders[0].name) for item in items}) > 15
    assert len({(item.authority, item.pushed.type_code) for item in items}) > 300


def test_a_large_city_is_made_of_stages():
    assert [stage.count for stage in plausible.stages(1_000_000)] == [10_000, 90_000, 900_000]
    assert [stage.count for stage in plausible.stages(2000)] == [500, 1500]
    assert sum(Stage(0, 1003).share(part) for part in range(PARTS)) == 1003


def test_what_is_copied_as_text_reads_back():
    rows = [{"a": None, "b": b"\x00\xff\\", "c": "a\tb\\n\r\n中", "d": -7}]
    assert postgres._text(rows) == b"\\N\t\\\\x00ff5c\ta\\tb\\\\n\\r\\n" + "中".encode() + b"\t-7\n"


def test_the_command_measures_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    performance, scale = tmp_path / "performance.md", tmp_path / "scale.md"
    performance.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    scale.write_text("\n".join(("before", *reckoning.MEASURED, *reckoning.RECKONED, "after")))
    monkeypatch.setattr(table.write, "__defaults__", (performance,))
    monkeypatch.setattr(reckoning.write, "__defaults__", (scale,))
    text = command.main(["--certificates", "400", "--processes", "1", "--write"])
    written = performance.read_text()
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "old" not in written
    assert text in written
    for what in ("bulk path", "directory rebuilt", "issue over HTTP", "issued → searchable", "lookup", "verification"):
        assert what in text
    assert reckoning.read(scale).keys() == reckoning.MEANINGS.keys()
    assert text in capsys.readouterr().out


def test_the_page_of_scale_adds_up():
    page = reckoning.DOCUMENT.read_text(encoding="utf-8")
    values = reckoning.read()
    measured, reckoned = reckoning.tables(values)
    assert reckoning.between(page, reckoning.MEASURED) == measured
    assert reckoning.between(page, reckoning.RECKONED) == reckoned


def test_a_city_and_a_country_by_hand():
    values = dict.fromkeys(reckoning.MEANINGS, 1.0) | {
        "certificate_bytes": 5000,
        "push_bytes": 1000,
        "entries_per_certificate": 1.2,
        "entry_bytes": 250,
        "rebuild_per_s": 10_000,
    }
    found = {what: said for what, _, said in reckoning.reckoned(values)}
    assert found["repository, if everything is pushed"] == ["120.0 GB", "30.0 TB"]
    assert found["database servers of 2 TB"] == ["1", "15"]
    assert found["directory, without replicas"] == ["6.0 GB", "1.5 TB"]
    assert found["shards of 30 GB and 200 million entries"] == ["1", "50"]
    assert found["rebuilding the directory, hours on one node"] == ["0.7 h", "166.7 h"]
    assert found["issued per second at the peak"] == ["5.6", "1,389"]
    assert found["status lists"] == ["153", "38,147"]

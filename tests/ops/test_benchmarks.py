"""The command that writes docs/performance.md: its text, its figures, and its statements about targets."""

from pathlib import Path

from tests.benchmarks import document

ROWS = [
    ("by CPU", "465/s a core", "", "", "≥ 600/s"),
    ("by clock", "400/s", "1640/s", "0.25", "≥ 0.35"),
    ("page", "1,989/s", "5090/s", "0.39", "≥ 0.3"),
    ("memory", "125 MB", "", "", "< 250 MB"),
    ("way", "48 / 98 ms", "", "", "p99 < 300 ms"),
    ("flood", "1.3 / 15.3 ms", "1.4 / 1.9 ms", "2.7", "p99 ≤ 10 ms"),
    ("no target", "9/s", "", "", ""),
]


def test_what_is_not_reached_is_named():
    assert document.missed(ROWS) == (
        "Not reached: by CPU (465/s a core, wanted ≥ 600/s); by clock (0.25, wanted ≥ 0.35); "
        "flood (1.3 / 15.3 ms, wanted p99 ≤ 10 ms)."
    )
    assert document.missed(ROWS[2:5]) == "Every target is reached."


def test_a_part_that_was_not_measured_stays(tmp_path: Path):
    page = tmp_path / "performance.md"
    page.write_text(document.DOCUMENT.read_text(encoding="utf-8"), encoding="utf-8")
    document.write(figures="new figures", document=page)
    written = page.read_text(encoding="utf-8")
    assert f"{document.FIGURES[0]}\nnew figures\n{document.FIGURES[1]}" in written
    kept = document.DOCUMENT.read_text(encoding="utf-8").partition(document.SCALE[0])[2]
    assert written.endswith(kept)
    document.write(scale="new scale", document=page)
    assert "new figures" in page.read_text(encoding="utf-8")
    assert f"{document.SCALE[0]}\nnew scale\n{document.SCALE[1]}" in page.read_text(encoding="utf-8")


def test_the_document_has_the_text_of_the_command(tmp_path: Path):
    page = tmp_path / "performance.md"
    page.write_text(document.DOCUMENT.read_text(encoding="utf-8"), encoding="utf-8")
    document.write(document=page)
    assert page.read_text(encoding="utf-8") == document.DOCUMENT.read_text(encoding="utf-8")


def test_the_circumstances_name_commit_and_machine():
    line = document.circumstances("median of 5 interleaved rounds")
    assert "at commit `" in line
    assert "cores" in line
    assert "median of 5 interleaved rounds" in line

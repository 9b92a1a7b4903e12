"""The body of a certificate as a column of blocks: holders, fields, tables; each knows its height and draws itself.

Short fields are set two per row, long ones have their own row, and tables are split by line so that a page can end
between any two lines.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from signing.pdf.draw.canvas import PageCanvas
from signing.pdf.draw.sheet import Field, Sheet, SheetHolder, Table
from signing.pdf.draw.text import Fitted, fit, width, wrap
from signing.pdf.draw.theme import INK, QUIET, Theme

_LABEL_ROOM = 84.0
_GUTTER = 14.0
_LABEL, _ENGLISH = 10.0, 6.6
_LONG_LABEL = 7.8
_CELL_PAD = 4.0
_UNCUT, _PIECE = 12, 4  # lines of a value that stay together, and lines of a piece


@dataclass(frozen=True, slots=True)
class Scale:
    """The size of values and the spacing of rows."""

    value: float
    pad: float


SCALES = (Scale(14, 20), Scale(12.5, 12), Scale(11.5, 9), Scale(10.5, 7), Scale(9.5, 5))


@dataclass(frozen=True, slots=True)
class Cell:
    """A label with its value broken into lines."""

    label: str
    label_en: str
    value: Fitted
    heavy: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """One row of the body, `room` wide.

    is_head: must not end a page. repeats: the table's head, drawn again on the next page. runs_on: no rule below.
    """

    height: float
    room: float
    cells: tuple[Cell, ...] = ()
    columns: tuple[float, ...] = ()
    texts: tuple[tuple[str, ...], ...] = ()
    size: float = 0
    is_head: bool = False
    repeats: "Block | None" = None
    runs_on: bool = False


def validity(sheet: Sheet) -> str:
    """Return the validity period as text."""
    start, end = day(sheet.valid_from), sheet.valid_until
    return f"{start} 至 {'长期' if end is None else day(end)}"


def day(value: object) -> str:
    """Return a date as printed: 2026年1月5日."""
    year, month, date = str(value).split("-")
    return f"{int(year)}年{int(month)}月{int(date)}日"


def body(sheet: Sheet, room: float, scale: Scale, keep_free: tuple[float, float] = (0.0, 0.0)) -> list[Block]:
    """Return the blocks of a certificate for a column of `room` points.

    keep_free: width and height of the element to the right of the first blocks, which leave that space free.
    """
    narrow = room - keep_free[0]
    blocks: list[Block] = []
    for place, holder in enumerate(sheet.holders):
        taken = sum(block.height for block in blocks)
        blocks += _holder(holder, place, len(sheet.holders), narrow if taken < keep_free[1] else room, scale)
    fields = _with_term(sheet)
    for is_table, run in groupby(fields, key=lambda field: isinstance(field.value, Table)):
        if is_table:
            for field in run:
                blocks += _table(field, room, scale)
        else:
            blocks += _around(list(run), narrow, room, scale, keep_free[1] - sum(block.height for block in blocks))
    return blocks


def draw(canvas: PageCanvas, block: Block, x: float, top: float, theme: Theme, stretch: float) -> None:
    """Draw a block whose upper edge is at `top`; stretch: points added to its height."""
    bottom = top - block.height - stretch
    if block.columns:
        _draw_line(canvas, block, x, top, theme)
    else:
        half = (block.room + _GUTTER) / 2
        for place, cell in enumerate(block.cells):
            _draw_cell(canvas, cell, x + place * half, top - stretch / 2, block.height, theme)
    if not block.runs_on:
        canvas.stroke(theme.line, 0.9 if block.is_head else 0.45)
        canvas.line(x, bottom, x + block.room, bottom)


def _with_term(sheet: Sheet) -> list[Field]:
    """Return the fields including the validity period: last, or before the first table."""
    term = Field("有效期", "Valid", validity(sheet))
    tables = [place for place, field in enumerate(sheet.fields) if isinstance(field.value, Table)]
    place = tables[0] if tables else len(sheet.fields)
    return [*sheet.fields[:place], term, *sheet.fields[place:]]


def _around(fields: list[Field], narrow: float, room: float, scale: Scale, height: float) -> list[Block]:
    """Set fields in the narrow column until it is `height` points high, and the rest at full width."""
    for count in range(len(fields) + 1) if height > 0 else ():
        blocks = _pairs(fields[:count], narrow, scale)
        if sum(block.height for block in blocks) >= height or count == len(fields):
            return [*blocks, *_pairs(fields[count:], room, scale)]
    return _pairs(fields, room, scale)


def _value_room(room: float) -> float:
    return room - _LABEL_ROOM


def _holder(holder: SheetHolder, place: int, count: int, room: float, scale: Scale) -> list[Block]:
    """Return one row with name and number, or two if they do not fit in one."""
    label = "持证主体" if count == 1 else f"持证主体({place + 1})"
    sizes = (scale.value + 2.5, scale.value + 1, scale.value)
    half = (room - _GUTTER) / 2
    number = Cell(holder.number_label, holder.number_label_en, Fitted(scale.value, (holder.number,)))
    short = fit(holder.name, _value_room(half), sizes, 1)
    if holder.number and len(short.lines) == 1 and width(holder.number, scale.value) <= _value_room(half):
        return [Block(_height(short, scale), room, (Cell(label, "Holder", short, heavy=True), number))]
    name = fit(holder.name, _value_room(room), sizes, 1)
    if len(name.lines) > 1:
        name = fit(holder.name, _value_room(room), (scale.value, scale.value - 1, scale.value - 2), 3)
    blocks = [Block(_height(name, scale), room, (Cell(label, "Holder", name, heavy=True),))]
    if holder.number:
        blocks.append(Block(_height(number.value, scale), room, (number,)))
    return blocks


def _pairs(fields: Sequence[Field], room: float, scale: Scale) -> list[Block]:
    half = (room - _GUTTER) / 2
    blocks: list[Block] = []
    waiting: Cell | None = None
    for field in fields:
        value = str(field.value) or "—"
        short = width(value, scale.value) <= _value_room(half) if "\n" not in value else False
        if short:
            cell = Cell(field.label, field.label_en, Fitted(scale.value, (value,)))
            if waiting is None:
                waiting = cell
                continue
            blocks.append(Block(_height(cell.value, scale), room, (waiting, cell)))
            waiting = None
            continue
        if waiting is not None:
            blocks.append(Block(_height(waiting.value, scale), room, (waiting,)))
            waiting = None
        sizes = (scale.value, scale.value - 1, scale.value - 2)
        cell = Cell(field.label, field.label_en, fit(value, _value_room(room), sizes, 5))
        blocks += _cut(cell, room, scale)
    if waiting is not None:
        blocks.append(Block(_height(waiting.value, scale), room, (waiting,)))
    return blocks


def _cut(cell: Cell, room: float, scale: Scale) -> Iterator[Block]:
    """Yield one block, or several for a long text, so that a page can end within it."""
    lines = cell.value.lines
    step = len(lines) if len(lines) <= _UNCUT else _PIECE
    for start in range(0, len(lines), step):
        part = Fitted(cell.value.size, lines[start : start + step])
        label = (cell.label, cell.label_en) if start == 0 else ("", "")
        runs_on = start + step < len(lines)
        height = len(part.lines) * part.size * 1.42 + (scale.pad * 0.8 if start == 0 else 0)
        if not runs_on:
            height = _height(part, scale)
        yield Block(height, room, (Cell(*label, part),), runs_on=runs_on)


def _height(value: Fitted, scale: Scale) -> float:
    return max(_LABEL + _ENGLISH + 5, len(value.lines) * value.size * 1.42) + scale.pad


def _table(field: Field, room: float, scale: Scale) -> list[Block]:
    table = field.value
    assert isinstance(table, Table)  # noqa: S101 - body() passes no others
    size = scale.value - 2.5
    columns = _columns(table, room, size)
    caption = Block(
        _LABEL + scale.pad + 4, room, (Cell(f"{field.label}  {field.label_en}", "", Fitted(size, ("",))),), is_head=True
    )
    labels = tuple(
        (*wrap(label, size, extent - 2 * _CELL_PAD), english)
        for (label, english), extent in zip(table.columns, columns, strict=True)
    )
    head = Block(_line_height(labels, size), room, columns=columns, texts=labels, size=size, is_head=True)
    blocks = [caption, head]
    for row in table.rows:
        texts = tuple(
            wrap(text or "—", size, extent - 2 * _CELL_PAD) for text, extent in zip(row, columns, strict=True)
        )
        blocks.append(Block(_line_height(texts, size), room, columns=columns, texts=texts, size=size, repeats=head))
    return blocks


def _columns(table: Table, room: float, size: float) -> tuple[float, ...]:
    """Divide the width according to the columns' content; none is narrower than its longest word or four characters."""
    wanted = []
    for place, (label, english) in enumerate(table.columns):
        texts = [label, *(row[place] for row in table.rows)]
        longest = max(width(text, size) for text in texts)
        wanted.append(min(max(longest, width(english, _ENGLISH), 4 * size) + 2 * _CELL_PAD + 1, room / 2))
    factor = room / sum(wanted)
    return tuple(extent * factor for extent in wanted)


def _line_height(texts: Sequence[Sequence[str]], size: float) -> float:
    return max(len(lines) for lines in texts) * size * 1.4 + 8


def _draw_cell(canvas: PageCanvas, cell: Cell, x: float, top: float, height: float, theme: Theme) -> None:
    value = cell.value
    extent = len(value.lines) * value.size * 1.42
    base = top - (height - extent) / 2 - value.size * 1.08
    if cell.label_en:
        middle = top - height / 2 if len(value.lines) < 3 else base + value.size * 0.36
        _draw_label(canvas, cell, x, middle, theme)
    else:
        canvas.write(x, top - height / 2 - 3.6, cell.label, _LABEL, theme.title)
    for place, line in enumerate(value.lines):
        canvas.write(x + _LABEL_ROOM, base - place * value.size * 1.42, line, value.size, heavy=cell.heavy)


def _draw_label(canvas: PageCanvas, cell: Cell, x: float, middle: float, theme: Theme) -> None:
    """Draw a label above its English; one that would have to shrink a lot is set in two lines, but extracted as one."""
    room = _LABEL_ROOM - 8
    lines = wrap(cell.label, _LONG_LABEL, room) if width(cell.label, _LABEL) * 0.82 > room else ()
    if len(lines) != 2:
        canvas.write(x, middle + 1.4, cell.label, _LABEL, theme.title, room=room)
        canvas.write(x, middle - 8.4, cell.label_en, _ENGLISH, QUIET, room=room)
        return
    canvas.reads_as(cell.label)
    for place, line in enumerate(lines):
        canvas.write(x, middle + 5.6 - place * _LONG_LABEL * 1.15, line, _LONG_LABEL, theme.title, room=room)
    canvas.reads_end()
    canvas.write(x, middle - 11.2, cell.label_en, _ENGLISH, QUIET, room=room)


def _draw_line(canvas: PageCanvas, block: Block, x: float, top: float, theme: Theme) -> None:
    at = x
    for extent, lines in zip(block.columns, block.texts, strict=True):
        base = top - 4 - block.size
        for place, line in enumerate(lines):
            english = block.is_head and place == len(lines) - 1
            colour = QUIET if english else theme.title if block.is_head else INK
            size = _ENGLISH if english else block.size
            canvas.write(at + _CELL_PAD, base - place * block.size * 1.4, line, size, colour, room=extent - _CELL_PAD)
        at += extent

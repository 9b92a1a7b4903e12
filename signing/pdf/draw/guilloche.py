"""Line ornaments (guilloche) as PDF path operators: woven bands around the page, rosettes, a medallion.

Every curve is a sum of a few sines whose parameters come from a digest of the certificate type: each type has its own
pattern, which never changes. Only one period is computed and then repeated under other matrices, which also compresses
a quarter of a megabyte of lines to a few kilobytes.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, pi, sin

Colour = tuple[float, float, float]
Point = tuple[float, float]
_STEPS = 12  # curve pieces in one period


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in points."""

    left: float
    bottom: float
    right: float
    top: float

    def inset(self, by: float) -> "Box":
        """Return the rectangle reduced by this much on every side."""
        return Box(self.left + by, self.bottom + by, self.right - by, self.top - by)


class Seeds:
    """An endless sequence of numbers derived from a text."""

    def __init__(self, text: str) -> None:
        self._state = hashlib.sha256(text.encode("utf-8")).digest()
        self._at = 0

    def pick(self, least: int, most: int) -> int:
        """Return the next number, least and most included."""
        if self._at == len(self._state):
            self._state, self._at = hashlib.sha256(self._state).digest(), 0
        self._at += 1
        return least + self._state[self._at - 1] % (most - least + 1)

    def phase(self) -> float:
        """Return the next angle in radians."""
        return self.pick(0, 255) / 256 * 2 * pi


def colour(rgb: Colour, operator: str) -> str:
    """Return the operator that sets a colour; operator: RG for lines, rg for areas."""
    return f"{rgb[0]:.3g} {rgb[1]:.3g} {rgb[2]:.3g} {operator}"


def curve(points: list[Point]) -> Iterator[str]:
    """Yield the operators of a smooth stroked line through one period's points; its end continues its beginning."""
    last = len(points) - 1

    def ahead(place: int) -> Point:
        """Return the slope at a point, the same at both ends of a period but for the rotation between them."""
        before, after = points[max(0, place - 1)], points[min(last, place + 1)]
        part = 6 if 0 < place < last else 3
        return (after[0] - before[0]) / part, (after[1] - before[1]) / part

    yield f"{points[0][0]:.2f} {points[0][1]:.2f} m"
    for place in range(last):
        start, end, leave, arrive = points[place], points[place + 1], ahead(place), ahead(place + 1)
        yield (
            f"{start[0] + leave[0]:.2f} {start[1] + leave[1]:.2f} {end[0] - arrive[0]:.2f} {end[1] - arrive[1]:.2f} "
            f"{end[0]:.2f} {end[1]:.2f} c"
        )
    yield "S"


def rosette(seeds: Seeds, centre: Point, radius: float, *, strands: int, petals: int, depth: float) -> Iterator[str]:
    """Yield woven rings around a centre, `depth` of the radius wide: one petal, repeated at every angle."""
    second = seeds.pick(2, 4)
    bend = seeds.phase()
    sector = 2 * pi / petals
    petal = []
    for strand in range(strands):
        shift = 2 * pi * strand / strands
        points = []
        for step in range(_STEPS + 1):
            angle = 2 * pi * step / _STEPS
            wave = 0.72 * sin(angle + shift) + 0.28 * sin(second * angle - shift + bend)
            reach = radius * (1 - depth / 2 + depth / 2 * wave)
            turn = sector * step / _STEPS
            points.append((reach * cos(turn), reach * sin(turn)))
        petal += list(curve(points))
    drawing = "\n".join(petal)
    for place in range(petals):
        c, s = cos(place * sector), sin(place * sector)
        yield f"q {c:.5f} {s:.5f} {-s:.5f} {c:.5f} {centre[0]:.2f} {centre[1]:.2f} cm\n{drawing}\nQ"


def band(seeds: Seeds, box: Box, thickness: float, *, strands: int) -> Iterator[str]:
    """Yield a woven band along the inside of a rectangle, without its corners: one wave, repeated."""
    half, period = thickness / 2, float(seeds.pick(17, 23))
    second, bend = seeds.pick(2, 3), seeds.phase()
    wave = []
    for strand in range(strands):
        shift = 2 * pi * strand / strands
        points = []
        for step in range(_STEPS + 1):
            angle = 2 * pi * step / _STEPS
            swing = 0.75 * sin(angle + shift) + 0.25 * sin(second * angle - shift + bend)
            points.append((period * step / _STEPS, half * 0.94 * swing))
        wave += list(curve(points))
    drawing = "\n".join(wave)
    width, height = box.right - box.left - 2 * thickness, box.top - box.bottom - 2 * thickness
    for length, places in ((width, (box.bottom + half, box.top - half)), (height, (box.left + half, box.right - half))):
        count = max(1, round(length / period))
        scale = length / count / period
        for place in places:
            for turn in range(count):
                along = turn * length / count + thickness
                if length == width:
                    matrix = f"{scale:.5f} 0 0 1 {box.left + along:.2f} {place:.2f}"
                else:
                    matrix = f"0 {scale:.5f} 1 0 {place:.2f} {box.bottom + along:.2f}"
                yield f"q {matrix} cm\n{drawing}\nQ"


def corners(seeds: Seeds, box: Box, thickness: float) -> Iterator[str]:
    """Yield a small rosette in each corner of a band."""
    petals, name = seeds.pick(8, 12), f"corner {seeds.pick(0, 255)}"
    half = thickness / 2
    for x in (box.left + half, box.right - half):
        for y in (box.bottom + half, box.top - half):
            yield from rosette(Seeds(name), (x, y), half * 0.98, strands=4, petals=petals, depth=0.75)


def waves(seeds: Seeds, box: Box, *, gap: float) -> Iterator[str]:
    """Yield fine lines across a rectangle, each slightly offset from the one below: a security paper background."""
    period, second, bend = 3.0 * seeds.pick(36, 48), seeds.pick(2, 3), seeds.phase()
    aside = gap * seeds.pick(4, 9) / 8
    points = []
    for step in range(_STEPS + 1):
        angle = 2 * pi * step / _STEPS
        points.append((period * step / _STEPS, gap * (0.9 * sin(angle) + 0.35 * sin(second * angle + bend))))
    drawing = "\n".join(curve(points))
    for line in range(int((box.top - box.bottom) / gap) + 1):
        x = box.left - (line * aside) % period
        while x < box.right:
            yield f"q 1 0 0 1 {x:.2f} {box.bottom + line * gap:.2f} cm\n{drawing}\nQ"
            x += period


def star(centre: Point, radius: float) -> str:
    """Return the path of a five-pointed star, not yet painted; one point is at the top."""
    points = []
    for step in range(10):
        reach = radius if step % 2 == 0 else radius * 0.382  # of a regular pentagram
        angle = pi / 2 + step * pi / 5
        points.append(f"{centre[0] + reach * cos(angle):.2f} {centre[1] + reach * sin(angle):.2f}")
    return f"{points[0]} m " + " ".join(f"{point} l" for point in points[1:]) + " h"

"""Colours and ornaments of the three kinds of document; ornaments are drawn once per type and cached."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from signing.pdf.draw import guilloche
from signing.pdf.draw.guilloche import Box, Colour, Seeds
from signing.pdf.draw.sheet import Kind

MM = 72 / 25.4
WIDTH, HEIGHT = 210 * MM, 297 * MM
INK: Colour = (0.13, 0.13, 0.15)
QUIET: Colour = (0.42, 0.43, 0.46)
WHITE: Colour = (1, 1, 1)
SEAL_RED: Colour = (0.83, 0.11, 0.12)
EDGE = 9 * MM  # from the sheet's edge to the band
BAND = 8 * MM


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of one kind. title: of the heading; line: of rules; band, ground: of the ornaments; paper: inside."""

    title: Colour
    line: Colour
    band: Colour
    band_light: Colour
    ground: Colour
    paper: Colour


THEMES = {
    Kind.LICENCE: Theme(
        title=(0.60, 0.09, 0.10),
        line=(0.78, 0.66, 0.45),
        band=(0.66, 0.47, 0.19),
        band_light=(0.85, 0.73, 0.48),
        ground=(0.965, 0.925, 0.83),
        paper=(1.0, 0.992, 0.968),
    ),
    Kind.APPROVAL: Theme(
        title=(0.78, 0.07, 0.09),
        line=(0.66, 0.72, 0.80),
        band=(0.24, 0.36, 0.53),
        band_light=(0.58, 0.67, 0.79),
        ground=(0.905, 0.93, 0.96),
        paper=(0.99, 0.993, 1.0),
    ),
    Kind.PROOF: Theme(
        title=(0.06, 0.33, 0.28),
        line=(0.62, 0.75, 0.69),
        band=(0.14, 0.43, 0.36),
        band_light=(0.52, 0.71, 0.63),
        ground=(0.885, 0.945, 0.92),
        paper=(0.99, 1.0, 0.992),
    ),
}


@lru_cache(maxsize=256)
def ornaments(kind: Kind, type_code: str) -> bytes:
    """Return the operators for paper, band and background of a certificate's face on a whole A4 page, deflated."""
    return zlib.compress("\n".join(_ornaments(kind, type_code)).encode("ascii"), 9)


def _ornaments(kind: Kind, type_code: str) -> Iterator[str]:
    theme, seeds = THEMES[kind], Seeds(f"{kind}|{type_code}")
    outer = Box(EDGE, EDGE, WIDTH - EDGE, HEIGHT - EDGE)
    inner = outer.inset(BAND)
    yield "q 1 J 1 j"
    yield f"{guilloche.colour(theme.paper, 'rg')} {_rectangle(inner)} f"
    yield f"q {_rectangle(inner.inset(1.2))} W n 0 J 0.3 w {guilloche.colour(theme.ground, 'RG')}"
    yield from guilloche.waves(seeds, inner, gap=9.5)
    yield "Q"
    yield f"0.35 w {guilloche.colour(theme.ground, 'RG')}"
    centre = WIDTH / 2, HEIGHT * 0.47
    petals = seeds.pick(18, 30)
    for radius, depth, strands in ((64 * MM, 0.30, 8), (47 * MM, 0.45, 8), (27 * MM, 0.8, 6)):
        yield from guilloche.rosette(seeds, centre, radius, strands=strands, petals=petals, depth=depth)
    yield f"0.35 w {guilloche.colour(theme.band_light, 'RG')}"
    yield from guilloche.band(Seeds(f"{type_code}|light"), outer, BAND, strands=4)
    yield f"0.4 w {guilloche.colour(theme.band, 'RG')}"
    yield from guilloche.band(seeds, outer, BAND, strands=5)
    yield from guilloche.corners(seeds, outer, BAND)
    yield f"1.1 w {_rectangle(outer.inset(-1.6))} S 0.4 w {_rectangle(outer.inset(-0.2))} S"
    yield f"0.4 w {_rectangle(inner.inset(-0.4))} S 0.9 w {_rectangle(inner.inset(1.4))} S"
    yield "Q"


def _rectangle(box: Box) -> str:
    return f"{box.left:.1f} {box.bottom:.1f} {box.right - box.left:.1f} {box.top - box.bottom:.1f} re"

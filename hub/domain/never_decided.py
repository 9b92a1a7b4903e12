"""Who takes in conspicuously many cases that are looked up and never decided (an alarm, not a verdict)."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

FEWEST = 5
"""Fewer cases than this prove nothing."""
SHARE = 0.2
TIMES = 3


@dataclass(frozen=True, slots=True)
class Tally:
    """What one clerk (`authority|staff number`) or client took in for other authorities and looked people up for.

    used: such cases that have ended or are too old to be open. undecided: those of them that the deciding authority
    never decided; ending them as withdrawn changes nothing.
    """

    who: str
    used: int
    undecided: int

    @property
    def share(self) -> float:
        """The share that was never decided."""
        return self.undecided / self.used if self.used else 0.0


def out_of_line(tallies: Sequence[Tally]) -> list[Tally]:
    """Those with at least FEWEST undecided cases, and a share above SHARE and above TIMES the median of their peers."""
    found = []
    for place, tally in enumerate(tallies):
        peers = [other.share for n, other in enumerate(tallies) if n != place]
        usual = median(peers) if peers else 0.0
        if tally.undecided >= FEWEST and tally.share > max(SHARE, TIMES * usual):
            found.append(tally)
    return sorted(found, key=lambda tally: (-tally.undecided, tally.who))

"""Chinese text without server plugins: normalised, then cut into bigrams here, so that every engine finds the same.

Runs of Chinese (anything that is neither ASCII nor a separator) become overlapping pairs of code points, a run of one
stays alone; letters and digits stay whole words. A query matches where its tokens stand side by side in this order,
which for Chinese is exactly a substring.
"""

import re
import unicodedata
from collections.abc import Sequence

MIN_QUERY = 2
MAX_QUERY = 64
_DOTS = re.compile("[·•・‧∙⋅･]")
_RUN = re.compile(r"[0-9a-z]+|[^\x00-\x7f\s]+")


def normalise(text: str) -> str:
    """NFKC, lower case, name dots and punctuation as single spaces; what is compared on both sides."""
    # Dots first: lower() looks across a middle dot when it chooses between σ and ς.
    folded = unicodedata.normalize("NFKC", _DOTS.sub(" ", text)).lower()
    return " ".join(folded.translate(_CONTENT).split())


class _Content(dict[int, str]):
    """What becomes of each character; those of the first plane are looked at once."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kept = character if _is_content(character) else " "
        if code < 0x10000:
            self[code] = kept
        return kept


_CONTENT = _Content()


def _is_content(character: str) -> bool:
    """Letters, digits and marks; private use too, for names typed on old systems live there."""
    return unicodedata.category(character)[0] in "LNM" or unicodedata.category(character) in {"Co", "Cn"}


def tokens(text: str) -> list[str]:
    """The tokens of a text, in its order."""
    found: list[str] = []
    for run in _runs(text):
        found += _pairs(run)
    return found


def query_tokens(text: str) -> list[str]:
    """The tokens that a text must have side by side to match; empty for a query that is too short to be asked.

    A single Chinese character beside a word may be the end of a longer run of the text, so it is not asked for.
    """
    if not MIN_QUERY <= len(text.strip()) <= MAX_QUERY:
        return []
    runs = _runs(text)
    kept = [run for place, run in enumerate(runs) if not _is_loose(run, place, len(runs))]
    return [token for run in kept for token in _pairs(run)] if _side_by_side(runs, kept) else []


def matches(wanted: Sequence[str], text: str) -> bool:
    """Whether a text has the query's tokens side by side: what every engine answers, said once."""
    found = tokens(text)
    count = len(wanted)
    return any(found[start : start + count] == list(wanted) for start in range(len(found) - count + 1))


def _runs(text: str) -> list[str]:
    return _RUN.findall(normalise(text))


def _pairs(run: str) -> list[str]:
    if run.isascii() or len(run) == 1:
        return [run]
    return [run[start : start + 2] for start in range(len(run) - 1)]


def _is_loose(run: str, place: int, count: int) -> bool:
    return len(run) == 1 and not run.isascii() and place in {0, count - 1}


def _side_by_side(runs: Sequence[str], kept: Sequence[str]) -> bool:
    """Whether anything is left, with at most the two ends taken off."""
    return bool(kept) and len(runs) - len(kept) <= 2

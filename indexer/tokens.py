"""Tokenise Chinese text without server plugins: normalise it and cut it into bigrams, so that all engines agree.

A run of Chinese (anything that is neither ASCII nor a separator) becomes overlapping pairs of code points; a single
character stays as it is. Letters and digits stay whole words. A query matches a text that contains its tokens in
sequence, which for Chinese is exactly a substring.
"""

import re
import unicodedata
from collections.abc import Sequence

MIN_QUERY = 2
MAX_QUERY = 64
_DOTS = re.compile("[·•・‧∙⋅･]")
_RUN = re.compile(r"[0-9a-z]+|[^\x00-\x7f\s]+")


def normalise(text: str) -> str:
    """NFKC, lower case, and single spaces instead of name dots and punctuation; applied to texts and queries."""
    # Dots first: lower() looks across a middle dot when it chooses between σ and ς.
    folded = unicodedata.normalize("NFKC", _DOTS.sub(" ", text)).lower()
    return " ".join(folded.translate(_CONTENT).split())


class _Content(dict[int, str]):
    """The replacement of each character, cached for the Basic Multilingual Plane."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kept = character if _is_content(character) else " "
        if code < 0x10000:
            self[code] = kept
        return kept


_CONTENT = _Content()


def _is_content(character: str) -> bool:
    """Letters, digits and marks, and also private use: names from old systems contain such characters."""
    return unicodedata.category(character)[0] in "LNM" or unicodedata.category(character) in {"Co", "Cn"}


def tokens(text: str) -> list[str]:
    """The tokens of a text, in order."""
    found: list[str] = []
    for run in _runs(text):
        found += _pairs(run)
    return found


def query_tokens(text: str) -> list[str]:
    """The tokens that a text must contain in sequence to match; empty if the query is too short.

    A single Chinese character next to a word may be the end of a longer run in the text, so it is dropped from the
    query.
    """
    if not MIN_QUERY <= len(text.strip()) <= MAX_QUERY:
        return []
    runs = _runs(text)
    kept = [run for place, run in enumerate(runs) if not _is_loose(run, place, len(runs))]
    return [token for run in kept for token in _pairs(run)] if _is_searchable(runs, kept) else []


def matches(wanted: Sequence[str], text: str) -> bool:
    """Whether a text contains the tokens in sequence: the reference for what every engine finds."""
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


def _is_searchable(runs: Sequence[str], kept: Sequence[str]) -> bool:
    """Whether any run remains after at most the two ends were dropped."""
    return bool(kept) and len(runs) - len(kept) <= 2

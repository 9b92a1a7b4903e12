"""The findings of an examination: one per subject, with a fix if there is a problem."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """note: advice, nothing is wrong. problem: needs fixing. down: a dependency is unavailable."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """One subject. Texts are Chinese and English, without personal data. fix: what to do, or empty."""

    name: str
    state: State
    message: str
    message_en: str
    fix: str = ""
    fix_en: str = ""


def ok(name: str, message: str, message_en: str) -> DoctorFinding:
    """Everything is fine."""
    return DoctorFinding(name, State.OK, message, message_en)


def note(name: str, message: str, message_en: str, fix: str = "", fix_en: str = "") -> DoctorFinding:
    """Advice; nothing is wrong."""
    return DoctorFinding(name, State.NOTE, message, message_en, fix, fix_en)


def problem(name: str, message: str, message_en: str, fix: str, fix_en: str) -> DoctorFinding:
    """Needs fixing."""
    return DoctorFinding(name, State.PROBLEM, message, message_en, fix, fix_en)


def down(name: str, message: str, message_en: str, fix: str, fix_en: str) -> DoctorFinding:
    """A dependency is unavailable."""
    return DoctorFinding(name, State.DOWN, message, message_en, fix, fix_en)


def verdict(findings: Iterable[DoctorFinding]) -> State:
    """The worst state; a note counts as ok."""
    states = {finding.state for finding in findings}
    return next((state for state in (State.DOWN, State.PROBLEM) if state in states), State.OK)

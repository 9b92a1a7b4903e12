"""What an examination finds: one line a subject, and the way out where something is wrong."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """ok; note: advice, nothing is wrong; problem: somebody has to act; down: a dependency does not answer now."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """One subject. Texts are Chinese and English and name nobody; fix: what to do, empty where nothing has to be."""

    name: str
    state: State
    message: str
    message_en: str
    fix: str = ""
    fix_en: str = ""


def ok(name: str, message: str, message_en: str) -> DoctorFinding:
    """As it should be."""
    return DoctorFinding(name, State.OK, message, message_en)


def note(name: str, message: str, message_en: str, fix: str = "", fix_en: str = "") -> DoctorFinding:
    """Worth knowing, and no fault."""
    return DoctorFinding(name, State.NOTE, message, message_en, fix, fix_en)


def problem(name: str, message: str, message_en: str, fix: str, fix_en: str) -> DoctorFinding:
    """Somebody has to act."""
    return DoctorFinding(name, State.PROBLEM, message, message_en, fix, fix_en)


def down(name: str, message: str, message_en: str, fix: str, fix_en: str) -> DoctorFinding:
    """A dependency does not answer."""
    return DoctorFinding(name, State.DOWN, message, message_en, fix, fix_en)


def verdict(findings: Iterable[DoctorFinding]) -> State:
    """The worst of them, a note counting as ok."""
    states = {finding.state for finding in findings}
    return next((state for state in (State.DOWN, State.PROBLEM) if state in states), State.OK)

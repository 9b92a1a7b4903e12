"""The initial city of every fault test, and what can be seen of it from outside."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from hub.domain.case import Person
from hub.domain.errors import Refusal
from hub.domain.version import Version
from hub.ops import check as checking
from hub.ops.init import initialise
from hub.parts import Parts, open_parts
from hub.settings import Settings
from hub.store import certificates, check_rows, intents, parties
from hub.verification.verdict import VerdictState
from tests.faults import acts
from tests.faults.acts import CLIENT, certificate, completed, invented_person
from tests.faults.child import settings_of
from tests.support import city as c
from tests.support import engines

ANNA, BERT, CARL, DORA, NEW = (invented_person(number) for number in range(5))
A, B, C, D, E, F = (f"试〔2025〕{letter}" for letter in "ABCDEF")
TWO, ONE, SUSPENDED = "FZGA-2026-F-TWO", "FZGA-2026-F-ONE", "FZGA-2026-F-SUSPENDED"
SOURCE = c.caller(CLIENT).source
FROM_OUTSIDE = ("certificates", "versions", "holdings", "acts", "outbox", "ledger")


@dataclass(frozen=True)
class Scene:
    """A closed data directory, and the identifiers of its certificates by number."""

    folder: Path
    identifiers: dict[str, str]

    def copy(self, to: Path) -> Path:
        """A private copy of the city."""
        engines.copy_beside(self.folder, to)
        return to


def make(folder: Path, engine: str = engines.SQLITE) -> Scene:
    """Certificates A and B of one case, C of another, and D, which is suspended."""
    identifiers: dict[str, str] = {}
    engines.make(engine, settings_of(folder), lambda settings: identifiers.update(fill(settings)))
    return Scene(folder, identifiers)


def fill(settings: Settings) -> dict[str, str]:
    initialise(settings)
    with open_parts(settings) as parts:
        parts.registration.load_catalogue(acts.CATALOGUE)
        acts.push(parts, TWO, completed(certificate(A, ANNA), certificate(B, ANNA, BERT)))
        acts.push(parts, ONE, completed(certificate(C, CARL)))
        acts.push(parts, SUSPENDED, completed(certificate(D, DORA)))
        acts.open_counter(parts, ANNA)
        identifiers = {v.number: v.identifier for v in versions(parts)}
        acts.act(parts, "suspend", identifiers[D], kind="lost")
    return identifiers


def versions(parts: Parts) -> list[Version]:
    """Every version, read directly from the store."""
    reader = parts.database.reader
    rows = reader.all("SELECT home, certificate, version FROM versions ORDER BY version_key")
    found = [certificates.by_key(reader, parts.vault, *tuple(row)) for row in rows]
    return [version for version in found if version is not None]


@dataclass
class Picture:
    """The externally visible state of the certificates, without what differs from run to run."""

    versions: list[tuple[str, int, str, int]]
    rows: dict[str, int]
    cases: dict[str, Any] = field(default_factory=dict)
    marks: tuple[str, ...] = ()

    @property
    def of_certificates(self) -> tuple[object, ...]:
        return self.versions, self.rows


def picture(parts: Parts, *case_numbers: str) -> Picture:
    """Inspect everything: `hub check` must pass, every code of a version verifies, and no other code does."""
    report = checking.check(parts)
    assert report.findings == [], report.findings[:3]
    today = parts.clock.today()
    seen = []
    for version in versions(parts):
        state = version.state(today)
        assert parts.verification.verify_code(version.code).state is VerdictState.of(state)
        assert parts.verification.verify_credential(version.credential).state is VerdictState.of(state)
        seen.append((version.number, version.version, state.value, version.revision))
    for kind, value in check_rows.handles_without_version(parts.database.reader):
        if kind == certificates.CODE:
            assert parts.verification.verify_code(value).state is VerdictState.NOT_FOUND
        else:
            assert certificates.by_identifier(parts.database.reader, parts.vault, value) is None
    rows = {name: count(parts, name) for name in FROM_OUTSIDE}
    return Picture(sorted(seen), rows, {number: case(parts, number) for number in case_numbers})


def count(parts: Parts, table: str) -> int:
    row = parts.database.reader.one(f"SELECT COUNT(*) AS n FROM {table}")
    return int(row["n"]) if row else 0


def case(parts: Parts, number: str) -> tuple[Any, ...] | None:
    """(status, amendment, issuance, [(number, version, state)]) as `GET /cases/{number}` answers, or None."""
    try:
        found = parts.cases.live(c.caller(CLIENT), number).reply
    except Refusal as refusal:
        if refusal.code != "case.not_found":
            raise
        return None
    granted = [(item["number"], item["version"], item["state"]) for item in found["certificates"]]
    return found["status"], found["amendment"], found["issuance"], granted


def reserved(parts: Parts, number: str) -> list[str] | None:
    """The identifiers reserved by a case's open intent; None if it has none."""
    intent = intents.open_intent(parts.database.reader, parts.vault, SOURCE, number)
    return None if intent is None else [planned.identifier for planned in intent.planned]


def party(parts: Parts, who: c.Person) -> int | None:
    return parties.find(parts.database.reader, parts.vault, Person("", who[0], who[1]))


class Later(c.SetClock):
    """A clock that is ahead, so that every intent is due."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = timedelta(minutes=5)

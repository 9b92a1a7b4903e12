"""What has happened to a certificate, as decided: one row an act, append-only; standing is only its cache."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from hub.db.database import Reader
from hub.domain.certificate import ActKind, Standing, State
from hub.domain.dates import from_int, from_micros
from hub.domain.version import Version
from hub.store.sealing import unseal
from hub.vault import Vault


@dataclass(frozen=True, slots=True)
class Mark:
    """The public part of an act: nothing in it was sealed."""

    kind: ActKind
    version: int
    standing: Standing
    subkind: str | None
    effective_on: date


@dataclass(frozen=True, slots=True)
class RecordedAct(Mark):
    """One act in full. `grounds` may hold reason, legal_basis and document_number; they may be personal."""

    revision: int
    recorded_at: datetime
    client: str
    grounds: Mapping[str, Any]


def acts_of(reader: Reader, vault: Vault, home: int, certificate: int) -> list[RecordedAct]:
    """Every act of a certificate, oldest first; empty for a certificate that does not exist."""
    rows = reader.all(
        "SELECT * FROM acts WHERE home = :home AND certificate = :certificate ORDER BY revision",
        {"home": home, "certificate": certificate},
    )
    return [
        RecordedAct(
            kind=ActKind(row["kind"]),
            version=row["version"],
            standing=Standing(row["standing"]),
            subkind=row["subkind"],
            effective_on=from_int(row["effective_on"]),
            revision=row["revision"],
            recorded_at=from_micros(row["recorded_at"]),
            client=row["client"],
            grounds=unseal(vault, "acts", (home, certificate, row["revision"]), row["sealed"]),
        )
        for row in rows
    ]


def last_mark(reader: Reader, home: int, certificate: int, kind: ActKind) -> Mark | None:
    """The newest act of one kind without its grounds: since when, and which kind of suspension or revocation."""
    row = reader.one(
        "SELECT kind, version, standing, subkind, effective_on FROM acts"
        " WHERE home = :home AND certificate = :certificate AND kind = :kind ORDER BY revision DESC LIMIT 1",
        {"home": home, "certificate": certificate, "kind": int(kind)},
    )
    if row is None:
        return None
    return Mark(
        kind=ActKind(row["kind"]),
        version=row["version"],
        standing=Standing(row["standing"]),
        subkind=row["subkind"],
        effective_on=from_int(row["effective_on"]),
    )


@dataclass(frozen=True, slots=True)
class Why:
    """What explains a state: the kind of suspension or revocation, and the day since which it holds."""

    kind: str | None = None
    since: date | None = None


def why(reader: Reader, version: Version, state: State) -> Why:
    """The kind and day that explain a version's state; both None for states that the dates alone explain."""
    if state is State.SUPERSEDED:
        return Why(since=version.dates.superseded_on)
    kind = {State.REVOKED: ActKind.REVOKED, State.SUSPENDED: ActKind.SUSPENDED}.get(state)
    mark = None if kind is None else last_mark(reader, version.home, version.certificate, kind)
    return Why() if mark is None else Why(mark.subkind, mark.effective_on)

"""The history of certificates: one append-only row per act; the stored standing is derived from it."""

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
    """The public part of an act, which is not encrypted."""

    kind: ActKind
    version: int
    standing: Standing
    subkind: str | None
    effective_on: date


@dataclass(frozen=True, slots=True)
class RecordedAct(Mark):
    """One complete act. `grounds` may contain reason, legal_basis and document_number, which may be personal."""

    revision: int
    recorded_at: datetime
    client: str
    grounds: Mapping[str, Any]


def acts_of(reader: Reader, vault: Vault, home: int, certificate: int) -> list[RecordedAct]:
    """All acts of a certificate, oldest first; empty for a certificate that does not exist."""
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
    """The newest act of one kind, without its grounds: its day and the kind of suspension or revocation."""
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
    """The reason for a state: the kind of suspension or revocation, and the day since which it applies."""

    kind: str | None = None
    since: date | None = None


def why(reader: Reader, version: Version, state: State) -> Why:
    """The kind and day that explain a version's state; both None for states that follow from dates only."""
    if state is State.SUPERSEDED:
        return Why(since=version.dates.superseded_on)
    kind = {State.REVOKED: ActKind.REVOKED, State.SUSPENDED: ActKind.SUSPENDED}.get(state)
    mark = None if kind is None else last_mark(reader, version.home, version.certificate, kind)
    return Why() if mark is None else Why(mark.subkind, mark.effective_on)

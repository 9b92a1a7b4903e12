"""Set who may take a matter in where a catalogue from before this rule does not say it.

The authorities that took a matter's cases in lately keep the right to it, until a person confirms or narrows it with
`hub catalogue load`. `hub migrate` lists what was set.
"""

from dataclasses import dataclass
from datetime import timedelta

from hub.db.database import Database
from hub.domain.catalogue import OWN, Matter
from hub.runtime.clock import Clock
from hub.store import cases, catalogue
from hub.store.cases import TakenIn

LOOKED_BACK = timedelta(days=180)


@dataclass(frozen=True, slots=True)
class IntakeSet:
    """A matter whose `intake` was set, and what each other authority took in: most cases first."""

    matter: Matter
    taken_in: tuple[TakenIn, ...]


def set_intake(database: Database, clock: Clock) -> list[IntakeSet]:
    """Set `intake` of every stored matter that has none; returns what was set. Does nothing the second time."""
    without = catalogue.matters_without_intake(database.reader)
    if not without:
        return []
    found: dict[str, list[TakenIn]] = {matter.code: [] for matter in without}
    for taken in cases.taken_in_since(database.reader, clock.now() - LOOKED_BACK):
        if taken.matter in found:
            found[taken.matter].append(taken)
    done = [IntakeSet(matter, tuple(found[matter.code])) for matter in without]
    with database.write(exclusive=True) as writer:
        for one in done:
            codes = tuple(taken.accepted_by for taken in one.taken_in)
            catalogue.set_intake(writer, one.matter.code, codes or OWN)
    return done

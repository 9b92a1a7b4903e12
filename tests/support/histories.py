"""Certificates with generated histories, written by the store itself without signatures: many, and fast."""

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from hub.domain.case import Person
from hub.domain.certificate import ActKind, Standing, may_transition
from hub.domain.issuing import Planned, Signed
from hub.domain.version import Version
from hub.parts import Parts
from hub.store import certificates, changes
from hub.store.changes import Act, Change
from hub.store.ids import new_party

TYPES = ("11100000MB0143028R001", "11350000MB9G00271G001", "11100000MB03271699001")
AUTHORITIES = ("11350100MB9A10175L", "11350102MB9B201394")
CLIENT = "fz-market-regulation"


@dataclass
class Someone:
    """A holder: a natural person, or an organisation with a searchable name."""

    person: Person
    party: int


def people(rng: random.Random, count: int) -> list[Someone]:
    """Half of them are organisations. Their numbers are not valid: the directory only knows parties."""
    found = []
    for n in range(count):
        name = f"{rng.choice(('闽江', '榕荫', '鼓山', '星海'))}{rng.choice(('餐饮', '置业', '医药'))}{n}号有限公司"
        person = Person(name, "001", f"B{n}") if n % 2 else Person(f"游若{chr(0x4E00 + n % 5000)}", "111", f"P{n}")
        found.append(Someone(person, new_party()))
    return found


@dataclass
class Life:
    """One certificate's history; `step` performs a random permitted act and records its rows."""

    parts: Parts
    rng: random.Random
    people: list[Someone]
    key: tuple[int, int] = (0, 0)
    types: tuple[str, ...] = TYPES
    credential: str = "c"
    acts: list[ActKind] = field(default_factory=list)

    def issue(self, today: date) -> Change:
        planned = self._planned(today, 1, today - timedelta(days=self.rng.randrange(900)))
        self.key = (planned.home, planned.certificate)
        act = self._act(ActKind.ISSUED, Standing.ACTIVE, planned.valid_from)
        return self._done(
            ActKind.ISSUED,
            changes.first_version(
                self.parts.vault, self.parts.ids, Signed(planned, self.credential, "d"), act, "S", "C"
            ),
        )

    def step(self, today: date) -> Change | None:
        """Perform the next act, or None if this certificate allows none."""
        versions = certificates.versions_of(self.parts.database.reader, self.parts.vault, *self.key)
        current = versions[-1]
        what = self.rng.choice(("correct", "renew", "renew", "suspend", "restore", "revoke", "supersede"))
        if what in {"correct", "renew"} and may_transition(current.standing, Standing.SUPERSEDED, current.dates, today):
            return self._next(current, today, what)
        if what == "suspend" and may_transition(current.standing, Standing.SUSPENDED, current.dates, today):
            return self._move(current, ActKind.SUSPENDED, Standing.SUSPENDED, today)
        if what == "restore" and current.standing is Standing.SUSPENDED:
            return self._move(current, ActKind.RESTORED, Standing.ACTIVE, today)
        if (
            self.rng.random() < 0.4
            and what == "revoke"
            and may_transition(current.standing, Standing.REVOKED, current.dates, today)
        ):
            return self._move(current, ActKind.REVOKED, Standing.REVOKED, today)
        may_end = current.dates.superseded_on is None and self.rng.random() < 0.5
        if (
            what == "supersede"
            and may_end
            and may_transition(current.standing, Standing.SUPERSEDED, current.dates, today)
        ):
            return self._move(current, ActKind.SUPERSEDED, Standing.SUPERSEDED, today, self._day_after(today))
        return None

    def _next(self, before: Version, today: date, what: str) -> Change | None:
        if what == "renew" and before.dates.superseded_on is not None:
            return None
        begins = today if what == "correct" else self._day_after(today)
        planned = self._planned(today, before.version + 1, begins, before)
        kind = ActKind.CORRECTED if what == "correct" else ActKind.RENEWED
        act = self._act(kind, Standing.ACTIVE, begins)
        signed = Signed(planned, self.credential, "d")
        return self._done(kind, changes.next_version(self.parts.vault, self.parts.ids, before, signed, act, "S", "C"))

    def _move(
        self, before: Version, kind: ActKind, standing: Standing, today: date, until: date | None = None
    ) -> Change:
        act = self._act(kind, standing, until or today)
        return self._done(kind, changes.transition(self.parts.vault, self.parts.ids, before, act, until))

    def _done(self, kind: ActKind, change: Change) -> Change:
        self.acts.append(kind)
        return change

    def _day_after(self, today: date) -> date:
        return today + timedelta(days=self.rng.choice((0, 0, 1, 3, 12)))

    def _act(self, kind: ActKind, standing: Standing, on: date) -> Act:
        return Act(kind, standing, on, datetime.now(UTC), CLIENT)

    def _planned(self, today: date, version: int, begins: date, before: Version | None = None) -> Planned:
        if before is None or self.rng.random() < 0.6:
            chosen = self.rng.choices(self.people, k=self.rng.choice((1, 1, 1, 2, 3)))
        else:
            chosen = [next(p for p in self.people if p.party == party) for party in before.parties]
        ids = self.parts.ids
        home = chosen[0].party if before is None else before.home
        number = ids.take("certificate") if before is None else before.certificate
        return Planned(
            kind=None,
            home=home,
            certificate=number,
            version=version,
            version_key=ids.take("version"),
            serial=f"{number:09d}",
            identifier=f"1.2.156.3005.2.T.A.{number:09d}.{version:03d}.X",
            code=f"{number:010d}{version:06d}",
            type_code=self.rng.choice(self.types) if before is None else before.type_code,
            authority=self.rng.choice(AUTHORITIES) if before is None else before.authority,
            edition=1,
            number=f"N{number}",
            holders=tuple(one.person for one in chosen),
            parties=tuple(one.party for one in chosen),
            fields={},
            issued_on=begins if before is None else today,
            valid_from=begins,
            valid_until=self.rng.choice((None, None, today + timedelta(days=20))),
            salt=b"s" * 16,
            kid="k",
            signing_input=b"",
            disclosures=(),
            qr_to_be_signed=b"",
            qr_protected=b"",
            qr_payload=b"",
        )

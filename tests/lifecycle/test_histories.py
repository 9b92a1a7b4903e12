"""Random histories: after any sequence of acts, the hub agrees with a simple model, and all views agree."""

import random
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date, timedelta
from typing import Any

import pytest

from hub.domain.case import Person
from hub.domain.errors import Refusal
from hub.store import certificates, parties
from tests.support.model import Case, Certificate, Version
from tests.support.town import CARD, PERMIT, TRADE, Body, Town, body, grant, person
from tests.support.views import is_everywhere

STEPS = 22
PEOPLE = [person(n, f"甲乙{n}") for n in range(200, 206)]
KINDS = {"suspend": ("withheld", "lost", "under_change", "other"), "revoke": ("penalty", "rescinded", "cancelled")}
STANDINGS = {"suspend": "suspended", "restore": "active", "revoke": "revoked"}


class History:
    """A town and a model, on which the same acts are performed."""

    def __init__(self, town: Town, seed: int) -> None:
        self.town = town
        self.dice = random.Random(seed)
        self.cases: list[Case] = []
        self.certificates: list[Certificate] = []
        self.said: list[tuple[str, Body, Body]] = []
        self.log: list[str] = []
        self.counts = {"numbers": 0, "words": 0}

    @property
    def today(self) -> date:
        return self.town.clock.today()

    def fresh(self, what: str) -> str:
        self.counts[what] += 1
        return f"{self.counts[what]}"

    def content(self, number: str, type_code: str = PERMIT, **more: Any) -> Body:
        """A grant with dates around today, before and after it."""
        start = self.today + timedelta(days=self.dice.choice((-6, -3, -1, 0, 0, 0, 1, 2, 4, 7)))
        until = self.dice.choice((None, None, start + timedelta(days=self.dice.randrange(1, 15))))
        holders = self.dice.sample(PEOPLE, self.dice.choice((1, 1, 2)))
        word = self.fresh("words")
        return grant(
            number,
            *holders,
            type_code=type_code,
            fields={"place": f"东市{word}"} if type_code == PERMIT else {"trade": word},
            issued_on=min(start, self.today).isoformat(),
            valid_from=start.isoformat(),
            valid_until=None if until is None else until.isoformat(),
            **more,
        )

    def some(self) -> tuple[Certificate, Version]:
        """A random version, current ones more often."""
        found = self.dice.choice(self.certificates)
        return found, found.current if self.dice.random() < 0.7 else self.dice.choice(found.versions)

    # --- what may happen ----------------------------------------------------------------------------------------------

    def issue(self) -> None:
        types = self.dice.choices((PERMIT, CARD), k=self.dice.choice((1, 1, 2)))
        items = [self.content(f"许{self.fresh('numbers')}", kind) for kind in types]
        case = self.new_case()
        self.push(case, items, set(), lambda _decided: [self.added(case, item) for item in items])

    def renew(self) -> None:
        certificate, named = self.some()
        case = self.new_case()
        item = self.content(certificate.number, named.pushed["type_code"], supersedes=[named.identifier])
        may = certificate.is_replaceable(named)

        def done(_decided: date) -> None:
            version = self.version(case, item)
            certificate.renewed(version, self.today)
            case.grants.append((certificate, version))

        self.push(case, [item], set() if may else {"certificate.move"}, done)

    def replace(self) -> None:
        """One or more certificates superseded by one or by several."""
        chosen = {id(found): (found, version) for found, version in (self.some() for _ in range(3))}
        olds = list(chosen.values())[: self.dice.choice((1, 2, 3))]
        names = [version.identifier for _, version in olds]
        case = self.new_case()
        items = [
            self.content(f"许{self.fresh('numbers')}", supersedes=names) for _ in range(self.dice.choice((1, 1, 2)))
        ]
        may = all(found.is_replaceable(version) for found, version in olds)
        begins = min(date.fromisoformat(item["valid_from"]) for item in items)

        def done(_decided: date) -> None:
            for item in items:
                self.added(case, item)
            for found, _ in olds:
                found.replaced(begins, self.today)

        self.push(case, items, set() if may else {"certificate.move"}, done)

    def amend(self) -> None:
        """Of a case's certificates, some are changed, some repeated, some with what they supersede; one may be new."""
        case = self.dice.choice(self.cases)
        items: list[Body] = []
        problems, changed = set(), []
        for certificate, version in case.grants:
            item = version.pushed
            if self.dice.random() < 0.5:
                item = self.content(certificate.number, item["type_code"])
                changed.append(len(items))
                if version is not certificate.current:
                    problems.add("case.conflict")
                elif not certificate.is_replaceable(version):
                    problems.add("certificate.move")
            names = case.names.get(certificate.number, []) if self.dice.random() < 0.7 else []
            items.append({**item, "supersedes": names})
        new = self.content(f"许{self.fresh('numbers')}") if self.dice.random() < 0.3 else None
        moved = self.ends_moved(case, items)

        def done(decided: date) -> None:
            for place in changed:
                certificate, _ = case.grants[place]
                version = self.version(case, items[place])
                certificate.corrected(version, decided, self.today)
                case.grants[place] = (certificate, version)
            for certificate, on in moved:
                certificate.replaced(on, self.today)
            if new is not None:
                self.added(case, new)

        self.push(case, items if new is None else [*items, new], problems, done, case.amendment + 1)

    def ends_moved(self, case: Case, items: list[Body]) -> list[tuple[Certificate, date]]:
        """The certificates that the case will supersede, now on another day."""
        begins: dict[str, date] = {}
        for item in items:
            for name in item["supersedes"]:
                day = date.fromisoformat(item["valid_from"])
                begins[name] = min(day, begins.get(name, day))
        mine = [certificate for certificate, _ in case.grants]
        found = []
        for name, on in begins.items():
            certificate, version = self.named(name)
            waits = version.end is not None and version.end > self.today and version.standing != "revoked"
            if all(certificate is not other for other in mine) and waits and version.end != on:
                found.append((certificate, on))
        return found

    def act(self) -> None:
        act = self.dice.choice(("suspend", "suspend", "restore", "restore", "revoke"))
        certificate, version = self.some()
        more = {"kind": self.dice.choice(KINDS[act])} if act in KINDS else {}
        more["reason"] = f"事由{self.fresh('words')}"
        may = certificate.may(act, version, self.today)
        self.log.append(f"{self.today} {act} {certificate.number} v{certificate.versions.index(version) + 1} {may}")
        moved = answer(self.town.move, act, version.identifier, **more)
        if not may or isinstance(moved, str):
            assert (moved, may) == ("certificate.move", False), self.log
            return
        certificate.stand(STANDINGS[act])
        if act in KINDS:
            certificate.kinds[STANDINGS[act]] = more["kind"]
        assert moved.state == version.state(self.today)
        assert self.town.move(act, version.identifier, **more) == moved

    def days_pass(self) -> None:
        self.town.clock.pass_days(self.dice.choice((1, 1, 2, 5)))

    def say_again(self) -> None:
        case, content, reply = self.dice.choice(self.said)
        again = self.town.push(case, content)
        assert (again.status, again.reply) == (200, reply)

    # --- how it happens -----------------------------------------------------------------------------------------------

    def new_case(self) -> Case:
        return Case(f"H-{self.fresh('words')}")

    def push(
        self, case: Case, items: list[Body], problems: set[str], done: Callable[[date], Any], amendment: int = 0
    ) -> None:
        """Push, with or without a signer; `done` updates the model when it is published."""
        content, decided = body(*items, amendment=amendment), self.today
        self.log.append(f"{decided} {case.number}#{amendment} {problems} {[shown(item) for item in items]}")
        with self.town.without_signer() if self.dice.random() < 0.25 else nullcontext():
            pushed = answer(self.town.push, case.number, content)
        if problems or isinstance(pushed, str):
            assert pushed in problems, (pushed, self.log)
            return
        if pushed.status == 202:
            self.meanwhile()
            assert self.town.parts.issuance.finish(TRADE, case.number)
            pushed = self.town.push(case.number, content)
        if not amendment:
            self.cases.append(case)
            case.names = {item["number"]: item["supersedes"] for item in items if item.get("supersedes")}
        case.amendment = amendment
        done(decided)
        told = pushed.reply["certificates"]
        assert len(told) == len(case.grants)
        for item, (certificate, version) in zip(told, case.grants, strict=True):
            version.identifier = version.identifier or item["identifier"]
            assert (item["identifier"], item["number"]) == (version.identifier, certificate.number), self.log
            assert item["version"] == certificate.versions.index(version) + 1
        self.said.append((case.number, content, pushed.reply))

    def meanwhile(self) -> None:
        """Nothing has changed yet, and something else changes."""
        self.compare()
        for _ in range(self.dice.randrange(3)):
            if self.certificates and self.dice.random() < 0.6:
                self.act()
            else:
                self.days_pass()
        self.compare()

    def version(self, case: Case, item: Body) -> Version:
        return Version({name: value for name, value in item.items() if name != "supersedes"}, case=case.number)

    def added(self, case: Case, item: Body) -> None:
        found = Certificate([self.version(case, item)])
        self.certificates.append(found)
        case.grants.append((found, found.current))

    def named(self, identifier: str) -> tuple[Certificate, Version]:
        return next((c, v) for c in self.certificates for v in c.versions if v.identifier == identifier)

    # --- whether it is so ---------------------------------------------------------------------------------------------

    def compare(self) -> None:
        for certificate in self.certificates:
            first = self.town.version(certificate.versions[0].identifier)
            records = self.town.versions(first)
            assert [record.identifier for record in records] == [v.identifier for v in certificate.versions], self.log
            states = [version.state(self.today) for version in certificate.versions]
            assert [record.state(self.today).value for record in records] == states, (certificate.number, self.log)
            assert not self.overlapping(certificate), (certificate.number, self.overlapping(certificate), self.log)

    def overlapping(self, certificate: Certificate) -> list[date]:
        """The days from today on which more than one version would be in force, ignoring suspensions."""
        days = [self.today + timedelta(days=n) for n in range(20)]
        in_force = [
            sum(v.start <= day and v.state(day) in {"valid", "suspended"} for v in certificate.versions) for day in days
        ]
        return [day for day, count in zip(days, in_force, strict=True) if count > 1]

    def compare_all(self) -> None:
        """Every view, every case, every holder."""
        self.compare()
        assert self.town.agrees()
        for certificate in self.certificates:
            for version in certificate.versions:
                state = version.state(self.today)
                record = self.town.version(version.identifier)
                assert record.case_number == version.case
                assert is_everywhere(self.town, record, state, certificate.kinds.get(state))
        for case in self.cases:
            live = self.town.live(case.number)
            assert (live["issuance"], live["amendment"]) == ("done", case.amendment)
            expected = [(version.identifier, version.state(self.today)) for _, version in case.grants]
            assert [(item["identifier"], item["state"]) for item in live["certificates"]] == expected
        for who in PEOPLE:
            assert self.held(who) == self.should_hold(who), self.log

    def held(self, who: Body) -> set[str]:
        reader, vault = self.town.parts.database.reader, self.town.parts.vault
        party = parties.find(reader, vault, Person(who["name"], who["id_type"], who["id_number"]))
        if party is None:
            return set()
        found = certificates.of_party(reader, vault, party, (PERMIT, CARD), self.today)
        return {record.identifier for record in found}

    def should_hold(self, who: Body) -> set[str]:
        return {
            version.identifier
            for certificate in self.certificates
            for version in certificate.open_versions(self.today)
            if who in version.pushed["holders"]
        }

    def run(self) -> None:
        self.issue()
        self.issue()
        deeds = [self.issue, self.renew, self.replace, self.amend, self.act, self.days_pass, self.say_again]
        for _ in range(STEPS):
            self.dice.choices(deeds, (1, 3, 2, 4, 4, 2, 1))[0]()
            self.compare()
        self.compare_all()
        for days in (1, 3, 10):
            self.town.clock.pass_days(days)
            self.compare()
        self.compare_all()
        for case, content, reply in self.said:
            assert self.town.push(case, content).reply == reply


def answer(call: Callable[..., Any], *args: Any, **more: Any) -> Any:
    """The result of a call, or the code of its refusal."""
    try:
        return call(*args, **more)
    except Refusal as refusal:
        return refusal.code


def shown(item: Body) -> tuple[str, ...]:
    names = [name[-8:] for name in item.get("supersedes", [])]
    return item["number"], item["valid_from"], str(item["valid_until"]), *names


@pytest.mark.parametrize("seed", range(8))
def test_the_hub_says_what_the_model_says(town: Town, seed: int) -> None:
    History(town, seed).run()

"""Random requests of counters, departments and the public; each service call is complete, its audit entry included.

Calls services directly rather than over HTTP, one after another: the same request is compared in a small and a large
city, and a constant cost around it would only hide its growth.
"""

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hub.counter.lookup_body import LookupBody
from hub.directory import DirectoryQuery
from hub.domain.caller import Caller
from hub.domain.case import Person
from hub.parts import Parts
from tests.benchmarks.scale import names, plausible
from tests.benchmarks.scale.city import KINDS, PLATFORM, REGIONS, SUBSIDY, WEIGHTS
from tests.benchmarks.scale.plausible import Stage

CLERK = {"id": "S1", "name": "计时"}
CALLER = Caller(
    "scale",
    PLATFORM,
    PLATFORM,
    scopes=frozenset({"cases:write", "certificates:lookup", "directory:search", "certificates:manage"}),
)
_A_CASE = 20
_WARM = 20


@dataclass(frozen=True, slots=True)
class Times:
    """How long one kind of request took, in milliseconds."""

    p50: float
    p99: float


def ask(parts: Parts, seed: int, stages: Sequence[Stage], codes: Sequence[str], count: int) -> dict[str, Times]:
    """Lookups, directory searches and verifications, `count` of each, with different people, words and codes."""
    rng = random.Random(f"{seed}|{len(stages)}|asking")
    lookups = _lookups(parts, rng, _people(rng, seed, stages, count + _WARM))
    wanted = [_wanted(rng, seed, stages) for _ in range(count + _WARM)]
    asked = rng.sample(list(codes), min(len(codes), count + _WARM))
    return {
        "lookup": _timed(lookups),
        "directory search": _timed(lambda one=one: parts.directory.search(CALLER, one) for one in wanted),
        "verification": _timed(lambda one=one: parts.verification.verify_code(one) for one in asked),
    }


def _timed(questions: Iterator[Callable[[], object]]) -> Times:
    taken = []
    for question in questions:
        begun = time.perf_counter()
        question()
        taken.append((time.perf_counter() - begun) * 1000)
    ordered = sorted(taken[_WARM:])
    return Times(ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)])


def _people(rng: random.Random, seed: int, stages: Sequence[Stage], count: int) -> list[Person]:
    """People of every stage, as many of each as there are; repeated if there are too few."""
    total = sum(stage.count for stage in stages)
    found: list[Person] = []
    for stage in stages:
        share = count - len(found) if stage is stages[-1] else count * stage.count // total
        people: list[Person] = []
        for part in rng.sample(range(plausible.PARTS), plausible.PARTS):
            if len(people) < share:
                people += [p for p, _ in plausible.holders(seed, stage, part) if p.id_type == "111"]
        found += rng.sample(people * (share // len(people) + 1), share)
    rng.shuffle(found)
    return found


def _lookups(parts: Parts, rng: random.Random, people: Sequence[Person]) -> Iterator[Callable[[], object]]:
    """One for each, in cases opened in advance for twenty people at a time."""
    bodies = []
    for place in range(0, len(people), _A_CASE):
        some = people[place : place + _A_CASE]
        case_number = f"查-{rng.randrange(10**12):012d}"
        applicants = [{"name": one.name, "id_type": one.id_type, "id_number": one.id_number} for one in some]
        accepted_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
        body = {"matter_code": SUBSIDY, "status": "accepted", "applicants": applicants, "accepted_at": accepted_at}
        parts.cases.push(CALLER, case_number, json.dumps(body).encode())
        for one in some:
            holder = {"id_type": one.id_type, "id_number": one.id_number}
            bodies.append(LookupBody.model_validate({"case_number": case_number, "clerk": CLERK, "holder": holder}))
    return (lambda one=one: parts.lookup.look_up(CALLER, one) for one in bodies)


def _wanted(rng: random.Random, seed: int, stages: Sequence[Stage]) -> DirectoryQuery:
    """Mostly words of a name, with a type, a region or a state; or the number of one organisation."""
    drawn = rng.random()
    text = rng.choice((names.brand(rng), names.brand(rng) + rng.choice(names.TRADES)[:2], rng.choice(names.TRADES)))
    kind = rng.choice([kind for kind in KINDS if kind.for_bodies])
    region = rng.choices(tuple(REGIONS), WEIGHTS)[0]
    if drawn < 0.5:
        return DirectoryQuery(text=text, limit=20)
    if drawn < 0.65:
        return DirectoryQuery(text=text, region=region, limit=20)
    if drawn < 0.8:
        return DirectoryQuery(text=rng.choice(names.TRADES), type_code=kind.code, limit=20)
    if drawn < 0.9:
        return DirectoryQuery(type_code=kind.code, region=region, state="valid", limit=20)
    stage = rng.choice(stages)
    bodies = _bodies(seed, stage)
    return DirectoryQuery(uscc=rng.choice(bodies), limit=20)


def _bodies(seed: int, stage: Stage) -> list[str]:
    """The numbers of some organisations."""
    key = (seed, stage.number, stage.count)
    for part in range(plausible.PARTS):
        if not _KNOWN.get(key):
            _KNOWN[key] = [p.id_number for p, _ in plausible.holders(seed, stage, part) if p.id_type == "001"]
    return _KNOWN[key]


_KNOWN: dict[tuple[int, int, int], list[str]] = {}

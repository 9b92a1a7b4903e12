"""Plausible certificates, the same for the same seed, in whatever process and order they are generated.

A city grows in stages. Every stage has its own holders, most with a few certificates and a few with hundreds, scattered
over the stage; so people hold as many in a small city as in a large one, and only the city grows. A stage is generated
in PARTS, so that processes can share the work without ever sharing a holder.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum

from hub.domain.case import Person, PushedCertificate
from hub.domain.values import Value
from tests.benchmarks.scale import names
from tests.benchmarks.scale.city import AUTHORITIES, OF_BODIES, OF_PEOPLE, REGIONS, Kind

PARTS = 8
_BLOCK = 400_000
_TODAY = date(2026, 11, 1)
_OF_PEOPLE, _OF_BODIES = [k.weight for k in OF_PEOPLE], [k.weight for k in OF_BODIES]
_MANY = {
    False: (range(1, 13), [n**-1.1 for n in range(1, 13)]),
    True: (range(1, 301), [n**-1.7 for n in range(1, 301)]),
}
_BODIES = 0.12
"""Share of the holders; they hold about a quarter of the certificates."""


class Fate(Enum):
    """What happens to a certificate after it was issued."""

    NONE = "none"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    RENEWED = "renewed"


_FATES = (tuple(Fate), (958, 8, 14, 20))


@dataclass(frozen=True, slots=True)
class Stage:
    """`count` certificates in addition to those of earlier stages."""

    number: int
    count: int

    def share(self, part: int) -> int:
        """How many of them one part has."""
        return self.count // PARTS + (part < self.count % PARTS)


@dataclass(frozen=True, slots=True)
class Plausible:
    """One certificate as its authority would push it, with its case number and its fate."""

    authority: str
    case_number: str
    pushed: PushedCertificate
    fate: Fate


def stages(count: int) -> list[Stage]:
    """Sizes from 10,000 by powers of ten up to `count`; a small city gets a quarter and the rest."""
    sizes = [size for size in (10_000, 100_000, 1_000_000, 10_000_000) if size < count] or [count // 4]
    sizes.append(count)
    return [Stage(n, size - before) for n, (before, size) in enumerate(zip([0, *sizes], sizes, strict=False))]


def holders(seed: int, stage: Stage, part: int) -> list[tuple[Person, int]]:
    """All holders of a part, and how many certificates each has."""
    rng = random.Random(f"{seed}|{stage.number}|{part}|holders")
    first, left = (stage.number * PARTS + part) * _BLOCK, stage.share(part)
    found: list[tuple[Person, int]] = []
    while left > 0:
        is_body = rng.random() < _BODIES
        numbers, weights = _MANY[is_body]
        many = min(left, rng.choices(numbers, weights)[0])
        number = first + len(found)
        found.append((names.body(number, rng) if is_body else names.person(number, rng), many))
        left -= many
    return found


def certificates(seed: int, stage: Stage, part: int) -> Iterator[Plausible]:
    """The certificates of a part, in loading order."""
    rng = random.Random(f"{seed}|{stage.number}|{part}|certificates")
    everybody = holders(seed, stage, part)
    people = [person for person, _ in everybody if person.id_type == "111"]
    order = [place for place, (_, many) in enumerate(everybody) for _ in range(many)]
    rng.shuffle(order)
    own: set[tuple[str, str]] = set()
    for n, place in enumerate(order):
        serial = (stage.number * PARTS + part) * 10_000_000 + n
        yield _certificate(rng, everybody[place][0], people, own, serial)


def _certificate(
    rng: random.Random, holder: Person, people: list[Person], own: set[tuple[str, str]], serial: int
) -> Plausible:
    kind = _kind(rng, holder, own)
    region = names.region(rng)
    issued = _TODAY - timedelta(days=int(rng.random() ** 2 * 3650))
    until = None if kind.years == 0 else issued.replace(day=min(issued.day, 28), year=issued.year + kind.years)
    with_whom = (
        (rng.choice(people),) if people and kind.name in {"结婚证", "不动产权证书"} and rng.random() < 0.5 else ()
    )
    pushed = PushedCertificate(
        type_code=kind.code,
        edition=1,
        number=holder.id_number if kind.has_own_number else f"榕{kind.name[:2]}字〔{issued.year}〕第{serial:09d}号",
        holders=(holder, *(other for other in with_whom if other.id_number != holder.id_number)),
        fields=_fields(rng, kind, holder, issued, region),
        issued_on=issued,
        valid_from=issued,
        valid_until=until,
    )
    fate = rng.choices(*_FATES)[0]
    return Plausible(AUTHORITIES[region, kind.department], f"规模-{serial:09d}", pushed, fate)


def _kind(rng: random.Random, holder: Person, own: set[tuple[str, str]]) -> Kind:
    """A type for this holder; for types that bear the holder's own number, at most one certificate each."""
    if holder.id_type == "001":
        return rng.choices(OF_BODIES, _OF_BODIES)[0]
    while True:
        kind = rng.choices(OF_PEOPLE, _OF_PEOPLE)[0]
        if not kind.has_own_number:
            return kind
        if (holder.id_number, kind.code) not in own:
            own.add((holder.id_number, kind.code))
            return kind


def _fields(rng: random.Random, kind: Kind, holder: Person, issued: date, region: str) -> Mapping[str, Value]:
    day, place = issued.isoformat(), REGIONS[region]
    if kind.form == "identity":
        born = f"{holder.id_number[6:10]}-{holder.id_number[10:12]}-{holder.id_number[12:14]}"
        sex = "1" if int(holder.id_number[16]) % 2 else "2"
        return {"sex": sex, "birth_date": born, "address": names.address(rng), "organ": place}
    if kind.form == "qualification":
        grade = rng.choice(("初级", "中级", "副高级", "正高级", "一级", "二级"))
        return {
            "speciality": rng.choice(names.TRADES),
            "grade": grade,
            "hours": rng.randrange(8, 400),
            "approved_on": day,
        }
    if kind.form == "proof":
        purpose = rng.choice(("办理从业资格", "入学", "购房", "出国", "落户", "贷款", "应聘"))
        conclusion = f"经查询,申请人在上述期间的情况属实。本证明仅用于{purpose},自出具之日起使用。"
        return {"purpose": purpose, "period_from": "2001-01-01", "period_to": day, "conclusion": conclusion}
    if kind.form == "property":
        area = f"{rng.randrange(20, 400)}.{rng.randrange(100):02d}"
        rest = {"right": "国有建设用地使用权/房屋所有权", "use": "住宅", "area": area, "term": "70 年"}
        return {"location": names.address(rng), **rest}
    who = "".join(rng.choices("陈林黄郑王张李吴", k=1)) + "负责"
    if kind.form == "permit":
        items = "、".join(rng.sample(names.TRADES, rng.randrange(1, 6)))
        return {"representative": who, "premises": names.address(rng), "items": items, "organ": place}
    scope = ";".join(
        f"{trade}(依法须经批准的项目,经相关部门批准后方可开展经营活动)"
        for trade in rng.sample(names.TRADES, rng.randrange(1, 9))
    )
    rest = {"capital": f"{rng.randrange(1, 500)}0 万元人民币", "established_on": day, "scope": scope}
    return {"entity_type": "有限责任公司", "representative": who, "address": names.address(rng), **rest}

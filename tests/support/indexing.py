"""Generated entries and queries for the directory engines: the same on every run."""

import random

from indexer.entry import FOREVER, Entry
from indexer.query import STATES, Search

TODAY = 20261124
NAMES = (
    "福州海湾里置业有限公司",
    "福州闽屿餐饮管理有限公司",
    "海湾里幼儿园",
    "郑𤩽商行",
    "星光KTV城",
    "鼓楼区七洲小吃店",
)
TITLES = ("营业执照", "食品经营许可证", "不动产权证书")


def entry(n: int, rng: random.Random) -> Entry:
    personal = rng.random() < 0.3
    begins = rng.choice((20150101, 20201231, TODAY, 20261201))
    return Entry(
        party=rng.randrange(1, 40),
        home=1,
        certificate=n,
        revision=1,
        primary=rng.random() < 0.9,
        ended=rng.random() < 0.05,
        identifier=f"1.2.156.3005.2.{n}",
        type_code=f"T{rng.randrange(3)}",
        authority=f"A{rng.randrange(3)}",
        region=rng.choice(("350100", "350102", "350110", "350181")),
        standing=rng.choice((1, 1, 1, 2, 3, 4)),
        issued_on=rng.randrange(2010, 2026) * 10000 + 615,
        valid_from=begins,
        valid_until=rng.choice((FOREVER, 20251231, TODAY, 20301231)),
        superseded_on=rng.choice((FOREVER, FOREVER, 20220101, TODAY, 20270101)),
        organisation="" if personal else rng.choice(NAMES),
        title=rng.choice(TITLES),
        personal=personal,
    )


def searches(rng: random.Random) -> Search:
    maybe = lambda *values: rng.choice(("", "", *values))  # noqa: E731
    return Search(
        today=TODAY,
        text=maybe("海湾", "福州", "有限公司", "ktv", "郑𤩽", "小吃店 营业", "执照", "没有这个"),
        type_code=maybe("T0", "T1"),
        authority=maybe("A0", "A2"),
        region=maybe("350100", "350102", "350110"),
        state=maybe(*STATES),
        party=rng.choice((None, None, None, 7)),
        issued_from=rng.choice((None, 20180101)),
        issued_to=rng.choice((None, 20230101)),
        persons_of=frozenset(rng.sample(("A0", "A1", "A2"), rng.randrange(3))),
        limit=rng.choice((3, 17, 50)),
    )

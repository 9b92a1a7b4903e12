"""Both engines, filled with the same entries, return the same identifiers and counts for the same queries."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from indexer.engine import DirectoryEngine
from indexer.entry import FOREVER, NO_DAY, Entry
from indexer.query import STATES, Search
from tests.support import directories

TODAY = 20261124
ENTRIES = 20_000
QUERIES = 2_000
REGIONS = ("350000", "350100", "350102", "350103", "350104", "350105", "350111", "350112", "350121", "350128", "")
PLACES = [
    "福州",
    "闽侯",
    "连江",
    "罗源",
    "永泰",
    "平潭",
    "鼓楼",
    "台江",
    "仓山",
    "晋安",
    "马尾",
    "长乐",
    "福清",
    "海湾",
    "榕城",
    "乌山",
    "西湖",
    "白马",
]
WORDS = [
    "闽屿",
    "星光",
    "七洲",
    "KTV",
    "郑𤩽",
    "源丰",
    "海天",
    "宏远",
    "ABC",
    "金山",
    "三坊七巷",
    "ⅻ",
    "一",
    "二手",
    "云·上",
    "(中国)",
    "旺",
    "𠮷祥",
]
KINDS = [
    "餐饮管理有限公司",
    "幼儿园",
    "商行",
    "小吃店",
    "置业有限公司",
    "合作社",
    "大药房",
    "网吧",
    "医院",
    "贸易股份有限公司",
    "工作室",
]
TITLES = [
    "营业执照",
    "食品经营许可证",
    "不动产权证书",
    "出生医学证明",
    "道路运输经营许可证",
    "网络文化经营许可证",
    "批文",
    "证明",
    "A类许可",
]


def made(n: int, rng: random.Random) -> Entry:
    personal = rng.random() < 0.3
    day = lambda: rng.randrange(2005, 2027) * 10000 + rng.randrange(1, 13) * 100 + rng.randrange(1, 29)  # noqa: E731
    name = rng.choice(PLACES) + rng.choice(WORDS) + rng.choice(WORDS + PLACES) + rng.choice(KINDS)
    primary = rng.random() < 0.92
    ended = rng.random() < 0.03
    return Entry(
        party=rng.getrandbits(63) if rng.random() < 0.5 else rng.randrange(1, 300),
        home=rng.getrandbits(63),
        certificate=1_000_000 + n,
        revision=rng.randrange(1, 9),
        primary=primary and not ended,
        ended=ended,
        identifier=f"1.2.156.3005.2.{n}",
        type_code=f"T{int(rng.paretovariate(0.7)) % 40}",
        authority=f"A{rng.randrange(60)}",
        region=rng.choice(REGIONS),
        standing=rng.choice((1, 1, 1, 1, 1, 2, 3, 4)),
        issued_on=day(),
        valid_from=rng.choice((day(), TODAY, 20270101)),
        valid_until=rng.choice((FOREVER, FOREVER, day(), TODAY, 20301231)),
        superseded_on=day() if ended else rng.choice((FOREVER, FOREVER, FOREVER, FOREVER, day(), TODAY, NO_DAY)),
        organisation="" if personal else name if rng.random() < 0.95 else f"{name} {rng.choice(PLACES)}商行",
        title=rng.choice(TITLES),
        personal=personal,
    )


def asked(rng: random.Random, entries: list[Entry]) -> Search:
    """Half of the query texts are parts of stored texts."""
    one = rng.choice(entries)
    maybe = lambda *values: rng.choice(("", "", "", *values))  # noqa: E731
    start = rng.randrange(max(1, len(one.text) - 1))
    piece = one.text[start : start + rng.randrange(2, 9)]
    orders = rng.choice((None, None, one.order))
    return Search(
        today=rng.choice((TODAY, TODAY, 20200229, 20270101)),
        text=rng.choice(("", piece, piece, rng.choice(PLACES), rng.choice(WORDS) + rng.choice(KINDS))),
        type_code=maybe(one.type_code, "T1"),
        authority=maybe(one.authority),
        region=maybe("35", "350100", "3501", "350102", "350128", "36"),
        state=maybe(*STATES),
        party=rng.choice((None, None, None, one.party, rng.randrange(1, 300))),
        issued_from=rng.choice((None, None, 20150101, one.issued_on)),
        issued_to=rng.choice((None, None, 20230630, one.issued_on)),
        persons_of=frozenset(f"A{rng.randrange(60)}" for _ in range(rng.choice((0, 1, 40)))),
        before=orders,
        limit=rng.choice((1, 10, 50, 200)),
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Entry], list[tuple[DirectoryEngine, str]]]]:
    rng = random.Random(20261124)
    entries = [made(n, rng) for n in range(ENTRIES)]
    stale = [e._replace(revision=e.revision - 1, standing=3, title="旧") for e in rng.sample(entries, 500)]
    folder = tmp_path_factory.mktemp("same")
    with (
        directories.opened(directories.EMBEDDED, folder / "a") as embedded,
        directories.opened(directories.ELASTIC, folder / "b") as elastic,
    ):
        filled = []
        for directory in (embedded, elastic):
            name = directory.create()
            for start in range(0, ENTRIES, 5_000):
                directory.write(name, entries[start : start + 5_000])
            directory.swap(name)
            assert directory.write(name, stale) == 0
            filled.append((directory, name))
        yield entries, filled


def test_the_same_identifiers_for_generated_queries(both) -> None:
    entries, engines = both
    rng = random.Random(1124)
    queries = [asked(rng, entries) for _ in range(QUERIES)]
    answers = []
    for directory, name in engines:
        with ThreadPoolExecutor(2) as pool:
            answers.append(list(pool.map(lambda query, d=directory, n=name: d.search(n, query), queries)))
    for query, one, other in zip(queries, *answers, strict=True):
        assert [e.identifier for e in one.entries] == [e.identifier for e in other.entries], query
        assert (one.next, one.sampled) == (other.next, other.sampled), query
        assert {k: dict(v) for k, v in one.facets.items()} == {k: dict(v) for k, v in other.facets.items()}, query
        assert one.entries == other.entries
    assert sum(bool(page.entries) for page in answers[0]) > QUERIES / 3
    assert sum(page.sampled for page in answers[0]) > 50


def test_the_same_holdings_and_the_same_walk(both) -> None:
    entries, ((embedded, a), (elastic, b)) = both
    rng = random.Random(24)
    for _ in range(200):
        party = rng.choice((rng.choice(entries).party, rng.randrange(1, 300)))
        types = [f"T{n}" for n in rng.sample(range(40), rng.randrange(0, 12))]
        one, other = (d.of_party(n, party, types, TODAY) for d, n in ((embedded, a), (elastic, b)))
        assert sorted(one, key=lambda e: e.key) == sorted(other, key=lambda e: e.key)
    assert embedded.count(a) == elastic.count(b) == ENTRIES
    place = (-1, -1, -1)
    while entries := embedded.walk(a, place, 3_000):
        assert entries == elastic.walk(b, place, 3_000)
        place = entries[-1].key
    assert elastic.walk(b, place, 3_000) == []

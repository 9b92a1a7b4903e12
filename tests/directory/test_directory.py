"""The directory of the sample city: fed, searched, compared, rebuilt, broken; lookups never depend on it."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.access.assertion import sign_assertion
from hub.app import create_app
from hub.directory import DirectoryQuery, Kind, SearchResult, search
from hub.directory.engines import index_folder
from hub.domain import numbers
from hub.ops.check import check
from hub.parts import Parts
from hub.store import ledger
from indexer.engine import DirectoryEngine
from indexer.entry import Entry
from indexer.errors import DirectoryUnavailable
from tests.support import city as c
from tests.support import directories, engines
from tests.support.city import City, open_copy
from tests.support.serving import served

SEARCHER = "fz-market-regulation"
CASE = ("fz-tobacco-counter", "榕烟许〔2026〕0182", "FZYC0107", c.LIN)


@pytest.fixture
def city(template: Path, tmp_path: Path, engine: str) -> Iterator[City]:
    """Both embedded engines, or both servers."""
    index = directories.EMBEDDED if engine == engines.SQLITE else directories.ELASTIC
    with directories.settings_of(index) as more, open_copy(template, tmp_path / "data", **more) as found:
        directories.begin(found.parts)
        yield found


@pytest.fixture
def fed(city: City) -> City:
    settle(city.parts)
    return city


def settle(parts: Parts) -> None:
    while parts.directory.sequence() + parts.directory.feed():
        pass


def engine(city: City) -> DirectoryEngine:
    return city.parts.directory._directory


def all_entries(city: City) -> list[Entry]:
    directory = engine(city)
    name = directory.current()
    assert name is not None
    return directory.walk(name, (-1, -1, -1), 10_000)


def found(city: City, caller: str = SEARCHER, **wanted: Any) -> SearchResult:
    return city.parts.directory.search(c.caller(caller), DirectoryQuery(**wanted))


def push(city: City, number: str, holders: list[c.Person], **more: Any) -> str:
    """Issue a certificate for some holders; returns its identifier."""
    body = {
        "matter_code": "FZGA-WFZZM",
        "status": "completed",
        "applicants": [c.person(holders[0])],
        "accepted_at": "2026-01-05T09:00:00+08:00",
        "completed_at": "2026-01-06T09:00:00+08:00",
        "certificates": [
            {
                "type_code": c.CLEAN_RECORD,
                "number": number,
                "holders": [c.person(holder) for holder in holders],
                "fields": {
                    "period_from": "2001-07-07",
                    "period_to": "2026-01-03",
                    "purpose": "从业",
                    "conclusion": "无犯罪记录。",
                },
                "issued_on": "2026-01-06",
                "valid_until": None,
                **more,
            }
        ],
    }
    reply = city.push("fz-public-security", number, body)
    return str(reply["certificates"][0]["identifier"])


# --- the feed ---------------------------------------------------------------------------------------------------------


def test_positions_have_no_gaps_and_follow_revisions(city: City) -> None:
    database = city.parts.database
    with engines.tampering(city.parts) as writer:
        later = "SELECT MAX(entry) FROM outbox WHERE revision = 2"
        assert writer.run(f"UPDATE outbox SET entry = -entry WHERE entry = ({later})") == 1
    while True:
        with database.write() as writer:
            if not ledger.sequence(writer, 7):
                break
    rows = database.reader.all("SELECT position, home, certificate, revision FROM ledger ORDER BY position")
    assert [row["position"] for row in rows] == list(range(1, 105))
    seen: dict[tuple[int, int], int] = {}
    for row in rows:
        assert row["revision"] == seen.get((row["home"], row["certificate"]), 0) + 1
        seen[row["home"], row["certificate"]] = row["revision"]
    assert not ledger.is_waiting(database.reader)


def test_cursors_never_go_back(city: City) -> None:
    with city.parts.database.write() as writer:
        for position in (5, 3, 9, 9):
            ledger.advance(writer, "someone", position)
    assert ledger.cursor(city.parts.database.reader, "someone") == 9
    assert ledger.cursor(city.parts.database.reader, "unknown-consumer") == 0


def test_what_is_on_its_way_is_counted_with_its_age(city: City) -> None:
    before = city.parts.directory.lag()
    assert before.changes == 104
    assert before.oldest_at is not None
    settle(city.parts)
    assert city.parts.directory.lag() == ledger.Lag(0, None)
    status = city.parts.directory.status()
    assert (status.entries, status.position, status.head) == (92, 104, 104)
    assert ledger.cursor(city.parts.database.reader, f"directory:{status.generation}") == 104


# --- privacy ----------------------------------------------------------------------------------------------------------


def test_no_entry_holds_anything_personal(fed: City) -> None:
    versions = [
        fed.version(row["identifier"]) for row in fed.parts.database.reader.all("SELECT identifier FROM versions")
    ]
    holders = [holder for version in versions for holder in version.holders]
    people = {h.name for h in holders if h.id_type not in numbers.ORGANISATION_TYPES}
    secret = people | {h.id_number for h in holders} | {version.number for version in versions}
    # Not an area such as 100.00, which a random serial and the ".00…" of an identifier make up now and then.
    secret |= {str(value) for version in versions for value in version.fields.values() if len(str(value)) > 6}
    bodies = {h.name for h in holders if h.id_type in numbers.ORGANISATION_TYPES}
    entries = all_entries(fed)
    assert len(entries) == 92
    for entry in entries:
        for field in entry._fields:
            text = str(getattr(entry, field))
            assert not any(one in text for one in secret - bodies), (entry.identifier, field)
            assert not numbers.contains_citizen_number(text) or field in {"party", "home"}
        assert bool(entry.organisation) <= any(name in entry.organisation for name in bodies)
    if fed.parts.settings.index_url is not None:
        return
    files = b"".join(path.read_bytes() for path in index_folder(fed.parts.settings).iterdir())
    assert not any(one.encode() in files for one in secret - bodies)
    assert any(name.encode() in files for name in bodies)


# --- search -----------------------------------------------------------------------------------------------------------


def test_bodies_are_found_by_two_characters_of_their_name(fed: City) -> None:
    page = found(fed, text="闽屿")
    assert {hit.holder_names for hit in page.hits} == {("福州闽屿餐饮管理有限公司",)}
    assert {hit.entry.title for hit in page.hits} == {"营业执照", "食品经营许可证"}
    assert page.complete
    assert page.facets["type_code"] == {c.LICENCE: 1, c.FOOD: 1}


def test_people_are_not_found_by_name_and_appear_to_their_authority_only(fed: City) -> None:
    assert found(fed, text=c.LIN[2]).hits == ()
    assert all(not hit.entry.personal for hit in found(fed, limit=200).hits)
    own = found(fed, "fz-public-security", limit=200)
    personal = [hit for hit in own.hits if hit.entry.personal]
    assert personal
    assert {hit.entry.authority for hit in personal} == {c.caller("fz-public-security").authority}
    assert all(hit.holder_names == () for hit in personal)


def test_a_new_certificate_is_found_before_it_is_fed_and_once_after(fed: City) -> None:
    wanted = {"text": "无犯罪记录", "issued_from": 20260106, "issued_to": 20260106}
    before = {hit.entry.identifier for hit in found(fed, "fz-public-security", **wanted).hits}
    new = push(fed, "D-1", [c.MINYU])
    for _ in range(3):
        page = found(fed, **wanted)
        assert [hit.entry.identifier for hit in page.hits].count(new) == 1
        assert {hit.entry.identifier for hit in page.hits} - before == {new}
        fed.parts.directory.sequence()
        fed.parts.directory.feed()
    fed.parts.lifecycle.revoke(c.caller("fz-public-security"), new, kind="rescinded", reason="r", legal_basis="b")
    assert [hit.entry.identifier for hit in found(fed, state="revoked", **wanted).hits] == [new]
    assert new not in {hit.entry.identifier for hit in found(fed, state="valid", **wanted).hits}


def test_a_second_holder_is_found_by_its_number(fed: City) -> None:
    new = push(fed, "D-2", [("001", "91990102MA9R0K9994", "福州星海置业有限公司"), c.MINYU])
    settle(fed.parts)
    assert new in {hit.entry.identifier for hit in found(fed, uscc=c.MINYU[1], limit=200).hits}
    assert [hit.entry.identifier for hit in found(fed, uscc=c.MINYU[1], text="星海置业").hits] == [new]
    mixed = push(fed, "D-3", [c.QIU, c.MINYU])
    assert mixed not in {hit.entry.identifier for hit in found(fed, uscc=c.MINYU[1], limit=200).hits}
    theirs = found(fed, "fz-public-security", uscc=c.MINYU[1], limit=200).hits
    assert [hit.holder_names for hit in theirs if hit.entry.identifier == mixed] == [()]
    assert found(fed, uscc="91990102MA9R0K888A").hits == ()


def test_pages_hold_everything_once_while_new_ones_come_in(fed: City) -> None:
    whole = [hit.entry.identifier for hit in found(fed, limit=200).hits]
    seen: list[str] = []
    cursor = ""
    while True:
        page = found(fed, limit=7, cursor=cursor)
        seen += [hit.entry.identifier for hit in page.hits]
        assert bool(page.facets) == (cursor == "")
        if page.next is None:
            break
        cursor = page.next
        push(fed, f"D-{len(seen)}", [c.MINYU], issued_on="2026-01-06")
        if len(seen) % 2:
            settle(fed.parts)
    assert [one for one in seen if one in set(whole)] == whole
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    "wanted",
    [
        {"text": f"查 {c.LIN[1]}"},
        {"text": "闽"},
        {"text": "··"},
        {"text": "字" * 65},
        {"state": "lost"},
        {"cursor": "AAAA"},
        {"cursor": "AAAAAAAAAAAAAAAAAAAAAA"},
    ],
)
def test_questions_that_are_none_are_refused(fed: City, wanted: dict[str, Any]) -> None:
    assert c.refused(found, fed, **wanted) == "schema.invalid"
    assert c.refused(found, fed, uscc="91350100MA00000000") == "uscc.checksum"


def test_a_cursor_belongs_to_its_question(fed: City) -> None:
    cursor = found(fed, limit=3).next
    assert cursor
    assert found(fed, limit=5, cursor=cursor).hits
    assert c.refused(found, fed, limit=3, cursor=cursor, state="valid") == "schema.invalid"


def test_it_says_when_too_much_is_on_its_way(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(city).complete
    monkeypatch.setattr(search, "OVERLAY", 20)
    assert not found(city).complete
    settle(city.parts)
    assert found(city).complete


def test_what_the_directory_says_is_never_believed(fed: City) -> None:
    directory = engine(fed)
    name = directory.current()
    assert name
    entries = [e._replace(organisation="星海王朝", personal=False, primary=True, revision=99) for e in all_entries(fed)]
    directory.write(name, [e for e in entries if e.key[0] == e.key[1]])
    assert found(fed, text="星海王朝").hits == ()
    assert all(not hit.entry.personal for hit in found(fed, limit=200).hits)


def test_over_http(fed: City, capsys: pytest.CaptureFixture[str]) -> None:
    key = (fed.folder / "sample" / "keys" / f"{SEARCHER}.pem").read_bytes()
    token = fed.parts.access.issue_token(sign_assertion(key, SEARCHER, c.URL, fed.parts.clock.now()), None)[0]
    with served(create_app(fed.parts)) as address:

        def get(**query: str) -> httpx.Response:
            return httpx.get(f"{address}/api/v1/directory", params=query, headers={"Authorization": f"Bearer {token}"})

        page = get(q="闽屿", type_code=c.LICENCE, region="350000", state="valid", issued_from="2000-01-01").json()
        assert len(page["entries"]) == 1
        assert page["complete"] is True
        assert "next" not in page
        entry = page["entries"][0]
        assert set(entry) == {
            *("identifier", "type_code", "type_name", "holder_names", "authority_code", "authority_name"),
            *("region", "issued_on", "valid_from", "valid_until", "state"),
        }
        assert entry["holder_names"] == [c.MINYU[2]]
        for bad in (
            {"limit": "0"},
            {"limit": "201"},
            {"region": "350"},
            {"issued_to": "2026-13-01"},
            {"q": ""},
            {"q": f"林{c.LIN[1]}"},
            {"name": "x"},
        ):
            answer = get(**bad)
            assert (answer.status_code, answer.json()["code"]) == (422, "schema.invalid"), bad
            assert c.LIN[1] not in answer.text
        directories.lose(fed.parts)
        answer = get(q="闽屿")
        assert (answer.status_code, answer.json()["code"]) == (503, "index.unavailable")
        ready = httpx.get(f"{address}/readyz").json()
        assert {check["name"]: check["state"] for check in ready["checks"]}["directory"] == "degraded"
        assert "hub_directory_up 0" in httpx.get(f"{address}/metrics").text
        settle(fed.parts)
        assert get(q="闽屿").status_code == 200
        assert "hub_directory_pending 0" in httpx.get(f"{address}/metrics").text
    said = capsys.readouterr()
    assert "闽屿" not in said.out + said.err


# --- compare, explain, rebuild ----------------------------------------------------------------------------------------


def plant(city: City) -> dict[Kind, Entry]:
    """Plant one missing entry, one stale one, one ahead of the repository and one without a certificate."""
    directory = engine(city)
    name = directory.current()
    assert name
    missing, stale, ahead = [entry for entry in all_entries(city) if entry.standing == 1][:3]
    directory.write(name, [], instead_of=[missing])
    directory.write(name, [stale._replace(standing=3), ahead._replace(revision=ahead.revision + 4)])
    extra = stale._replace(certificate=987_654_321)
    directory.write(name, [extra])
    return {Kind.MISSING: missing, Kind.STALE: stale, Kind.EXTRA: extra}


def test_compare_finds_and_repairs(fed: City) -> None:
    compare = fed.parts.directory.compare
    before = all_entries(fed)
    planted = plant(fed)
    report = compare()
    assert report is not None
    assert {kind: report.count(kind) for kind in Kind} == {Kind.MISSING: 1, Kind.STALE: 2, Kind.EXTRA: 1}
    for difference in report.differences:
        if difference.kind is not Kind.STALE:
            assert difference.key == planted[difference.kind].key
    told = check(fed.parts)
    assert len(told.findings) == 4
    repaired = compare(repair=True)
    assert repaired is not None
    assert repaired.repaired == 4
    again = compare()
    assert again is not None
    assert again.differences == []
    assert all_entries(fed) == before
    assert check(fed.parts).is_good


def test_compare_leaves_out_what_is_on_its_way(fed: City) -> None:
    new = push(fed, "D-1", [c.MINYU])
    report = fed.parts.directory.compare()
    assert report is not None
    assert (report.differences, report.pending) == ([], 1)
    explained = fed.parts.directory.explain(new)
    assert (explained.pending, explained.found) == (True, (None,))
    settle(fed.parts)
    explained = fed.parts.directory.explain(new)
    assert (explained.pending, explained.found) == (False, explained.expected)
    assert c.refused(fed.parts.directory.explain, new[:-1]) == "certificate.not_found"


def test_a_rebuild_misses_nothing_that_comes_in_meanwhile(fed: City) -> None:
    stop = threading.Event()
    pushed: list[str] = []

    def work() -> None:
        while not stop.is_set():
            pushed.append(push(fed, f"D-{len(pushed)}", [c.MINYU]))
            fed.parts.directory.sequence()
            with suppress(DirectoryUnavailable):  # the generation that it knows may be gone, as for any worker
                fed.parts.directory.feed()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        names = [fed.parts.directory.rebuild() for _ in range(5)]
    finally:
        stop.set()
        thread.join()
    names.append(fed.parts.directory.rebuild())
    assert engine(fed).current() == names[-1]
    assert engine(fed).names() == names[-2:]
    settle(fed.parts)
    report = fed.parts.directory.compare()
    assert report is not None
    assert (report.differences, report.certificates) == ([], 86 + len(pushed))
    consumers = [row["consumer"] for row in fed.parts.database.reader.all("SELECT consumer FROM cursors ORDER BY 1")]
    assert consumers == sorted(f"directory:{name}" for name in names[-2:])


def test_a_type_with_another_name_is_found_by_it(fed: City) -> None:
    fed.parts.registration.load_catalogue(renamed(fed))
    fed.parts.catalogue.refresh()
    settle(fed.parts)
    assert {hit.entry.title for hit in found(fed, text="主体登记证").hits} == {"市场主体登记证"}
    report = fed.parts.directory.compare()
    assert report is not None
    assert report.differences == []


def renamed(city: City) -> dict[str, Any]:
    import yaml

    content: dict[str, Any] = yaml.safe_load((c.SAMPLE / "city.yaml").read_text(encoding="utf-8"))
    next(kind for kind in content["types"] if kind["code"] == c.LICENCE)["name"] = "市场主体登记证"
    return content

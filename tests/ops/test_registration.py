import copy
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.db import schema
from hub.db.database import Database, DatabaseUnavailable
from hub.db.sqlite import SqliteDatabase
from hub.domain.certificate import State
from hub.domain.errors import Refusal
from hub.keys.generate import KeyRequest, SigningKeys, base_keys
from hub.registration.loading import Loading
from hub.runtime.clock import Clock
from hub.store import keys as key_store
from hub.store.catalogue import CatalogueCache
from hub.store.keys import SigningState
from signing import x509
from signing.keys import KeyFolder, Purpose
from tests.support.paths import ROOT

SAMPLE = ROOT / "hub" / "sample" / "city.yaml"
AUTHORITY = "11350100MB9A10175L"
TYPE = "11350000MB9G00191W003"
DOCUMENT: dict[str, Any] = {
    "authorities": [{"code": AUTHORITY, "name": "福州市市场监督管理局", "name_en": "Market", "region": "350100"}],
    "types": [
        {
            "code": TYPE,
            "name": "无犯罪记录证明",
            "name_en": "No criminal record",
            "kind": "proof",
            "number_personal": False,
            "fields": [
                {"name": "conclusion", "label": "结论", "type": "text", "required": True, "max_length": 100},
                {
                    "name": "purpose",
                    "label": "用途",
                    "type": "code",
                    "required": False,
                    "codes": [{"code": "job", "label": "求职"}, {"code": "visa", "label": "签证"}],
                },
            ],
        }
    ],
    "matters": [
        {
            "code": "FZ-1",
            "name": "开具证明",
            "authority_code": AUTHORITY,
            "yields": [TYPE],
            "materials": [
                {
                    "name": "旧证明",
                    "of": "applicant",
                    "type_codes": [TYPE],
                    "accepts": ["valid", "expired"],
                    "fields": ["conclusion"],
                }
            ],
        }
    ],
}


class SetClock(Clock):
    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


@dataclass
class World:
    folder: Path
    database: Database
    clock: SetClock
    keys: SigningKeys
    key_folder: KeyFolder
    catalogue: CatalogueCache
    loading: Loading


def nothing_missing(text: str) -> set[str]:
    return {"𠮷"} & set(text)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    schema.migrate(tmp_path / "hub.db")
    database = SqliteDatabase(tmp_path / "hub.db")
    with database.write() as writer:
        key_store.set_public_url(writer, "https://hub.example", 1)
    clock = SetClock(datetime(2026, 3, 1, 2, 0, tzinfo=UTC))
    folder = KeyFolder(tmp_path / "keys", b"passphrase")
    keys = SigningKeys(database, folder, tmp_path / "keys", clock)
    for group in base_keys():
        keys.ensure(group)
    catalogue = CatalogueCache(database)
    yield World(
        tmp_path, database, clock, keys, folder, catalogue, Loading(database, clock, catalogue, keys, nothing_missing)
    )
    database.close()


def changed(**parts: Any) -> dict[str, Any]:
    found = copy.deepcopy(DOCUMENT)
    found.update(parts)
    return found


def pems(world: World) -> set[str]:
    return {path.name for path in (world.folder / "keys").iterdir() if ".pem" in path.name}


# --- signing keys ------------------------------------------------------------------------------------------------------


def test_every_key_is_made_once_with_its_x509_certificate(world: World) -> None:
    assert [world.keys.ensure(group) for group in base_keys()] == [0, 0, 0]
    world.keys.ensure([KeyRequest(Purpose.DOCUMENT, AUTHORITY, "局")])
    on_record = key_store.signing_keys(world.database.reader)
    assert sorted(k.public.purpose.value for k in on_record) == sorted(p.value for p in Purpose)
    assert pems(world) == {f"{k.public.purpose.value}-{k.public.kid}.pem" for k in on_record}
    chain = {r.name.partition("-")[0]: r for r in key_store.x509_certificates(world.database.reader)}
    assert x509.is_issued_by(chain["issuing"].der, chain["root"].der)
    assert x509.is_issued_by(chain["document"].der, chain["issuing"].der)
    assert f"https://hub.example/x509/{chain['issuing'].name}.crl".encode() in chain["document"].der


def test_makers_at_once_make_one_key(world: World) -> None:
    wanted = [KeyRequest(Purpose.DOCUMENT, AUTHORITY, "局")]
    makers = [SigningKeys(world.database, world.key_folder, world.folder / "keys", world.clock) for _ in range(4)]
    threads = [threading.Thread(target=maker.ensure, args=(wanted,)) for maker in makers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [k for k in key_store.signing_keys(world.database.reader) if k.public.purpose is Purpose.DOCUMENT]
    assert len(found) == 1
    assert len(pems(world)) == 7


def test_a_file_whose_row_was_never_written_is_removed_by_the_next_maker(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = world.folder / "keys" / "credential-AAAAAAAAAAA.pem"
    foreign.write_text("another database's")
    before = pems(world)

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(key_store, "add_signing_key", die)
        patch.setattr(SigningKeys, "_clear_up", lambda self: None)  # killed: nothing after the fault runs
        with pytest.raises(Killed):
            world.keys.ensure([KeyRequest(Purpose.DOCUMENT, AUTHORITY, "局")])
    assert len(pems(world)) == len(before) + 1
    assert world.keys.ensure([KeyRequest(Purpose.DOCUMENT, AUTHORITY, "局")]) == 1
    assert len(pems(world)) == len(before) + 1
    assert foreign.exists()


def test_a_database_that_fails_leaves_no_key_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise DatabaseUnavailable("full")

    before = pems(world)
    monkeypatch.setattr(key_store, "add_signing_key", fail)
    with pytest.raises(DatabaseUnavailable):
        world.keys.ensure([KeyRequest(Purpose.DOCUMENT, AUTHORITY, "局")])
    assert pems(world) == before


def test_a_replaced_key_stops_signing_and_stays_on_record(world: World) -> None:
    old = key_store.active_kid(world.database.reader, Purpose.CREDENTIAL)
    new = world.keys.replace(KeyRequest(Purpose.CREDENTIAL))
    states = {k.public.kid: k.state for k in key_store.signing_keys(world.database.reader)}
    assert key_store.active_kid(world.database.reader, Purpose.CREDENTIAL) == new.kid
    assert states[str(old)] is SigningState.RETIRED
    assert world.key_folder.has(str(old), Purpose.CREDENTIAL)


# --- the catalogue -----------------------------------------------------------------------------------------------------


def test_the_sample_city_loads_once(world: World) -> None:
    document = yaml.safe_load(SAMPLE.read_text(encoding="utf-8"))
    assert world.loading.check_catalogue(document) == []
    counts = world.loading.load_catalogue(document).counts()
    assert counts["authorities_new"] == counts["document_keys_new"] == len(document["authorities"])
    assert counts["types_new"] == counts["editions_new"] == len(document["types"])
    assert counts["matters_new"] == len(document["matters"])
    assert not any(world.loading.load_catalogue(document).counts().values())


def test_what_was_loaded_is_read(world: World) -> None:
    world.loading.load_catalogue(DOCUMENT)
    picture = world.catalogue()
    assert picture.authorities[AUTHORITY].region == "350100"
    kind = picture.types[TYPE]
    assert [f.name for f in kind.editions[0].fields] == ["conclusion", "purpose"]
    assert kind.editions[0].fields[1].codes == (("job", "求职", ""), ("visa", "签证", ""))
    assert kind.editions[0].since == date(2026, 3, 1)
    material = picture.matters["FZ-1"].materials[0]
    assert material.accepts == {State.VALID, State.EXPIRED}
    assert material.fields == ("conclusion",)
    assert picture.matters["FZ-1"].open_days == 90


def test_changed_fields_make_an_edition_and_leave_the_old_one_as_it_was(world: World) -> None:
    world.loading.load_catalogue(DOCUMENT)
    first = world.catalogue().types[TYPE].editions[0]
    world.clock.moment = datetime(2026, 4, 1, 2, 0, tzinfo=UTC)
    document = changed()
    document["types"][0]["fields"][0]["max_length"] = 50
    counts = world.loading.load_catalogue(document).counts()
    assert {name: count for name, count in counts.items() if count} == {"editions_new": 1}
    old, new = world.catalogue().types[TYPE].editions
    assert (old.number, old.fields, old.digest) == (1, first.fields, first.digest)
    assert old.until == date(2026, 3, 31)
    assert (new.number, new.since, new.until, new.fields[0].max_length) == (2, date(2026, 4, 1), None, 50)
    world.loading.load_catalogue(DOCUMENT)
    third = world.catalogue().types[TYPE].editions[2]
    assert (third.number, third.digest) == (3, first.digest)
    assert world.catalogue().types[TYPE].editions[1].until == date(2026, 4, 1)


def test_names_and_matters_change_in_place(world: World) -> None:
    world.loading.load_catalogue(DOCUMENT)
    document = changed()
    document["authorities"][0]["name"] = "福州市监局"
    document["types"][0]["name_en"] = "Clean record"
    document["matters"][0]["materials"] = []
    counts = world.loading.load_catalogue(document).counts()
    assert {name for name, count in counts.items() if count} == {
        "authorities_changed",
        "types_changed",
        "matters_changed",
    }
    picture = world.catalogue()
    assert picture.authority_name(AUTHORITY) == "福州市监局"
    assert picture.matters["FZ-1"].materials == ()
    assert len(picture.types[TYPE].editions) == 1


def test_a_later_file_may_name_what_an_earlier_one_brought(world: World) -> None:
    world.loading.load_catalogue({"authorities": DOCUMENT["authorities"], "types": DOCUMENT["types"]})
    world.loading.load_catalogue({"matters": DOCUMENT["matters"]})
    assert set(world.catalogue().types) == {TYPE}
    assert set(world.catalogue().matters) == {"FZ-1"}


def edit(path: str, value: Any) -> dict[str, Any]:
    document = changed()
    *parents, last = [int(p) if p.isdecimal() else p for p in path.strip("/").split("/")]
    at: Any = document
    for part in parents:
        at = at[part]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "wrong"),
    [
        ("/authorities/0/code", "11350100MB9A10175M", {"/authorities/0/code", "/matters/0/authority_code"}),
        ("/authorities/0/region", "35010", {"/authorities/0/region"}),
        ("/authorities/0/name", "局" * 65, {"/authorities/0/name"}),
        ("/authorities/0/name", "𠮷市局", {"/authorities/0/name"}),
        ("/authorities/0/name", " 市局", {"/authorities/0/name"}),
        ("/authorities/0/extra", 1, {"/authorities/0/extra"}),
        ("/types/0/code", TYPE[:20], {"/types/0/code", "/matters/0/yields/0", "/matters/0/materials/0/type_codes/0"}),
        ("/types/0/kind", "permit", {"/types/0/kind"}),
        ("/types/0/number_personal", "yes", {"/types/0/number_personal"}),
        ("/types/0/fields/0/name", "Bad-name", {"/types/0/fields/0/name", "/matters/0/materials/0/fields/0"}),
        ("/types/0/fields/1/name", "conclusion", {"/types/0/fields/1/name"}),
        ("/types/0/fields/0/pattern", "([", {"/types/0/fields/0/pattern"}),
        ("/types/0/fields/0/type", "date", {"/types/0/fields/0/max_length"}),
        ("/types/0/fields/0/type", "colour", {"/types/0/fields/0/type"}),
        ("/types/0/fields/1/codes", ..., {"/types/0/fields/1/codes"}),
        ("/types/0/fields/1/codes/1/code", "job", {"/types/0/fields/1/codes/1/code"}),
        ("/types/0/fields/0/required", ..., {"/types/0/fields/0/required"}),
        ("/matters/0/code", "事项", {"/matters/0/code"}),
        ("/matters/0/open_days", 0, {"/matters/0/open_days"}),
        ("/matters/0/materials/0/of", "owner", {"/matters/0/materials/0/of"}),
        ("/matters/0/materials/0/accepts", ["fine"], {"/matters/0/materials/0/accepts/0"}),
        ("/matters/0/materials/0/accepts", [], {"/matters/0/materials/0/accepts"}),
        ("/matters/0/materials/0/fields", ["colour"], {"/matters/0/materials/0/fields/0"}),
        ("/matters/0/yields", [TYPE, TYPE], {"/matters/0/yields/1"}),
    ],
)
def test_every_wrong_place_is_named_in_both_languages(world: World, path: str, value: Any, wrong: set[str]) -> None:
    document = edit(path, value)
    problems = world.loading.check_catalogue(document)
    assert {p.pointer for p in problems} == wrong
    assert all(p.message and p.message_en for p in problems)
    with pytest.raises(Refusal) as refused:
        world.loading.load_catalogue(document)
    assert refused.value.errors == tuple(problems)
    assert world.catalogue().types == {}


def test_all_problems_are_listed_not_the_first_fifty(world: World) -> None:
    document = {"authorities": [{"code": "x"} for _ in range(70)]}
    assert len(world.loading.check_catalogue(document)) == 140
    assert len(world.loading.check_catalogue(["x"])) == 1
    assert world.loading.check_catalogue(None) == []


def test_a_running_process_sees_a_load_of_another_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    other = CatalogueCache(world.database)
    assert other().types == {}
    world.loading.load_catalogue(DOCUMENT)
    assert other().types == {}, "within two seconds the picture is not looked for again"
    assert set(other("FZ-1").matters) == {"FZ-1"}, "an unknown code makes it look at once"
    picture = other()
    assert other.refresh() is picture, "nothing is read again while nothing was loaded"

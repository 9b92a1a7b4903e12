"""The sample city for tests: loaded once, copied for each test that changes it, with helpers for counter calls."""

import atexit
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import yaml

from hub.counter import LookupBody, LookupResult, RetrievalBody, Taken
from hub.domain.caller import Caller
from hub.domain.errors import Refusal
from hub.ops.init import initialise
from hub.parts import Parts, open_parts
from hub.runtime.clock import Clock
from hub.sample import loader
from hub.settings import Settings
from tests.support import engines

SAMPLE = Path(loader.__file__).parent
ACCOUNTS = yaml.safe_load((SAMPLE / "accounts.yaml").read_text(encoding="utf-8"))
STORY = yaml.safe_load((SAMPLE / "story.yaml").read_text(encoding="utf-8"))
CLERKS = {clerk["id"]: clerk["name"] for clerk in ACCOUNTS["clerks"]}
URL = "https://hub.example"

ID_CARD = "11100000000013127D001"
HOUSEHOLD = "11350000MB9G00191W002"
DRIVING = "11350000MB9G00191W001"
CLEAN_RECORD = "11350000MB9G00191W003"
LICENCE = "11100000MB0143028R001"
TITLE = "11100000MB03271699001"
BIRTH = "11350000MB9G00431P004"
MARRIAGE = "11350000MB9G00511B001"
FOOD = "11350000MB9G00271G001"

LIN = ("111", "990102198803121177", "林屿安")
CHEN = ("111", "990103199007252265", "陈沅芷")
CHILD = ("111", "99010220190518048X", "林知渝")
GAO = ("111", "990102196309080577", "高听泉")
QIU = ("111", "990121198307073910", "邱景澜")
HUANG = ("111", "990111197206214318", "黄澄屿")
YOU = ("111", "990111199603291025", "游若棠")
MINYU = ("001", "91990102MA9R0K176B", "福州闽屿餐饮管理有限公司")
NOBODY = ("111", "990102199901010010", "某某")
Person = tuple[str, str, str]


class SetClock(Clock):
    """The real time plus `ahead`."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class City:
    folder: Path
    parts: Parts
    clock: SetClock

    def caller(self, name: str, **changes: Any) -> Caller:
        return caller(name, **changes)

    def body(self, case: str, clerk: str, name: str | None = None, **more: Any) -> dict[str, Any]:
        return {"case_number": case, "clerk": {"id": clerk, "name": name or CLERKS.get(clerk, "某人")}, **more}

    def look_up(
        self, client: str | Caller, case: str, clerk: str, who: Person, types: list[str] | None = None, **more: Any
    ) -> LookupResult:
        body = self.body(case, clerk, holder={"id_type": who[0], "id_number": who[1]}, **more)
        if types is not None:
            body["type_codes"] = types
        who_asks = client if isinstance(client, Caller) else caller(client)
        return self.parts.lookup.look_up(who_asks, LookupBody.model_validate(body))

    def retrieve(self, client: str | Caller, case: str, clerk: str, identifier: str, **more: Any) -> Taken:
        body = self.body(case, clerk, identifier=identifier, **more)
        who_asks = client if isinstance(client, Caller) else caller(client)
        return self.parts.retrieval.retrieve(who_asks, RetrievalBody.model_validate(body))

    def push(self, client: str, case: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
        raw = json.dumps(body, ensure_ascii=False).encode()
        return self.parts.cases.push(caller(client), case, raw, **more).reply

    def identifier(self, type_code: str, who: Person) -> str:
        """The identifier of a certificate of this type that a person holds, read directly from the store."""
        for row in self.parts.database.reader.all("SELECT identifier FROM versions ORDER BY version_key DESC"):
            if f".{type_code}." in row["identifier"]:
                version = self.version(row["identifier"])
                if any(holder.id_number == who[1] for holder in version.holders):
                    return str(row["identifier"])
        raise LookupError(type_code)

    def version(self, identifier: str) -> Any:
        from hub.store import certificates

        return certificates.by_identifier(self.parts.database.reader, self.parts.vault, identifier)

    def audit(self) -> list[dict[str, Any]]:
        """Every audit row since `forget`, oldest first."""
        rows = self.parts.database.reader.all("SELECT * FROM audit WHERE id > :id ORDER BY id", {"id": self._mark})
        return [dict(row) for row in rows]

    def forget(self) -> None:
        row = self.parts.database.reader.one("SELECT MAX(id) AS id FROM audit")
        self._mark = int(row["id"] or 0) if row else 0

    _mark: int = 0


def caller(name: str, **changes: Any) -> Caller:
    """A client of the sample city as authentication returns it."""
    client = next(c for c in ACCOUNTS["clients"] if c["name"] == name)
    values = {
        "client_id": name,
        "authority": client["authority"],
        "source": client.get("source") or client["authority"],
        "acts_for": frozenset(client.get("acts_for", ())),
        "scopes": frozenset(client["scopes"]),
        "request": "request-1",
    }
    return Caller(**{**values, **changes})


def person(who: Person, **more: Any) -> dict[str, Any]:
    return {"id_type": who[0], "id_number": who[1], "name": who[2], **more}


def ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")


def today() -> date:
    return Clock().today()


@cache
def _loaded(engine: str) -> Path:
    """The sample city, loaded once per test run."""
    folder = Path(mkdtemp(prefix="city-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

    def fill(settings: Settings) -> None:
        initialise(settings)
        with open_parts(settings) as parts:
            loader.load(parts, settings.data_dir / "sample", lambda _done, _total: None)

    engines.make(engine, Settings(data_dir=folder / "data", public_url=URL), fill)
    return folder / "data"


def load_city(folder: Path, engine: str = engines.SQLITE) -> None:
    """A newly loaded sample city in a folder that does not exist yet."""
    shutil.copytree(_loaded(engine), folder)
    engines.also(_loaded(engine), folder)


def sealing_key(parts: Parts) -> int:
    """The number of the data key that seals new rows."""
    return parts.vault.key_number(parts.vault.seal("parties", "0", b""))


@contextmanager
def open_copy(template: Path, folder: Path, **settings: Any) -> Iterator[City]:
    """A private copy of the city."""
    clock = SetClock()
    with (
        engines.copied(template, folder, **{"public_url": URL, **settings}) as own,
        open_parts(own, clock=clock) as parts,
    ):
        city = City(folder, parts, clock)
        city.forget()
        yield city


def refused(call: Any, *args: Any, **more: Any) -> str:
    """The code of the refusal that a call raises."""
    with pytest.raises(Refusal) as caught:
        call(*args, **more)
    return caught.value.code

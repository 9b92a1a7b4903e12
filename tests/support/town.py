"""A small town with its own catalogue and clock: made once, copied for every test, used through the services.

All people and organisations are invented: region 990102 does not exist.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.cases import Pushed
from hub.db.tables import metadata
from hub.domain.caller import Caller
from hub.domain.dates import SHANGHAI
from hub.domain.errors import Refusal
from hub.domain.numbers import citizen_check_character, uscc_check_character
from hub.domain.version import Version
from hub.lifecycle import Transition
from hub.ops.check import check
from hub.ops.init import initialise
from hub.parts import Parts, open_parts
from hub.runtime.clock import Clock
from hub.settings import Settings
from hub.store import acts, certificates
from hub.store.acts import RecordedAct
from hub.store.sealing import unseal
from tests.support import engines

Body = dict[str, Any]
URL = "https://town.example"
NOW = datetime(2026, 3, 10, 10, 0, tzinfo=SHANGHAI)
TODAY = date(2026, 3, 10)


def _uscc(first17: str) -> str:
    return first17 + uscc_check_character(first17)


TRADE, HEALTH, STREET, PLATFORM = (_uscc(f"11990100MB9A70{n}0{n}") for n in range(1, 5))
PERMIT, CARD, LICENCE, HYGIENE = f"{TRADE}001", f"{TRADE}002", f"{TRADE}003", f"{HEALTH}001"
GRANT, REGISTER, INSPECT = "T-GRANT", "T-REGISTER", "T-INSPECT"

CATALOGUE: Body = {
    "authorities": [
        {"code": TRADE, "region": "990100", "name": "试验市商务局"},
        {"code": HEALTH, "region": "990100", "name": "试验市卫生局"},
        {"code": STREET, "region": "990102", "name": "试验街道便民服务中心"},
        {"code": PLATFORM, "region": "990100", "name": "试验市审批平台", "kind": "platform"},
    ],
    "types": [
        {
            "code": PERMIT,
            "name": "摊位许可证",
            "name_en": "Stall permit",
            "kind": "licence",
            "number_personal": False,
            "fields": [
                {
                    "name": "place",
                    "label": "地点",
                    "label_en": "Place",
                    "type": "text",
                    "required": True,
                    "max_length": 20,
                },
                {"name": "area", "label": "面积", "label_en": "Area", "type": "decimal", "required": False},
                {"name": "seats", "label": "座位", "label_en": "Seats", "type": "integer", "required": False},
                {"name": "opened_on", "label": "开业", "label_en": "Opened on", "type": "date", "required": False},
                {
                    "name": "row",
                    "label": "排",
                    "label_en": "Row",
                    "type": "text",
                    "required": False,
                    "pattern": "[A-F][0-9]{1,2}",
                },
                {
                    "name": "kind",
                    "label": "类别",
                    "label_en": "Kind",
                    "type": "code",
                    "required": False,
                    "codes": [{"code": "1", "label": "果", "label_en": "Fruit"}, {"code": "2", "label": "鱼"}],
                },
            ],
        },
        {
            "code": CARD,
            "name": "从业卡",
            "name_en": "Worker's card",
            "kind": "licence",
            "number_personal": True,
            "fields": [{"name": "trade", "label": "工种", "label_en": "Trade", "type": "text", "required": False}],
        },
        {
            "code": LICENCE,
            "name": "商号执照",
            "name_en": "Business licence",
            "kind": "licence",
            "number_personal": False,
            "fields": [{"name": "scope", "label": "范围", "label_en": "Scope", "type": "text", "required": True}],
        },
        {
            "code": HYGIENE,
            "name": "卫生证明",
            "name_en": "Proof of hygiene",
            "kind": "proof",
            "number_personal": False,
            "fields": [{"name": "grade", "label": "等级", "label_en": "Grade", "type": "text", "required": False}],
        },
    ],
    "matters": [
        {
            "code": GRANT,
            "name": "摊位许可",
            "authority_code": TRADE,
            "yields": [PERMIT, CARD],
            "intake": [STREET, HEALTH],
        },
        {"code": REGISTER, "name": "商号登记", "authority_code": TRADE, "yields": [LICENCE], "materials": []},
        {"code": INSPECT, "name": "卫生检查", "authority_code": HEALTH, "yields": [HYGIENE], "materials": []},
    ],
}


def caller(client: str, authority: str, **more: Any) -> Caller:
    """A client as authentication returns it; its source is its authority's code."""
    scopes = frozenset({"cases:write", "certificates:manage"})
    return Caller(**{"client_id": client, "authority": authority, "source": authority, "scopes": scopes, **more})


TRADER = caller("town-trade", TRADE)
HEALER = caller("town-health", HEALTH)
COUNTER = caller("town-street", STREET)
AGENT = caller("town-platform", PLATFORM, source="town-platform", acts_for=frozenset({TRADE, HEALTH}))


def citizen(number: int, born: date = date(1970, 1, 1)) -> str:
    """An invented citizen's number."""
    digits = f"990102{born + timedelta(days=number % 9000):%Y%m%d}{100 + number // 9000:03d}"
    return digits + citizen_check_character(digits)


def person(number: int, name: str = "试验人", **more: Any) -> Body:
    return {"name": name, "id_type": "111", "id_number": citizen(number), **more}


def firm(number: int, name: str = "试验商号有限公司") -> Body:
    return {"name": name, "id_type": "001", "id_number": _uscc(f"91990102MA9{number:06d}")}


ANNA, BERT, CARL, DORA = (person(n, name) for n, name in enumerate(("安试", "白试验", "柴试", "狄试验")))


def grant(number: str, *holders: Body, **more: Any) -> Body:
    """A certificate to push: a permit for Anna by default."""
    kind = more.get("type_code", PERMIT)
    fields: Body = {PERMIT: {"place": "东市"}, LICENCE: {"scope": "杂货"}}.get(kind, {})
    plain = {"type_code": kind, "number": number, "holders": list(holders or (ANNA,)), "fields": fields}
    return {**plain, "issued_on": "2026-03-01", "valid_until": None, **more}


def body(*certificates: Body, **more: Any) -> Body:
    """A completed case with these certificates; without certificates and status, an accepted one."""
    ended = {"status": "completed", "completed_at": "2026-03-02T09:00:00+08:00", "certificates": list(certificates)}
    plain = {"matter_code": GRANT, "applicants": [ANNA], "accepted_at": "2026-03-01T09:00:00+08:00"}
    return {**plain, **(ended if certificates else {"status": "accepted"}), **more}


def raw(content: Body | bytes) -> bytes:
    return content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()


class SetClock(Clock):
    """A clock that stays the same until it is moved."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at.astimezone(UTC)

    def pass_days(self, days: int) -> None:
        self.at += timedelta(days=days)


@dataclass
class Town:
    folder: Path
    parts: Parts
    clock: SetClock

    def push(self, case: str, content: Body | bytes, by: Caller = TRADER, source: str | None = None) -> Pushed:
        return self.parts.cases.push(by, case, raw(content), source)

    def issue(self, case: str, *certificates: Body, by: Caller = TRADER, **more: Any) -> list[Version]:
        """Push a completed case, which must be issued at once; returns the versions in pushed order."""
        found = self.push(case, body(*certificates, **more), by)
        assert found.reply["issuance"] == "done"
        return [self.version(item["identifier"]) for item in found.reply["certificates"]]

    def live(self, case: str, by: Caller = TRADER, source: str | None = None) -> Body:
        return self.parts.cases.live(by, case, source).reply

    def version(self, identifier: str) -> Version:
        found = certificates.by_identifier(self.parts.database.reader, self.parts.vault, identifier)
        assert found is not None
        return found

    def versions(self, record: Version) -> list[Version]:
        reader = self.parts.database.reader
        return certificates.versions_of(reader, self.parts.vault, record.home, record.certificate)

    def acts(self, record: Version) -> list[RecordedAct]:
        return acts.acts_of(self.parts.database.reader, self.parts.vault, record.home, record.certificate)

    def state(self, record: Version) -> str:
        """The state of a version on the clock's date, read again."""
        return self.version(record.identifier).state(self.clock.today()).value

    def move(self, act: str, record: Version | str, by: Caller = TRADER, **more: Any) -> Transition:
        """Suspend, restore or revoke, with a kind if the act needs one."""
        kind = {"suspend": {"kind": "withheld"}, "revoke": {"kind": "cancelled"}}.get(act, {})
        identifier = record if isinstance(record, str) else record.identifier
        grounds = {"reason": "试验", "legal_basis": "《试验办法》第一条", **kind, **more}
        found: Transition = getattr(self.parts.lifecycle, act)(by, identifier, **grounds)
        return found

    def rows(self, table: str) -> list[Body]:
        """In the order of their keys: a server gives them in any."""
        keys = ", ".join(column.name for column in metadata.tables[table].primary_key)
        return [dict(row) for row in self.parts.database.reader.all(f"SELECT * FROM {table} ORDER BY {keys}")]

    def pushed_bytes(self, case: str, source: str = TRADE) -> list[tuple[str, bytes]]:
        """(client, exact body) of every push of a case, oldest first."""
        of_case = [r for r in self.rows("pushes") if (r["source"], r["case_number"]) == (source, case)]
        found = []
        for row in sorted(of_case, key=lambda r: r["at"]):
            key = (row["month"], source, case, row["digest"])
            found.append((row["client"], unseal(self.parts.vault, "pushes", key, row["sealed"])))
        return found

    def counts(self) -> dict[str, int]:
        """The number of rows in every table, except blocks of numbers, which are taken and never returned."""
        return {name: len(self.rows(name)) for name in metadata.tables if name != "id_blocks"}

    def outcomes(self) -> list[tuple[str, str]]:
        """(action, outcome) of every audit entry."""
        return [(row["action"], row["outcome"]) for row in sorted(self.rows("audit"), key=lambda r: r["id"])]

    @contextmanager
    def without_signer(self) -> Iterator[None]:
        """Without the private keys."""
        keys = self.folder / "keys"
        away = keys.with_name("keys-away")
        keys.rename(away)
        try:
            yield
        finally:
            away.rename(keys)

    def agrees(self) -> bool:
        """Whether `hub check` finds nothing."""
        findings = check(self.parts).findings
        assert findings == []
        return True


def make(folder: Path, engine: str) -> None:
    def fill(settings: Settings) -> None:
        clock = SetClock()
        initialise(settings, clock)
        with open_parts(settings, clock=clock) as parts:
            parts.registration.load_catalogue(CATALOGUE)
            parts.registration.add_clerk("秦试", STREET, "S1")

    engines.make(engine, Settings(data_dir=folder, public_url=URL), fill)


@contextmanager
def open_copy(template: Path, folder: Path, **settings: Any) -> Iterator[Town]:
    clock = SetClock()
    with (
        engines.copied(template, folder, **{"public_url": URL, **settings}) as own,
        open_parts(own, clock=clock) as parts,
    ):
        yield Town(folder, parts, clock)


def refusal(call: Any, *args: Any, **more: Any) -> Refusal:
    """The refusal that a call raises."""
    with pytest.raises(Refusal) as caught:
        call(*args, **more)
    return caught.value


def refused(call: Any, *args: Any, **more: Any) -> str:
    """The code of the refusal that a call raises."""
    return refusal(call, *args, **more).code


def places(refused_with: Refusal) -> list[tuple[str, str]]:
    """(JSON pointer, code) of every problem in a refusal."""
    return [(error.pointer, error.code) for error in refused_with.errors]

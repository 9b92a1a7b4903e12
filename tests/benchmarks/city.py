"""A small city for measurements: one authority, one type, as many invented people as needed."""

import json
import random
from pathlib import Path
from typing import Any

from hub.domain.numbers import citizen_check_character
from hub.ops.init import initialise
from hub.parts import Parts, open_parts
from hub.settings import Settings

AUTHORITY = "11350100MB9A10175L"
TYPE = "11350000MB9G00191W003"
CLIENT, CLERK = "benchmark", {"id": "B1", "name": "计时"}
SCOPES = ("cases:write", "certificates:lookup", "certificates:retrieve", "certificates:manage")
CATALOGUE: dict[str, Any] = {
    "authorities": [{"code": AUTHORITY, "name": "福州市市场监督管理局", "region": "350100"}],
    "types": [
        {
            "code": TYPE,
            "name": "无犯罪记录证明",
            "kind": "proof",
            "number_personal": False,
            "fields": [
                {"name": "purpose", "label": "用途", "type": "text", "required": True, "max_length": 100},
                {"name": "address", "label": "住址", "type": "text", "required": True, "max_length": 100},
                {"name": "period_from", "label": "起", "type": "date", "required": True},
                {"name": "period_to", "label": "止", "type": "date", "required": True},
                {"name": "conclusion", "label": "结论", "type": "text", "required": True, "max_length": 200},
            ],
        }
    ],
    "matters": [
        {
            "code": "B-1",
            "name": "开具证明",
            "authority_code": AUTHORITY,
            "yields": [TYPE],
            "materials": [{"name": "证明", "of": "applicant", "type_codes": [TYPE]}],
        }
    ],
}


def settings(folder: Path) -> Settings:
    """Limits high enough that requests are never refused."""
    many = 10_000_000
    return Settings(
        data_dir=folder,
        people_a_day_per_clerk=many,
        people_a_day_per_client=many,
        people_a_day=10 * many,
        log_level="warning",
    )


def found(folder: Path) -> str:
    """Create the city; returns the private key of its client."""
    initialise(settings(folder))
    with open_parts(settings(folder)) as parts:
        parts.registration.load_catalogue(CATALOGUE)
        parts.registration.add_clerk(CLERK["name"], AUTHORITY, CLERK["id"])
        _, key = parts.registration.add_client(CLIENT, AUTHORITY, scopes=SCOPES)
    return key.decode()


def person(number: int) -> dict[str, str]:
    """Person `number` of ten million: region 99 was never assigned."""
    day = random.Random(number).randrange(1, 29)
    digits = f"99{number // 1000 % 10000:04d}19{70 + number % 30}{1 + number % 12:02d}{day:02d}{number % 1000:03d}"
    return {
        "name": f"测{chr(0x4E00 + number % 5000)}试",
        "id_type": "111",
        "id_number": digits + citizen_check_character(digits),
    }


def certificate(number: int) -> dict[str, Any]:
    """The certificate of person `number`."""
    return {
        "type_code": TYPE,
        "number": f"榕无犯证字〔2026〕第{number:08d}号",
        "holders": [person(number)],
        "fields": {
            "purpose": "办理从业资格",
            "address": "福州市鼓楼区榕荫街道澄江里21号",
            "period_from": "2001-07-07",
            "period_to": "2026-01-03",
            "conclusion": "经查询,申请人在上述期间无犯罪记录。",
        },
        "issued_on": "2026-01-05",
        "valid_until": None,
    }


def case(numbers: range) -> bytes:
    """A completed case that grants each of these people a certificate."""
    return json.dumps(
        {
            "matter_code": "B-1",
            "status": "completed",
            "applicants": [person(numbers[0])],
            "accepted_at": "2026-01-04T09:00:00+08:00",
            "completed_at": "2026-01-05T09:00:00+08:00",
            "certificates": [certificate(number) for number in numbers],
        },
        ensure_ascii=False,
    ).encode()


def fill(parts: Parts, first: int, count: int) -> None:
    """Issue certificates to people `first` and up, fifty per case, through the hub's own services."""
    from hub.domain.caller import Caller

    caller = Caller(CLIENT, AUTHORITY, AUTHORITY, scopes=frozenset(SCOPES))
    for start in range(first, first + count, 50):
        numbers = range(start, min(start + 50, first + count))
        parts.cases.push(caller, f"FILL-{start}", case(numbers))

"""A process that pushes, issues, looks up and checks what its sibling processes have pushed, until it is stopped.

    python tests/support/rotation_load.py DATA_DIR INDEX

Prints `ready` on stdout when it works, and at the end one JSON object: what it did and which people it did not find.
"""

import json
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from hub.domain.case import Person
from hub.domain.numbers import citizen_check_character
from hub.parts import Parts, open_parts
from hub.settings import Settings
from hub.store import parties
from tests.support import city as c

ENROLMENT = ("gulou-education-counter", "GLJY-2026-RX-0415", "GLJY0033")
MANY = 1_000_000


def number(index: int, count: int) -> str:
    """An invented citizen's number: region 990102 does not exist."""
    born = date(1950, 1, 1) + timedelta(days=count % 25_000)
    digits = f"990102{born:%Y%m%d}{100 + index * 30 + count // 25_000:03d}"
    return digits + citizen_check_character(digits)


def accepted(who: str) -> dict[str, Any]:
    applicant = {"name": "测试人", "id_type": "111", "id_number": who}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"matter_code": "FZGA-WFZZM", "status": "accepted", "applicants": [applicant], "accepted_at": now}


def completed(who: str, case: str) -> dict[str, Any]:
    holder = {"name": "测试人", "id_type": "111", "id_number": who}
    fields = {"period_from": "2001-07-07", "period_to": "2025-06-03", "purpose": "测试", "conclusion": "无犯罪记录。"}
    return accepted(who) | {
        "status": "completed",
        "accepted_at": "2025-06-02T09:00:00+08:00",
        "completed_at": "2025-06-03T10:30:00+08:00",
        "certificates": [
            {
                "type_code": c.CLEAN_RECORD,
                "number": f"测试〔2025〕{case}",
                "holders": [holder],
                "fields": fields,
                "issued_on": "2025-06-03",
                "valid_until": None,
            }
        ],
    }


class Load:
    def __init__(self, parts: Parts, folder: Path, index: int) -> None:
        self.parts, self.folder, self.index = parts, folder, index
        self.done: dict[str, Any] = {"pushes": 0, "issued": 0, "lookups": 0, "missed": []}
        self.acknowledged = (folder / f"acknowledged-{index}").open("a")
        self.police = c.caller("fz-public-security")
        self.expected = self.look_up()

    def look_up(self) -> list[str]:
        body = {"case_number": ENROLMENT[1], "clerk": {"id": ENROLMENT[2], "name": c.CLERKS[ENROLMENT[2]]}}
        body["holder"] = {"id_type": c.CHILD[0], "id_number": c.CHILD[1]}
        found = self.parts.lookup.look_up(c.caller(ENROLMENT[0]), c.LookupBody.model_validate(body))
        return [entry.identifier for entry in found.entries]

    def turn(self, count: int) -> None:
        who, case = number(self.index, count), f"CS-{self.index}-{count}"
        self.parts.cases.push(self.police, case, json.dumps(accepted(who)).encode())
        self.acknowledged.write(who + "\n")
        self.acknowledged.flush()
        self.done["pushes"] += 1
        if count % 4 == 0:
            raw = json.dumps(completed(who, case)).encode()
            self.done["issued"] += len(self.parts.cases.push(self.police, case, raw).reply["certificates"])
        if self.index:
            self.parts.rotation.step()  # as the worker does, concurrently with the command that began the rotation
        self.meet_brothers()
        self.done["lookups"] += 1
        if self.look_up() != self.expected:
            self.done["missed"].append("lookup")

    def meet_brothers(self) -> None:
        reader = self.parts.database.reader
        for path in self.folder.glob("acknowledged-*"):
            for line in path.read_text().splitlines()[-3:]:
                if len(line) == 18 and parties.find(reader, self.parts.vault, Person("", "111", line)) is None:
                    self.done["missed"].append(f"{path.name}")


def main() -> None:
    data, index = Path(sys.argv[1]), int(sys.argv[2])
    limits = {"people_a_day_per_clerk": MANY, "people_a_day_per_client": MANY, "people_a_day": 10 * MANY}
    with open_parts(Settings(data_dir=data, public_url=c.URL, **limits)) as parts:
        load = Load(parts, data.parent, index)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        count = 0
        while not (data.parent / "stop").exists():
            load.turn(count)
            count += 1
        sys.stdout.write(json.dumps(load.done))


main()

"""Actions of the child processes: everything that writes, by a name that a test can order. All people are invented."""

import hashlib
import json
import threading
from collections.abc import Callable
from copy import deepcopy
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

from hub.backup import BackupFolder
from hub.counter import LookupBody, RetrievalBody
from hub.db.database import DatabaseUnavailable
from hub.directory import Busy
from hub.domain.errors import Refusal
from hub.domain.numbers import citizen_check_character, uscc_check_character
from hub.keys.generate import KeyRequest
from hub.parts import Parts
from hub.vault import KeyPurpose
from signing.keys import Purpose
from tests.support import city as c

CLIENT = "fz-public-security"
MATTER = "FZGA-WFZZM"
NEW_AUTHORITY = "11350100MB9A99999" + uscc_check_character("11350100MB9A99999")
COUNTER, COUNTER_CASE, CLERK = "fz-transport-counter", "FZJT-2026-F-1", {"id": "FZJT0054", "name": "骆川"}
GROUNDS = {"reason": "试验", "legal_basis": "《试验办法》第一条"}
Body = dict[str, Any]
CATALOGUE: Body = yaml.safe_load((c.SAMPLE / "city.yaml").read_text(encoding="utf-8"))


def invented_person(number: int) -> c.Person:
    """An invented person: region 990102 does not exist."""
    born = date(1950, 1, 1) + timedelta(days=number % 25_000)
    digits = f"990102{born:%Y%m%d}{100 + number // 25_000:03d}"
    return "111", digits + citizen_check_character(digits), "试验人"


def accepted(*people: c.Person) -> Body:
    return {
        "matter_code": MATTER,
        "status": "accepted",
        "applicants": [c.person(who) for who in people],
        "accepted_at": "2025-06-02T09:00:00+08:00",
    }


def certificate(number: str, *holders: c.Person, supersedes: tuple[str, ...] = (), word: str = "无") -> Body:
    return {
        "type_code": c.CLEAN_RECORD,
        "number": number,
        "holders": [c.person(who) for who in holders],
        "fields": {"period_from": "2001-07-07", "period_to": "2025-06-03", "purpose": "试验", "conclusion": word},
        "issued_on": "2025-06-03",
        "valid_until": None,
        "supersedes": list(supersedes),
    }


def completed(*certificates: Body, amendment: int = 0) -> Body:
    people = {holder["id_number"]: holder for item in certificates for holder in item["holders"]}
    return {
        "matter_code": MATTER,
        "amendment": amendment,
        "status": "completed",
        "applicants": list(people.values()),
        "accepted_at": "2025-06-02T09:00:00+08:00",
        "completed_at": "2025-06-03T10:30:00+08:00",
        "certificates": list(certificates),
    }


def raw(body: Body) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def push(parts: Parts, case: str, body: Body) -> Body:
    found = parts.cases.push(c.caller(CLIENT), case, raw(body))
    return {"status": found.status, "reply": found.reply}


def push_in_threads(parts: Parts, case: str, body: Body, threads: int) -> list[Body]:
    """The same push from many threads of one process that start simultaneously."""
    found: list[Body] = []
    together = threading.Barrier(threads)

    def work() -> None:
        together.wait()
        try:
            found.append(push(parts, case, body))
        except Refusal as refusal:
            found.append({"refused": refusal.code})
        except DatabaseUnavailable as fault:
            found.append({"fault": str(fault)})

    running = [threading.Thread(target=work) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return found


def pushes(parts: Parts, items: list[tuple[str, Body]]) -> list[Body]:
    return [push(parts, case, body) for case, body in items]


def finish(parts: Parts, case: str) -> bool:
    return parts.issuance.finish(c.caller(CLIENT).source, case) is not None


def watch(parts: Parts, case: str, until: str) -> list[Body]:
    """Read a case repeatedly until a file appears: the distinct answers, in order."""
    seen: list[Body] = []
    last = False
    while not last:
        last = Path(until).exists()
        try:
            found = parts.cases.live(c.caller(CLIENT), case).reply
        except Refusal as refusal:
            found = {"refused": refusal.code}
        if not seen or seen[-1] != found:
            seen.append(found)
    return seen


def act(parts: Parts, act: str, identifier: str, **values: Any) -> Body:
    """Suspend, restore or revoke."""
    found = getattr(parts.lifecycle, act)(c.caller(CLIENT), identifier, **{**GROUNDS, **values})
    return {"state": found.state.value, "kind": found.kind, "recorded_at": found.recorded_at.isoformat()}


def open_counter(parts: Parts, who: c.Person) -> None:
    """Register a clerk, and open a case of this person that requires a certificate of no criminal record."""
    parts.registration.add_clerk(CLERK["name"], c.caller(COUNTER).authority, CLERK["id"])
    body = {**accepted(who), "matter_code": "FZJT-CZCRY", "accepted_at": c.ago(1)}
    parts.cases.push(c.caller(COUNTER), COUNTER_CASE, raw(body))


def look_up(parts: Parts, who: list[str]) -> list[str]:
    holder = {"id_type": who[0], "id_number": who[1]}
    body = LookupBody.model_validate({"case_number": COUNTER_CASE, "clerk": CLERK, "holder": holder})
    return [entry.identifier for entry in parts.lookup.look_up(c.caller(COUNTER), body).entries]


def retrieve(parts: Parts, identifier: str) -> Body:
    body = RetrievalBody.model_validate({"case_number": COUNTER_CASE, "clerk": CLERK, "identifier": identifier})
    taken = parts.retrieval.retrieve(c.caller(COUNTER), body)
    return {"receipt": taken.receipt_number, "created": taken.created, "state": taken.state.value}


def take(parts: Parts, identifier: str) -> Body:
    """Retrieve a certificate and its copy."""
    taken = retrieve(parts, identifier)
    copy = parts.retrieval.copy(c.caller(COUNTER), taken["receipt"])
    return {**taken, "copy": hashlib.sha256(copy).hexdigest()}


def index(parts: Parts) -> None:
    """Process changes as the worker does: assign ledger positions, then feed the directory."""
    while parts.directory.sequence() + parts.directory.feed():
        pass


def render(parts: Parts) -> None:
    """Process versions as the worker does: render a file for each."""
    while parts.rendering.step():
        pass


def replace_key(parts: Parts, purpose: str, authority: str = "", name: str = "") -> str:
    return parts.signing_keys.replace(KeyRequest(Purpose(purpose), authority, name)).kid


def changed_catalogue() -> Body:
    """The sample city's catalogue with a changed name, a new edition and a new authority, all in one load."""
    found = deepcopy(CATALOGUE)
    found["authorities"][0]["name"] += "(试验)"
    fresh = {"code": NEW_AUTHORITY, "region": "350100", "name": "福州市试验局", "name_en": "Trial Office"}
    found["authorities"].append(fresh)
    kind = next(item for item in found["types"] if item["code"] == c.CLEAN_RECORD)
    kind["fields"].append(
        {"name": "remark", "label": "备注", "label_en": "Remark", "type": "text", "required": False, "max_length": 60}
    )
    return found


def load_catalogue(parts: Parts) -> str:
    return repr(parts.registration.load_catalogue(changed_catalogue()))


def backup(parts: Parts, folder: str) -> str:
    return parts.backup.run(BackupFolder(Path(folder))).backup


def rebuild(parts: Parts) -> str:
    """Build a new generation of the directory, or continue the one being built."""
    try:
        return parts.directory.rebuild()
    except Busy:
        return ""


def rotate(parts: Parts, purpose: str) -> int:
    """Rotate a data key and re-seal its rows, or resume the last rotation; returns how many rows."""
    parts.rotation.begin(KeyPurpose(purpose))
    return sum(parts.rotation.run())


def nothing(parts: Parts) -> None:
    pass


ACTS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        push,
        push_in_threads,
        pushes,
        finish,
        watch,
        act,
        look_up,
        retrieve,
        take,
        index,
        render,
        replace_key,
        load_catalogue,
        backup,
        rebuild,
        rotate,
        nothing,
    )
}

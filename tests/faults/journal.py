"""Clients that write down every answer before their next request, and resume where they were after being killed."""

import json
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hub.db.database import DatabaseUnavailable
from hub.domain.errors import Refusal
from hub.parts import Parts
from hub.worker import Worker
from tests.faults import acts
from tests.faults.acts import Body, certificate, completed, invented_person

SHARED = invented_person(900)
PAUSE_S = 0.05


class Journal:
    """One line per entry, flushed to disk before the next step; a line truncated by a kill does not count."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def lines(self) -> list[Body]:
        if not self.path.exists():
            return []
        whole, _, _ = self.path.read_bytes().rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines()]

    def mend(self) -> list[Body]:
        """The entries, after removing a truncated line."""
        found = self.lines()
        if self.path.exists():
            whole, end, _ = self.path.read_bytes().rpartition(b"\n")
            os.truncate(self.path, len(whole) + len(end))
        return found

    def note(self, entry: Body) -> None:
        with self.path.open("ab") as out:
            out.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            out.flush()
            os.fsync(out.fileno())


def item(index: int, n: int, done: list[Body]) -> tuple[str, Body]:
    """The nth push of a client: new cases, then a correction of one and a successor of the other, and so on."""
    first = n - n % 4
    case, number = f"J-{index}-{n}", f"日记〔2025〕{index}-{n}"
    who = invented_person(1000 + index * 10_000 + n)
    if n % 4 == 0:
        return case, completed(certificate(number, who))
    if n % 4 == 1:
        return case, completed(certificate(number, who, SHARED), certificate(number + "-2", who))
    if n % 4 == 2:
        case, body = item(index, first + 1, done)
        body["certificates"][0]["fields"]["conclusion"] = "更正"
        return case, {**body, "amendment": 1}
    before = done[first].get("reply")
    supersedes = tuple(granted["identifier"] for granted in before["certificates"]) if before else ()
    return case, completed(certificate(number, who, supersedes=supersedes))


def pusher(parts: Parts, journal: str, index: int, stop: str) -> int:
    """Push one case after another; after a restart, first repeat the push that was not answered."""
    book = Journal(journal)
    done = book.mend()
    while True:
        last = Path(stop).exists()
        case, body = item(index, len(done), done)
        entry: Body = {"case": case}
        try:
            entry |= acts.push(parts, case, body)
        except Refusal as refusal:
            entry |= {"refused": refusal.code}
        except DatabaseUnavailable:  # not answered: retry, as clients do
            time.sleep(PAUSE_S)
            continue
        if entry.get("status") == 202:
            continue
        book.note(entry)
        done.append(entry)
        if last:
            return len(done)


def revoker(parts: Parts, journal: str, books: list[str], stop: str) -> int:
    """Suspend, restore and revoke certificates of other clients; after a restart, first repeat the unanswered act."""
    book = Journal(journal)
    done = book.mend()
    open_one = next((entry for entry in done[-1:] if "intend" in entry), None)
    while True:
        last = Path(stop).exists()
        wanted = open_one["intend"] if open_one else _choose(books, done)
        if wanted is not None:
            if open_one is None:
                book.note({"intend": wanted})
            entry: Body = {"done": wanted, "again": open_one is not None}
            try:
                entry |= acts.act(parts, **wanted)
            except Refusal as refusal:
                entry |= {"refused": refusal.code}
            except DatabaseUnavailable:
                time.sleep(PAUSE_S)
                open_one = {"intend": wanted}
                continue
            book.note(entry)
            done.append(entry)
        open_one = None
        if last:
            return len(done)
        time.sleep(0.005)


def _choose(books: list[str], done: list[Body]) -> Body | None:
    granted = [
        item["identifier"]
        for book in books
        for entry in Journal(book).lines()[-30:]
        for item in entry.get("reply", {"certificates": []})["certificates"]
    ]
    suspended = [e["done"]["identifier"] for e in done[-10:] if "done" in e and e.get("state") == "suspended"]
    if suspended and random.random() < 0.4:
        return {"act": "restore", "identifier": random.choice(suspended)}
    if not granted:
        return None
    identifier = random.choice(granted)
    if random.random() < 0.5:
        return {"act": "suspend", "identifier": identifier, "kind": "other"}
    return {"act": "revoke", "identifier": identifier, "kind": "cancelled"}


def worker(parts: Parts, stop: str) -> None:
    """The hub's own worker."""
    ended = threading.Event()

    def watch() -> None:
        while not Path(stop).exists():
            time.sleep(0.02)
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    Worker(parts, ended).run()


ACTS: dict[str, Callable[..., Any]] = {"pusher": pusher, "revoker": revoker, "worker": worker}

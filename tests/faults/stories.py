"""Stories in which a process is killed at a step: their beginning, what may be visible then, and their completion.

Each kill starts a story again, with its own case or certificate, in one hub that keeps running; all its people are
invented. A story knows what must hold at a point from what had been committed, since only commits decide.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hub.domain.version import Version
from hub.parts import Parts
from hub.store import certificates, documents
from hub.worker import finish_due
from tests.faults import acts
from tests.faults import scene as s
from tests.faults.acts import Body, certificate, completed, invented_person
from tests.faults.forkserver import ForkServer
from tests.faults.points import AFTER_COMMIT, IN_COMMIT
from tests.faults.test_backup import verified
from tests.support import city as c

SETTLED_S = 0.1
_OK = "SELECT COUNT(*) AS n FROM audit WHERE action = :action AND outcome = 'ok'"


@dataclass
class Hub:
    """One hub on servers, as seen by a process that is never killed; `late` is the same when intents are due."""

    forkserver: ForkServer
    data: Path
    parts: Parts
    late: Parts

    def one(self, sql: str, **values: Any) -> Any:
        """The first column of the first row."""
        row = self.parts.database.reader.one(sql, values)
        return None if row is None else row[0]

    def versions(self, case: str) -> list[Version]:
        """The versions of one case, read directly from the store."""
        reader = self.parts.database.reader
        rows = reader.all("SELECT home, certificate, version FROM versions WHERE case_number = :case", {"case": case})
        found = [certificates.by_key(reader, self.parts.vault, *tuple(row)) for row in rows]
        return sorted((v for v in found if v is not None), key=lambda v: v.version_key)

    def version(self, identifier: str) -> Version:
        found = certificates.by_identifier(self.parts.database.reader, self.parts.vault, identifier)
        assert found is not None
        return found

    def issue(self, case: str, *people: c.Person) -> str:
        """Issue a certificate, acknowledged; returns its identifier."""
        answer = acts.push(self.parts, case, completed(certificate(number_of(case), *people)))
        assert answer["status"] == 201
        return str(answer["reply"]["certificates"][0]["identifier"])


def number_of(case: str, more: str = "") -> str:
    return f"试〔2026〕{case}{more}"


@dataclass(frozen=True)
class Killed:
    """Where a process was killed: at the `at`th of the points that it would have passed."""

    points: list[str]
    at: int

    def after(self, step: str) -> int:
        """The position of the first commit after a named step."""
        return self.points.index(AFTER_COMMIT, self.points.index(f"step {step}"))

    @property
    def last(self) -> int:
        """The position of the last commit."""
        return len(self.points) - 1 - self.points[::-1].index(AFTER_COMMIT)

    def done(self, commit: int) -> bool | None:
        """Whether a commit had been made; None if it was sent and its reply never read."""
        if self.at - 1 == commit - 1:
            assert self.points[commit - 1] == IN_COMMIT
            return None
        return self.at - 1 >= commit


def _agrees(told: bool | None, seen: bool) -> bool:
    return told is None or told == seen


@dataclass
class Story:
    """One run of a story. `order` is what the killed process does."""

    hub: Hub
    case: str
    order: Body = field(init=False)

    def __post_init__(self) -> None:
        self.order = self.begin()

    def begin(self) -> Body:
        """Prepare the hub for the story."""
        raise NotImplementedError

    def look(self, killed: Killed) -> None:
        """Check what is visible after the kill, before another process continues."""
        raise NotImplementedError

    def end(self, *, by_worker: bool) -> None:
        """Another process completes it; the result is as if nothing had been killed."""
        raise NotImplementedError

    # --- shared -------------------------------------------------------------------------------------------------------

    def is_whole(self, version: Version, state: str) -> None:
        """The version has this state in every view, and its rows are consistent."""
        assert verified(self.hub.parts, version).value == state
        key = {"home": version.home, "certificate": version.certificate}
        where = "WHERE home = :home AND certificate = :certificate"
        assert self.hub.one(f"SELECT revision FROM certificates {where}", **key) == version.revision
        assert self.hub.one(f"SELECT COUNT(*) FROM acts {where}", **key) == version.revision
        changes = f"SELECT (SELECT COUNT(*) FROM outbox {where}) + (SELECT COUNT(*) FROM ledger {where})"
        assert self.hub.one(changes, **key) == version.revision
        assert self.hub.one(f"SELECT COUNT(*) FROM holdings {where}", **key) == len(version.parties)


class Push(Story):
    """A push that decides certificates: nothing of it happened, or it is reserved, or it is complete."""

    expected: ClassVar[tuple[str, ...]] = ("valid", "valid")
    former: str | None = None
    pushed: Body
    promised: list[str] | None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.before = s.case(self.hub.parts, self.case)
        self.was = self._seen()

    def order_of(self, body: Body) -> Body:
        """The push, which the next process repeats."""
        self.pushed = {"case": self.case, "body": body}
        return {"act": "push", "with": self.pushed}

    def _seen(self) -> list[tuple[str, str]]:
        """Every version in the story and its state, which is the same in every view."""
        found = []
        for case in (self.former, self.case):
            for version in self.hub.versions(case) if case else ():
                state = version.state(self.hub.parts.clock.today()).value
                self.is_whole(version, state)
                found.append((version.identifier, state))
        return found

    def look(self, killed: Killed) -> None:
        hub = self.hub
        now, self.promised = s.case(hub.parts, self.case), s.reserved(hub.parts, self.case)
        published = now is not None and now != self.before and self.promised is None
        reserved = killed.done(killed.after("reserve")) if "step reserve" in killed.points else True
        assert _agrees(killed.done(killed.after("publish")), published), killed
        if published:
            assert now[2] == "done"
            assert self._seen() != self.was
            return
        assert _agrees(reserved, self.promised is not None), killed
        assert self._seen() == self.was, "half of it can be seen"
        if self.promised is not None:
            assert now is not None
            assert now[2:] == ("pending", [] if self.before is None else self.before[3])
        else:
            assert now == self.before

    def end(self, *, by_worker: bool) -> None:
        if by_worker:
            assert finish_due(self.hub.late) == (self.promised is not None)
        answer = acts.push(self.hub.parts, **self.pushed)
        granted = [item["identifier"] for item in answer["reply"]["certificates"]]
        assert answer["reply"]["issuance"] == "done"
        assert self.promised is None or granted == self.promised
        assert acts.push(self.hub.parts, **self.pushed) == {**answer, "status": 200}
        seen = dict(self._seen())
        assert set(granted) <= seen.keys()
        assert len(seen) == len(self.expected)
        assert sorted(seen.values()) == sorted(self.expected)


class Issue(Push):
    """A new case with two certificates, for two people."""

    def begin(self) -> Body:
        one, two = invented_person(3000), invented_person(3001)
        numbers = number_of(self.case), number_of(self.case, "乙")
        return self.order_of(completed(certificate(numbers[0], one), certificate(numbers[1], one, two)))


class Correct(Push):
    """A completed case is corrected: one of its two certificates gets a second version, the other stays."""

    expected: ClassVar[tuple[str, ...]] = ("superseded", "valid", "valid")

    def begin(self) -> Body:
        def body(word: str, amendment: int) -> Body:
            other = certificate(number_of(self.case, "乙"), invented_person(3003))
            return completed(
                certificate(number_of(self.case), invented_person(3002), word=word), other, amendment=amendment
            )

        assert acts.push(self.hub.parts, self.case, body("无", 0))["status"] == 201
        return self.order_of(body("有", 1))


class Renew(Push):
    """A new case whose certificate supersedes another."""

    expected: ClassVar[tuple[str, ...]] = ("superseded", "valid")

    def begin(self) -> Body:
        self.former = f"{self.case}-FORMER"
        replaced = self.hub.issue(self.former, invented_person(3004))
        return self.order_of(
            completed(certificate(number_of(self.case), invented_person(3004), supersedes=(replaced,)))
        )


class Finish(Push):
    """A worker completes what a killed process has reserved."""

    def begin(self) -> Body:
        hub = self.hub
        numbers = number_of(self.case), number_of(self.case, "乙")
        body = completed(*(certificate(number, invented_person(3005)) for number in numbers))
        pushed = self.order_of(body)
        assert hub.forkserver.one(data=str(hub.data), kill_step="step signed", **pushed).killed
        return {"act": "finish", "with": {"case": self.case}}


class Act(Story):
    """A certificate is suspended, restored or revoked, or nothing happened."""

    act: ClassVar[str] = "revoke"
    former: ClassVar[str] = "valid"
    becomes: ClassVar[str] = "revoked"

    def begin(self) -> Body:
        self.identifier = self.hub.issue(self.case, invented_person(3006))
        if self.former == "suspended":
            acts.act(self.hub.parts, "suspend", self.identifier, kind="lost")
        kind = {"revoke": {"kind": "cancelled"}, "suspend": {"kind": "other"}}.get(self.act, {})
        return {"act": "act", "with": {"act": self.act, "identifier": self.identifier, **kind}}

    def state(self) -> str:
        version = self.hub.version(self.identifier)
        found = version.state(self.hub.parts.clock.today()).value
        self.is_whole(version, found)
        return found

    def look(self, killed: Killed) -> None:
        found = self.state()
        assert found in (self.former, self.becomes)
        assert _agrees(killed.done(killed.last), found == self.becomes), killed

    def end(self, *, by_worker: bool) -> None:
        del by_worker  # a client retries; the worker is not involved
        answer = acts.act(self.hub.parts, **self.order["with"])
        assert answer["state"] == self.becomes
        assert acts.act(self.hub.parts, **self.order["with"]) == answer
        assert self.state() == self.becomes


class Revoke(Act):
    """Permanently."""


class Suspend(Act):
    """Temporarily."""

    act: ClassVar[str] = "suspend"
    becomes: ClassVar[str] = "suspended"


class Restore(Act):
    """In force again."""

    act: ClassVar[str] = "restore"
    former: ClassVar[str] = "suspended"
    becomes: ClassVar[str] = "valid"


class Index(Story):
    """A change gets its ledger position and enters the directory; lookups find it whatever the directory contains."""

    rebuilds: ClassVar[bool] = False

    def begin(self) -> Body:
        acts.index(self.hub.parts)
        self.identifier = self.hub.issue(self.case, s.ANNA)
        return {"act": "rebuild"} if self.rebuilds else {"act": "index"}

    def look(self, killed: Killed) -> None:
        assert self.identifier in acts.look_up(self.hub.parts, list(s.ANNA))
        hub = self.hub
        head = hub.one("SELECT COALESCE(MAX(position), 0) FROM ledger")
        assert hub.one("SELECT COUNT(*) FROM ledger") == head, "positions have gaps"
        if not self.rebuilds:
            sequenced = hub.one("SELECT COUNT(*) FROM outbox") == 0
            assert _agrees(killed.done(killed.points.index(AFTER_COMMIT)), sequenced), killed

    def end(self, *, by_worker: bool) -> None:
        del by_worker  # always the worker's task
        acts.index(self.hub.parts)
        found = self.hub.parts.directory.explain(self.identifier)
        assert not found.pending
        assert list(found.found) == list(found.expected) != []
        assert self.hub.parts.directory.lag().changes == 0
        assert self.identifier in acts.look_up(self.hub.parts, list(s.ANNA))


class Rebuild(Index):
    """A new generation of the directory is built and swapped in."""

    rebuilds: ClassVar[bool] = True

    def end(self, *, by_worker: bool) -> None:
        if by_worker:
            assert acts.rebuild(self.hub.parts)
        super().end(by_worker=by_worker)


class Render(Story):
    """The worker renders a version: its file is stored and recorded, or it is rendered again."""

    def begin(self) -> Body:
        acts.index(self.hub.parts)
        acts.render(self.hub.parts)
        self.identifier = self.hub.issue(self.case, invented_person(3007))
        acts.index(self.hub.parts)
        return {"act": "render"}

    def _file(self) -> str | None:
        """The digest of the recorded file, which must be readable and valid."""
        version, parts = self.hub.version(self.identifier), self.hub.parts
        self.is_whole(version, "valid")
        key = documents.DocumentKey(version.home, version.certificate, version.version)
        found = documents.find(parts.database.reader, key)
        return None if found is None else hashlib.sha256(parts.documents.read(found)).hexdigest()

    def look(self, killed: Killed) -> None:
        self.seen = self._file()
        assert _agrees(killed.done(killed.after("written")), self.seen is not None), killed

    def end(self, *, by_worker: bool) -> None:
        if by_worker:
            acts.render(self.hub.parts)
        version = self.hub.version(self.identifier)
        _, content = self.hub.parts.records.document(c.caller(acts.CLIENT), version.identifier)
        digest = hashlib.sha256(content).hexdigest()
        assert digest == self._file()
        assert self.seen in (None, digest)


class Take(Story):
    """A counter retrieves a certificate and its copy: receipt, people and audit together; then the copy, made once."""

    def begin(self) -> Body:
        self.identifier = self.hub.issue(self.case, s.ANNA)
        self.given = self.hub.one(_OK, action="retrieval")
        return {"act": "take", "with": {"identifier": self.identifier}}

    def _receipts(self) -> int:
        version = self.hub.version(self.identifier)
        key = {"home": version.home, "certificate": version.certificate}
        sql = "SELECT COUNT(*) FROM retrievals WHERE home = :home AND certificate = :certificate"
        return int(self.hub.one(sql, **key))

    def look(self, killed: Killed) -> None:
        self.taken = self._receipts()
        assert self.hub.one(_OK, action="retrieval") - self.given == self.taken
        assert self.taken <= 1
        receipt = killed.points.index("before INSERT INTO retrievals")
        assert _agrees(killed.done(killed.points.index(AFTER_COMMIT, receipt)), self.taken == 1), killed

    def end(self, *, by_worker: bool) -> None:
        del by_worker
        answer = acts.take(self.hub.parts, self.identifier)
        assert answer["created"] is (self.taken == 0)
        assert acts.take(self.hub.parts, self.identifier) == {**answer, "created": False}
        assert self._receipts() == 1


class LookUp(Story):
    """A counter looks a person up: recorded before the answer."""

    def begin(self) -> Body:
        self.identifier = self.hub.issue(self.case, s.ANNA)
        self.given = self.hub.one(_OK, action="lookup")
        return {"act": "look_up", "with": {"who": list(s.ANNA)}}

    def look(self, killed: Killed) -> None:
        assert _agrees(killed.done(killed.last), self.hub.one(_OK, action="lookup") - self.given == 1), killed

    def end(self, *, by_worker: bool) -> None:
        del by_worker
        given = self.hub.one(_OK, action="lookup")
        assert self.identifier in acts.look_up(self.hub.parts, list(s.ANNA))
        assert self.hub.one(_OK, action="lookup") == given + 1


STORIES: dict[str, Callable[[Hub, str], Story]] = {
    "issue": Issue,
    "correct": Correct,
    "renew": Renew,
    "finish": Finish,
    "suspend": Suspend,
    "restore": Restore,
    "revoke": Revoke,
    "index": Index,
    "rebuild": Rebuild,
    "render": Render,
    "retrieve": Take,
    "look up": LookUp,
}


def settle(killed: Killed) -> None:
    """If the process was killed inside a COMMIT, give the server time to finish or drop it."""
    if killed.points[killed.at - 1] == IN_COMMIT:
        time.sleep(SETTLED_S)

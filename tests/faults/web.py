"""HTTP clients of `hub serve --workers 2` that write every answer down, and retry unanswered requests."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from hub.access.assertion import sign_assertion
from hub.parts import Parts, open_parts
from hub.store import retrievals
from tests.faults import acts
from tests.faults import scene as s
from tests.faults import servers as engines
from tests.faults.child import settings_of
from tests.faults.journal import SHARED, Journal, _choose, item
from tests.faults.servers import Servers
from tests.faults.test_journal import Acknowledged, certificate_of
from tests.ops.test_serve import children
from tests.support.ports import free_port

HUB = [sys.executable, "-m", "hub"]
SCOPES = ("cases:write", "certificates:manage", "certificates:lookup", "certificates:retrieve")
PATHS = {"suspend": "suspension", "restore": "restoration", "revoke": "revocation"}
COUNTER_CASE = "FZJT-2026-F-WEB"
READY_S = 180.0
PUSHERS = 2
OFTEN = ("API process killed", "worker process killed", "API connection cut in an answer of the database")


class Web:
    """The service's processes, and its clients: threads of the test, which are not killed."""

    def __init__(self, servers: Servers, data: Path) -> None:
        self._servers, self._data = servers, data
        folder = data.parent
        self.books = [str(folder / f"journal-{index}") for index in range(PUSHERS)]
        self._acted, self._read = folder / "journal-acts", Journal(folder / "journal-read")
        settings = settings_of(data)
        self._port = free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        self._keys: dict[str, bytes] = {}
        with open_parts(settings) as parts:
            self._open(parts)
        self._environment = {
            "PATH": os.environ["PATH"],
            **servers.environment(settings),
            **{f"HUB_PEOPLE_A_DAY{more}": "1000000" for more in ("", "_PER_CLIENT", "_PER_CLERK")},
        }
        self._log = (folder / "log").open("ab")
        self._service = self._start("serve", "--port", str(self._port), "--workers", "2")
        self._workers = [self._start("work") for _ in range(2)]
        self._stop = threading.Event()
        self._faults: list[BaseException] = []
        self._unavailable = Counter[str]()
        clients: list[Callable[[], None]] = [
            *(lambda n=n: self._push(n) for n in range(PUSHERS)),  # type: ignore[misc]
            self._revoke,
            self._counter,
            self._strangers,
        ]
        self._threads = [threading.Thread(target=self._guarded, args=(work,), daemon=True) for work in clients]
        self._wait_until_ready()
        for thread in self._threads:
            thread.start()

    def _open(self, parts: Parts) -> None:
        """Register two clients with keys, and an open case of the person whom many certificates name."""
        for name in (acts.CLIENT, acts.COUNTER):
            caller = acts.c.caller(name)
            parts.registration.add_client(
                name, caller.authority, scopes=SCOPES, keep=lambda pem, name=name: self._keys.update({name: pem})
            )
        body = {**acts.accepted(SHARED), "matter_code": "FZJT-CZCRY", "accepted_at": acts.c.ago(1)}
        parts.cases.push(acts.c.caller(acts.COUNTER), COUNTER_CASE, acts.raw(body))
        self._issuer, self._clock = parts.access.issuer(), parts.clock

    # --- processes and their faults -----------------------------------------------------------------------------------

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*HUB, *words], env=self._environment, stdout=self._log, stderr=self._log, process_group=0
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while True:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.address}/livez", timeout=2, trust_env=False).status_code == 200:
                    return
            assert self._service.poll() is None, f"hub serve has ended: {self._said()}"
            assert time.monotonic() < deadline, "hub serve does not answer"
            time.sleep(0.05)

    def _said(self) -> str:
        """Its exit code, and what it has said to people."""
        lines = Path(self._log.name).read_text(encoding="utf-8").splitlines()
        return f"{self._service.returncode}, {[line for line in lines if not line.startswith('{')][-3:]}"

    def _kill_one(self) -> None:
        found = children(self._service.pid)
        if found:
            with suppress(ProcessLookupError):
                os.kill(random.choice(found), signal.SIGKILL)

    def _kill_all(self) -> None:
        os.killpg(self._service.pid, signal.SIGKILL)
        self._service.wait()
        self._service = self._start("serve", "--port", str(self._port), "--workers", "2")
        self._wait_until_ready()

    def _end_in_order(self) -> None:
        self._service.send_signal(signal.SIGTERM)
        assert self._service.wait(READY_S) == 0
        self._service = self._start("serve", "--port", str(self._port), "--workers", "2")
        self._wait_until_ready()

    def _kill_worker(self) -> None:
        n = random.randrange(len(self._workers))
        self._workers[n].kill()
        self._workers[n].wait()
        self._workers[n] = self._start("work")

    def faults(self) -> dict[str, engines.Fault]:
        """Faults of the service's processes and of the servers below them."""
        found = self._servers
        return {
            "API process killed": self._kill_one,
            "API connection cut in an answer of the database": lambda: found.to_database.cut(random.randrange(1, 4000)),
            "worker process killed": self._kill_worker,
            "all API processes killed": self._kill_all,
            "API stopped in order": self._end_in_order,
            "database killed under HTTP clients": engines.away(found.database.kill, found.database.start),
            "directory unreachable under HTTP clients": engines.away(found.to_index.refuse, found.to_index.pass_),
        }

    def trouble(
        self, seconds: float, tried: Counter[str], faults: dict[str, engines.Fault], often: Sequence[str] = ()
    ) -> None:
        """Each fault once, then random ones until the time is up."""
        turn, until = list(faults), time.monotonic() + seconds
        while time.monotonic() < until or turn:
            name = turn.pop(0) if turn else random.choice([*faults, *often, *often])
            faults[name]()
            tried[name] += 1
            time.sleep(random.uniform(0.3, 1.2))
            self._raise()

    def finish(self) -> Acknowledged:
        """Stop clients and processes; returns what was acknowledged to the clients."""
        self._stop.set()
        for thread in self._threads:
            thread.join(READY_S)
            assert not thread.is_alive(), "a client is not answered"
        self._raise()
        running = [self._service, *self._workers]
        for process in running:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(READY_S) for process in running] == [0] * len(running)
        return Acknowledged(self.books, self._acted)

    def close(self) -> None:
        """End all processes, in any case."""
        self._stop.set()
        for process in (self._service, *self._workers):
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._log.close()

    # --- requests -----------------------------------------------------------------------------------------------------

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as fault:  # raised later in the test's thread
            self._faults.append(fault)

    def _raise(self) -> None:
        if self._faults:
            raise self._faults[0]

    def _asked(self, client: str | None) -> "_Asking":
        return _Asking(self, client)

    def sign(self, client: str) -> str:
        """An assertion."""
        return sign_assertion(self._keys[client], client, self._issuer, self._clock.now())

    def note_unavailable(self, code: str) -> None:
        """Record a 503 with Retry-After."""
        self._unavailable[code] += 1

    # --- clients ------------------------------------------------------------------------------------------------------

    def _push(self, index: int) -> None:
        book, done, asking = Journal(self.books[index]), [], self._asked(acts.CLIENT)
        while not self._stop.is_set():
            case, body = item(index, len(done), done)
            answer = asking.until_answered("PUT", f"/api/v1/cases/{case}", acts.raw(body))
            if answer.status_code == 202:
                time.sleep(0.05)
                continue
            entry: dict[str, Any] = {"case": case, "status": answer.status_code}
            if answer.status_code in {200, 201}:
                entry["reply"] = answer.json()
            else:
                assert answer.status_code in {409, 422}, answer.text
                entry["refused"] = answer.json()["code"]
            book.note(entry)
            done.append(entry)

    def _revoke(self) -> None:
        book, done, asking = Journal(self._acted), [], self._asked(acts.CLIENT)
        while not self._stop.is_set():
            wanted = _choose(self.books, done)
            if wanted is None:
                time.sleep(0.05)
                continue
            body = {**acts.GROUNDS, **({"kind": wanted["kind"]} if "kind" in wanted else {})}
            path = f"/api/v1/certificates/{wanted['identifier']}/{PATHS[wanted['act']]}"
            before = asking.unanswered
            answer = asking.until_answered("POST", path, acts.raw(body))
            entry: dict[str, Any] = {"done": wanted, "again": asking.unanswered > before}
            if answer.status_code == 200:
                entry["state"] = answer.json()["state"]
            else:
                assert answer.status_code == 409, answer.text
                entry["refused"] = answer.json()["code"]
            book.note(entry)
            done.append(entry)
            time.sleep(0.05)

    def _revoked(self) -> set[str]:
        """The certificates whose revocation was acknowledged to a client."""
        found = Journal(self._acted).lines()
        return {certificate_of(e["done"]["identifier"]) for e in found if e.get("state") == "revoked"}

    def _granted(self) -> list[dict[str, Any]]:
        return [
            granted
            for book in self.books
            for entry in Journal(book).lines()
            for granted in entry.get("reply", {"certificates": []})["certificates"]
        ]

    def _of_shared(self) -> set[str]:
        """The certificates of the case's person whose issuance was acknowledged to a client."""
        entries = [entry for book in self.books for entry in Journal(book).lines()]
        return {
            certificate_of(entry["reply"]["certificates"][0]["identifier"])
            for entry in entries
            if "reply" in entry and len(entry["reply"]["certificates"]) == 2
        }

    def _counter(self) -> None:
        """Look the person up, retrieve a certificate, and find everything acknowledged before the request."""
        asking, case = self._asked(acts.COUNTER), {"case_number": COUNTER_CASE, "clerk": acts.CLERK}
        holder = {"id_type": SHARED[0], "id_number": SHARED[1]}
        while not self._stop.is_set():
            known = self._of_shared()
            answer = asking.until_answered("POST", "/api/v1/lookups", acts.raw({**case, "holder": holder}))
            assert answer.status_code == 200, answer.text
            found = answer.json()
            assert found["complete"], found
            seen = {certificate_of(entry["identifier"]) for entry in found["entries"]}
            assert known <= seen, f"{len(known - seen)} acknowledged certificates were not found"
            self._read.note({"lookup": found["lookup_id"]})
            if not found["entries"]:
                time.sleep(0.1)
                continue
            identifier, revoked = random.choice(found["entries"])["identifier"], self._revoked()
            body = acts.raw({**case, "identifier": identifier})
            answer = asking.until_answered("POST", "/api/v1/retrievals", body)
            if answer.status_code in {200, 201}:
                assert certificate_of(identifier) not in revoked, "what is revoked was given to a counter"
                self._read.note({"receipt": answer.json()["receipt_number"], "identifier": identifier})
            else:
                assert answer.json()["code"] == "certificate.not_active", answer.text
            time.sleep(0.05)

    def _strangers(self) -> None:
        """Verify codes, and download files."""
        public, authority, files = self._asked(None), self._asked(acts.CLIENT), dict[str, bytes]()
        while not self._stop.is_set():
            granted = self._granted()
            if not granted:
                time.sleep(0.1)
                continue
            one, revoked = random.choice(granted), self._revoked()
            code = one["links"]["verify"].rpartition("/")[2]
            answer = public.until_answered("GET", f"/v/{code}", accept="application/json")
            assert answer.status_code == 200, answer.text
            state = answer.json()["state"]
            expected = {"revoked"} if certificate_of(one["identifier"]) in revoked else set(_STATES)
            assert state in {*expected, "unknown"}, (state, expected)  # unknown: while the database cannot be read
            one = random.choice(granted[:8])
            answer = authority.until_answered("GET", one["links"]["document"])
            assert answer.status_code == 200, answer.text
            assert answer.content.startswith(b"%PDF"), answer.content[:20]
            assert files.setdefault(one["identifier"], answer.content) == answer.content, "the file has changed"
            self._read.note({"file": one["identifier"]})
            time.sleep(0.1)

    # --- afterwards ---------------------------------------------------------------------------------------------------

    def answers(self) -> tuple[int, int]:
        """How many requests were acknowledged, and how often a client had to retry."""
        read = Counter(kind for entry in self._read.lines() for kind in entry if kind != "identifier")
        return Acknowledged(self.books, self._acted).answers + read.total(), self._unavailable.total()

    def hold(self) -> None:
        """Every receipt given to a counter exists, and every answer is in the audit log."""
        read = Journal(self._read.path).lines()
        with open_parts(settings_of(self._data), clock=s.Later()) as parts:
            reader = parts.database.reader
            for entry in read:
                if "receipt" in entry:
                    receipt = retrievals.by_number(reader, parts.vault, entry["receipt"])
                    assert receipt is not None, "a receipt is gone"
            rows = reader.all("SELECT action, COUNT(*) AS n FROM audit WHERE outcome = 'ok' GROUP BY action")
            on_record = {row["action"]: row["n"] for row in rows}
        for kind, action in (("lookup", "lookup"), ("receipt", "retrieval")):
            given = sum(kind in entry for entry in read)
            assert on_record.get(action, 0) >= given, f"{given} answers, {on_record} on record"


_STATES = ("valid", "suspended", "superseded", "revoked")


class _Asking:
    """One client's connection and token."""

    def __init__(self, web: Web, client: str | None) -> None:
        self._web, self._client = web, client
        self._http = httpx.Client(base_url=web.address, timeout=30, trust_env=False)
        self._token = ""
        self.unanswered = 0

    def until_answered(
        self, method: str, path: str, content: bytes | None = None, accept: str = "*/*"
    ) -> httpx.Response:
        """Retry until answered. A server error must be a 503 with Retry-After."""
        for answer in self._answers(method, path, content, accept):
            if answer is None:
                self.unanswered += 1
            elif answer.status_code == 503:
                self.unanswered += 1
                assert int(answer.headers["Retry-After"]) >= 1
                self._web.note_unavailable(answer.json()["code"])
            elif answer.status_code == 401 and self._client is not None:
                assert answer.json()["code"] in {"auth.expired", "auth.missing"}, answer.text
                self._token = ""
                continue
            else:
                assert answer.status_code < 500, answer.text
                return answer
            time.sleep(0.05)
        raise AssertionError("no server answers")

    def _answers(self, method: str, path: str, content: bytes | None, accept: str) -> Iterator[httpx.Response | None]:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            try:
                if self._client is not None and not self._token:
                    answer = self._log_in()
                    if answer.status_code != 200:
                        yield answer
                        continue
                    self._token = answer.json()["access_token"]
                headers = {"Accept": accept}
                if self._client is not None:
                    headers["Authorization"] = f"Bearer {self._token}"
                if content is not None:
                    headers["Content-Type"] = "application/json"
                yield self._http.request(method, path, content=content, headers=headers)
            except httpx.TransportError:
                yield None

    def _log_in(self) -> httpx.Response:
        assert self._client is not None
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": self._web.sign(self._client),
        }
        return self._http.post("/oauth/token", data=form)

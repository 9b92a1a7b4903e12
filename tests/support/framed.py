"""Endpoints that only exercise the request handling of hub.web, served on a real socket."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import structlog
from pydantic import BaseModel

from hub.access.assertion import sign_assertion
from hub.app import _log as app_log
from hub.app import build
from hub.db.database import DatabaseUnavailable, StorageFull
from hub.domain.errors import FieldError, Refusal
from hub.ops.init import initialise
from hub.parts import Parts, open_parts
from hub.runtime import logs
from hub.settings import Settings
from hub.web.endpoint import ANY_TOKEN, PUBLIC_ACCESS, Answer, Call, Lane, Routes
from signing.errors import KeyMissing
from tests.support.serving import served

URL = "https://hub.example"
AUTHORITY = "11350100MB9A10175L"
SECRET = "990102198803121177"


class TextBody(BaseModel):
    text: str | None = None


gate = threading.Event()
running = threading.Semaphore(0)
routes = Routes(prefix="/t", tag="test")


def _wait(call: Call) -> Answer:
    running.release()
    gate.wait(60)
    return Answer({"waited": True})


def _echo(call: Call) -> Answer:
    return Answer({"bytes": len(call.body), "path": dict(call.path), "query": dict(call.query)})


def _who(call: Call) -> Answer:
    return Answer({"client": call.client.client_id, "request": call.client.request})


def _raise(call: Call) -> Answer:
    raise FAULTS[call.path["name"]]


FAULTS = {
    "database": DatabaseUnavailable(SECRET),
    "full": StorageFull(SECRET),
    "key": KeyMissing(SECRET),
    "unknown": ValueError(f"no {SECRET}"),
    "refusal": Refusal("id.checksum", pointer="/holder/id_number"),
    "limited": Refusal("rate.limited", retry_after=123),
    "many": Refusal("schema.invalid", errors=(FieldError("/a", "schema.invalid", "缺", "missing"),)),
    "thousands": Refusal("schema.invalid", errors=(FieldError("/a", "schema.invalid", "缺", "missing"),) * 5_000),
}
_ANY = {200: None}
for _path, _method, _lane, _access, _body, _handler in (
    ("/slow-write", "GET", Lane.WRITE, PUBLIC_ACCESS, None, _wait),
    ("/read", "GET", Lane.READ, PUBLIC_ACCESS, None, _echo),
    ("/open/{name}", "GET", Lane.PUBLIC, PUBLIC_ACCESS, None, _echo),
    ("/open/{name}", "PUT", Lane.PUBLIC, PUBLIC_ACCESS, TextBody, _echo),
    ("/body", "POST", Lane.PUBLIC, PUBLIC_ACCESS, TextBody, _echo),
    ("/push", "PUT", Lane.WRITE, "cases:write", TextBody, _echo),
    ("/manage", "GET", Lane.READ, ("certificates:manage", "audit:read"), None, _who),
    ("/who", "GET", Lane.READ, ANY_TOKEN, None, _who),
    ("/fault/{name}", "GET", Lane.READ, PUBLIC_ACCESS, None, _raise),
):
    routes.add(
        _method, _path, scope=_access, lane=_lane, body=_body, query={"q": "anything"}, replies=_ANY, summary="test"
    )(_handler)


@routes.add("GET", "/page", scope=PUBLIC_ACCESS, lane=Lane.PUBLIC, stray_query=True, replies=_ANY, summary="test")
def page(call: Call) -> Answer:
    return Answer("<p>页</p>", media_type="text/html", headers={"Cache-Control": "max-age=60"})


@dataclass
class Hub:
    parts: Parts
    address: str
    key: bytes
    client: httpx.Client

    def token(self, scope: str | None = None) -> dict[str, str]:
        assertion = sign_assertion(self.key, "frame-test", URL, self.parts.clock.now())
        return {"Authorization": "Bearer " + self.parts.access.issue_token(assertion, scope)[0]}

    def outcomes(self) -> list[tuple[str, str, str, str]]:
        rows = self.parts.database.reader.all("SELECT * FROM audit ORDER BY id")
        return [(r["client"], r["action"], r["outcome"], r["request"]) for r in rows]


def resident_mb() -> float:
    """The memory of this process, which is also the hub's."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


@contextmanager
def logged() -> Iterator[list[str]]:
    """Every log line, as written by the process."""
    lines: list[str] = []

    class Sink:
        def msg(self, message: bytes) -> None:
            lines.append(message.decode())

        debug = info = warning = error = msg

    logs.configure("debug")
    vars(app_log).pop("bind", None)  # drop another test's settings, cached at its first line
    structlog.configure(logger_factory=lambda *_: Sink(), cache_logger_on_first_use=False)
    yield lines
    structlog.reset_defaults()


@contextmanager
def framed(folder: Path) -> Iterator[Hub]:
    """A hub with small limits that serves `routes` alone."""
    settings = Settings(
        data_dir=folder,
        public_url=URL,
        writes_at_once=2,
        writes_waiting=3,
        max_public_body_bytes=4096,
        max_body_bytes=8 * 1024 * 1024,
        body_timeout_s=0.5,
    )
    initialise(settings)
    with open_parts(settings) as parts:
        parts.registration.load_catalogue(
            {"authorities": [{"code": AUTHORITY, "region": "350100", "name": "福州市市场监督管理局"}]}
        )
        _, key = parts.registration.add_client("frame-test", AUTHORITY, scopes=("cases:write", "audit:read"))
        with served(build(parts, [routes])) as address, httpx.Client(base_url=address, timeout=20) as client:
            yield Hub(parts, address, key, client)

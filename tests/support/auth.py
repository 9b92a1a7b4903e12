"""Authentication fixtures: a private data directory, two authorities, a client, and assertions of every kind."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt as pyjwt

from hub.access import Access
from hub.access.assertion import read_key
from hub.ops.init import initialise
from hub.parts import Parts, open_parts
from hub.runtime.clock import Clock
from hub.settings import Settings
from signing.keys import kid_of

HUB = "https://hub.example"
BUREAU = "11350100MB9A10175L"
OTHER = "11350100MB9A102558"
SCOPES = ("cases:write", "certificates:lookup")


class SetClock(Clock):
    """Stands still, and is put forward by `ahead`: what ends to the second does not depend on how long a test takes."""

    def __init__(self) -> None:
        self._started = datetime.now(UTC)
        self.ahead = timedelta()

    def now(self) -> datetime:
        return self._started + self.ahead


@dataclass
class Auth:
    settings: Settings
    parts: Parts
    clock: SetClock
    keys: dict[str, bytes] = field(default_factory=dict)

    @property
    def access(self) -> Access:
        return self.parts.access

    def add(self, name: str, scopes: tuple[str, ...] = SCOPES) -> str:
        self.keys[name] = self.parts.registration.add_client(name, BUREAU, scopes=scopes)[1]
        return name

    def assertion(self, client: str = "a-client", pem: bytes | None = None, headers: Any = None, **claims: Any) -> str:
        pem = pem or self.keys[client]
        at = int(self.clock.now().timestamp())
        content = {"iss": client, "sub": client, "aud": HUB, "iat": at, "exp": at + 60, "jti": f"{time.time_ns()}"}
        key = read_key(pem)
        headers = {"kid": kid_of(key.public_key())} if headers is None else headers
        return pyjwt.encode(content | claims, key, algorithm="ES256", headers=headers)

    def token(self, client: str = "a-client", scope: str | None = None) -> str:
        return self.access.issue_token(self.assertion(client), scope)[0]

    def used(self) -> int:
        row = self.parts.database.reader.one("SELECT COUNT(*) AS n FROM jtis")
        return int(row["n"]) if row else 0


@contextmanager
def open_auth(folder: Path) -> Iterator[Auth]:
    settings = Settings(data_dir=folder, public_url=HUB)
    initialise(settings)
    clock = SetClock()
    with open_parts(settings, clock=clock) as parts:
        authorities = [{"code": c, "name": c, "region": "350100"} for c in (BUREAU, OTHER)]
        parts.registration.load_catalogue({"authorities": authorities})
        found = Auth(settings, parts, clock)
        found.add("a-client")
        yield found

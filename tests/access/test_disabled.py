"""A client that is disabled is out of every running process within a second, on both engines."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from hub.access.assertion import sign_assertion
from hub.ops.init import initialise
from hub.parts import open_parts
from hub.settings import Settings
from tests.ops.test_serve import Running, serving
from tests.support import postgres
from tests.support.auth import BUREAU, SCOPES
from tests.support.serving import Reply, connected, head, read_reply

URL = "http://127.0.0.1:8080"


class Hub:
    """Running processes on either engine, two on a server; and this process, which changes the accounts."""

    def __init__(self, running: Running, settings: Settings, key: bytes) -> None:
        self.running = running
        self.settings = settings
        self.key = key

    def assertion(self) -> str:
        with open_parts(self.settings) as parts:
            return sign_assertion(self.key, "a-client", URL, parts.clock.now())

    def ask_for_token(self, assertion: str) -> httpx.Response:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
        }
        return httpx.post(self.running.address + "/oauth/token", data=form)

    def ask(self, token: str) -> int:
        """On a new connection, which either process may accept."""
        return httpx.get(self.running.address + "/api/v1/types", headers=bearer(token)).status_code

    def disable(self, disabled: bool = True) -> None:
        with open_parts(self.settings) as parts:
            parts.registration.set_client_disabled("a-client", disabled)

    def use_for_a_second(self, token: str) -> None:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            self.ask(token)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def hub(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("disabled") / "data"
    more, words = {}, []
    if engine == "postgresql":
        more = {"HUB_DATABASE_URL": postgres.shared().url(postgres.shared().create())}
        words = ["--workers", "2"]
    settings = Settings(data_dir=folder, public_url=URL, database_url=more.get("HUB_DATABASE_URL"))
    initialise(settings)
    with open_parts(settings) as parts:
        parts.registration.load_catalogue({"authorities": [{"code": BUREAU, "region": "350100", "name": "市监局"}]})
        _, key = parts.registration.add_client("a-client", BUREAU, scopes=SCOPES)
    with serving(folder, *words, **more) as running:
        if words:
            assert len(running.workers()) == 2
        yield Hub(running, settings, key)


@pytest.fixture
def token(hub: Hub) -> Iterator[str]:
    """A token that both processes have accepted; the client is enabled again at the end."""
    found = str(hub.ask_for_token(hub.assertion()).json()["access_token"])
    assert {hub.ask(found) for _ in range(40)} == {200}
    yield found
    hub.disable(False)
    hub.use_for_a_second(found)


def test_a_token_of_a_disabled_client_is_refused(hub: Hub, token: str) -> None:
    hub.disable()
    hub.use_for_a_second(token)
    assert {hub.ask(token) for _ in range(40)} == {401}
    refused = [hub.ask_for_token(hub.assertion()) for _ in range(10)]
    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(401, "auth.invalid")}


@contextmanager
def uploading(hub: Hub, token: str, size: int) -> Iterator[list[Reply]]:
    """A push whose body arrives before and after the block; the reply is in the list then."""
    replies: list[Reply] = []
    body = json.dumps({"status": "done", "unknown": "x" * size}).encode()
    start = head(
        "PUT", "/api/v1/cases/C-1", **bearer(token), Content_Type="application/json", Content_Length=str(len(body))
    )
    with connected(hub.running.address) as connection:
        connection.sendall(start + body[:10])
        time.sleep(0.3)  # it is accepted by now, if it is accepted before its body
        yield replies
        connection.sendall(body[10:])
        replies.append(read_reply(connection))


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_client_disabled_during_its_upload_is_refused(hub: Hub, token: str, size: int) -> None:
    with uploading(hub, token, size) as replies:
        pass
    assert replies[0].code == "schema.invalid"
    with uploading(hub, token, size) as replies:
        hub.disable()
        hub.use_for_a_second(token)
    assert (replies[0].status, replies[0].code) == (401, "auth.invalid")

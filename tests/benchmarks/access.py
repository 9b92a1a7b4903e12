"""Get an access token from a running hub, as any client does."""

import json
from datetime import UTC, datetime

from hub.access.assertion import sign_assertion
from hub.parts import open_parts
from hub.settings import Settings
from tests.benchmarks import client


def token(settings: Settings, client_id: str, port: int, key: str) -> str:
    """A token for the client with this private key."""
    with open_parts(settings) as parts:
        from hub.store import keys as key_store

        audience = key_store.public_urls(parts.database.reader)[0]
    assertion = sign_assertion(key.encode(), client_id, audience, datetime.now(UTC))
    kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
    form = f"grant_type=client_credentials&client_assertion_type={kind}&client_assertion={assertion}".encode()
    head = f"POST /oauth/token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(form)}\r\n"
    raw = head.encode() + b"Content-Type: application/x-www-form-urlencoded\r\n\r\n" + form
    answer = client.run(port, [raw], 1, keep=True)
    return str(json.loads(answer.bodies[0])["access_token"])

"""Keys and status lists, fetched from a real server and checked by programs that share no code with ours."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from hub.app import create_app
from hub.domain.certificate import State
from hub.store import certificates
from hub.store import keys as key_store
from signing import credential, status
from signing.keys import Purpose
from tests.judges import judge_credentials, judge_digits
from tests.support.city import ACCOUNTS, URL, City, open_copy
from tests.support.published_keys import public_key_of
from tests.support.serving import served
from tests.support.verified import personal, versions

pytestmark = pytest.mark.sqlite

ACT = {"reason": "测试", "legal_basis": "测试"}
VALUES = {State.REVOKED: 1, State.SUSPENDED: 2, State.SUPERSEDED: 3}


@pytest.fixture
def client(city: City) -> Iterator[httpx.Client]:
    with served(create_app(city.parts)) as address, httpx.Client(base_url=address) as found:
        yield found


def jwks_of(client: httpx.Client) -> dict[str, Any]:
    reply = client.get("/.well-known/jwks.json")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    return dict(reply.json())


def manager(city: City, authority: str) -> Any:
    found = (c for c in ACCOUNTS["clients"] if c["authority"] == authority and "certificates:manage" in c["scopes"])
    return city.caller(next(found)["name"])


def test_every_public_key_of_the_published_purposes(city, client):
    keys = jwks_of(client)["keys"]
    recorded = {key.public.kid: key.public for key in city.parts.keyring.all()}
    assert {key["purpose"] for key in keys} == {"credential", "status", "access_token", "ledger"}
    for key in keys:
        assert public_key_of(key, Purpose(key["purpose"])).spki == recorded[key["kid"]].spki
        assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg", "purpose"}
    missing = {kid for kid in recorded if kid not in {key["kid"] for key in keys}}
    assert {recorded[kid].purpose for kid in missing} == {Purpose.DOCUMENT, Purpose.ROOT, Purpose.ISSUING}


def test_retired_keys_stay_published(city, client):
    kid = city.parts.keyring.active(Purpose.CREDENTIAL).kid
    with city.parts.database.write() as writer:
        key_store.set_signing_state(writer, kid, key_store.SigningState.RETIRED, 1)
    assert kid in {key["kid"] for key in jwks_of(client)["keys"]}


def test_third_parties_verify_what_we_issue_with_what_we_publish(city, client):
    jwks = jwks_of(client)
    reply = client.get("/status/0", headers={"Host": "hub.example"})
    found = versions(city)
    judged = judge_credentials(jwks, [v.credential for v in found], {f"{URL}/status/0": reply.text})
    digits = judge_digits(jwks, [{"code": v.code, "digits": v.digits} for v in found])
    for version, verdict, digit in zip(found, judged, digits, strict=True):
        assert verdict["accepted"], verdict
        state = version.state(city.clock.today())
        assert verdict["status"] == VALUES.get(state, verdict["status"] if state is State.EXPIRED else 0)
        assert digit["accepted"], digit


def test_a_list_says_what_it_should(city, client):
    reply = client.get("/status/0")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/statuslist+jwt")
    token = status.read(reply.content)
    key = city.parts.keyring.active(Purpose.STATUS)
    assert status.is_signed_by(token, key)
    assert token.uri == f"{URL}/status/0"
    assert (token.exp - token.iat, token.ttl) == (86_400, 900)
    used = {}
    for version in versions(city):
        claims = credential.read(version.credential).claims
        assert (claims.status_uri, claims.status_list) == (token.uri, 0)
        used[claims.status_index] = version
        value = status.value(token, claims.status_index)
        state = version.state(city.clock.today())
        assert value == VALUES.get(state, value if state is State.EXPIRED else 0)
    others = [i for i in range(status.ENTRIES) if i not in used and status.value_in(token.entries, i, bits=2)]
    assert others == []


def test_every_change_shows_at_once(city, client):
    version = personal(city)
    index = credential.read(version.credential).claims.status_index
    who = manager(city, version.authority)

    def value() -> int:
        return int(status.value(status.read(client.get("/status/0").content), index))

    assert value() == 0
    city.parts.lifecycle.suspend(who, version.identifier, kind="lost", **ACT)
    assert value() == 2
    city.parts.lifecycle.restore(who, version.identifier, **ACT)
    assert value() == 0
    city.parts.lifecycle.revoke(who, version.identifier, kind="cancelled", **ACT)
    assert value() == 1


def test_a_list_is_fresh_or_not_sent_again(city, client):
    first = client.get("/status/0")
    again = client.get("/status/0", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    city.clock.ahead = timedelta(minutes=6)
    later = client.get("/status/0", headers={"If-None-Match": first.headers["etag"]})
    assert later.status_code == 200
    assert status.read(later.content).iat >= status.read(first.content).iat + 300


def test_a_successor_that_begins_later_counts_from_its_day(city):
    version = personal(city)
    today = city.clock.today()
    index = credential.read(version.credential).claims.status_index
    with city.parts.database.write() as writer:
        writer.run(
            "UPDATE versions SET superseded_on = :on WHERE identifier = :identifier",
            {"on": int(f"{today + timedelta(days=3):%Y%m%d}"), "identifier": version.identifier},
        )
    lists = city.parts.verification.status_lists
    for days, value in ((0, 0), (2, 0), (3, 3), (4, 3)):
        city.clock.ahead = timedelta(days=days)
        assert status.value(status.read(lists.token(0)), index) == value


@pytest.mark.parametrize("number", ["1", "00", "01", "-1", "x", "35184372088831", "35184372088832", "9" * 40, "0 "])
def test_lists_that_no_version_uses(client, number):
    reply = client.get(f"/status/{number}")
    assert (reply.status_code, reply.json()["code"]) == (404, "page.not_found")


def test_a_missing_status_key_is_said_to_be_missing(city, client):
    kid = city.parts.keyring.active(Purpose.STATUS).kid
    city.parts.keyring.folder.retire(kid, Purpose.STATUS)
    reply = client.get("/status/0")
    assert (reply.status_code, reply.json()["code"]) == (503, "sign.unavailable")
    assert reply.headers["retry-after"]


def test_a_former_address_continues_to_serve_its_lists(template, tmp_path):
    """Printed and signed data name the old address; a list fetched there must use that address for itself."""
    with open_copy(template, tmp_path / "city") as moved:
        with moved.parts.database.write() as writer:
            key_store.set_public_url(writer, "https://new.example/certs", 2)
        moved.parts.verification.addresses.refresh()
        with served(create_app(moved.parts)) as address, httpx.Client(base_url=address) as client:
            for host, uri in (
                ("hub.example", URL),
                ("HUB.example:443", URL),
                ("new.example", "https://new.example/certs"),
                ("other.example", "https://new.example/certs"),
                ("nonsense/..", "https://new.example/certs"),
            ):
                token = status.read(client.get("/status/0", headers={"Host": host}).content)
                assert token.uri == f"{uri}/status/0"


def test_the_range_of_a_list_is_its_own(city):
    reader = city.parts.database.reader
    newest = reader.one("SELECT MAX(version_key) AS newest FROM versions")["newest"]
    assert certificates.has_version_between(reader, newest, newest)
    assert not certificates.has_version_between(reader, newest + 1, newest + status.ENTRIES)

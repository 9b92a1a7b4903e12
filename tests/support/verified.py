"""What a verifier may be presented with: certificates of the sample city, and forgeries of them."""

from dataclasses import replace
from typing import Any

from hub.domain.certificate import State
from hub.domain.version import Version
from hub.keys.keyring import Keyring
from hub.store.catalogue import CatalogueCache
from hub.verification import Verdict, VerdictAnswer, Verification
from signing import credential, qr
from signing.encoding import base64url, compact_json
from signing.keys import Purpose
from tests.support import engines
from tests.support.city import URL, City

YES, NO, UNKNOWN = VerdictAnswer.YES, VerdictAnswer.NO, VerdictAnswer.UNKNOWN


def versions(city: City, state: State | None = None) -> list[Version]:
    rows = city.parts.database.reader.all("SELECT identifier FROM versions ORDER BY version_key")
    found = [city.version(row["identifier"]) for row in rows]
    return [v for v in found if state is None or v.state(city.clock.today()) is state]


def personal(city: City) -> Version:
    """A valid certificate of one person, with an expiry date."""
    found = versions(city, State.VALID)
    return next(v for v in found if v.holders[0].id_type == "111" and len(v.holders) == 1 and v.dates.valid_until)


def text_of(version: Version) -> str:
    return qr.text(URL, version.code, version.digits)


def findings(verdict: Verdict) -> tuple[VerdictAnswer, ...]:
    checks = verdict.checks
    return checks.intact, checks.trusted, checks.in_force, checks.within_dates


def kill(city: City) -> None:
    """Remove the database under a running process."""
    engines.lose(city.parts)


def resigned_digits(version: Version, sign: Any, kid: str, **face: Any) -> str:
    prepared = qr.prepare(replace(qr.read(version.digits).face, **face), version.code, kid)
    return qr.assemble(prepared, sign(kid, Purpose.CREDENTIAL, prepared.to_be_signed))


def resigned(version: Version, sign: Any, kid: str, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """The credential with other claims, header or key, and its own disclosures."""
    read = credential.read(version.credential)
    head = base64url.encode(compact_json.encode({"alg": "ES256", "kid": kid, "typ": "dc+sd-jwt"} | (header or {})))
    body = base64url.encode(compact_json.encode(read.payload | claims))
    signature = base64url.encode(sign(kid, Purpose.CREDENTIAL, f"{head}.{body}".encode()))
    return "~".join((f"{head}.{body}.{signature}", *version.credential.split("~")[1:]))


def another_process(city: City, keyring: Keyring) -> Verification:
    """Verification in another process on the same data."""
    parts = city.parts
    return Verification(
        database=parts.database,
        vault=parts.vault,
        clock=parts.clock,
        keyring=keyring,
        catalogue=CatalogueCache(parts.database),
        checkers=parts.checkers,
        publication=parts.x509,
    )

"""Issuing a completed case: signed certificates in pushed order, all or none."""

import base64
import hashlib
import json
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hub.domain.certificate import ActKind, Standing
from hub.domain.version import Version
from hub.store import keys as key_store
from signing import credential, identifier, ledger_leaf, qr, status
from signing.keys import Purpose
from tests.support import town as t
from tests.support.town import ANNA, BERT, CARL, DORA, Town, body, grant, places, refusal, refused

FACE = {"place": "东市", "area": "12.5", "seats": 4}


def test_the_reply_lists_what_was_issued_in_pushed_order(town: Town) -> None:
    numbers = ["N-3", "N-1", "K-2"]
    found = town.push("T-1", body(grant("N-3"), grant("N-1", BERT), grant("K-2", CARL, type_code=t.CARD)))
    assert found.status == 201
    assert {k: v for k, v in found.reply.items() if k != "certificates"} == {
        "case_number": "T-1",
        "amendment": 0,
        "status": "completed",
        "issuance": "done",
    }
    assert [item["number"] for item in found.reply["certificates"]] == numbers
    for item in found.reply["certificates"]:
        version = town.version(item["identifier"])
        own = f"/api/v1/certificates/{version.identifier}"
        verify = f"{t.URL}/v/{version.code}#{version.digits}"
        links = {"self": own, "document": f"{own}/document.pdf", "verify": verify}
        shown = {"identifier": version.identifier, "number": version.number, "type_code": version.type_code}
        assert item == {**shown, "version": 1, "links": links}
    live = town.live("T-1")
    assert live == {
        **found.reply,
        "certificates": [{**item, "state": "valid"} for item in found.reply["certificates"]],
    }
    assert town.agrees()


def test_a_case_that_grants_nothing_issues_nothing(town: Town) -> None:
    found = town.push("T-1", body(status="completed"))
    assert (found.status, found.reply["issuance"], found.reply["certificates"]) == (201, "none", [])
    assert town.counts()["certificates"] == 0


def test_what_is_recorded_is_what_was_pushed(town: Town) -> None:
    (found,) = town.issue(
        "T-1", grant("N-1", ANNA, BERT, fields=FACE, valid_from="2026-03-05", valid_until="2027-03-04")
    )
    dates = found.dates
    assert [day and day.isoformat() for day in (dates.issued_on, dates.valid_from, dates.valid_until)] == [
        "2026-03-01",
        "2026-03-05",
        "2027-03-04",
    ]
    assert [(h.name, h.id_type, h.id_number) for h in found.holders] == [
        (p["name"], p["id_type"], p["id_number"]) for p in (ANNA, BERT)
    ]
    assert (found.number, found.fields, found.edition, found.origin_word) == ("N-1", FACE, 1, "issued")
    assert (found.source, found.case_number, found.authority, found.home) == (t.TRADE, "T-1", t.TRADE, found.parties[0])
    assert found.identifier == identifier.build(t.PERMIT, t.TRADE, found.serial, 1)
    (act,) = town.acts(found)
    assert (act.kind, act.revision, act.standing, act.client) == (ActKind.ISSUED, 1, Standing.ACTIVE, "town-trade")
    assert (act.effective_on, act.recorded_at) == (dates.issued_on, town.clock.now())


def test_an_absent_beginning_is_the_day_of_issue(town: Town) -> None:
    (found,) = town.issue("T-1", grant("N-1", issued_on="2026-02-03"))
    assert found.dates.valid_from == found.dates.issued_on


# --- signatures -------------------------------------------------------------------------------------------------------


@dataclass
class Jws:
    """A compact JWS and its disclosures, parsed by hand."""

    header: dict[str, object]
    payload: dict[str, object]
    signed: bytes
    signature: bytes
    disclosures: list[str]


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def taken_apart(text: str) -> Jws:
    token, *disclosures = text.split("~")
    head, payload, signature = token.split(".")
    return Jws(
        header=json.loads(decoded(head)),
        payload=json.loads(decoded(payload)),
        signed=f"{head}.{payload}".encode(),
        signature=decoded(signature),
        disclosures=[item for item in disclosures if item],
    )


def key_of(town: Town, kid: str) -> ec.EllipticCurvePublicKey:
    """The public key on record, read with the cryptography library only."""
    row = town.parts.database.reader.one("SELECT spki FROM signing_keys WHERE kid = :kid", {"kid": kid})
    assert row is not None
    found = load_der_public_key(row["spki"])
    assert isinstance(found, ec.EllipticCurvePublicKey)
    return found


def test_a_credential_verifies_with_the_public_key_on_record(town: Town) -> None:
    (found,) = town.issue("T-1", grant("N-1", ANNA, BERT, fields=FACE, valid_until="2027-02-28"))
    jws = taken_apart(found.credential)
    assert jws.header == {"alg": "ES256", "kid": found.kid, "typ": "dc+sd-jwt"}
    numbers = (int.from_bytes(jws.signature[at : at + 32], "big") for at in (0, 32))
    key_of(town, found.kid).verify(utils.encode_dss_signature(*numbers), jws.signed, ec.ECDSA(SHA256()))
    index = status.index_of(found.version_key, town.parts.vault.status_key)
    visible = {
        "iss": t.URL,
        "vct": f"urn:hub:type:{t.PERMIT}:1",
        "iat": int(t.NOW.timestamp()),
        "identifier": found.identifier,
        "version": 1,
        "type_code": t.PERMIT,
        "authority_code": t.TRADE,
        "issued_on": "2026-03-01",
        "valid_from": "2026-03-01",
        "valid_until": "2027-02-28",
        "origin": "issued",
        "status": {"status_list": {"uri": f"{t.URL}/status/{index[0]}", "idx": index[1]}},
    }
    assert {name: jws.payload[name] for name in visible} == visible
    assert not {"exp", "nbf", "number", "holders", "place"} & jws.payload.keys()
    opened = [json.loads(decoded(item)) for item in jws.disclosures]
    assert {item[-2]: item[-1] for item in opened if len(item) == 3} == {
        "number": "N-1",
        "holders": [{"name": p["name"], "id_type": "111", "id_number": p["id_number"]} for p in (ANNA, BERT)],
        **FACE,
    }
    digests = {encoded(hashlib.sha256(item.encode()).digest()) for item in jws.disclosures}
    assert digests <= set(json.dumps(jws.payload).replace('"', " ").replace(",", " ").split())
    read = credential.read(found.credential)
    public = town.parts.keyring.public(found.kid, Purpose.CREDENTIAL)
    assert public is not None
    assert credential.is_signed_by(read, public)


def test_the_digits_say_what_the_public_page_says(town: Town) -> None:
    versions = town.issue("T-1", grant("N-12345678", ANNA, BERT), grant(CARL["id_number"], CARL, type_code=t.CARD))
    versions += town.issue("T-2", grant("S-1", t.firm(1), type_code=t.LICENCE), matter_code=t.REGISTER)
    shown = []
    for found in versions:
        digits = qr.read(found.digits)
        public = town.parts.keyring.public(found.kid, Purpose.CREDENTIAL)
        assert found.digits.isdigit()
        assert public is not None
        assert qr.is_signed_by(digits, found.code, public)
        assert not qr.is_signed_by(digits, versions[versions.index(found) - 1].code, public)
        assert digits.face.identifier == found.identifier
        shown.append((digits.face.number, digits.face.holders))
    assert shown == [
        ("N-12****78", ("安*", "白*验")),
        ("9****************" + CARL["id_number"][-1], ("柴*",)),
        ("S-1", ("试验商号有限公司",)),
    ]


def test_every_version_has_numbers_of_its_own(town: Town) -> None:
    found = [v for n in range(3) for v in town.issue(f"T-{n}", grant(f"A-{n}"), grant(f"B-{n}"))]
    found += town.issue("T-0", grant("A-0", BERT), grant("B-0", BERT), amendment=1)
    assert len(found) == 8
    for name in ("identifier", "code", "version_key", "salt", "digits", "credential"):
        assert len({getattr(version, name) for version in found}) == 8
    places_in_lists = {status.index_of(v.version_key, town.parts.vault.status_key) for v in found}
    assert len(places_in_lists) == 8
    assert len({v.serial for v in found}) == 6
    handles = town.rows("handles")
    assert {row["value"] for row in handles} == {v.identifier for v in found} | {v.code for v in found}


def test_every_issue_leaves_one_leaf(town: Town) -> None:
    versions = town.issue("T-1", grant("N-1"), grant("N-2"))
    leaves = {row["certificate"]: ledger_leaf.read(row["leaf"]) for row in town.rows("outbox")}
    for found in versions:
        entry = leaves[found.certificate]
        assert (entry.kind, entry.revision, entry.effective_on) == (ledger_leaf.Kind.ISSUED, 1, found.dates.issued_on)
        assert entry.identifier_digest == hashlib.sha256(found.salt + found.identifier.encode()).digest()
        assert entry.credential_digest == hashlib.sha256(found.salt + found.credential.encode()).digest()


# --- all or none ------------------------------------------------------------------------------------------------------


def test_one_taken_number_stops_the_whole_case(town: Town) -> None:
    town.issue("T-1", grant("N-2"))
    before = town.counts()
    found = refusal(town.push, "T-2", body(grant("N-1"), grant("N-2", BERT), grant("N-3")))
    assert (found.code, places(found)) == ("number.taken", [("/certificates/1/number", "number.taken")])
    assert town.counts() == {**before, "audit": before["audit"] + 1}
    assert refused(town.live, "T-2") == "case.not_found"
    assert town.issue("T-2", grant("N-1"), grant("N-3"))
    assert town.agrees()


@pytest.mark.parametrize("number", ["n-1", "Ｎ－１", "N 1", "N—1", " n\u30001 ", "N1"])
def test_numbers_that_read_alike_are_one_number(town: Town, number: str) -> None:
    town.issue("T-1", grant("N-1"))
    assert refused(town.push, "T-2", body(grant(number, BERT))) == "number.taken"


def test_a_number_is_unique_within_authority_and_type(town: Town) -> None:
    town.issue("T-1", grant("N-1"), grant("N-1", type_code=t.CARD))
    town.issue("T-2", grant("N-1", type_code=t.HYGIENE), by=t.HEALER, matter_code=t.INSPECT)
    assert len({v["certificate"] for v in town.rows("certificates")}) == 3


def test_a_number_stays_taken(town: Town) -> None:
    (found,) = town.issue("T-1", grant("N-1"))
    town.move("revoke", found)
    assert refused(town.push, "T-2", body(grant("N-1"))) == "number.taken"


def test_a_face_too_large_to_print_is_refused(town: Town) -> None:
    firms = [t.firm(n, "商" * 200) for n in range(20)]
    found = refusal(town.push, "T-1", body(grant("N-1"), grant("N-2", *firms)))
    assert (found.code, places(found)) == ("schema.invalid", [("/certificates/1", "schema.invalid")])
    assert town.counts()["cases"] == 0


# --- holders ----------------------------------------------------------------------------------------------------------


def holdings(town: Town, version: Version) -> list[tuple[int, int, bool]]:
    """(party, ordinal, whether it has ended), in order."""
    rows = [row for row in town.rows("holdings") if row["certificate"] == version.certificate]
    return sorted((row["party"], row["ordinal"], bool(row["ended"])) for row in rows)


def test_two_holders_have_one_certificate_at_home_with_the_first(town: Town) -> None:
    (found,) = town.issue("T-1", grant("N-1", BERT, ANNA))
    assert len(set(found.parties)) == 2
    assert found.home == found.parties[0]
    assert holdings(town, found) == sorted((party, n, False) for n, party in enumerate(found.parties))


def test_home_never_changes_and_holdings_follow_the_holders(town: Town) -> None:
    (first,) = town.issue("T-1", grant("N-1", ANNA, BERT))
    (second,) = town.issue("T-1", grant("N-1", CARL, BERT), amendment=1)
    (third,) = town.issue("T-2", grant("N-1", DORA, ANNA, supersedes=[second.identifier]))
    assert {v.home for v in (first, second, third)} == {first.parties[0]}
    assert {v.certificate for v in (first, second, third)} == {first.certificate}
    (anna, bert), carl, dora = first.parties, second.parties[0], third.parties[0]
    assert holdings(town, first) == sorted([(anna, 1, False), (bert, 1, True), (carl, 0, True), (dora, 0, False)])
    assert town.agrees()


def test_the_name_of_a_body_is_kept_for_the_directory_and_no_persons(town: Town) -> None:
    town.issue("T-1", grant("S-1", ANNA, t.firm(1, "甲商号"), type_code=t.LICENCE), matter_code=t.REGISTER)
    town.issue("T-2", grant("S-2", ANNA, type_code=t.LICENCE), matter_code=t.REGISTER)
    assert {row["organisation"] for row in town.rows("certificates")} == {"甲商号", None}


def test_a_public_address_that_changes_stays_in_what_was_signed(town: Town) -> None:
    (old,) = town.issue("T-1", grant("N-1"))
    with town.parts.database.write() as writer:
        key_store.set_public_url(writer, "https://new.example", 1)
    town.parts.keyring.refresh()  # which it does automatically every two seconds
    found = town.push("T-2", body(grant("N-2")))
    assert found.reply["certificates"][0]["links"]["verify"].startswith("https://new.example/v/")
    assert credential.read(old.credential).claims.issuer == t.URL
    assert town.agrees()

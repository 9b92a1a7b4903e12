"""Every request for verification gets a verdict, even if it cannot be checked now."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.db.sqlite import SqliteDatabase
from hub.domain.certificate import State
from hub.domain.dates import day_of
from hub.keys.keyring import Keyring
from hub.store import keys as key_store
from hub.verification import VerdictState
from hub.verification.public_urls import address_of
from signing import credential, public_code, qr
from signing.keys import KeyFolder, PublicKey, Purpose
from tests.support.city import URL, City, open_copy
from tests.support.verified import (
    NO,
    UNKNOWN,
    YES,
    another_process,
    findings,
    kill,
    personal,
    resigned,
    text_of,
    versions,
)


@pytest.fixture(scope="module")
def city(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with open_copy(template, tmp_path_factory.mktemp("shared") / "city") as found:
        yield found


@pytest.fixture
def own(template: Path, tmp_path: Path) -> Iterator[City]:
    with open_copy(template, tmp_path / "city") as found:
        yield found


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> tuple[KeyFolder, PublicKey]:
    folder = KeyFolder(tmp_path_factory.mktemp("stranger"), b"x")
    return folder, folder.generate(Purpose.CREDENTIAL)


# --- what is genuine -------------------------------------------------------------------------------------------------


def test_all_three_forms_tell_the_state_of_every_certificate(city):
    verification, today = city.parts.verification, city.clock.today()
    seen = set()
    for version in versions(city):
        expected = VerdictState(version.state(today).value)
        verdicts = (
            verification.verify_code(version.code),
            verification.verify_qr(text_of(version)),
            verification.verify_credential(version.credential),
        )
        for verdict in verdicts:
            assert verdict.state is expected
            assert verdict.certificate is not None
            assert verdict.certificate.identifier == version.identifier
            assert findings(verdict)[:2] == (YES, YES)
            assert (verdict.state is VerdictState.VALID) == (findings(verdict) == (YES, YES, YES, YES))
            assert verdict.problems == ()
        seen.add((expected.value, verdicts[0].kind))
    assert {state for state, _ in seen} == {"valid", "expired", "suspended", "revoked", "superseded", "not_yet"}
    assert {kind for _, kind in seen} == {
        *(None, "withheld", "lost", "under_change", "other"),
        *("penalty", "rescinded", "cancelled", "withdrawn"),
    }


def test_codes_are_read_as_people_type_them(city):
    verification, code = city.parts.verification, personal(city).code
    spellings = [code.lower(), public_code.grouped(code), public_code.grouped(code).replace("-", "  "), f" {code}\n"]
    spellings += [code.replace("0", "O").replace("1", "l"), code.replace("0", "o").replace("1", "I")]
    for spelling in spellings:
        assert verification.verify_code(spelling).state is VerdictState.VALID
        assert verification.verify_qr(spelling).state is VerdictState.VALID


def test_no_digits_is_no_fault_and_apps_may_add_a_query(city):
    verification, version = city.parts.verification, personal(city)
    for text in (f"{URL}/v/{version.code}", f"{URL}/v/{version.code}#", f"{URL}/v/{version.code}?from=timeline"):
        assert verification.verify_qr(text).state is VerdictState.VALID


def test_digits_alone_find_their_record(city):
    version = personal(city)
    verdict = city.parts.verification.verify_qr(version.digits)
    assert verdict.state is VerdictState.VALID
    assert verdict.certificate.identifier == version.identifier


def test_a_credential_may_disclose_less(city):
    version = next(v for v in versions(city, State.VALID) if len(v.fields) > 2)
    jwt, *disclosures = version.credential.split("~")[:-1]
    subsets = [
        credential.present(version.credential, []),
        credential.present(version.credential, [*version.fields][:1]),
    ]
    subsets += [f"{jwt}~", "~".join((jwt, *reversed(disclosures), ""))]
    for text in subsets:
        assert city.parts.verification.verify_credential(text).state is VerdictState.VALID


def test_only_masked_data_leaves(city):
    for version in versions(city):
        for holder in version.holders:
            told = str(city.parts.verification.verify_credential(version.credential).as_json())
            assert holder.id_type == "001" or (holder.id_number not in told and holder.name not in told)


def test_digits_say_what_the_verdict_says(city):
    for version in versions(city):
        face = qr.read(version.digits).face
        shown = city.parts.verification.verify_code(version.code).certificate
        assert (face.number, face.holders, face.identifier) == (shown.number, shown.holders, shown.identifier)
        assert (face.issued_on, face.valid_from, face.valid_until) == (
            shown.issued_on,
            shown.valid_from,
            shown.valid_until,
        )


def test_the_shape_is_the_contracts(city):
    version = next(v for v in versions(city, State.SUSPENDED))
    told = city.parts.verification.verify_code(version.code).as_json()
    assert list(told) == [
        *("state", "kind", "since", "subject", "presented", "checks", "certificate", "problems", "checked_at")
    ]
    assert (told["subject"], told["presented"]) == ("certificate", "record")
    assert told["checks"] == {"intact": "yes", "trusted": "yes", "in_force": "no", "within_dates": "yes"}
    assert set(told["certificate"]) == {
        "identifier",
        "type_code",
        "type_name",
        "number",
        "holders",
        "authority_code",
        "authority_name",
        "issued_on",
        "valid_from",
        "valid_until",
        "version",
        "state",
        "kind",
        "since",
    }
    assert (told["kind"], told["since"]) == (told["certificate"]["kind"], told["certificate"]["since"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+08:00", told["checked_at"])
    told = city.parts.verification.verify_credential(version.credential).as_json()
    assert (told["state"], told["presented"]) == ("suspended", "credential")


# --- time and change -------------------------------------------------------------------------------------------------


def test_states_change_at_midnight_in_shanghai(own):
    version = personal(own)
    last_day = version.dates.valid_until
    own.clock.ahead = timedelta()
    midnight_before = last_day - day_of(own.clock.now())
    own.clock.ahead = midnight_before
    assert day_of(own.clock.now()) == last_day
    assert own.parts.verification.verify_code(version.code).state is VerdictState.VALID
    own.clock.ahead += timedelta(days=1)
    verdict = own.parts.verification.verify_qr(text_of(version))
    assert verdict.state is VerdictState.EXPIRED
    assert findings(verdict) == (YES, YES, YES, NO)


def test_a_change_shows_at_once_in_every_form(own):
    version = personal(own)
    client = own.caller(next(c["name"] for c in _managers(version.authority)))
    act = {"reason": "测试", "legal_basis": "测试"}
    forms = (
        lambda: own.parts.verification.verify_code(version.code),
        lambda: own.parts.verification.verify_qr(text_of(version)),
        lambda: own.parts.verification.verify_credential(version.credential),
    )
    assert {form().state for form in forms} == {VerdictState.VALID}
    own.parts.lifecycle.suspend(client, version.identifier, kind="lost", **act)
    assert {(form().state, form().kind) for form in forms} == {(VerdictState.SUSPENDED, "lost")}
    own.parts.lifecycle.restore(client, version.identifier, **act)
    assert {(form().state, form().kind) for form in forms} == {(VerdictState.VALID, None)}
    own.parts.lifecycle.revoke(client, version.identifier, kind="rescinded", effective_on=date(2026, 11, 1), **act)
    assert {(form().state, form().kind) for form in forms} == {(VerdictState.REVOKED, "rescinded")}
    assert {form().since for form in forms} == {date(2026, 11, 1)}


def _managers(authority: str) -> list[dict[str, Any]]:
    from tests.support.city import ACCOUNTS

    return [c for c in ACCOUNTS["clients"] if c["authority"] == authority and "certificates:manage" in c["scopes"]]


def test_an_old_version_is_superseded_and_says_so(city):
    old = next(v for v in versions(city, State.SUPERSEDED) if not v.is_current)
    for verdict in (
        city.parts.verification.verify_credential(old.credential),
        city.parts.verification.verify_qr(text_of(old)),
    ):
        assert verdict.state is VerdictState.SUPERSEDED
        assert findings(verdict)[2] is NO
        assert verdict.certificate.version == old.version
        assert verdict.since == old.dates.superseded_on


def test_retired_keys_stay_good(own):
    version = personal(own)
    with own.parts.database.write() as writer:
        key_store.set_signing_state(writer, version.kid, key_store.SigningState.RETIRED, 1)
    own.parts.keyring.refresh()
    fresh = another_process(own, own.parts.keyring)
    assert fresh.verify_credential(version.credential).state is VerdictState.VALID
    assert fresh.verify_qr(text_of(version)).state is VerdictState.VALID


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "base",
    [
        "https://evil.example",
        "https://hub.example.evil.example",
        "https://hub.example@evil.example",
        "https://user@hub.example",
        "https://hub.example:8443",
        "https://hub.example/other",
        "https://hub.example%2eevil.example",
        "https://hub.exampIe",
        "http://127.0.0.1:8080",
    ],
)
def test_addresses_that_were_never_ours(city, base):
    version = personal(city)
    verdict = city.parts.verification.verify_qr(qr.text(base, version.code, version.digits))
    assert (verdict.state, verdict.certificate, verdict.problems) == (VerdictState.UNTRUSTED, None, ("host.foreign",))
    assert findings(verdict) == (UNKNOWN, NO, UNKNOWN, UNKNOWN)


@pytest.mark.parametrize(
    "base", ["HTTPS://HUB.EXAMPLE", "https://hub.example:443", "https://hub.example.", "http://hub.example:80"]
)
def test_other_spellings_of_our_address(city, base):
    version = personal(city)
    assert city.parts.verification.verify_qr(qr.text(base, version.code, version.digits)).state is VerdictState.VALID


def test_former_addresses_stay_good(own):
    version = personal(own)
    with own.parts.database.write() as writer:
        key_store.set_public_url(writer, "https://new.example:8443/certificates", 2)
    verification = another_process(own, own.parts.keyring)
    for base in (URL, "https://new.example:8443/certificates"):
        assert verification.verify_qr(qr.text(base, version.code, version.digits)).state is VerdictState.VALID
    assert verification.verify_credential(version.credential).state is VerdictState.VALID
    assert verification.verify_qr(f"https://new.example/v/{version.code}").state is VerdictState.UNTRUSTED


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("https://evil.example/", VerdictState.UNTRUSTED),
        ("weixin://dl/scan", VerdictState.UNTRUSTED),
        ("javascript://alert(1)/v/x", VerdictState.UNTRUSTED),
        ("https://hub.example/docs", VerdictState.NOT_FOUND),
        ("https://hub.example/v/short", VerdictState.NOT_FOUND),
        ("hello", VerdictState.NOT_FOUND),
        ("/v/0000000000000000", VerdictState.NOT_FOUND),
        ("a\x00b", VerdictState.NOT_FOUND),
        ("WIFI:T:WPA;S:x;;", VerdictState.NOT_FOUND),
    ],
)
def test_other_texts(city, text, state):
    verdict = city.parts.verification.verify_qr(text)
    assert (verdict.state, verdict.certificate) == (state, None)
    assert verdict.problems


def test_places():
    assert address_of("https://a.example") == address_of("HTTPS://A.example:443/") == ("a.example", "", "")
    assert address_of("http://[::1]:8080/x/") == ("[::1]", "8080", "/x")
    for text in ("ftp://a.example", "https://", "https://a b", "https://a.example?x", "//a.example", "https://a:b@c"):
        assert address_of(text) is None


# --- codes that lead nowhere -----------------------------------------------------------------------------------------


def test_unknown_codes_are_all_alike(city):
    told = [city.parts.verification.verify_code(public_code.new_code()).as_json() for _ in range(20)]
    for answer in told:
        assert answer["state"] == "not_found"
        assert answer["checks"] == dict.fromkeys(("intact", "trusted", "in_force", "within_dates"), "unknown")
        assert answer["problems"] == ["code.unknown"]
        assert set(answer) == set(told[0])


@pytest.mark.parametrize(
    "text", ["", " ", "0" * 15, "0" * 17, "0" * 10_000, "U" * 16, "闽A0120260001", "../../etc/passwd"]
)
def test_what_is_no_code(city, text):
    verdict = city.parts.verification.verify_code(text)
    assert (verdict.state, verdict.problems) == (VerdictState.NOT_FOUND, ("code.malformed",))


def test_a_reserved_code_is_not_found(city):
    """What is reserved and not signed yet does not exist for the public."""
    reader = city.parts.database.reader
    handles = {row["value"] for row in reader.all("SELECT value FROM handles WHERE kind = 2")}
    published = {row["code"] for row in reader.all("SELECT code FROM versions")}
    for code in handles - published:
        assert city.parts.verification.verify_code(code).state is VerdictState.NOT_FOUND


# --- what cannot be checked ------------------------------------------------------------------------------------------


def test_without_a_database_signatures_still_speak(own):
    version, expired = personal(own), versions(own, State.EXPIRED)[0]
    verification = own.parts.verification
    assert verification.verify_code(version.code).state is VerdictState.VALID  # names are known from now on
    kill(own)
    for verdict in (verification.verify_qr(text_of(version)), verification.verify_credential(version.credential)):
        assert (verdict.state, verdict.problems) == (VerdictState.UNKNOWN, ("database.unavailable",))
        assert findings(verdict) == (YES, YES, UNKNOWN, YES)
        assert verdict.certificate.state is VerdictState.UNKNOWN
        assert verdict.certificate.type_name != version.type_code
    verdict = verification.verify_qr(text_of(expired))
    assert (verdict.state, findings(verdict)) == (VerdictState.EXPIRED, (YES, YES, UNKNOWN, NO))
    verdict = verification.verify_qr(qr.text(URL, expired.code, version.digits))
    assert verdict.state is VerdictState.TAMPERED
    verdict = verification.verify_code(version.code)
    assert (verdict.state, findings(verdict), verdict.certificate) == (VerdictState.UNKNOWN, (UNKNOWN,) * 4, None)
    assert verification.verify_qr("https://evil.example/v/0").state is VerdictState.UNTRUSTED
    assert verification.verify_code("no code").state is VerdictState.NOT_FOUND


def test_without_keys_nothing_is_called_false(own, stranger):
    version = personal(own)
    away = Keyring(SqliteDatabase(own.folder / "away.db"), own.parts.keyring.folder)
    verification = another_process(own, away)
    for verdict in (
        verification.verify_qr(text_of(version)),
        verification.verify_credential(version.credential),
        verification.verify_code(version.code),
        verification.verify_credential(resigned(version, stranger[0].sign, stranger[1].kid)),
    ):
        assert verdict.state is VerdictState.UNKNOWN
        assert (verdict.checks.intact, verdict.checks.trusted) == (UNKNOWN, UNKNOWN)
        assert "database.unavailable" in verdict.problems


def test_a_record_that_does_not_open(own):
    version = personal(own)
    values = {"sealed": bytes(100), "identifier": version.identifier}
    with own.parts.database.write() as writer:
        writer.run("UPDATE versions SET sealed = :sealed WHERE identifier = :identifier", values)
    verdict = own.parts.verification.verify_code(version.code)
    assert (verdict.state, verdict.problems) == (VerdictState.UNKNOWN, ("record.unreadable",))
    verdict = own.parts.verification.verify_qr(text_of(version))
    assert (verdict.state, findings(verdict)) == (VerdictState.UNKNOWN, (YES, YES, UNKNOWN, YES))


def test_a_record_that_was_changed(own):
    """Dates are in plain columns; the signed ones decide."""
    expired = versions(own, State.EXPIRED)[0]
    with own.parts.database.write() as writer:
        values = {"identifier": expired.identifier}
        writer.run("UPDATE versions SET valid_until = 20991231 WHERE identifier = :identifier", values)
    verdict = own.parts.verification.verify_code(expired.code)
    assert (verdict.state, verdict.problems) == (VerdictState.TAMPERED, ("record.damaged",))
    for verdict in (
        own.parts.verification.verify_credential(expired.credential),
        own.parts.verification.verify_qr(text_of(expired)),
    ):
        assert (verdict.state, verdict.problems) == (VerdictState.EXPIRED, ("record.damaged",))


def test_nothing_is_fetched_and_nothing_written(city, stranger, monkeypatch):
    import socket

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("verification opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    before = city.parts.database.reader.one("SELECT (SELECT COUNT(*) FROM audit) + (SELECT COUNT(*) FROM outbox) AS n")
    version = personal(city)
    city.parts.verification.verify_qr(f"https://evil.example/v/{version.code}#1")
    city.parts.verification.verify_credential(
        resigned(version, stranger[0].sign, stranger[1].kid, iss="https://other.example")
    )
    after = city.parts.database.reader.one("SELECT (SELECT COUNT(*) FROM audit) + (SELECT COUNT(*) FROM outbox) AS n")
    assert before["n"] == after["n"]

"""`hub check` finds every inconsistency: each case plants one fault in a consistent city."""

import threading

import pytest

from hub.ops.check import check
from tests.support import city as c
from tests.support import engines
from tests.support.city import City


def test_a_good_city_agrees_with_itself(city: City) -> None:
    report = check(city.parts)
    assert report.is_good
    assert report.findings == []
    assert (report.certificates, report.versions, report.waiting) == (86, 88, 0)


FAULTS = {
    "another kind of act in the record": (
        "UPDATE outbox SET kind = 6 WHERE entry = (SELECT MIN(entry) FROM outbox)",
        "the leaf does not match the event",
    ),
    "a leaf is gone": (
        "DELETE FROM outbox WHERE entry = (SELECT MIN(entry) FROM outbox)",
        "exactly one leaf per event",
    ),
    "a revocation is undone": (
        "UPDATE certificates SET standing = 1 WHERE standing = 3",
        "have different standings",
    ),
    "a revocation is undone everywhere": (
        (
            "UPDATE versions SET standing = 1 WHERE standing = 3; UPDATE certificates SET standing = 1 WHERE standing = 3;"
            "UPDATE holdings SET standing = 1 WHERE standing = 3"
        ),
        "the standing differs from the last event",
    ),
    "a certificate is prolonged": (
        "UPDATE versions SET valid_until = 20991231 WHERE valid_until IS NOT NULL",
        "the credential has different dates",
    ),
    "a code leads to another certificate": (
        (
            "UPDATE handles SET certificate = certificate + 1 WHERE kind = 2 AND value = (SELECT MIN(value) FROM handles"
            " WHERE kind = 2)"
        ),
        "leads to a different certificate",
    ),
    "a number leads nowhere": (
        "DELETE FROM blind_index WHERE kind = 2",
        "printed number leads to a different certificate",
    ),
    "a person is lost": ("DELETE FROM blind_index WHERE kind = 1", "cannot be found by their number"),
    "a holding is gone": (
        "DELETE FROM holdings WHERE certificate = (SELECT MIN(certificate) FROM holdings)",
        "holdings and holders differ",
    ),
    "a holding is of another day": ("UPDATE holdings SET issued_on = 20200101", "a holding and its certificate differ"),
    "a sealed value was moved": (
        "UPDATE versions SET sealed = (SELECT sealed FROM versions LIMIT 1)",
        "cannot be read",
    ),
    "a push without reply": ("UPDATE pushes SET reply = NULL WHERE status = 3", "neither a reply nor an open intent"),
    "a case forgot": (
        "UPDATE versions SET case_number = 'X' WHERE version_key = (SELECT MIN(version_key) FROM versions)",
        "its case does not refer to it",
    ),
    "a handle without a version": (
        "INSERT INTO handles VALUES (2, '0000000000000000', 1, 1, 1, NULL)",
        "reserved, but neither issued nor waiting",
    ),
    "a public key is gone": (
        "DELETE FROM signing_keys WHERE purpose = 'credential'",
        "signature does not verify",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_it_finds(city: City, name: str) -> None:
    statements, finding = FAULTS[name]
    with engines.tampering(city.parts) as writer:
        for statement in statements.split(";"):
            assert writer.run(statement) > 0
    city.parts.keyring.refresh()
    report = check(city.parts)
    assert not report.is_good
    assert any(finding in found.what for found in report.findings), report.findings[:5]
    told = " ".join(f"{found.where} {found.what}" for found in report.findings)
    assert not any(number in told for number in (c.LIN[1], c.QIU[1], c.LIN[2]))


def test_it_may_run_while_cases_come_in(city: City) -> None:
    stop = threading.Event()
    pushed = []

    def push() -> None:
        while not stop.is_set():
            number = f"C-{len(pushed)}"
            body = {
                "matter_code": "FZGA-WFZZM",
                "status": "completed",
                "applicants": [c.person(c.QIU)],
                "accepted_at": "2026-01-05T09:00:00+08:00",
                "completed_at": "2026-01-06T09:00:00+08:00",
                "certificates": [
                    {
                        "type_code": c.CLEAN_RECORD,
                        "number": number,
                        "holders": [c.person(c.QIU)],
                        "fields": {
                            "period_from": "2001-07-07",
                            "period_to": "2026-01-03",
                            "purpose": "从业",
                            "conclusion": "无犯罪记录。",
                        },
                        "issued_on": "2026-01-06",
                        "valid_until": None,
                    }
                ],
            }
            pushed.append(city.push("fz-public-security", number, body))

    thread = threading.Thread(target=push)
    thread.start()
    try:
        for _ in range(5):
            assert check(city.parts).findings == []
    finally:
        stop.set()
        thread.join()
    assert pushed

"""Intents in the former format, open during an upgrade, are read and finished.

`former_intents.txt` has the content that the previous release encrypted for the three pushes of `STORY`, in
hexadecimal. Its random numbers were replaced by counters, as they are here, so that the same push reserves the same
numbers.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest

from hub.domain.certificate import ActKind
from hub.domain.issuing import Intent, Planned
from hub.store import intent_format, intents
from hub.store.sealing import seal, unseal
from hub.vault import VaultError
from tests.support import town as t
from tests.support.town import ANNA, BERT, CARL, TRADE, Town, body, firm, grant

FORMER = Path(__file__).with_name("former_intents.txt")
MADE_WITH_KEYS = ("kid", "signing_input", "disclosures", "qr_to_be_signed", "qr_protected", "qr_payload")
"""And `digits`, which are signed, of a certificate that stays as it is."""
KID = "y1pOodetP18"
FIELDS = {"place": "东市", "area": "12.50", "seats": 4, "opened_on": "2026-02-01", "row": "A1", "kind": "2"}


def former(case: str) -> dict[str, Any]:
    """The encrypted content of a case's intent."""
    texts = dict(part.split("\n", 1) for part in FORMER.read_text(encoding="ascii").split("# ") if part)
    return cbor2.loads(bytes.fromhex(texts[case].replace("\n", "")))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    n = itertools.count(1)
    monkeypatch.setattr("hub.store.parties.new_party", lambda: 7_000_000_000_000_000_000 + next(n))
    monkeypatch.setattr("signing.identifier.new_serial", lambda: f"{next(n):09d}")
    monkeypatch.setattr("signing.public_code.new_code", lambda: f"{next(n):016d}")


def pending(town: Town, case: str, content: t.Body) -> None:
    with town.without_signer():
        assert town.push(case, content).status == 202


def new(town: Town) -> None:
    pending(town, "C-1", body(grant("许-1", ANNA, BERT, fields=FIELDS, valid_until="2027-02-28"), grant("许-2", BERT)))


def correction(town: Town) -> None:
    new(town)
    town.issue("C-2", grant("许-3"), grant("许-4", CARL))
    pending(town, "C-2", body(grant("许-3", CARL), grant("许-4", CARL), amendment=1))


def renewal(town: Town) -> None:
    correction(town)
    a, b = town.issue("C-3", grant("许-5"), grant("许-6", BERT))
    renewed = grant("许-5", fields={"place": "西市"}, valid_from="2026-03-20", supersedes=[a.identifier])
    pending(town, "C-4", body(renewed, grant("许-7", firm(1), supersedes=[b.identifier])))


STORY: dict[str, Callable[[Town], None]] = {"C-1": new, "C-2": correction, "C-4": renewal}
"""A new issue; a correction of one of two certificates; a renewal together with one that replaces another."""
KINDS = {
    "C-1": [ActKind.ISSUED, ActKind.ISSUED],
    "C-2": [ActKind.CORRECTED, None],
    "C-4": [ActKind.RENEWED, ActKind.ISSUED],
}


def opened(town: Town, case: str) -> Intent:
    found = intents.open_intent(town.parts.database.reader, town.parts.vault, TRADE, case)
    assert found is not None
    return found


def put(town: Town, intent: Intent, inside: dict[str, Any]) -> None:
    """Replace the content of an open intent."""
    sealed = seal(town.parts.vault, "intents", (intent.source, intent.case_number, intent.intent), inside)
    values = {"sealed": sealed, "case": intent.case_number}
    with town.parts.database.write() as writer:
        assert writer.run("UPDATE intents SET sealed = :sealed WHERE case_number = :case", values) == 1


def same_keys(mine: Planned, theirs: Planned) -> Planned:
    """`mine`, with the parts that depend on the other hub's keys."""
    other = {name: getattr(theirs, name) for name in (*MADE_WITH_KEYS, "salt", "digits")}
    return replace(mine, **other)


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("key", ["of the former hub", "in use"])
@pytest.mark.parametrize("case", STORY)
def test_a_former_intent_is_opened_and_finished(town: Town, case: str, key: str) -> None:
    """The other hub's signing key is not on record here, so the intent is voided and drafted again."""
    STORY[case](town)
    mine, inside = opened(town, case), former(case)
    assert "format" not in inside
    inside["push_key"] = list(mine.push_key)  # with its keyed digest
    put(town, mine, inside)
    theirs = opened(town, case)
    assert [planned.kid for planned in theirs.planned] == [KID, KID]
    assert [planned.kind for planned in theirs.planned] == KINDS[case]
    assert [same_keys(*pair) for pair in zip(mine.planned, theirs.planned, strict=True)] == list(theirs.planned)
    assert replace(theirs, planned=mine.planned) == mine

    if key == "in use":
        places = [intent_format._PLANNED.index(name) for name in MADE_WITH_KEYS]
        for values, planned in zip(inside["planned"], mine.planned, strict=True):
            for place, name in zip(places, MADE_WITH_KEYS, strict=True):
                values[place] = getattr(planned, name)
        put(town, mine, inside)
    done = town.parts.issuance.finish(TRADE, case)
    assert done is not None
    assert done.reply is not None
    assert [r["identifier"] for r in done.reply["certificates"]] == [p.identifier for p in mine.planned]
    voided = [row for row in town.rows("intents") if row["case_number"] == case]
    assert [row["voided"] for row in voided] == ([] if key == "in use" else [1])
    for planned in theirs.planned:
        version = town.version(planned.identifier)
        assert (version.number, dict(version.fields)) == (planned.number, dict(planned.fields))
        assert (version.holders, version.parties, version.code) == (planned.holders, planned.parties, planned.code)
        if planned.kind is not None:
            assert version.salt == planned.salt
            assert town.parts.verification.verify_code(version.code).state == town.state(version)
    for other in {"C-1", "C-2"} & {row["case_number"] for row in town.rows("intents") if not row["voided"]}:
        assert town.parts.issuance.finish(TRADE, other)
    assert town.agrees()


# --- the format of today ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("counted")
def test_the_names_that_are_stored_never_change(town: Town) -> None:
    renewal(town)
    [row] = [row for row in town.rows("intents") if row["case_number"] == "C-4"]
    inside = unseal(town.parts.vault, "intents", (TRADE, "C-4", row["intent"]), row["sealed"])
    assert inside["format"] == 2
    assert set(inside) == {"format", "client", "push_key", "planned"}
    assert tuple(inside["planned"][0]) == intent_format._PLANNED
    assert tuple(inside["planned"][0]["holders"][0]) == intent_format._HOLDER
    assert tuple(inside["planned"][0]["endings"][0]) == intent_format._ENDING
    assert len(former("C-4")["planned"][0]) == len(intent_format._PLANNED)


def newer_format(inside: dict[str, Any]) -> None:
    inside["format"] = 3


def newer_field(inside: dict[str, Any]) -> None:
    inside["urgent"] = True


def newer_field_of_a_certificate(inside: dict[str, Any]) -> None:
    inside["planned"][0]["origin"] = 2


def newer_field_of_a_holder(inside: dict[str, Any]) -> None:
    inside["planned"][0]["holders"][0]["share"] = "1/2"


@pytest.mark.parametrize("change", [newer_format, newer_field, newer_field_of_a_certificate, newer_field_of_a_holder])
def test_what_a_newer_release_has_written_waits_for_it(town: Town, change: Callable[[dict[str, Any]], None]) -> None:
    new(town)
    intent = opened(town, "C-1")
    inside = cbor2.loads(cbor2.dumps(intent_format.pack(intent)))
    change(inside)
    put(town, intent, inside)
    before = town.counts()
    with pytest.raises(VaultError, match="newer release"):
        town.parts.issuance.finish(TRADE, "C-1")
    assert town.counts() == before
    put(town, intent, intent_format.pack(intent))
    assert town.parts.issuance.finish(TRADE, "C-1")
    assert town.agrees()

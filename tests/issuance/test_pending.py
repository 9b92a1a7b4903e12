"""The signer is unavailable, comes back, or has another key: nothing is visible before everything is complete."""

from datetime import date, timedelta

from hub.domain.certificate import ActKind
from hub.domain.dates import to_micros
from hub.keys.generate import KeyRequest
from hub.store import certificates, intents
from hub.verification import VerdictState
from hub.worker import finish_due
from signing.keys import Purpose
from tests.support import town as t
from tests.support.town import BERT, TRADE, body, grant, refused
from tests.support.views import has_leaf_for_every_act, identifiers, is_everywhere, is_signed


def pending(town, case="C-1", *pushed, **more):
    content = body(*(pushed or (grant("许-1"), grant("许-2", BERT))), **more)
    with town.without_signer():
        found = town.push(case, content)
    assert (found.status, found.reply["issuance"], found.reply["certificates"]) == (202, "pending", [])
    return content


def reserved(town, case="C-1"):
    return intents.open_intent(town.parts.database.reader, town.parts.vault, TRADE, case)


def test_nothing_is_visible_while_the_signer_is_unavailable(town):
    content = pending(town)
    assert {k: town.live("C-1")[k] for k in ("status", "issuance", "certificates")} == {
        "status": "completed",
        "issuance": "pending",
        "certificates": [],
    }
    for planned in reserved(town).planned:
        assert town.parts.verification.verify_code(planned.code).state is VerdictState.NOT_FOUND
        assert certificates.by_identifier(town.parts.database.reader, town.parts.vault, planned.identifier) is None
        assert refused(town.move, "revoke", planned.identifier) == "certificate.not_found"
    for table in ("certificates", "versions", "holdings", "acts", "outbox"):
        assert town.rows(table) == []
    with town.without_signer():
        again = town.push("C-1", content)
    assert (again.status, again.reply["issuance"]) == (202, "pending")
    assert town.agrees()


def test_an_equal_push_finishes_what_waits(town):
    content = pending(town)
    promised = [planned.identifier for planned in reserved(town).planned]
    found = town.push("C-1", content)
    assert (found.status, found.reply["issuance"]) == (200, "done")
    assert identifiers(found.reply) == promised
    assert town.push("C-1", content).reply == found.reply
    assert town.rows("intents") == []
    assert town.agrees()


def test_finishing_is_done_once(town):
    pending(town)
    assert town.parts.issuance.finish(TRADE, "C-1")
    assert town.live("C-1")["issuance"] == "done"
    before = town.counts()
    assert town.parts.issuance.finish(TRADE, "C-1")
    assert town.parts.issuance.finish(TRADE, "never pushed")
    assert town.counts() == before


def test_an_amendment_waits_while_the_current_versions_stay(town):
    [first] = town.issue("C-1", grant("许-1"))
    pending(town, "C-1", grant("许-1", fields={"place": "西市"}), amendment=1)
    live = town.live("C-1")
    assert (live["issuance"], live["amendment"], identifiers(live)) == ("pending", 1, [first.identifier])
    assert is_everywhere(town, first, "valid")
    assert town.parts.issuance.finish(TRADE, "C-1")
    assert is_everywhere(town, first, "superseded")
    assert town.agrees()


def test_an_amendment_that_changes_nothing_needs_no_signer(town):
    [first] = town.issue("C-1", grant("许-1"))
    with town.without_signer():
        found = town.push("C-1", body(grant("许-1"), amendment=1))
    assert (found.status, found.reply["issuance"]) == (200, "done")
    assert identifiers(found.reply) == [first.identifier]


def test_a_body_without_certificates_needs_no_signer(town):
    with town.without_signer():
        assert town.push("C-1", body()).status == 201
        assert town.push("C-1", body(status="withdrawn")).status == 200


# --- the worker ------------------------------------------------------------------------------------------------------


def test_the_worker_finishes_what_is_due_the_longest_waiting_first(town):
    pending(town, "C-1", grant("许-1"))
    town.clock.at += timedelta(seconds=1)
    pending(town, "C-2", grant("许-2"))
    assert finish_due(town.parts) == 0
    town.clock.at += timedelta(minutes=2)
    assert finish_due(town.parts, limit=1) == 1
    assert [town.live(case)["issuance"] for case in ("C-1", "C-2")] == ["done", "pending"]
    assert finish_due(town.parts) == 1
    assert town.live("C-2")["issuance"] == "done"
    assert town.agrees()


def test_the_worker_waits_longer_each_time_and_never_more_than_a_minute(town):
    pending(town)
    waits = []
    with town.without_signer():
        for _ in range(9):
            [row] = town.rows("intents")
            waits.append((row["next_attempt_at"] - to_micros(town.clock.now())) / 1e6)
            town.clock.at += timedelta(seconds=waits[-1])
            assert finish_due(town.parts) == 0
        [row] = town.rows("intents")
    assert waits == [5, 10, 20, 40, 60, 60, 60, 60, 60]
    assert row["attempts"] == 10
    town.clock.at += timedelta(seconds=60)
    assert finish_due(town.parts) == 1


def test_what_waits_for_a_lost_key_is_finished_with_the_next_one(town):
    pending(town, "C-1", grant("许-1"))
    pending(town, "C-2", grant("许-2"))
    former = town.parts.keyring.active(Purpose.CREDENTIAL).kid
    fresh = town.parts.signing_keys.replace(KeyRequest(Purpose.CREDENTIAL)).kid
    for path in (town.folder / "keys").glob(f"*{former}*"):
        path.unlink()
    [third] = town.issue("C-3", grant("许-3"))
    town.clock.at += timedelta(minutes=2)
    assert finish_due(town.parts) == 2
    assert {town.version(identifiers(town.live(case))[0]).kid for case in ("C-1", "C-2")} == {fresh, third.kid}
    assert town.agrees()


# --- another key, another push ---------------------------------------------------------------------------------------


def test_a_key_retired_meanwhile_voids_the_intent_on_record_and_keeps_the_numbers(town):
    content = pending(town)
    before = reserved(town)
    fresh = town.parts.signing_keys.replace(KeyRequest(Purpose.CREDENTIAL))
    town.clock.at += timedelta(minutes=1)
    found = town.push("C-1", content)
    assert found.status == 200
    assert identifiers(found.reply) == [planned.identifier for planned in before.planned]
    for planned, item in zip(before.planned, found.reply["certificates"], strict=True):
        record = town.version(item["identifier"])
        assert (record.code, record.version_key, record.serial) == (planned.code, planned.version_key, planned.serial)
        assert record.kid == fresh.kid != planned.kid
        assert is_signed(town, record)
    [voided] = town.rows("intents")
    assert (voided["voided"], voided["intent"]) == (1, before.intent)
    assert intents.of_row(town.parts.vault, voided).planned == before.planned
    assert town.agrees()


def test_a_retired_key_whose_successor_is_missing_still_waits(town):
    content = pending(town)
    town.parts.signing_keys.replace(KeyRequest(Purpose.CREDENTIAL))
    with town.without_signer():
        assert town.push("C-1", content).status == 202
    found = town.push("C-1", content)
    assert (found.status, found.reply["issuance"]) == (200, "done")
    assert [row["voided"] for row in town.rows("intents")] == [1]
    assert town.agrees()


def test_what_stays_as_it_is_may_have_been_signed_with_a_retired_key(town):
    first, second = town.issue("C-1", grant("许-1"), grant("许-2"))
    fresh = town.parts.signing_keys.replace(KeyRequest(Purpose.CREDENTIAL)).kid
    town.parts.keyring.refresh()
    for path in (town.folder / "keys").glob(f"*{first.kid}*"):
        path.unlink()
    same, changed = town.issue("C-1", grant("许-1"), grant("许-2", fields={"place": "西市"}), amendment=1)
    assert (same.identifier, same.kid, changed.kid) == (first.identifier, first.kid, fresh)
    assert second.kid == first.kid
    assert town.rows("intents") == []
    assert is_signed(town, same)
    assert is_signed(town, changed)
    assert town.agrees()


def test_an_amendment_over_a_pending_one_must_be_retried(town):
    content = pending(town)
    later = body(grant("许-1", fields={"place": "西市"}), grant("许-2", BERT), amendment=1)
    with town.without_signer():
        problem = t.refusal(town.push, "C-1", later)
        assert (problem.code, problem.retry_after) == ("sign.unavailable", 10)
    found = town.push("C-1", later)
    assert (found.status, [c["version"] for c in found.reply["certificates"]]) == (200, [2, 1])
    first = town.push("C-1", content)
    assert (first.status, [c["version"] for c in first.reply["certificates"]]) == (200, [1, 1])
    assert town.agrees()


def test_other_pushes_of_a_waiting_case_are_judged_as_ever(town):
    pending(town, amendment=2)
    with town.without_signer():
        assert refused(town.push, "C-1", body(grant("许-1"), amendment=2)) == "case.conflict"
        assert refused(town.push, "C-1", body(grant("许-1"), amendment=1)) == "case.stale"
        assert refused(town.push, "C-1", body(status="refused", amendment=2)) == "case.conflict"
        late = town.push("C-1", body())
        assert (late.status, late.reply["issuance"]) == (200, "none")
        assert refused(town.push, "C-2", body(grant("许-1"))) == "number.taken"
    assert town.live("C-1")["issuance"] == "pending"
    assert town.parts.issuance.finish(TRADE, "C-1")
    assert town.agrees()


def test_no_signer_at_all_keeps_nothing(town):
    with town.parts.database.write() as writer:
        writer.run("UPDATE signing_keys SET state = 3 WHERE purpose = 'credential'")
    town.parts.keyring.refresh()
    before = town.counts()
    problem = t.refusal(town.push, "C-1", body(grant("许-1")))
    assert (problem.code, problem.retry_after) == ("sign.unavailable", 10)
    assert {**town.counts(), "audit": 0} == {**before, "audit": 0}
    assert refused(town.live, "C-1") == "case.not_found"
    town.parts.signing_keys.ensure([KeyRequest(Purpose.CREDENTIAL)])
    town.parts.keyring.refresh()
    assert town.push("C-1", body(grant("许-1"))).status == 201
    assert town.agrees()


# --- what others do meanwhile ----------------------------------------------------------------------------------------


def test_what_is_replaced_stays_in_force_and_moves_while_its_successor_waits(town):
    olds = town.issue("C-1", grant("许-1"), grant("许-2"), grant("许-3"))
    successor = grant("许-4", supersedes=[v.identifier for v in olds])
    content = pending(town, "C-2", successor)
    assert is_everywhere(town, olds[0], "valid")
    town.move("suspend", olds[1], kind="lost")
    town.move("revoke", olds[2], kind="penalty")
    assert refused(town.push, "C-3", body(grant("许-9", supersedes=[olds[0].identifier]))) == "certificate.move"
    assert town.push("C-2", content).reply["issuance"] == "done"
    assert [town.state(v) for v in olds] == ["superseded", "superseded", "revoked"]
    assert is_everywhere(town, olds[2], "revoked", "penalty")
    assert town.version(olds[2].identifier).dates.superseded_on is None
    assert has_leaf_for_every_act(town, olds[1], ActKind.ISSUED, ActKind.SUSPENDED, ActKind.SUPERSEDED)
    assert has_leaf_for_every_act(town, olds[2], ActKind.ISSUED, ActKind.REVOKED)
    assert town.agrees()


def test_a_revocation_reaches_a_version_that_waits(town):
    [first] = town.issue("C-1", grant("许-1"))
    content = pending(town, "C-2", grant("许-1", fields={"place": "西市"}, supersedes=[first.identifier]))
    town.move("revoke", first, kind="withdrawn")
    [second] = [town.version(i) for i in identifiers(town.push("C-2", content).reply)]
    assert is_everywhere(town, first, "revoked", "withdrawn")
    assert is_everywhere(town, second, "revoked", "withdrawn")
    assert town.agrees()


def test_a_certificate_that_waited_begins_when_it_was_to_begin(town):
    [old] = town.issue("C-1", grant("许-1"))
    pending(town, "C-2", grant("许-2", valid_from="2026-03-20", supersedes=[old.identifier]))
    assert town.version(old.identifier).dates.superseded_on is None
    town.clock.pass_days(5)
    assert town.parts.issuance.finish(TRADE, "C-2")
    assert town.version(old.identifier).dates.superseded_on == date(2026, 3, 20)
    assert is_everywhere(town, old, "valid")
    town.clock.pass_days(5)
    assert is_everywhere(town, old, "superseded")
    assert town.agrees()


def test_a_successor_that_waited_past_its_day_ends_the_old_one_at_once(town):
    [old] = town.issue("C-1", grant("许-1"))
    pending(town, "C-2", grant("许-2", valid_from="2026-03-12", supersedes=[old.identifier]))
    town.clock.pass_days(5)
    assert is_everywhere(town, old, "valid")
    assert town.parts.issuance.finish(TRADE, "C-2")
    assert is_everywhere(town, old, "superseded")
    assert has_leaf_for_every_act(town, old, ActKind.ISSUED, ActKind.SUPERSEDED)
    assert town.agrees()

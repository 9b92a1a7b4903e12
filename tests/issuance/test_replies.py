"""The reply to a push, now and later; a refused push leaves nothing."""

import json

import pytest

from hub.db.database import Duplicate
from tests.support.town import ANNA, BERT, CARD, body, firm, grant, person, refused
from tests.support.views import is_everywhere, is_signed, says


def test_a_case_goes_from_its_acceptance_to_its_end(town):
    accepted = town.push("C-1", body())
    assert (accepted.status, accepted.reply["status"], accepted.reply["issuance"]) == (201, "accepted", "none")
    assert accepted.reply["certificates"] == []
    completed = town.push("C-1", body(grant("许-1")))
    assert (completed.status, completed.reply["issuance"]) == (200, "done")
    assert town.agrees()


@pytest.mark.parametrize("status", ["refused", "withdrawn", "completed"])
def test_a_case_may_end_without_certificates(town, status):
    found = town.push("C-1", body(status=status))
    assert (found.status, found.reply["status"], found.reply["issuance"]) == (201, status, "none")
    assert town.live("C-1") == found.reply


def test_a_body_seen_before_always_gets_the_same_reply(town):
    accepted, first = body(), body(grant("许-1"))
    replies = [town.push("C-1", accepted).reply, town.push("C-1", first).reply]
    second = body(grant("许-1", fields={"place": "西市"}), amendment=1)
    replies.append(town.push("C-1", second).reply)
    town.move("revoke", replies[2]["certificates"][0]["identifier"])
    town.clock.pass_days(500)
    before = town.counts()
    for content, reply in zip((accepted, first, second), replies, strict=True):
        again = town.push("C-1", content)
        assert (again.status, again.reply) == (200, reply)
    assert {**town.counts(), "audit": 0} == {**before, "audit": 0}
    assert town.agrees()


def test_an_equal_body_may_be_written_in_another_way(town):
    content = body(grant("许-1", fields={"place": "东市", "seats": 4}))
    first = town.push("C-1", content)
    turned = json.dumps(dict(reversed(content.items())), ensure_ascii=True, indent=2).encode()
    again = town.push("C-1", turned)
    assert (again.status, again.reply) == (200, first.reply)
    assert town.counts()["pushes"] == 1


def test_a_body_with_an_explicit_default_is_another_body_with_the_same_content(town):
    town.issue("C-1", grant("许-1"))
    assert refused(town.push, "C-1", body(grant("许-1"), amendment=0)) == "case.conflict"


def test_an_acceptance_after_the_end_changes_nothing(town):
    town.issue("C-1", grant("许-1"))
    late = town.push("C-1", body(accepted_at="2026-02-28T09:00:00+08:00"))
    assert late.status == 200
    assert (late.reply["status"], late.reply["issuance"], late.reply["certificates"]) == ("completed", "none", [])
    assert town.live("C-1")["issuance"] == "done"
    assert town.agrees()


def test_the_states_in_a_case_are_those_of_today(town):
    town.issue("C-1", grant("许-1", valid_until="2026-03-20"), grant("许-2", valid_from="2026-03-15"))
    seen = []
    for days in (0, 5, 5, 1):
        town.clock.pass_days(days)
        seen.append([c["state"] for c in town.live("C-1")["certificates"]])
    assert seen == [["valid", "not_yet"], ["valid", "valid"], ["valid", "valid"], ["expired", "valid"]]


def test_what_was_pushed_is_what_is_signed(town):
    pushed = [
        grant("许可〔2026〕1号", ANNA, firm(1), fields={"place": "东市", "area": "86.42", "seats": 4, "row": "B7"}),
        grant("许-2", issued_on="2026-02-01", valid_from="2026-04-01", valid_until="2027-03-31"),
        grant(BERT["id_number"], BERT, type_code=CARD),
    ]
    versions = town.issue("C-1", *pushed)
    for record, content in zip(versions, pushed, strict=True):
        assert is_signed(town, record)
        assert says(record, content)
    assert is_everywhere(town, versions[0], "valid")
    assert is_everywhere(town, versions[1], "not_yet")


def test_the_same_person_is_the_same_party_in_every_case(town):
    [first] = town.issue("C-1", grant("许-1", ANNA))
    spelt = {**ANNA, "name": "安 试", "id_number": " ".join(ANNA["id_number"]).lower()}
    [second] = town.issue("C-2", grant("许-2", spelt))
    assert second.parties == first.parties
    assert second.holders[0].name == "安 试"


def test_what_a_refused_push_brought_is_not_kept(town):
    """Neither its people nor its body are stored; the same push succeeds once the obstacle is gone."""
    [record] = town.issue("C-1", grant("许-1"))
    before = town.counts()
    content = body(grant("许-2", person(77), supersedes=[record.identifier]), grant("许-1", BERT))
    assert refused(town.push, "C-2", content) == "number.taken"
    assert {**town.counts(), "audit": 0} == {**before, "audit": 0}
    assert is_everywhere(town, record, "valid")
    del content["certificates"][1]
    assert town.push("C-2", content).status == 201
    assert is_everywhere(town, record, "superseded")


def test_registries_let_nothing_in_twice(town):
    [record] = town.issue("C-1", grant("许-1"))
    town.issue("C-2", grant("许-2", supersedes=[record.identifier]))
    for table in ("handles", "blind_index", "versions", "certificates", "acts", "successions"):
        for row in town.rows(table):
            with pytest.raises(Duplicate), town.parts.database.write() as writer:
                writer.insert(table, row)
    assert town.agrees()

"""The transitions of a certificate: which are allowed, and that every view shows them immediately."""

import json
from datetime import date, timedelta

import pytest

from hub.api import lifecycle as api
from hub.domain.certificate import ActKind, Standing
from hub.domain.dates import read_moment
from hub.web.endpoint import Call
from signing import identifier
from tests.support import town as t
from tests.support.town import AGENT, COUNTER, HEALER, TODAY, TRADER, body, grant, refusal, refused
from tests.support.views import has_leaf_for_every_act, is_everywhere, list_value

WEST = {"place": "西市"}
SUSPENSIONS = ("withheld", "lost", "under_change", "other")
REVOCATIONS = ("penalty", "rescinded", "cancelled", "withdrawn")


@pytest.fixture
def record(town):
    [found] = town.issue("C-1", grant("许-1"))
    return found


# --- transitions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SUSPENSIONS)
def test_suspended_and_restored(town, record, kind):
    moved = town.move("suspend", record, kind=kind)
    assert (moved.identifier, moved.state, moved.kind, moved.effective_on) == (
        record.identifier,
        "suspended",
        kind,
        TODAY,
    )
    assert moved.recorded_at == town.clock.now()
    assert is_everywhere(town, record, "suspended", kind)
    town.clock.at += timedelta(hours=1)
    moved = town.move("restore", record)
    assert (moved.state, moved.kind, moved.effective_on) == ("valid", None, TODAY)
    assert is_everywhere(town, record, "valid")
    assert has_leaf_for_every_act(town, record, ActKind.ISSUED, ActKind.SUSPENDED, ActKind.RESTORED)
    assert town.agrees()


@pytest.mark.parametrize("kind", REVOCATIONS)
@pytest.mark.parametrize("suspended", [False, True])
def test_revoked(town, record, kind, suspended):
    if suspended:
        town.move("suspend", record)
    moved = town.move("revoke", record, kind=kind)
    assert (moved.state, moved.kind) == ("revoked", kind)
    assert is_everywhere(town, record, "revoked", kind)
    between = [ActKind.SUSPENDED] * suspended
    assert has_leaf_for_every_act(town, record, ActKind.ISSUED, *between, ActKind.REVOKED)
    assert town.agrees()


def test_suspended_again_after_it_was_restored(town, record):
    for kind in ("lost", "withheld", "lost"):
        town.move("suspend", record, kind=kind)
        assert is_everywhere(town, record, "suspended", kind)
        town.move("restore", record, kind=kind)
    assert len(town.acts(record)) == 7
    assert is_everywhere(town, record, "valid")
    assert town.agrees()


@pytest.mark.parametrize(
    ("before", "act", "more"),
    [
        ([], "restore", {}),
        (["suspend"], "suspend", {"kind": "lost"}),
        (["suspend"], "restore", {"kind": "lost"}),
        (["suspend", "restore"], "restore", {"reason": "再来一次"}),
        (["revoke"], "suspend", {}),
        (["revoke"], "restore", {}),
        (["revoke"], "revoke", {"kind": "penalty"}),
        (["suspend", "revoke"], "restore", {}),
        (["suspend", "revoke"], "revoke", {"reason": "另有原因"}),
    ],
)
def test_moves_that_the_state_does_not_allow(town, record, before, act, more):
    for earlier in before:
        town.move(earlier, record)
    state, acts = town.state(record), town.acts(record)
    assert refused(town.move, act, record, **more) == "certificate.move"
    assert (town.state(record), town.acts(record)) == (state, acts)
    assert town.agrees()


@pytest.mark.parametrize("act", ["suspend", "restore", "revoke"])
@pytest.mark.parametrize("how", ["corrected", "renewed", "replaced"])
def test_what_a_successor_has_ended_does_not_move(town, record, act, how):
    names = [record.identifier]
    if how == "corrected":
        town.issue("C-1", grant("许-1", fields=WEST), amendment=1)
    else:
        town.issue("C-2", grant("许-1" if how == "renewed" else "许-2", supersedes=names))
    problem = refusal(town.move, act, record)
    assert (problem.code, problem.detail) == ("certificate.move", "该版本已被更正或换发，请对现行版本操作")
    assert is_everywhere(town, record, "superseded")
    assert town.agrees()


@pytest.mark.parametrize("act", ["suspend", "restore", "revoke"])
def test_what_a_successor_will_end_moves_until_that_day(town, record, act):
    if act == "restore":
        town.move("suspend", record)
    town.issue("C-2", grant("许-2", valid_from="2026-03-12", supersedes=[record.identifier]))
    town.clock.pass_days(2)
    assert refused(town.move, act, record) == "certificate.move"
    town.clock.pass_days(-1)
    state = {"suspend": "suspended", "restore": "valid", "revoke": "revoked"}[act]
    assert town.move(act, record).state == state
    town.clock.pass_days(1)
    assert town.state(record) == ("revoked" if act == "revoke" else "superseded")
    assert town.agrees()


@pytest.mark.parametrize(("days", "dates"), [(0, {"valid_from": "2026-04-01"}), (30, {"valid_until": "2026-03-20"})])
def test_what_has_not_begun_or_has_run_out_moves_too(town, days, dates):
    [record] = town.issue("C-1", grant("许-1", **dates))
    town.clock.pass_days(days)
    before = town.state(record)
    assert before in {"not_yet", "expired"}
    shown = "expired" if before == "expired" else "suspended"
    assert town.move("suspend", record, kind="other").state == shown
    assert list_value(town, record) == 2
    assert town.move("restore", record).state == before
    assert list_value(town, record) == 0
    assert town.move("revoke", record).state == "revoked"
    assert is_everywhere(town, record, "revoked", "cancelled")
    assert town.agrees()


def test_a_correction_is_suspended_by_its_own_identifier(town, record):
    [second] = town.issue("C-1", grant("许-1", fields=WEST), amendment=1)
    assert town.move("suspend", second).identifier == second.identifier
    assert is_everywhere(town, second, "suspended", "withheld")
    assert is_everywhere(town, record, "superseded")


def test_one_certificate_of_a_case_moves_alone(town):
    first, second = town.issue("C-1", grant("许-1"), grant("许-2"))
    town.move("revoke", first)
    assert [c["state"] for c in town.live("C-1")["certificates"]] == ["revoked", "valid"]
    assert is_everywhere(town, second, "valid")


# --- kinds and days --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "kind"),
    [("suspend", k) for k in (*REVOCATIONS, "", "LOST", None)] + [("revoke", k) for k in (*SUSPENSIONS, "", None)],
)
def test_each_move_has_its_own_kinds(town, record, act, kind):
    problem = refusal(town.move, act, record, kind=kind)
    assert (problem.code, t.places(problem)) == ("schema.invalid", [("/kind", "schema.invalid")])
    assert len(town.acts(record)) == 1


def test_a_restoration_may_name_the_suspension_that_it_ends(town, record):
    town.move("suspend", record, kind="lost")
    town.move("restore", record)
    town.move("suspend", record, kind="withheld")
    for kind in ("lost", "penalty", "nonsense"):
        problem = refusal(town.move, "restore", record, kind=kind)
        assert (problem.code, [e.pointer for e in problem.errors]) == ("certificate.move", ["/kind"])
    assert town.move("restore", record, kind="withheld").kind == "withheld"


def test_an_act_may_take_effect_earlier_and_not_later(town):
    [record] = town.issue("C-1", grant("许-1", issued_on="2026-02-01", valid_from="2026-03-01"))
    for day, code in ((TODAY + timedelta(days=1), "date.future"), (date(2026, 1, 31), "date.order")):
        problem = refusal(town.move, "revoke", record, effective_on=day)
        assert (problem.code, [e.pointer for e in problem.errors]) == (code, ["/effective_on"])
    town.move("suspend", record, effective_on=date(2026, 2, 1))
    moved = town.move("restore", record, effective_on=date(2026, 3, 9))
    assert moved.effective_on == date(2026, 3, 9)
    assert moved.recorded_at == town.clock.now()
    moved = town.move("revoke", record, effective_on=TODAY)
    assert moved.effective_on == TODAY
    days = [date(2026, 2, 1), date(2026, 2, 1), date(2026, 3, 9), TODAY]
    assert [act.effective_on for act in town.acts(record)] == days
    kinds = (ActKind.ISSUED, ActKind.SUSPENDED, ActKind.RESTORED, ActKind.REVOKED)
    assert has_leaf_for_every_act(town, record, *kinds)
    assert town.parts.verification.verify_code(record.code).since == TODAY
    assert town.agrees()


def test_the_day_is_the_day_in_shanghai(town, record):
    town.clock.at = read_moment("2026-03-10T16:30:00Z")
    assert refused(town.move, "suspend", record, effective_on=date(2026, 3, 12)) == "date.future"
    assert town.move("suspend", record, effective_on=date(2026, 3, 11)).effective_on == date(2026, 3, 11)
    assert town.move("restore", record).effective_on == date(2026, 3, 11)


def test_a_suspension_says_since_when_it_holds(town, record):
    town.move("suspend", record, effective_on=date(2026, 3, 3))
    assert town.parts.verification.verify_code(record.code).since == date(2026, 3, 3)
    town.move("restore", record)
    assert town.parts.verification.verify_code(record.code).since is None


# --- the same again --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["suspend", "revoke", "restore"])
@pytest.mark.parametrize("more", [{}, {"effective_on": date(2026, 3, 5)}, {"document_number": "榕决〔2026〕1号"}])
def test_the_same_again_is_answered_as_the_first_time(town, record, act, more):
    if act == "restore":
        town.move("suspend", record)
    first = town.move(act, record, **more)
    before = town.counts()
    town.clock.pass_days(3)
    assert town.move(act, record, **more) == first
    assert {**town.counts(), "audit": 0} == {**before, "audit": 0}
    assert town.counts()["audit"] == before["audit"] + 1
    assert town.agrees()


@pytest.mark.parametrize(
    "other",
    [
        {"reason": "另一原因"},
        {"legal_basis": "另一依据"},
        {"document_number": "另一文号"},
        {"kind": "penalty"},
        {"effective_on": date(2026, 3, 9)},
    ],
)
def test_another_body_is_another_act(town, record, other):
    town.move("revoke", record)
    assert refused(town.move, "revoke", record, **other) == "certificate.move"
    assert len(town.acts(record)) == 2


def test_no_day_means_the_day_of_the_act(town, record):
    town.move("revoke", record, effective_on=date(2026, 3, 5))
    assert refused(town.move, "revoke", record) == "certificate.move"
    [other] = town.issue("C-2", grant("许-2"))
    first = town.move("revoke", other)
    town.clock.pass_days(1)
    assert town.move("revoke", other) == first
    assert town.move("revoke", other, effective_on=TODAY) == first


def test_the_same_after_something_else_is_another_act(town, record):
    first = town.move("suspend", record)
    town.clock.pass_days(1)
    town.move("restore", record)
    town.clock.pass_days(1)
    again = town.move("suspend", record)
    assert again.recorded_at == first.recorded_at + timedelta(days=2)
    assert again.effective_on == TODAY + timedelta(days=2)
    kinds = (ActKind.ISSUED, ActKind.SUSPENDED, ActKind.RESTORED, ActKind.SUSPENDED)
    assert has_leaf_for_every_act(town, record, *kinds)


def test_the_same_by_another_client_of_the_authority_is_the_same(town, record):
    first = town.move("revoke", record)
    assert town.move("revoke", record, AGENT) == first
    assert [act.client for act in town.acts(record)] == [TRADER.client_id] * 2


# --- who, and what ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["suspend", "restore", "revoke"])
@pytest.mark.parametrize("by", [HEALER, COUNTER])
def test_only_the_issuer_moves_it(town, record, act, by):
    town.move("suspend", record)
    assert refused(town.move, act, record, by) == "perm.not_issuer"
    assert is_everywhere(town, record, "suspended", "withheld")


def test_who_acts_for_the_issuer_moves_it(town, record):
    assert town.move("suspend", record, AGENT).state == "suspended"
    assert town.acts(record)[-1].client == AGENT.client_id


def test_who_took_the_case_in_does_not_move_it(town):
    town.push("C-1", body(accepted_by=t.STREET))
    found = town.push("C-1", body(grant("许-1"), accepted_by=t.STREET))
    identifier = found.reply["certificates"][0]["identifier"]
    assert town.live("C-1", COUNTER, t.TRADE)["case_number"] == "C-1"
    assert refused(town.move, "revoke", identifier, COUNTER) == "perm.not_issuer"


@pytest.mark.parametrize("named", ["", "许-1", "nonsense", "1.2.156.3005.2", "\u0000", "x" * 2000])
def test_malformed_identifiers_are_not_found(town, named):
    assert refused(town.move, "revoke", named) == "certificate.not_found"


def test_unknown_identifiers_are_not_found(town, record):
    parts = identifier.parse(record.identifier)
    absent = identifier.build(parts.type_code, parts.authority_code, identifier.new_serial(), parts.version)
    last = record.identifier[-1]
    for named in (absent, record.identifier[:-1] + ("0" if last != "0" else "1"), record.identifier.lower()):
        assert refused(town.move, "revoke", named) == "certificate.not_found"
    assert refused(town.move, "revoke", record.code) == "certificate.not_found"


def test_everything_is_on_record_but_what_cannot_be_read(town, record):
    town.move("suspend", record)
    refused(town.move, "suspend", record, kind="lost")
    refused(town.move, "revoke", record, HEALER)
    refused(town.move, "revoke", record, kind="nonsense")
    refused(town.move, "revoke", "nonsense")
    town.move("suspend", record)
    assert town.outcomes()[1:] == [
        ("certificate.suspended", "ok"),
        ("certificate.suspended", "certificate.move"),
        ("certificate.revoked", "perm.not_issuer"),
        ("certificate.revoked", "certificate.not_found"),
        ("certificate.suspended", "ok"),
    ]
    rows = sorted(town.rows("audit"), key=lambda row: row["id"])[1:]
    mine = record.certificate
    assert [row["certificate"] for row in rows] == [mine, mine, mine, None, mine]


def test_grounds_are_kept_sealed(town, record):
    town.move("suspend", record, reason="安试遗失原件", document_number="榕决〔2026〕1号")
    act = town.acts(record)[-1]
    assert dict(act.grounds) == {
        "reason": "安试遗失原件",
        "legal_basis": "《试验办法》第一条",
        "document_number": "榕决〔2026〕1号",
    }
    row = next(row for row in town.rows("acts") if row["revision"] == 2)
    assert "安试遗失原件".encode() not in row["sealed"]
    assert "安试遗失原件".encode() not in b"".join(r["leaf"] for r in town.rows("outbox"))


# --- over HTTP -------------------------------------------------------------------------------------------------------


def call(town, record, content, by=TRADER):
    sent = json.dumps(content, ensure_ascii=False).encode()
    path = {"identifier": record.identifier}
    return Call(town.parts, by, path, {}, sent, "application/json", "*/*", english=False, request_id="r-1")


GROUNDS = {"reason": "遗失", "legal_basis": "《试验办法》第一条"}


def test_the_reply_has_the_contracts_shape(town, record):
    body = {"kind": "lost", **GROUNDS, "effective_on": "2026-03-09"}
    answer = api.suspend(call(town, record, body))
    assert (answer.status, answer.content) == (
        200,
        {
            "identifier": record.identifier,
            "state": "suspended",
            "kind": "lost",
            "effective_on": "2026-03-09",
            "recorded_at": "2026-03-10T10:00:00+08:00",
        },
    )
    town.clock.pass_days(1)
    assert api.suspend(call(town, record, body)).content == answer.content
    assert api.restore(call(town, record, GROUNDS)).content["state"] == "valid"
    assert api.revoke(call(town, record, {"kind": "penalty", **GROUNDS})).content["state"] == "revoked"


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"kind": None}, "/kind"),
        ({"kind": "penalty"}, "/kind"),
        ({"kind": ["lost"]}, "/kind"),
        ({"reason": ""}, "/reason"),
        ({"reason": "   "}, "/reason"),
        ({"reason": "一\n二"}, "/reason"),
        ({"reason": "长" * 501}, "/reason"),
        ({"reason": 5}, "/reason"),
        ({"legal_basis": None}, "/legal_basis"),
        ({"document_number": "号" * 101}, "/document_number"),
        ({"effective_on": "2026-3-1"}, "/effective_on"),
        ({"effective_on": "2026-02-30"}, "/effective_on"),
        ({"effective_on": 20260301}, "/effective_on"),
        ({"effective_on": "２０２６-03-01"}, "/effective_on"),
        ({"surprise": 1}, "/surprise"),
    ],
)
def test_bad_bodies_point_to_what_is_wrong(town, record, wrong, pointer):
    problem = refusal(api.suspend, call(town, record, {"kind": "lost", **GROUNDS, **wrong}))
    assert (problem.code, [e.pointer for e in problem.errors]) == ("schema.invalid", [pointer])
    assert len(town.acts(record)) == 1
    assert town.version(record.identifier).standing is Standing.ACTIVE


@pytest.mark.parametrize("missing", ["kind", "reason", "legal_basis"])
def test_what_must_be_said(town, record, missing):
    content = {"kind": "lost", **GROUNDS}
    del content[missing]
    problem = refusal(api.suspend, call(town, record, content))
    assert (problem.code, [e.pointer for e in problem.errors]) == ("schema.invalid", [f"/{missing}"])

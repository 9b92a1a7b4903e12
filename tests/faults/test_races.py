"""Processes and threads that compete for the same thing: one gets it, and every answer is correct."""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hub.domain.certificate import State
from hub.keys.generate import KeyRequest
from hub.parts import Parts, open_parts
from hub.store import cases as case_store
from hub.store import certificates
from signing.keys import Purpose
from tests.faults import acts
from tests.faults import scene as s
from tests.faults.acts import accepted, certificate, completed, invented_person
from tests.faults.child import settings_of
from tests.faults.forkserver import Ended, ForkServer, fork_server
from tests.faults.scene import Scene
from tests.support import engines

ROUNDS = 4
Body = dict[str, Any]


@pytest.fixture(scope="module")
def forkserver() -> Iterator[ForkServer]:
    with fork_server() as found:
        yield found


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Scene:
    return s.make(tmp_path_factory.mktemp("scene") / "data", engine)


@pytest.fixture(autouse=True)
def databases_are_given_back() -> Iterator[None]:
    yield
    engines.give_back_all()


class Ring:
    """A private city in which orders race."""

    def __init__(self, forkserver: ForkServer, scene: Scene, folder: Path) -> None:
        self.folder = scene.copy(folder)
        self.ids = scene.identifiers
        self._forkserver = forkserver
        self._signs = itertools.count()

    def race(self, *orders: Body) -> list[Body]:
        return [
            said(ended) for ended in self._forkserver.run(*({"data": str(self.folder), **order} for order in orders))
        ]

    def meet(self, held: Body, at: str, meanwhile: Callable[[], Any]) -> tuple[Body, Any]:
        """Hold an order at a step, run something else, resume it: (result of the order, result of the other)."""
        reached, go = (self.folder.parent / f"{name}-{next(self._signs)}" for name in ("reached", "go"))
        hold = {"at": at, "reached": str(reached), "go": str(go)}
        pid = self._forkserver.start(data=str(self.folder), hold=hold, **held)
        while not reached.exists():
            pass
        try:
            between = meanwhile()
        finally:
            go.touch()
        return said(self._forkserver.end(pid)), between

    @contextmanager
    def open(self) -> Iterator[Parts]:
        with open_parts(settings_of(self.folder)) as parts:
            yield parts

    def states(self, *cases: str) -> dict[str, list[str]]:
        """The states of all versions by number, after inspecting everything."""
        found: dict[str, list[str]] = {}
        with self.open() as parts:
            for number, _, state, _ in s.picture(parts, *cases).versions:
                found.setdefault(number, []).append(state)
        return found


def said(ended: Ended) -> Body:
    assert ended.signal is None
    assert "error" not in ended.value, ended.value["error"]
    return {name: value for name, value in ended.value.items() if name != "points"}


def push(case: str, body: Body) -> Body:
    return {"act": "push", "with": {"case": case, "body": body}}


def act(name: str, identifier: str, **more: Any) -> Body:
    return {"act": "act", "with": {"act": name, "identifier": identifier, **more}}


@pytest.fixture
def ring(forkserver: ForkServer, scene: Scene, tmp_path: Path) -> Ring:
    return Ring(forkserver, scene, tmp_path / "data")


@pytest.fixture
def rings(forkserver: ForkServer, scene: Scene, tmp_path: Path) -> Iterator[Ring]:
    return (Ring(forkserver, scene, tmp_path / f"data-{n}") for n in range(ROUNDS))


def outcomes(answers: list[Body]) -> list[object]:
    """Each answer as its status or its refusal, sorted."""
    assert not any("fault" in answer for answer in answers), answers
    return sorted((a.get("refused") or a["value"]["status"] for a in answers), key=str)


# --- the same push ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("processes", "threads"), [(2, 10), (5, 4), (20, 1)])
def test_twenty_concurrent_equal_pushes_are_one(ring: Ring, processes: int, threads: int) -> None:
    body = completed(certificate(s.E, s.NEW), certificate(s.F, s.ANNA, s.NEW))
    order = {"act": "push_in_threads", "with": {"case": "R-20", "body": body, "threads": threads}}
    answers = [answer for said in ring.race(*[order] * processes) for answer in said["value"]]
    assert len(answers) == 20
    assert sorted(answer["status"] for answer in answers) == [200] * 19 + [201]
    assert all(answer["reply"] == answers[0]["reply"] for answer in answers)
    assert answers[0]["reply"]["issuance"] == "done"
    with ring.open() as parts:
        seen = s.picture(parts, "R-20")
        assert seen.cases["R-20"] == ("completed", 0, "done", [(s.E, 1, "valid"), (s.F, 1, "valid")])
        assert seen.rows["certificates"] == 4 + 2
        assert s.count(parts, "pushes") == 4 + 1
        assert s.count(parts, "intents") == 0


def test_concurrent_readers_see_a_case_as_pending_or_done(rings: Iterator[Ring]) -> None:
    for ring in rings:
        end = ring.folder.parent / f"{ring.folder.name}-end"
        body = completed(certificate(s.E, s.NEW))
        with ThreadPoolExecutor(1) as pool, ring.open() as parts:
            seen = pool.submit(acts.watch, parts, "R-READ", str(end))
            ring.race(push("R-READ", body))
            end.touch()
            answers = seen.result()
        told = [answer.get("refused") or answer["issuance"] for answer in answers]
        assert told == [word for word in ("case.not_found", "pending", "done") if word in told]
        assert told[-1] == "done"


def test_a_case_published_during_a_read_is_not_returned_without_its_certificates(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = push("R-GET", completed(certificate(s.E, s.NEW)))
    assert ring._forkserver.one(data=str(ring.folder), kill_step="step reserved", **order).killed
    find, others = case_store.find, []

    def then_published(*values: Any) -> Any:
        found = find(*values)
        if not others:
            others.append(ring.race(order)[0])
        return found

    with ring.open() as parts:
        monkeypatch.setattr(case_store, "find", then_published)
        assert s.case(parts, "R-GET") == ("completed", 0, "pending", [])
        assert others[0]["value"]["status"] == 200
        assert s.case(parts, "R-GET") == ("completed", 0, "done", [(s.E, 1, "valid")])


def test_the_worker_and_a_repeated_push_finish_an_intent_once(rings: Iterator[Ring]) -> None:
    body = completed(certificate(s.E, s.NEW))
    for ring in rings:
        assert ring._forkserver.one(data=str(ring.folder), kill_step="step reserved", **push("R-W", body)).killed
        finish = {"act": "finish", "with": {"case": "R-W"}}
        first, second, pushed = ring.race(finish, finish, push("R-W", body))
        assert (first, second) == ({"value": True}, {"value": True})
        assert pushed["value"]["status"] == 200
        assert pushed["value"]["reply"]["issuance"] == "done"
        assert ring.states("R-W")[s.E] == ["valid"]


# --- one case --------------------------------------------------------------------------------------------------------


def two(word: str, amendment: int) -> Body:
    return completed(certificate(s.A, s.ANNA, word=word), certificate(s.B, s.ANNA, s.BERT), amendment=amendment)


def test_of_two_contents_for_one_amendment_one_wins(rings: Iterator[Ring]) -> None:
    for ring in rings:
        answers = ring.race(push(s.TWO, two("甲", 1)), push(s.TWO, two("乙", 1)))
        assert outcomes(answers) == [200, "case.conflict"]
        assert ring.states(s.TWO)[s.A] == ["superseded", "valid"]
        winner = "甲" if "value" in answers[0] else "乙"
        with ring.open() as parts:
            assert [v.fields["conclusion"] for v in s.versions(parts) if v.number == s.A] == ["无", winner]


def test_of_two_concurrent_amendments_the_higher_one_wins(rings: Iterator[Ring]) -> None:
    for ring in rings:
        answers = ring.race(push(s.TWO, two("甲", 1)), push(s.TWO, two("乙", 2)))
        assert outcomes(answers) in ([200, 200], [200, "case.stale"])
        assert "value" in answers[1]
        made = 3 if "value" in answers[0] else 2
        assert ring.states(s.TWO)[s.A] == ["superseded"] * (made - 1) + ["valid"]
        with ring.open() as parts:
            assert s.case(parts, s.TWO) == ("completed", 2, "done", [(s.A, made, "valid"), (s.B, 1, "valid")])


def test_an_amendment_meets_one_that_is_not_published_yet(ring: Ring) -> None:
    late, early = ring.meet(push(s.TWO, two("甲", 1)), "signed", lambda: ring.race(push(s.TWO, two("乙", 2)))[0])
    assert early["value"]["status"] == 200
    assert late["value"]["status"] == 200
    assert [item["version"] for item in late["value"]["reply"]["certificates"]] == [2, 1]
    assert [item["version"] for item in early["value"]["reply"]["certificates"]] == [3, 1]
    assert ring.states(s.TWO)[s.A] == ["superseded", "superseded", "valid"]


def test_of_two_final_statuses_one_wins(rings: Iterator[Ring]) -> None:
    for ring in rings:
        done = completed(certificate(s.E, s.NEW))
        refused = {**accepted(s.NEW), "status": "refused", "completed_at": done["completed_at"]}
        answers = ring.race(push("R-END", done), push("R-END", refused))
        assert outcomes(answers) == [201, "case.conflict"]
        assert (s.E in ring.states("R-END")) == ("value" in answers[0])


def test_an_acceptance_racing_with_the_end_changes_nothing(rings: Iterator[Ring]) -> None:
    for ring in rings:
        answers = ring.race(push("R-ACC", accepted(s.NEW)), push("R-ACC", completed(certificate(s.E, s.NEW))))
        assert outcomes(answers) == [200, 201]
        assert ring.states("R-ACC")[s.E] == ["valid"]


SUCCESSORS = {
    "replaced": lambda ring: push("R-NEXT", completed(certificate(s.E, s.CARL, supersedes=(ring.ids[s.C],)))),
    "renewed": lambda ring: push("R-NEXT", completed(certificate(s.C, s.CARL, word="有", supersedes=(ring.ids[s.C],)))),
    "corrected": lambda ring: push(s.ONE, completed(certificate(s.C, s.CARL, word="有"), amendment=1)),
}
CORRECTED_TWICE = ("corrected", "corrected")


# --- two cases -------------------------------------------------------------------------------------------------------


def test_a_number_is_given_once(rings: Iterator[Ring]) -> None:
    for ring in rings:
        answers = ring.race(
            push("R-N1", completed(certificate(s.E, s.NEW), certificate(s.F, s.NEW))),
            push("R-N2", completed(certificate("试〔2025〕其他", s.ANNA), certificate(s.E, s.ANNA))),
        )
        assert outcomes(answers) == [201, "number.taken"]
        states = ring.states("R-N1", "R-N2")
        assert states[s.E] == ["valid"]
        assert (s.F in states) == ("value" in answers[0])
        assert ("试〔2025〕其他" in states) == ("value" in answers[1])


def test_a_certificate_has_one_successor(rings: Iterator[Ring]) -> None:
    for ring in rings:
        both = ring.ids[s.A], ring.ids[s.B]
        answers = ring.race(
            push("R-S1", completed(certificate(s.E, s.NEW, supersedes=both))),
            push("R-S2", completed(certificate(s.F, s.NEW, supersedes=both[::-1]))),
        )
        assert outcomes(answers) == [201, "certificate.move"]
        states = ring.states("R-S1", "R-S2", s.TWO)
        assert states[s.A] == states[s.B] == ["superseded"]
        assert len(states.keys() & {s.E, s.F}) == 1


def test_a_correction_and_a_renewal_do_not_both_follow_one_version(rings: Iterator[Ring]) -> None:
    for ring in rings:
        answers = ring.race(
            push(s.ONE, completed(certificate(s.C, s.CARL, word="更正"), amendment=1)),
            push("R-RENEW", completed(certificate(s.C, s.CARL, word="换发", supersedes=(ring.ids[s.C],)))),
        )
        assert outcomes(answers) in ([201, "certificate.move"], [201, "case.conflict"], [200, "certificate.move"])
        assert ring.states(s.ONE, "R-RENEW")[s.C] == ["superseded", "valid"]


@pytest.mark.parametrize(
    ("first", "second"), [pair for pair in itertools.product(SUCCESSORS, repeat=2) if pair != CORRECTED_TWICE]
)
def test_a_successor_that_is_not_published_yet_is_one_already(ring: Ring, first: str, second: str) -> None:
    """The second one is refused at once, and need not wait until the first one is published."""
    other = SUCCESSORS[second](ring)
    if second != "corrected":
        other["with"]["case"] = "R-SECOND"
    if second == "replaced":
        other["with"]["body"]["certificates"][0]["number"] = s.F
    done, refused = ring.meet(SUCCESSORS[first](ring), "signed", lambda: ring.race(other)[0])
    assert done["value"]["status"] in {200, 201}
    assert refused["refused"] == "certificate.move"


def test_a_person_in_two_concurrent_cases_becomes_one_party(rings: Iterator[Ring]) -> None:
    newcomer = invented_person(77)
    for ring in rings:
        answers = ring.race(
            push("R-P1", completed(certificate(s.E, newcomer))),
            push("R-P2", accepted(newcomer, s.ANNA)),
            push("R-P3", completed(certificate(s.F, s.ANNA, newcomer))),
        )
        assert outcomes(answers) == [201, 201, 201]
        with ring.open() as parts:
            assert s.count(parts, "parties") == 4 + 1
            party = s.party(parts, newcomer)
            holders = {v.number: v.parties for v in s.versions(parts) if v.number in {s.E, s.F}}
            assert holders[s.E] == (party,)
            assert holders[s.F][1] == party
            s.picture(parts)


# --- standing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SUCCESSORS)
@pytest.mark.parametrize("step", ["reserved", "signed", "publish"])
def test_a_revocation_before_the_successor_is_published_stands(ring: Ring, kind: str, step: str) -> None:
    revoke = act("revoke", ring.ids[s.C], kind="penalty")
    pushed, revoked = ring.meet(SUCCESSORS[kind](ring), step, lambda: ring.race(revoke)[0])
    assert revoked["value"]["state"] == "revoked"
    assert pushed["value"]["status"] in {200, 201}
    states = ring.states(s.ONE, "R-NEXT")
    if kind == "replaced":
        assert (states[s.C], states[s.E]) == (["revoked"], ["valid"])
        assert ring.race(revoke)[0] == revoked
    else:
        assert states[s.C] == ["revoked", "revoked"]
        assert [ring.race(revoke)[0]] == [{"refused": "certificate.move", "retry_after": None}]


@pytest.mark.parametrize("kind", SUCCESSORS)
def test_a_revocation_before_the_reservation_refuses_the_successor(ring: Ring, kind: str) -> None:
    revoke = act("revoke", ring.ids[s.C], kind="penalty")
    pushed, revoked = ring.meet(SUCCESSORS[kind](ring), "reserve", lambda: ring.race(revoke)[0])
    assert revoked["value"]["state"] == "revoked"
    assert pushed == {"refused": "certificate.move", "retry_after": None}
    assert ring.states(s.ONE)[s.C] == ["revoked"]


@pytest.mark.parametrize("kind", SUCCESSORS)
def test_a_revocation_and_a_successor_at_once_end_in_one_of_the_two_orders(rings: Iterator[Ring], kind: str) -> None:
    for ring in rings:
        revoked, pushed = ring.race(act("revoke", ring.ids[s.C], kind="penalty"), SUCCESSORS[kind](ring))
        states = ring.states(s.ONE)
        if "refused" in revoked:
            assert revoked["refused"] == "certificate.move"
            assert states[s.C][0] == "superseded"
        elif "refused" in pushed:
            assert pushed["refused"] == "certificate.move"
            assert states[s.C] == ["revoked"]
        else:
            assert set(states[s.C]) == {"revoked"}


def test_a_suspension_between_reservation_and_publication_is_kept_by_a_correction(ring: Ring) -> None:
    suspend = act("suspend", ring.ids[s.C], kind="lost")
    _, suspended = ring.meet(SUCCESSORS["corrected"](ring), "publish", lambda: ring.race(suspend)[0])
    assert suspended["value"]["state"] == "suspended"
    assert ring.states(s.ONE)[s.C] == ["superseded", "suspended"]


def test_a_suspension_and_a_revocation_end_in_the_revocation(rings: Iterator[Ring]) -> None:
    for ring in rings:
        suspended, revoked = ring.race(
            act("suspend", ring.ids[s.C], kind="lost"), act("revoke", ring.ids[s.C], kind="cancelled")
        )
        assert revoked["value"]["state"] == "revoked"
        assert suspended.get("refused") == "certificate.move" or suspended["value"]["state"] == "suspended"
        assert ring.states(s.ONE)[s.C] == ["revoked"]


def test_concurrent_equal_acts_are_one_act(rings: Iterator[Ring]) -> None:
    for ring in rings:
        answers = ring.race(*[act("revoke", ring.ids[s.C], kind="cancelled")] * 6)
        assert all(answer == answers[0] for answer in answers)
        assert answers[0]["value"]["state"] == "revoked"
        with ring.open() as parts:
            assert ("试〔2025〕C", 1, "revoked", 2) in s.picture(parts).versions


def test_a_repeated_act_done_by_another_process_returns_the_state_after_it(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    revoke = act("revoke", ring.ids[s.C], kind="cancelled")
    read, others = certificates.versions_of, []

    def then_another(*values: Any) -> Any:
        found = read(*values)
        if not others:
            others.append(ring.race(revoke)[0])
        return found

    with ring.open() as parts:
        monkeypatch.setattr(certificates, "versions_of", then_another)
        moved = parts.lifecycle.revoke(acts.c.caller(acts.CLIENT), ring.ids[s.C], kind="cancelled", **acts.GROUNDS)
    assert moved.state is State.REVOKED
    assert moved.recorded_at.isoformat() == others[0]["value"]["recorded_at"]


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["reserved", "signed", "publish"])
@pytest.mark.parametrize("gone", [False, True])
def test_a_key_replaced_between_reservation_and_publication(ring: Ring, step: str, gone: bool) -> None:
    """Nothing is published under a retired key; the same numbers are signed with the active key."""

    def replace() -> tuple[str, str, list[str]]:
        with ring.open() as parts:
            former = parts.keyring.active(Purpose.CREDENTIAL).kid
            promised = s.reserved(parts, "R-KEY")
            fresh = parts.signing_keys.replace(KeyRequest(Purpose.CREDENTIAL)).kid
            if gone:
                for path in (ring.folder / "keys").glob(f"*{former}*"):
                    path.unlink()
            return former, fresh, promised or []

    body = completed(certificate(s.E, s.NEW), certificate(s.F, s.ANNA))
    pushed, (former, fresh, promised) = ring.meet(push("R-KEY", body), step, replace)
    assert pushed["value"]["status"] == 201
    assert [item["identifier"] for item in pushed["value"]["reply"]["certificates"]] == promised
    with ring.open() as parts:
        kids = {v.number: v.kid for v in s.versions(parts)}
        assert kids[s.E] == kids[s.F] == fresh
        assert kids[s.A] == former
        s.picture(parts, "R-KEY")


def test_a_process_that_cached_a_retired_key_finishes_its_intents(ring: Ring) -> None:
    """Like a worker that does nothing else."""
    with ring.open() as worker:
        ring._forkserver.one(
            data=str(ring.folder), kill_step="step reserved", **push("R-OLD", completed(certificate(s.E, s.NEW)))
        )
        with ring.open() as parts:
            former = parts.keyring.active(Purpose.CREDENTIAL).kid
            parts.signing_keys.replace(KeyRequest(Purpose.CREDENTIAL))
        for path in (ring.folder / "keys").glob(f"*{former}*"):
            path.unlink()
        assert worker.issuance.finish(s.SOURCE, "R-OLD")
    assert ring.states("R-OLD")[s.E] == ["valid"]

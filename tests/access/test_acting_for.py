"""A client that acts for another authority within limits: in some matters, or for cases of its own source only."""

from typing import Any

import pytest

from hub.access.tokens import caller_of
from hub.counter.lookup_body import LookupBody
from hub.domain.caller import Limited, acting_for
from hub.domain.errors import Refusal
from hub.store import clients as client_store
from hub.wire import validate
from tests.support import town as t
from tests.support.town import AGENT, GRANT, HEALTH, INSPECT, PLATFORM, REGISTER, TRADE, Town, body, grant, refused

SOURCE = AGENT.source


def agent(*entries: str, own_source: bool = False, **more: Any) -> t.Caller:
    """A client of the platform, registered with these entries, as authentication returns it."""
    limit = SOURCE if own_source else None
    limited = frozenset(Limited(found.authority, found.matters, limit) for found in map(acting_for, entries))
    return t.caller("town-platform", PLATFORM, source=SOURCE, limited=limited, **more)


IN_GRANT = agent(f"{TRADE}:{GRANT}")
OWN_SOURCE = agent(TRADE, own_source=True)


def register(number: str) -> t.Body:
    return body(grant(number, type_code=t.LICENCE), matter_code=REGISTER)


def taken_in(matter: str, **more: Any) -> t.Body:
    return body(matter_code=matter, accepted_by=TRADE, **more)


# --- pushes -----------------------------------------------------------------------------------------------------------


def test_a_client_limited_to_matters_opens_and_ends_cases_of_these_alone(town: Town) -> None:
    [version] = town.issue("C-1", grant("许-1"), by=IN_GRANT)
    assert version.authority == TRADE
    assert refused(town.push, "C-2", register("照-1"), IN_GRANT) == "perm.case_required"
    assert refused(town.push, "C-2", taken_in(REGISTER), IN_GRANT) == "perm.case_required"
    assert town.push("C-2", taken_in(GRANT), IN_GRANT).status == 201


def test_it_changes_no_case_of_another_matter(town: Town) -> None:
    town.push("C-1", taken_in(REGISTER))
    town.push("C-2", taken_in(GRANT))
    assert refused(town.push, "C-1", taken_in(REGISTER, agent=t.BERT), IN_GRANT, TRADE) == "perm.case_required"
    assert refused(town.push, "C-1", taken_in(GRANT, agent=t.BERT), IN_GRANT, TRADE) == "perm.case_required"
    assert refused(town.push, "C-1", register("照-1"), IN_GRANT, TRADE) == "perm.case_required"
    assert town.push("C-2", body(grant("许-1"), accepted_by=TRADE), IN_GRANT, TRADE).status == 200


def test_it_opens_cases_of_another_source_only_in_its_matters(town: Town) -> None:
    assert refused(town.push, "C-1", taken_in(REGISTER), IN_GRANT, TRADE) == "perm.case_required"
    assert refused(town.push, "C-1", taken_in(GRANT), IN_GRANT, HEALTH) == "perm.case_required"
    assert town.push("C-1", taken_in(GRANT), IN_GRANT, TRADE).status == 201


def test_a_client_limited_to_its_own_source_uses_no_other(town: Town) -> None:
    town.issue("C-1", grant("许-1"), by=OWN_SOURCE)
    town.push("C-2", taken_in(GRANT))
    for case in ("C-2", "C-3"):
        assert refused(town.push, case, taken_in(GRANT), OWN_SOURCE, TRADE) == "perm.case_required"
    assert refused(town.live, "C-2", OWN_SOURCE, TRADE) == "case.not_found"


def test_both_limits_apply_together(town: Town) -> None:
    both = agent(f"{TRADE}:{GRANT}", f"{HEALTH}:{INSPECT}", own_source=True)
    town.issue("C-1", grant("许-1"), by=both)
    town.issue("C-2", grant("卫-1", type_code=t.HYGIENE), by=both, matter_code=INSPECT)
    assert refused(town.push, "C-3", register("照-1"), both) == "perm.case_required"
    assert refused(town.push, "C-3", taken_in(GRANT), both, TRADE) == "perm.case_required"


def test_it_supersedes_only_what_its_matters_grant(town: Town) -> None:
    """A renewal is often another matter than the first issue, so the types that a matter grants count too."""
    [permit], [licence] = (
        town.issue("C-1", grant("许-1")),
        town.issue("C-2", *register("照-1")["certificates"], matter_code=REGISTER),
    )
    [carried] = town.issue("C-3", grant("许-3"), by=IN_GRANT)
    one = grant("许-9", supersedes=[permit.identifier, carried.identifier, licence.identifier])
    refusal = t.refusal(town.push, "C-9", body(one), IN_GRANT)
    assert (refusal.code, t.places(refusal)) == (
        "perm.not_issuer",
        [("/certificates/0/supersedes/2", "perm.not_issuer")],
    )
    assert town.state(licence) == "valid"
    town.issue("C-9", grant("许-9", supersedes=[permit.identifier, carried.identifier]), by=IN_GRANT)
    assert (town.state(permit), town.state(carried)) == ("superseded", "superseded")


# --- reading ----------------------------------------------------------------------------------------------------------


def test_it_reads_cases_of_its_matters_alone_even_in_its_own_source(town: Town) -> None:
    town.push("C-1", taken_in(GRANT), AGENT)
    town.push("C-2", taken_in(REGISTER), AGENT)
    assert town.live("C-1", IN_GRANT)["status"] == "accepted"
    assert refused(town.live, "C-2", IN_GRANT) == "case.not_found"
    assert town.live("C-2", AGENT)["status"] == "accepted"
    assert town.live("C-2", OWN_SOURCE)["status"] == "accepted"


@pytest.mark.parametrize("call", ["read", "credential", "document"])
def test_it_reads_certificates_of_its_matters_alone(town: Town, call: str) -> None:
    [permit], [licence] = (
        town.issue("C-1", grant("许-1")),
        town.issue("C-2", *register("照-1")["certificates"], matter_code=REGISTER),
    )
    read = getattr(town.parts.records, call)
    assert read(IN_GRANT, permit.identifier)
    assert refused(read, IN_GRANT, licence.identifier) == "certificate.not_found"
    assert refused(read, OWN_SOURCE, permit.identifier) == "certificate.not_found"
    assert read(AGENT, licence.identifier)


def test_it_moves_certificates_of_its_matters_alone(town: Town) -> None:
    [permit], [licence] = (
        town.issue("C-1", grant("许-1")),
        town.issue("C-2", *register("照-1")["certificates"], matter_code=REGISTER),
    )
    assert refused(town.move, "suspend", licence, IN_GRANT) == "perm.not_issuer"
    assert refused(town.move, "suspend", permit, OWN_SOURCE) == "perm.not_issuer"
    assert town.move("suspend", permit, IN_GRANT).state == "suspended"


def test_it_does_not_move_what_another_matter_has_renewed(town: Town) -> None:
    renewal = {"code": "T-RENEW", "name": "摊位延续", "authority_code": TRADE, "yields": [t.PERMIT], "materials": []}
    town.parts.registration.load_catalogue({"matters": [renewal]})
    [old] = town.issue("C-1", grant("许-1", valid_until="2026-12-31"))
    renewed = grant("许-1", valid_from="2027-01-01", valid_until="2028-12-31", supersedes=[old.identifier])
    [new] = town.issue("C-2", renewed, matter_code="T-RENEW")
    assert new.certificate == old.certificate
    for version in (old, new):
        assert refused(town.move, "revoke", version, IN_GRANT) == "perm.not_issuer"
    assert refused(town.move, "revoke", old, agent(f"{TRADE}:T-RENEW")) == "perm.not_issuer"


def test_the_directory_shows_it_no_persons_of_an_authority_that_it_acts_for_within_limits() -> None:
    for limited in (IN_GRANT, OWN_SOURCE):
        assert limited.authorities == {PLATFORM}
        assert not limited.stands_for(TRADE)
    assert AGENT.authorities == {PLATFORM, TRADE, HEALTH}


# --- the counter ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "matter", "source", "code"),
    [
        (IN_GRANT, GRANT, TRADE, "perm.clerk"),
        (IN_GRANT, GRANT, SOURCE, "perm.clerk"),
        (IN_GRANT, REGISTER, TRADE, "perm.case_required"),
        (OWN_SOURCE, GRANT, SOURCE, "perm.clerk"),
        (OWN_SOURCE, GRANT, TRADE, "perm.case_required"),
        (AGENT, REGISTER, TRADE, "perm.clerk"),
    ],
)
def test_lookups_need_a_case_within_the_limits(town: Town, by: t.Caller, matter: str, source: str, code: str) -> None:
    """A case that opens asks for the clerk next, and none is registered here."""
    town.push("C-1", taken_in(matter), AGENT, source)
    wanted = {"case_number": "C-1", "source": source, "clerk": {"id": "1", "name": "x"}}
    holder = {name: t.ANNA[name] for name in ("id_type", "id_number")}
    asked = validate(LookupBody, {**wanted, "holder": holder})
    assert refused(town.parts.lookup.look_up, by, asked) == code


# --- registration -----------------------------------------------------------------------------------------------------


def test_limits_are_registered_listed_and_become_the_callers(town: Town) -> None:
    entries = [f"{TRADE}:{GRANT},{REGISTER}", HEALTH]
    registration = town.parts.registration
    registration.add_client("one", PLATFORM, source=SOURCE, acts_for=entries, scopes=["cases:write"])
    registration.add_client(
        "two", PLATFORM, source=SOURCE, acts_for=entries, scopes=["cases:write"], own_source=True, dpop=True
    )
    one, two = client_store.clients(town.parts.database.reader).values()
    assert (one.acts_for, one.own_source, one.dpop) == (set(entries), False, False)
    assert (two.own_source, two.dpop) == (True, True)
    in_matters = Limited(TRADE, frozenset({GRANT, REGISTER}))
    assert (caller_of(one).acts_for, caller_of(one).limited) == ({HEALTH}, {in_matters})
    assert caller_of(two).limited == {
        Limited(TRADE, frozenset({GRANT, REGISTER}), SOURCE),
        Limited(HEALTH, frozenset(), SOURCE),
    }


@pytest.mark.parametrize(
    ("acts_for", "pointers"),
    [
        ([f"{TRADE}:"], ["/acts_for/0"]),
        ([f":{GRANT}"], ["/acts_for/0"]),
        ([f"{TRADE}:{GRANT},"], ["/acts_for/0"]),
        ([f"{TRADE}:{GRANT},{GRANT}"], ["/acts_for/0"]),
        ([f"{TRADE}:T-UNKNOWN,{GRANT}"], ["/acts_for/0"]),
        ([HEALTH, f"{TRADE}:{GRANT}", TRADE], ["/acts_for/2"]),
        (["UNKNOWN:T-UNKNOWN"], ["/acts_for/0", "/acts_for/0"]),
    ],
)
def test_wrong_limits_are_refused_with_their_place(town: Town, acts_for: list[str], pointers: list[str]) -> None:
    with pytest.raises(Refusal) as caught:
        town.parts.registration.add_client("one", PLATFORM, acts_for=acts_for, scopes=["cases:write"])
    assert [error.pointer for error in caught.value.errors] == pointers
    assert town.parts.registration.clients() == []


def test_an_authority_acted_for_within_limits_lends_no_source(town: Town) -> None:
    for more in ({"acts_for": [f"{TRADE}:{GRANT}"]}, {"acts_for": [TRADE], "own_source": True}):
        with pytest.raises(Refusal) as caught:
            town.parts.registration.add_client("one", PLATFORM, source=TRADE, scopes=["cases:write"], **more)
        assert [error.pointer for error in caught.value.errors] == ["/source"]

from datetime import date

import pytest

from hub.domain import permission
from hub.domain.caller import Caller, Clerk
from hub.domain.case import CaseStatus
from hub.domain.catalogue import Material, Matter
from hub.domain.certificate import State
from hub.domain.permission import CaseFacts
from tests.support.city import refused

DECIDES, TOOK_IN, OTHER, PLATFORM = "decides", "took-in", "other", "platform"
ID, TITLE, BIRTH, FOREIGN = "ID", "TITLE", "BIRTH", "FOREIGN"
TODAY = date(2026, 6, 30)
MATTER = Matter(
    "M",
    "事项",
    DECIDES,
    30,
    (),
    (
        Material("身份证明", "applicant", (ID,), fields=("address",)),
        Material("产权", "applicant", (TITLE,), frozenset({State.VALID, State.SUPERSEDED}), ("location", "usage")),
        Material("出生", "related", (BIRTH,)),
        Material("代理人身份证明", "agent", (ID,), fields=("organ",)),
    ),
)


def facts(
    status: CaseStatus = CaseStatus.ACCEPTED, on: date = TODAY, authority: str = DECIDES, accepted_by: str = TOOK_IN
) -> CaseFacts:
    return CaseFacts(authority, accepted_by, status, on)


def caller(authority: str, *acts_for: str) -> Caller:
    return Caller("c", authority, authority, frozenset(acts_for))


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        (caller(DECIDES), True),
        (caller(TOOK_IN), True),
        (caller(PLATFORM, DECIDES), True),
        (caller(PLATFORM, OTHER, TOOK_IN), True),
        (caller(OTHER), False),
        (caller(PLATFORM, OTHER), False),
        (caller(""), False),
    ],
)
def test_a_case_opens_for_clients_of_its_authorities_alone(who: Caller, allowed: bool) -> None:
    if allowed:
        assert permission.require_case(who, facts()) == facts()
    else:
        assert refused(permission.require_case, who, facts()) == "perm.case_required"
    assert refused(permission.require_case, who, None) == "perm.case_required"


@pytest.mark.parametrize(
    ("registered", "name", "allowed"),
    [
        ([Clerk("7", "郑予舟", DECIDES)], "郑予舟", True),
        ([Clerk("7", "郑予舟", TOOK_IN)], " 郑予舟 ", True),
        ([Clerk("7", "Zoe\u0301", TOOK_IN)], "Zo\u00e9", True),
        ([Clerk("7", "另一人", DECIDES), Clerk("7", "郑予舟", TOOK_IN)], "郑予舟", True),
        ([Clerk("7", "郑予舟", DECIDES, enabled=False), Clerk("7", "郑予舟", TOOK_IN)], "郑予舟", True),
        ([Clerk("7", "郑予舟", OTHER)], "郑予舟", False),
        ([Clerk("7", "郑予舟", DECIDES, enabled=False)], "郑予舟", False),
        ([Clerk("7", "郑予舟", DECIDES)], "郑予", False),
        ([Clerk("7", "郑予舟", DECIDES)], "", False),
        ([Clerk("8", "郑予舟", DECIDES)], "郑予舟", False),
        ([], "郑予舟", False),
    ],
)
def test_a_clerk_is_registered_enabled_and_of_an_authority_of_the_case(
    registered: list[Clerk], name: str, allowed: bool
) -> None:
    if allowed:
        found = permission.require_clerk(facts().authorities, registered, "7", name)
        assert found.enabled
        assert found.authority in {DECIDES, TOOK_IN}
    else:
        assert refused(permission.require_clerk, facts().authorities, registered, "7", name) == "perm.clerk"


@pytest.mark.parametrize(
    ("case", "matter", "is_open"),
    [
        (facts(), MATTER, True),
        (facts(on=date(2026, 5, 31)), MATTER, True),
        (facts(on=date(2026, 5, 30)), MATTER, False),
        (facts(on=date(2026, 7, 1)), MATTER, True),
        (facts(CaseStatus.COMPLETED), MATTER, False),
        (facts(CaseStatus.REFUSED), MATTER, False),
        (facts(CaseStatus.WITHDRAWN), MATTER, False),
        (facts(), None, False),
    ],
)
def test_a_case_is_open_from_acceptance_for_the_days_of_its_matter(
    case: CaseFacts, matter: Matter | None, is_open: bool
) -> None:
    if is_open:
        assert permission.require_open(case, matter, TODAY) is MATTER
    else:
        assert refused(permission.require_open, case, matter, TODAY) == "perm.case_not_open"


@pytest.mark.parametrize(
    ("roles", "types", "names"),
    [
        ({"applicant"}, None, ["身份证明", "产权", "出生"]),
        ({"related"}, None, ["身份证明", "产权", "出生"]),
        ({"agent"}, None, ["代理人身份证明"]),
        ({"agent", "applicant"}, None, ["身份证明", "产权", "出生", "代理人身份证明"]),
        ({"applicant"}, [TITLE], ["产权"]),
        ({"applicant"}, [TITLE, BIRTH], ["产权", "出生"]),
        ({"agent"}, [ID], ["代理人身份证明"]),
        ({"agent", "related"}, [ID], ["身份证明", "代理人身份证明"]),
        (set(), None, "perm.holder_not_in_case"),
        (set(), [FOREIGN], "perm.holder_not_in_case"),
        ({"agent"}, [TITLE], "perm.holder_not_in_case"),
        ({"agent"}, [ID, TITLE], "perm.holder_not_in_case"),
        ({"agent"}, [FOREIGN], "perm.type_not_in_matter"),
        ({"applicant"}, [FOREIGN], "perm.type_not_in_matter"),
        ({"applicant"}, [ID, FOREIGN], "perm.type_not_in_matter"),
    ],
)
def test_a_person_is_looked_up_for_the_materials_of_their_roles(
    roles: set[str], types: list[str] | None, names: list[str] | str
) -> None:
    asked = None if types is None else frozenset(types)
    if isinstance(names, str):
        assert refused(permission.materials_of_person, MATTER, frozenset(roles), asked) == names
    else:
        found = permission.materials_of_person(MATTER, frozenset(roles), asked)
        assert [material.name for material in found] == names


def test_a_matter_that_asks_nothing_shows_nothing() -> None:
    empty = Matter("E", "无材料", DECIDES, 30, (), ())
    assert refused(permission.materials_of_person, empty, frozenset({"applicant"}), None) == "perm.type_not_in_matter"
    assert refused(permission.materials_of_person, empty, frozenset({"agent"}), None) == "perm.holder_not_in_case"
    assert refused(permission.require_type, empty, ID) == "perm.type_not_in_matter"


def test_a_certificate_is_taken_for_any_of_its_holders_whom_the_case_names() -> None:
    asked = permission.materials_of_certificate(MATTER, ID, [frozenset(), frozenset({"agent"})])
    assert [[m.name for m in one] for one in asked] == [[], ["代理人身份证明"]]
    for roles in ([], [frozenset[str]()], [frozenset({"agent"})]):
        assert refused(permission.materials_of_certificate, MATTER, TITLE, roles) == "perm.holder_not_in_case"


def test_only_materials_that_accept_the_state_open_fields() -> None:
    everything = MATTER.materials
    assert [m.name for m in permission.accepted(everything, TITLE, State.SUPERSEDED)] == ["产权"]
    assert permission.accepted(everything, TITLE, State.EXPIRED) == ()
    both = permission.accepted(everything, ID, State.VALID)
    assert permission.visible_fields(both) == {"address", "organ"}
    assert permission.visible_fields((*both, MATTER.materials[2])) is None
    assert permission.visible_fields(()) == frozenset()

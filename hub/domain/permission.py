"""Rule 1: an ID number is an address, not a credential. Who may see whose certificates, for which case.

All decisions depend on the arguments alone, and everything is required: an open case of one of the caller's
authorities, a clerk of one of the case's authorities, a person named in the case, and a material of its matter required
of that person. Call the functions in the order below; the first refusal is the answer.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from unicodedata import normalize

from hub.domain.caller import Caller, Clerk
from hub.domain.case import CaseStatus
from hub.domain.catalogue import Catalogue, Material, Matter
from hub.domain.certificate import State
from hub.domain.errors import Refusal

_ALL_ROLES = frozenset({"applicant", "agent", "related"})


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """The facts of a case that matter here.

    Deciding authority, accepting authority, status, day of acceptance, and whether the deciding authority has objected.
    """

    authority: str
    accepted_by: str
    status: CaseStatus
    accepted_on: date
    objected: bool = False

    @property
    def authorities(self) -> tuple[str, ...]:
        """The authorities whose clerks may work on it, the deciding one first."""
        return tuple(dict.fromkeys((self.authority, self.accepted_by)))


def require_case(caller: Caller, case: CaseFacts | None) -> CaseFacts:
    """The case, if the caller belongs to or acts for one of its authorities; else `perm.case_required`, as for none."""
    if case is None or not caller.stands_for(*case.authorities):
        raise Refusal("perm.case_required")
    return case


def require_clerk(authorities: Collection[str], registered: Iterable[Clerk], staff_number: str, name: str) -> Clerk:
    """The clerk with this staff number and registered name, enabled, of one of the authorities; else `perm.clerk`.

    registered: the clerks with this staff number in these authorities.
    """
    for clerk in registered:
        belongs = clerk.authority in authorities and clerk.staff_number == staff_number
        if belongs and clerk.enabled and _same_name(clerk.name, name):
            return clerk
    raise Refusal("perm.clerk")


def require_open(case: CaseFacts, matter: Matter | None, today: date) -> Matter:
    """The matter of an open case; `perm.case_not_open` after its end, its `open_days` or an objection to it."""
    if matter is None or case.status is not CaseStatus.ACCEPTED:
        raise Refusal("perm.case_not_open")
    if case.objected:
        raise Refusal("perm.case_not_open", "决定机构对这个办件提出了异议")
    if (today - case.accepted_on).days > matter.open_days:
        raise Refusal("perm.case_not_open", f"收件已超过 {matter.open_days} 天")
    return matter


def require_intake(catalogue: Catalogue, matter: Matter, case: CaseFacts) -> None:
    """Raise `perm.intake` for a case of an authority that may not take in this matter."""
    if not catalogue.may_take_in(matter, case.accepted_by):
        raise Refusal("perm.intake")


def materials_of_person(
    matter: Matter, roles: frozenset[str], type_codes: frozenset[str] | None
) -> tuple[Material, ...]:
    """The materials for which a person with these roles may be looked up, for these types or (None) for all.

    Raises `perm.holder_not_in_case` without roles, and for an agent if the types are only required of others;
    `perm.type_not_in_matter` if any of the types is not required of this person.
    """
    if not roles:
        raise Refusal("perm.holder_not_in_case")
    own = matter.materials_for(roles)
    agent_only = roles == {"agent"}
    if type_codes is None:
        if not own:
            raise Refusal("perm.holder_not_in_case" if agent_only else "perm.type_not_in_matter")
        return own
    for code in type_codes:
        if any(code in material.type_codes for material in own):
            continue
        for_others = agent_only and matter.materials_for(_ALL_ROLES, code)
        raise Refusal("perm.holder_not_in_case" if for_others else "perm.type_not_in_matter")
    return tuple(material for material in own if not type_codes.isdisjoint(material.type_codes))


def require_type(matter: Matter, type_code: str) -> None:
    """Raise `perm.type_not_in_matter` for a type that no material of the matter allows."""
    if not matter.materials_for(_ALL_ROLES, type_code):
        raise Refusal("perm.type_not_in_matter")


def materials_of_certificate(
    matter: Matter, type_code: str, roles: Iterable[frozenset[str]]
) -> tuple[tuple[Material, ...], ...]:
    """For each holder of a certificate, by their roles in the case, the materials for which it may be retrieved.

    Raises `perm.holder_not_in_case` if there are none; also for a certificate that does not exist, which has no holder,
    so that the answer does not reveal which identifiers exist.
    """
    found = tuple(matter.materials_for(held, type_code) for held in roles)
    if not any(found):
        raise Refusal("perm.holder_not_in_case")
    return found


def accepted(materials: Iterable[Material], type_code: str, state: State) -> tuple[Material, ...]:
    """The materials that a certificate of this type in this state satisfies."""
    return tuple(m for m in materials if type_code in m.type_codes and state in m.accepts)


def visible_fields(materials: Collection[Material]) -> frozenset[str] | None:
    """The fields of a certificate that these materials may see together; None for all."""
    found: set[str] = set()
    for material in materials:
        if material.fields is None:
            return None
        found.update(material.fields)
    return frozenset(found)


def _same_name(registered: str, given: str) -> bool:
    return normalize("NFC", registered).strip() == normalize("NFC", given).strip()

"""Rule 1: an ID number is an address, not a credential. Who may look at whose certificates, for which case.

Everything here is decided on what it is given, and refused unless all of it is there: an open case of one of the
caller's authorities, a clerk of one of the case's authorities, a person whom the case names, and a material of its
matter that asks this of that person. Callers ask in the order of the functions below; the first refusal is the answer.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from unicodedata import normalize

from hub.domain.caller import Caller, Clerk
from hub.domain.case import CaseStatus
from hub.domain.catalogue import Material, Matter
from hub.domain.certificate import State
from hub.domain.errors import Refusal

_ANYBODY = frozenset({"applicant", "agent", "related"})


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What of a case decides: who decides it, who took it in, where it stands and since which day."""

    authority: str
    accepted_by: str
    status: CaseStatus
    accepted_on: date

    @property
    def authorities(self) -> tuple[str, ...]:
        """The authorities whose clerks may work on it, the deciding one first."""
        return tuple(dict.fromkeys((self.authority, self.accepted_by)))


def require_case(caller: Caller, case: CaseFacts | None) -> CaseFacts:
    """The case, where the caller is or acts for one of its authorities; else `perm.case_required`, as for none."""
    if case is None or not caller.stands_for(*case.authorities):
        raise Refusal("perm.case_required")
    return case


def require_clerk(case: CaseFacts, registered: Iterable[Clerk], staff_number: str, name: str) -> Clerk:
    """The clerk who is meant: enabled, of an authority of the case, under the registered name; else `perm.clerk`.

    registered: those whom the case's authorities have under this staff number.
    """
    for clerk in registered:
        belongs = clerk.authority in case.authorities and clerk.staff_number == staff_number
        if belongs and clerk.enabled and _same_name(clerk.name, name):
            return clerk
    raise Refusal("perm.clerk")


def require_open(case: CaseFacts, matter: Matter | None, today: date) -> Matter:
    """The matter of a case that is still being handled; `perm.case_not_open` after its end or its `open_days`."""
    if matter is None or case.status is not CaseStatus.ACCEPTED:
        raise Refusal("perm.case_not_open")
    if (today - case.accepted_on).days > matter.open_days:
        raise Refusal("perm.case_not_open", f"收件已超过 {matter.open_days} 天")
    return matter


def materials_of_person(
    matter: Matter, roles: frozenset[str], type_codes: frozenset[str] | None
) -> tuple[Material, ...]:
    """The materials for which somebody with these roles may be looked up, for these types or (None) for all.

    Raises `perm.holder_not_in_case` for nobody, and for an agent where the types are asked of others only;
    `perm.type_not_in_matter` when any of the types is not asked of this person.
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
        for_others = agent_only and matter.materials_for(_ANYBODY, code)
        raise Refusal("perm.holder_not_in_case" if for_others else "perm.type_not_in_matter")
    return tuple(material for material in own if not type_codes.isdisjoint(material.type_codes))


def require_type(matter: Matter, type_code: str) -> None:
    """`perm.type_not_in_matter` for a type that no material of the matter is of."""
    if not matter.materials_for(_ANYBODY, type_code):
        raise Refusal("perm.type_not_in_matter")


def materials_of_certificate(
    matter: Matter, type_code: str, roles: Iterable[frozenset[str]]
) -> tuple[tuple[Material, ...], ...]:
    """For each holder of a certificate, by their roles in the case, the materials for which it may be taken.

    `perm.holder_not_in_case` where there is none at all: also for a certificate that does not exist, which has no
    holder, so that nobody learns by asking which identifiers exist.
    """
    found = tuple(matter.materials_for(held, type_code) for held in roles)
    if not any(found):
        raise Refusal("perm.holder_not_in_case")
    return found


def accepted(materials: Iterable[Material], type_code: str, state: State) -> tuple[Material, ...]:
    """Those of the materials that a certificate of this type in this state satisfies."""
    return tuple(m for m in materials if type_code in m.type_codes and state in m.accepts)


def visible_fields(materials: Collection[Material]) -> frozenset[str] | None:
    """What of a certificate's face these materials may see together; None for all of it."""
    found: set[str] = set()
    for material in materials:
        if material.fields is None:
            return None
        found.update(material.fields)
    return frozenset(found)


def _same_name(registered: str, given: str) -> bool:
    return normalize("NFC", registered).strip() == normalize("NFC", given).strip()

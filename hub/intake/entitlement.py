"""Who may say what about a case: open it, change its people, end it, or take it over (ADR 0015, ADR 0024)."""

from collections.abc import Iterable

from hub.db.database import Reader
from hub.domain import permission
from hub.domain.caller import Caller
from hub.domain.case import DECISIONS, Person, Push
from hub.domain.case_record import Case
from hub.domain.catalogue import CENTRE, PLATFORM, Catalogue, Matter
from hub.domain.errors import Refusal
from hub.intake.body import PushBody
from hub.store import cases, certificates, clients
from hub.vault import Vault


def authorities(
    caller: Caller, source: str, before: Case | None, body: PushBody, catalogue: Catalogue
) -> tuple[str, str]:
    """(deciding authority, authority that took it in) of a case that the caller may push.

    Raises `perm.case_required` for a case or a source that is not the caller's, and `matter.unknown`.
    """
    if before is not None:
        if not caller.stands_for(before.authority, before.accepted_by):
            raise Refusal("perm.case_required")
        return before.authority, body.accepted_by or before.accepted_by
    if source != caller.source and source not in caller.authorities:
        raise Refusal("perm.case_required")
    matter = catalogue.matters.get(body.matter_code)
    if matter is None:
        raise Refusal("matter.unknown", pointer="/matter_code")
    own = catalogue.authorities.get(caller.authority)
    default = matter.authority_code if own is not None and own.kind == PLATFORM else caller.authority
    accepted_by = body.accepted_by or default
    if not caller.stands_for(matter.authority_code, accepted_by):
        raise Refusal("perm.case_required")
    return matter.authority_code, accepted_by


def require_say(caller: Caller, before: Case | None, authority: str, accepted_by: str, push: Push) -> None:
    """An authority that only took a case in may neither decide it, nor undo a decision, nor hand it to a third one."""
    if push.status in DECISIONS and not caller.stands_for(authority):
        raise Refusal("perm.not_issuer", "只有决定机构才能办结或不予许可", pointer="/status")
    if before is None:
        return
    if before.status in DECISIONS and not caller.stands_for(before.authority):
        raise Refusal("perm.not_issuer", "只有决定机构才能更改决定", pointer="/status")
    if accepted_by != before.accepted_by and not caller.stands_for(before.authority, accepted_by):
        raise Refusal("perm.case_required", pointer="/accepted_by")


def require_intake(
    caller: Caller, catalogue: Catalogue, matter: Matter, before: Case | None, accepted_by: str, push: Push
) -> None:
    """Raise `perm.intake` where an authority that may not take in this matter opens a case or changes its people.

    Such an authority may still end a case that it opened when it was allowed to. The deciding authority may name other
    people in a case that is open already.
    """
    if catalogue.may_take_in(matter, accepted_by):
        return
    if before is None or accepted_by != before.accepted_by:
        raise Refusal("perm.intake", pointer="/accepted_by")
    if not caller.stands_for(before.authority) and _named(before.people) != _named(push.people):
        raise Refusal("perm.intake", "这个机构不再收这个事项，不能更改办件的人员", pointer="/applicants")


def require_supersedable(reader: Reader, vault: Vault, caller: Caller, matter: Matter, push: Push) -> None:
    """A caller that acts for others within limits ends only certificates of types that the case's matter grants, or
    that cases within its limits have granted; raises `perm.not_issuer`. caller: not yet narrowed to the case.
    """
    if not caller.limited:
        return
    for i, certificate in enumerate(push.certificates):
        for j, identifier in enumerate(certificate.supersedes):
            record = certificates.by_identifier(reader, vault, identifier)
            if record is None or record.type_code in matter.yields:
                continue
            within = cases.caller_within(reader, caller, record.source, record.case_number)
            if not within.stands_for(record.authority):
                raise Refusal("perm.not_issuer", pointer=f"/certificates/{i}/supersedes/{j}")


def clerk_of(
    reader: Reader, vault: Vault, catalogue: Catalogue, body: PushBody, authority: str, accepted_by: str, opens: bool
) -> str | None:
    """The clerk who took the case in, as `authority|staff number`; None if the push names none and need not.

    A centre that opens a case of another authority names one: `schema.invalid` without, `perm.clerk` for a person who
    is not an enabled clerk of the accepting authority.
    """
    accepting = catalogue.authorities.get(accepted_by)
    if body.clerk is None:
        if opens and accepted_by != authority and accepting is not None and accepting.kind == CENTRE:
            raise Refusal("schema.invalid", "代收其他机构的办件时要写明窗口人员", pointer="/clerk")
        return None
    found = clients.find_clerk(reader, vault, accepted_by, body.clerk.id)
    clerk = permission.require_clerk((accepted_by,), [] if found is None else [found], body.clerk.id, body.clerk.name)
    return clerk.key


def taken_over(
    reader: Reader, vault: Vault, caller: Caller, number: tuple[str, str], before: Case | None, body: PushBody
) -> Case | None:
    """The case that a push takes over under its own number, or `before` if it takes over none.

    Every reason to refuse gives the same `perm.case_required`, so that the answer does not reveal which cases exist.
    """
    named = body.taken_in_as
    if named is None:
        return before
    absent = Refusal("perm.case_required", pointer="/taken_in_as")
    key = (named.source, named.case_number)
    if before is not None:  # a later push repeats what the first one said
        if (before.source, before.case_number) != key or number == key:
            raise absent
        return before
    source = number[0]
    if source != caller.source and source not in caller.authorities:
        raise absent
    case = cases.find(reader, vault, *key)
    if case is None or (case.source, case.case_number) != key:
        raise absent
    if not caller.within(case.matter, source).stands_for(case.authority) or case.matter != body.matter_code:
        raise absent
    if cases.has_second_number(reader, case.source, case.case_number):
        raise absent
    return case


def require_same_applicant(case: Case, push: Push) -> None:
    """Raise `perm.case_required` if a case that is taken over shares no applicant with the push."""
    if not _applicants(case.people) & _applicants(push.people):
        raise Refusal("perm.case_required", pointer="/taken_in_as")


def _applicants(people: Iterable[Person]) -> set[tuple[str, str]]:
    return {(person.id_type, person.id_number) for person in people if person.role == "applicant"}


def _named(people: Iterable[Person]) -> set[tuple[str, str, str, str | None]]:
    return {(person.id_type, person.id_number, person.role, person.relation) for person in people}

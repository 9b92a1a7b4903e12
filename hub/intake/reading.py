"""Convert a body to a `Push`: normal forms, dates, and the rules of matter and edition. No database."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date, datetime

from hub.domain import numbers
from hub.domain.case import CaseStatus, Person, Push, PushedCertificate
from hub.domain.catalogue import Catalogue, CertificateType, Edition, Matter
from hub.domain.dates import FUTURE_TOLERANCE, day_of, read_day, read_moment
from hub.domain.errors import FieldError, Refusal, pointer
from hub.domain.values import Value
from hub.intake import photo
from hub.intake.body import CertificateBody, PersonBody, PushBody
from hub.wire import MAX_ERRORS

_PLAIN = re.compile(r"[A-Za-z0-9+/=]+", re.ASCII)  # already in normal form, and drawable in every font
MissingGlyphs = Callable[[str], set[str]]
Fields = Mapping[str, Value]


class Reading:
    """One body being read; `catalogue` and the time are those of the request.

    `granted` has the editions of the certificates that the case granted before, by type and cleaned number. If a push
    names no edition and does not fit the newest one, it may keep the certificate's edition. `opened_at`: when a known
    case was taken in, whatever later pushes say.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        now: datetime,
        missing_glyphs: MissingGlyphs,
        max_people: int,
        granted: Mapping[tuple[str, str], int],
        opened_at: datetime | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._now = now
        self._today = day_of(now)
        self._missing = missing_glyphs
        self._max_people = max_people
        self._granted = granted
        self._opened_at = opened_at

    def push(self, source: str, number: str, body: PushBody) -> Push:
        """The normalised push; raises the contract's 422 refusals."""
        matter = self._catalogue.matters.get(body.matter_code)
        if matter is None:
            raise Refusal("matter.unknown", pointer="/matter_code")
        if body.accepted_by is not None and body.accepted_by not in self._catalogue.authorities:
            raise Refusal("schema.invalid", "未知的机构代码", pointer="/accepted_by")
        status = CaseStatus[body.status.upper()]
        if body.certificates and status is not CaseStatus.COMPLETED:
            raise Refusal("schema.invalid", "只有办结的办件才能带证照", pointer="/certificates")
        accepted_at, completed_at = self._moments(body)
        return Push(
            source=source,
            case_number=number,
            amendment=body.amendment,
            matter_code=matter.code,
            accepted_by=body.accepted_by,
            status=status,
            people=self._people(body),
            accepted_at=accepted_at,
            completed_at=completed_at,
            certificates=self._certificates(body, matter),
        )

    def _moments(self, body: PushBody) -> tuple[datetime, datetime | None]:
        accepted_at = self._moment(body.accepted_at, "/accepted_at")
        if body.completed_at is None:
            return accepted_at, None
        completed_at = self._moment(body.completed_at, "/completed_at")
        if completed_at < min(accepted_at, self._opened_at or accepted_at):
            raise Refusal("date.order", "办结时间早于收件时间", pointer="/completed_at")
        return accepted_at, completed_at

    def _moment(self, text: str, at: str) -> datetime:
        try:
            moment = read_moment(text)
        except ValueError:
            raise Refusal("schema.invalid", "应为带时区的 RFC 3339 时间", pointer=at) from None
        if moment > self._now + FUTURE_TOLERANCE:
            raise Refusal("date.future", pointer=at)
        return moment

    def _people(self, body: PushBody) -> tuple[Person, ...]:
        people = [self._person(p, f"/applicants/{i}", role="applicant") for i, p in enumerate(body.applicants)]
        if body.agent is not None:
            people.append(self._person(body.agent, "/agent", role="agent"))
        for i, related in enumerate(body.related):
            people.append(self._person(related, f"/related/{i}", role="related", relation=related.relation))
        if len(people) > self._max_people:
            raise Refusal("schema.invalid", f"一个办件最多 {self._max_people} 人", pointer="/applicants")
        return tuple(people)

    def _person(self, body: PersonBody, at: str, *, role: str = "", relation: str | None = None) -> Person:
        name = self._line(body.name, f"{at}/name")
        id_type, normal = numbers.normalise(body.id_type, body.id_number, pointer=at)
        return Person(name, id_type, normal, role, relation)

    def _line(self, text: str, at: str) -> str:
        """A text that will be printed and signed: NFC, trimmed, one line, drawable."""
        line = unicodedata.normalize("NFC", text).strip()
        if not line:
            raise Refusal("schema.invalid", "不能为空", pointer=at)
        if any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for c in line):
            raise Refusal("schema.invalid", "含有控制字符或未定义的字符", pointer=at)
        if self._missing(line):
            raise Refusal("glyph.missing", pointer=at)
        return line

    def _value(self, value: str | int | list[dict[str, str | int]], at: str) -> Value:
        """A field's value, normalised for printing and signing; for a table, every cell."""
        if not isinstance(value, list):
            return self._cell(value, at)
        return [
            {name: self._cell(cell, f"{at}/{place}{pointer((name,))}") for name, cell in row.items()}
            for place, row in enumerate(value)
        ]

    def _cell(self, value: str | int, at: str) -> str | int:
        if isinstance(value, int) or _PLAIN.fullmatch(value):  # photos, which may be long, are plain
            return value
        return self._line(value, at)

    def _certificates(self, body: PushBody, matter: Matter) -> tuple[PushedCertificate, ...]:
        found = []
        keys: set[tuple[str, str]] = set()
        for i, item in enumerate(body.certificates):
            at = f"/certificates/{i}"
            certificate = self._certificate(item, matter, at)
            key = (certificate.type_code, numbers.clean(certificate.number))
            if key in keys:
                raise Refusal("number.taken", "同一办件中证照编号重复", pointer=f"{at}/number")
            keys.add(key)
            found.append(certificate)
        return tuple(found)

    def _certificate(self, body: CertificateBody, matter: Matter, at: str) -> PushedCertificate:
        kind = self._catalogue.types.get(body.type_code)
        if kind is None:
            raise Refusal("type.unknown", pointer=f"{at}/type_code")
        if kind.code not in matter.yields:
            raise Refusal("type.not_in_matter", pointer=f"{at}/type_code")
        fields = {name: self._value(v, f"{at}/fields{pointer((name,))}") for name, v in body.fields.items()}
        edition = self._edition(kind, body, fields, at)
        if problems := _photo_problems(edition, fields, f"{at}/fields"):
            raise Refusal("schema.invalid", errors=tuple(problems))
        issued_on, valid_from, valid_until = self._days(body, at)
        number = self._line(body.number, f"{at}/number")
        if not numbers.clean(number):
            raise Refusal("schema.invalid", "证照编号不能只有横线", pointer=f"{at}/number")
        if len(set(body.supersedes)) != len(body.supersedes):
            raise Refusal("schema.invalid", "标识重复", pointer=f"{at}/supersedes")
        return PushedCertificate(
            type_code=kind.code,
            edition=edition.number,
            number=number,
            holders=self._holders(body, at),
            fields=fields,
            issued_on=issued_on,
            valid_from=valid_from,
            valid_until=valid_until,
            supersedes=tuple(body.supersedes),
            edition_named=body.edition is not None,
        )

    def _edition(self, kind: CertificateType, body: CertificateBody, fields: Fields, at: str) -> Edition:
        """The named edition, or the newest one, or that of the case's certificate if the values fit it."""
        edition = kind.edition(body.edition, self._today)
        if edition is None:
            raise Refusal("type.unknown", "没有这个模板版本", pointer=f"{at}/edition")
        problems = edition.problems(fields, f"{at}/fields")
        if not problems:
            return edition
        before = self._granted.get((kind.code, numbers.clean(body.number))) if body.edition is None else None
        older = None if before is None else kind.edition(before, self._today)
        if older is not None and not older.problems(fields, at):
            return older
        raise Refusal("schema.invalid", f"{len(problems)} 个照面字段要修改", errors=tuple(problems[:MAX_ERRORS]))

    def _holders(self, body: CertificateBody, at: str) -> tuple[Person, ...]:
        holders = tuple(self._person(h, f"{at}/holders/{n}") for n, h in enumerate(body.holders))
        if len({numbers.party_text(h.id_type, h.id_number) for h in holders}) != len(holders):
            raise Refusal("schema.invalid", "持证主体重复", pointer=f"{at}/holders")
        return holders

    def _days(self, body: CertificateBody, at: str) -> tuple[date, date, date | None]:
        issued_on = self._day(body.issued_on, f"{at}/issued_on")
        valid_from = issued_on if body.valid_from is None else self._day(body.valid_from, f"{at}/valid_from")
        valid_until = None if body.valid_until is None else self._day(body.valid_until, f"{at}/valid_until")
        if issued_on > self._today:
            raise Refusal("date.future", pointer=f"{at}/issued_on")
        if valid_until is not None and valid_until < max(valid_from, issued_on):
            raise Refusal("date.order", "有效期的截止日期早于起始日期", pointer=f"{at}/valid_until")
        return issued_on, valid_from, valid_until

    @staticmethod
    def _day(text: str, at: str) -> date:
        try:
            return read_day(text)
        except ValueError:
            error = FieldError(
                at, "schema.invalid", "应为 YYYY-MM-DD 形式的日期", "must be a date in the form YYYY-MM-DD"
            )
            raise Refusal("schema.invalid", errors=(error,)) from None


def _photo_problems(edition: Edition, fields: Mapping[str, Value], at: str) -> list[FieldError]:
    """The problems of the edition's photo field; `fields` are otherwise valid."""
    found = []
    for field in edition.fields:
        value = fields.get(field.name)
        if field.type == "photo" and isinstance(value, str) and (wrong := photo.problem(value)):
            found.append(FieldError(f"{at}/{field.name}", "schema.invalid", *wrong))
    return found

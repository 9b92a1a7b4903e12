"""Rows of `authorities, types, editions, matters, materials`, read as one immutable catalogue.

An edition's content is canonical JSON (RFC 8785) and is never updated. Every load increments a counter, so running
processes see with one cheap query whether their catalogue is current.
"""

import hashlib
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import rfc8785

from hub.db.database import Database, Reader, Row, Writer
from hub.domain.catalogue import (
    DEPARTMENT,
    OWN,
    Authority,
    Catalogue,
    CertificateType,
    Edition,
    Field,
    Material,
    Matter,
)
from hub.domain.certificate import State
from hub.domain.dates import from_int, to_int
from hub.domain.values import Column

REFRESH_S = 2.0
_COUNTER = "catalogue"


@dataclass(frozen=True, slots=True)
class Written:
    """What one load changed."""

    authorities_new: int = 0
    authorities_changed: int = 0
    types_new: int = 0
    types_changed: int = 0
    editions_new: int = 0
    matters_new: int = 0
    matters_changed: int = 0


# --- editions' content ------------------------------------------------------------------------------------------------


def content_of(fields: Sequence[Field]) -> bytes:
    """The canonical JSON of an edition."""
    return rfc8785.dumps({"fields": [_field_out(field) for field in fields]})


def _field_out(field: Field) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": field.name,
        "label": field.label,
        "label_en": field.label_en,
        "type": field.type,
        "required": field.required,
        "masked": field.masked,
    }
    if field.max_length is not None:
        found["max_length"] = field.max_length
    if field.pattern is not None:
        found["pattern"] = field.pattern
    if field.codes:
        found["codes"] = [{"code": code, "label": label, "label_en": english} for code, label, english in field.codes]
    if field.columns:
        found["columns"] = [_column_out(column) for column in field.columns]
    return found


def _column_out(column: Column) -> dict[str, Any]:
    found = {
        "name": column.name,
        "label": column.label,
        "label_en": column.label_en,
        "type": column.type,
        "required": column.required,
    }
    return found if column.max_length is None else found | {"max_length": column.max_length}


def _field_in(item: dict[str, Any]) -> Field:
    codes = tuple((c["code"], c["label"], c["label_en"]) for c in item.pop("codes", ()))
    columns = tuple(Column(**column) for column in item.pop("columns", ()))
    return Field(**item, codes=codes, columns=columns)


# --- reading ----------------------------------------------------------------------------------------------------------


def read(reader: Reader) -> Catalogue:
    """The current catalogue."""
    authorities = {
        r["code"]: Authority(r["code"], r["name"], r["region"], r["name_en"], r["kind"] or DEPARTMENT)
        for r in reader.all("SELECT code, name, region, name_en, kind FROM authorities ORDER BY code")
    }
    editions = _editions(reader)
    types = {
        r["code"]: CertificateType(
            r["code"], r["name"], r["name_en"], r["kind"], bool(r["number_personal"]), editions.get(r["code"], ())
        )
        for r in reader.all("SELECT code, name, name_en, kind, number_personal FROM types ORDER BY code")
    }
    return Catalogue(authorities, types, _matters(reader))


def _editions(reader: Reader) -> dict[str, tuple[Edition, ...]]:
    found: dict[str, list[Edition]] = {}
    for r in reader.all("SELECT type, edition, since, digest, content FROM editions ORDER BY type, edition"):
        fields = tuple(_field_in(item) for item in json.loads(r["content"])["fields"])
        edition = Edition(r["edition"], from_int(r["since"]), fields, bytes(r["digest"]).hex())
        before = found.setdefault(r["type"], [])
        if before:
            before[-1] = replace(before[-1], until=_last_day(before[-1].since, edition.since))
        before.append(edition)
    return {code: tuple(items) for code, items in found.items()}


def _last_day(since: date, next_since: date) -> date:
    return max(since, next_since - timedelta(days=1))


def _matters(reader: Reader) -> dict[str, Matter]:
    materials: dict[str, list[Material]] = {}
    for r in reader.all("SELECT * FROM materials ORDER BY matter, ordinal"):
        materials.setdefault(r["matter"], []).append(_material(r))
    return {
        r["code"]: Matter(
            code=r["code"],
            name=r["name"],
            authority_code=r["authority"],
            open_days=r["open_days"],
            yields=tuple(r["yields"].split()),
            materials=tuple(materials.get(r["code"], ())),
            name_en=r["name_en"],
            intake=_intake(r["intake"]),
            regions=None if r["regions"] is None else tuple(r["regions"].split()),
            max_people=r["max_people"],
            confirmed=bool(r["confirmed"]),
        )
        for r in reader.all("SELECT * FROM matters ORDER BY code")
    }


def _intake(stored: str | None) -> str | tuple[str, ...]:
    """As stored: a word, or codes, each preceded by a space; None before `hub migrate` has set it."""
    if stored is None:
        return OWN
    return tuple(stored.split()) if stored.startswith(" ") or not stored else stored


def _material(r: Row) -> Material:
    return Material(
        name=r["name"],
        of=r["of_role"],
        type_codes=tuple(r["types"].split()),
        accepts=frozenset(State(text) for text in r["accepts"].split()),
        fields=None if r["fields"] is None else tuple(r["fields"].split()),
        name_en=r["name_en"],
    )


# --- writing ----------------------------------------------------------------------------------------------------------


def write(writer: Writer, content: Catalogue, today: date) -> Written:
    """Write `content`: replace authorities, types and matters by code, and add an edition where fields have changed.

    `content` has one edition per type, the newest; its number and first day are assigned here. Rows that are not in
    `content` stay.
    """
    before = read(writer)
    counts = dict.fromkeys(Written.__slots__, 0)
    for authority in content.authorities.values():
        known_authority = before.authorities.get(authority.code)
        if known_authority != authority:
            counts["authorities_new" if known_authority is None else "authorities_changed"] += 1
            _put_authority(writer, authority)
    for kind in content.types.values():
        known_type = before.types.get(kind.code)
        if known_type is None or replace(kind, editions=known_type.editions) != known_type:
            counts["types_new" if known_type is None else "types_changed"] += 1
            _put_type(writer, kind)
        counts["editions_new"] += _add_edition(writer, kind, known_type, today)
    for matter in content.matters.values():
        known_matter = before.matters.get(matter.code)
        if known_matter != matter:
            counts["matters_new" if known_matter is None else "matters_changed"] += 1
            _put_matter(writer, matter)
    if any(counts.values()):
        _move_counter(writer)
    return Written(**counts)


def _put_authority(writer: Writer, authority: Authority) -> None:
    values = {"code": authority.code, "name": authority.name, "name_en": authority.name_en, "region": authority.region}
    writer.run(
        "INSERT INTO authorities (code, name, name_en, region, kind) VALUES (:code, :name, :name_en, :region, :kind)"
        " ON CONFLICT (code) DO UPDATE SET name = :name, name_en = :name_en, region = :region, kind = :kind",
        {**values, "kind": authority.kind},
    )


def _put_type(writer: Writer, kind: CertificateType) -> None:
    values = {"code": kind.code, "name": kind.name, "name_en": kind.name_en, "kind": kind.kind}
    writer.run(
        "INSERT INTO types (code, name, name_en, kind, number_personal)"
        " VALUES (:code, :name, :name_en, :kind, :personal)"
        " ON CONFLICT (code) DO UPDATE"
        " SET name = :name, name_en = :name_en, kind = :kind, number_personal = :personal",
        {**values, "personal": int(kind.number_personal)},
    )


def _add_edition(writer: Writer, kind: CertificateType, known: CertificateType | None, today: date) -> int:
    content = content_of(kind.editions[-1].fields)
    digest = hashlib.sha256(content).digest()
    newest = known.editions[-1] if known is not None and known.editions else None
    if newest is not None and newest.digest == digest.hex():
        return 0
    number = 1 if newest is None else newest.number + 1
    values = {"type": kind.code, "edition": number, "since": to_int(today), "digest": digest}
    writer.insert("editions", {**values, "content": content.decode()})
    return 1


def _put_matter(writer: Writer, matter: Matter) -> None:
    values = {"code": matter.code, "name": matter.name, "name_en": matter.name_en, "authority": matter.authority_code}
    writer.run(
        "INSERT INTO matters (code, name, name_en, authority, open_days, yields, intake, regions, max_people,"
        " confirmed) VALUES (:code, :name, :name_en, :authority, :open_days, :yields, :intake, :regions, :max_people,"
        " :confirmed)"
        " ON CONFLICT (code) DO UPDATE SET name = :name, name_en = :name_en, authority = :authority,"
        " open_days = :open_days, yields = :yields, intake = :intake, regions = :regions, max_people = :max_people,"
        " confirmed = :confirmed",
        {
            **values,
            "open_days": matter.open_days,
            "yields": " ".join(matter.yields),
            "intake": intake_text(matter.intake),
            "regions": None if matter.regions is None else " ".join(matter.regions),
            "max_people": matter.max_people,
            "confirmed": int(matter.confirmed),
        },
    )
    writer.run("DELETE FROM materials WHERE matter = :matter", {"matter": matter.code})
    writer.insert_many("materials", [_material_row(matter.code, i, m) for i, m in enumerate(matter.materials)])


def matters_without_intake(reader: Reader) -> list[Matter]:
    """The matters that were stored before a matter said who may take it in."""
    missing = {row["code"] for row in reader.all("SELECT code FROM matters WHERE intake IS NULL")}
    return [matter for matter in _matters(reader).values() if matter.code in missing] if missing else []


def set_intake(writer: Writer, matter: str, intake: str | tuple[str, ...]) -> None:
    """Set who may take in a matter that does not say it, until a person confirms it."""
    writer.run(
        "UPDATE matters SET intake = :intake, confirmed = 0 WHERE code = :code AND intake IS NULL",
        {"code": matter, "intake": intake_text(intake)},
    )
    _move_counter(writer)


def intake_text(intake: str | tuple[str, ...]) -> str:
    """Who may take a matter in, as stored: a word, or codes, each preceded by a space."""
    return intake if isinstance(intake, str) else "".join(f" {code}" for code in intake)


def _material_row(matter: str, ordinal: int, material: Material) -> dict[str, Any]:
    return {
        "matter": matter,
        "ordinal": ordinal,
        "name": material.name,
        "name_en": material.name_en,
        "of_role": material.of,
        "types": " ".join(material.type_codes),
        "accepts": " ".join(sorted(state.value for state in material.accepts)),
        "fields": None if material.fields is None else " ".join(material.fields),
    }


def _move_counter(writer: Writer) -> None:
    writer.run(
        "INSERT INTO id_blocks (name, next) VALUES (:name, 1)"
        " ON CONFLICT (name) DO UPDATE SET next = id_blocks.next + 1",
        {"name": _COUNTER},
    )


# --- the catalogue that running processes use ------------------------------------------------------------------------


class CatalogueCache:
    """The current catalogue, refreshed every two seconds, and immediately for an unknown code."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._catalogue = Catalogue()
        self._counter = -1
        self._checked_at = float("-inf")

    def __call__(self, *codes: str) -> Catalogue:
        """The catalogue; unknown `codes` (of authorities, types, matters) trigger a refresh."""
        catalogue = self._catalogue
        if time.monotonic() - self._checked_at > REFRESH_S or any(not _knows(catalogue, code) for code in codes):
            return self.refresh()
        return catalogue

    current = __call__

    def refresh(self) -> Catalogue:
        """The current catalogue: one cheap query, and all rows only after a load."""
        with self._lock:
            asked_at = time.monotonic()
            counter = self._newest()
            while counter > self._counter:  # a load may commit between two statements: then read again
                self._catalogue = read(self._database.reader)
                self._counter, counter = counter, self._newest()
            self._checked_at = asked_at
            return self._catalogue

    def _newest(self) -> int:
        row = self._database.reader.one("SELECT next FROM id_blocks WHERE name = :name", {"name": _COUNTER})
        return int(row["next"]) if row else 0


def _knows(catalogue: Catalogue, code: str) -> bool:
    return code in catalogue.types or code in catalogue.matters or code in catalogue.authorities

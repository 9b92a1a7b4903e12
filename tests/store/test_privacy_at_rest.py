"""Rule 4 on disk: the data directory contains nothing personal, except the invented inputs in `sample/`.

The tests search every file for all names, identity numbers and certificate numbers: as plain text, in other encodings,
in base64 at each of its three alignments, in hexadecimal, and as unkeyed digests, which could be guessed.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.domain import numbers
from hub.vault import KeyPurpose
from tests.support import city as c
from tests.support.city import City, open_copy

ENROLMENT = ("gulou-education-counter", "GLJY-2026-RX-0415", "GLJY0033")


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A used city: loaded, looked up, retrieved from, refused, keys rotated; still open, so with its write-ahead
    log."""
    folder = tmp_path_factory.mktemp("city") / "loaded"
    c.load_city(folder)
    with open_copy(folder, folder.with_name("data")) as found:
        assert found.look_up(*ENROLMENT, c.CHILD).entries
        found.retrieve(*ENROLMENT, found.identifier(c.HOUSEHOLD, c.CHILD))
        c.refused(found.look_up, *ENROLMENT, c.GAO)
        found.parts.rotation.begin(KeyPurpose.SEAL)
        found.parts.rotation.begin(KeyPurpose.BLIND)
        for _ in range(5):  # in the middle of it
            found.parts.rotation.step()
        yield found


def bodies(folder: Path) -> Iterator[Any]:
    for path in sorted((folder / "sample" / "cases").glob("*.json")):
        yield json.loads(path.read_bytes())


def people(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        if "id_number" in value:
            yield value
        for inner in value.values():
            yield from people(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from people(inner)


def in_base64(text: bytes) -> Iterator[bytes]:
    for lead in range(3):
        encoded = base64.b64encode(bytes(lead) + text)
        middle = encoded[(0, 2, 3)[lead] : len(encoded) - 4]
        yield middle
        yield middle.replace(b"+", b"-").replace(b"/", b"_")


def forms(text: str) -> Iterator[tuple[str, bytes]]:
    raw = text.encode()
    yield "plain", raw
    for encoding in ("utf-16-le", "utf-16-be", "gb18030"):
        yield encoding, text.encode(encoding)
    yield "escaped", json.dumps(text).strip('"').encode()
    yield "hex", raw.hex().encode()
    yield "HEX", raw.hex().upper().encode()
    for found in in_base64(raw):
        yield "base64", found


def digests(text: str) -> Iterator[tuple[str, bytes]]:
    for name in ("sha256", "sha1", "md5", "sha512", "sm3"):
        try:
            digest = hashlib.new(name, text.encode()).digest()
        except ValueError:
            continue
        yield name, digest[:16]
        yield name, digest[:16].hex().encode()
        yield name, base64.b64encode(digest)[:20]


def secrets(folder: Path) -> dict[str, set[str]]:
    """Identity numbers, names of people, printed numbers."""
    found: dict[str, set[str]] = {"id": set(), "name": set(), "number": set()}
    authorities = {a["code"] for a in c.yaml.safe_load((c.SAMPLE / "city.yaml").read_text("utf-8"))["authorities"]}
    for body in bodies(folder):
        for person in people(body):
            if person["id_number"] not in authorities:
                found["id"].add(person["id_number"])
                found["id"].add(numbers.normalise(person["id_type"], person["id_number"])[1])
            if person["id_type"] not in numbers.ORGANISATION_TYPES and len(person["name"]) > 2:
                found["name"].add(person["name"])
        found["number"] |= {certificate["number"] for certificate in body.get("certificates", ())}
    return found


def needles(folder: Path) -> list[tuple[str, bytes]]:
    wanted = secrets(folder)
    assert len(wanted["id"]) > 40
    assert len(wanted["number"]) > 60
    found = [needle for texts in wanted.values() for text in texts for needle in forms(text)]
    for text in wanted["id"]:
        for hashed in (text, f"111|{text}", numbers.party_text("111", text), numbers.party_text("001", text)):
            found += digests(hashed)
    assert min(len(needle) for _, needle in found) >= 5
    return found


def hits(folder: Path, wanted: list[tuple[str, bytes]]) -> set[tuple[str, str]]:
    found = set()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        place = str(path.relative_to(folder))
        found |= {(place, form) for form, needle in wanted if needle in content}
    return found


def test_nothing_personal_lies_outside_the_sample_folder(city: City) -> None:
    assert (city.folder / "hub.db-wal").stat().st_size > 0
    found = hits(city.folder, needles(city.folder))
    assert {hit for hit in found if not hit[0].startswith("sample/")} == set()
    assert ("sample/index.json", "plain") in found, "the search finds what is there"


def test_the_search_would_find_what_is_hidden(city: City, tmp_path: Path) -> None:
    number = c.CHILD[1]
    hidden = {
        "plain": f"x{number}x".encode(),
        "base64": base64.b64encode(b"ab" + number.encode() + b"cd"),
        "utf-16-le": f"x{number}x".encode("utf-16-le"),
        "hex": b"0" + number.encode().hex().encode(),
        "sha256": hashlib.sha256(numbers.party_text("111", number).encode()).digest(),
    }
    for form, content in hidden.items():
        (tmp_path / form).write_bytes(content)
    assert {(form, form) for form in hidden} <= hits(tmp_path, needles(city.folder))

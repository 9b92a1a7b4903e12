"""A document rendered again is identical to the last byte, so printed copies without a record after a restore stay
valid."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader

from hub.backup import BackupFolder
from hub.domain.dates import from_micros
from hub.ops.init import initialise
from hub.parts import open_parts
from hub.store import documents
from hub.verification import VerdictState
from signing import credential
from signing.keys import Purpose
from tests.documents.test_rendition import all_versions, render_all
from tests.support.city import City, SetClock
from tests.support.copies import restored
from tests.support.pdf_files import taken

pytestmark = pytest.mark.sqlite

DRAWING = """
import hashlib, json, sys
from datetime import timedelta
from pathlib import Path
from hub.parts import open_parts
from hub.settings import Settings
from hub.store import retrievals
from tests.support.city import City, SetClock
from tests.documents.test_rendition import all_versions
folder, hours, receipt = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
clock = SetClock()
clock.ahead = timedelta(hours=hours)
with open_parts(Settings(data_dir=folder), clock=clock) as parts:
    city = City(folder, parts, clock)
    made = {version.identifier: parts.rendition.of_version(version) for version in all_versions(city)}
    found = retrievals.by_number(parts.database.reader, parts.vault, receipt)
    made["copy"] = parts.rendition.of_copy(found)
print(json.dumps({name: hashlib.sha256(pdf).hexdigest() for name, pdf in made.items()}))
"""


def said_moment(pdf: bytes) -> datetime:
    """The signing time of a seal."""
    moment = PdfFileReader(BytesIO(pdf)).embedded_signatures[0].self_reported_timestamp
    assert moment is not None
    return moment


def drawn(folder: Path, hours: float, receipt: str, seed: str) -> dict[str, str]:
    """Render every document of a city in a new process; SHA-256 by name."""
    command = [sys.executable, "-c", DRAWING, str(folder), str(hours), receipt]
    done = subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return dict(json.loads(done.stdout))


def test_two_processes_an_hour_apart_draw_the_same(city: City, tmp_path: Path) -> None:
    receipt, _ = taken(city)
    folders = [shutil.copytree(city.folder, tmp_path / name) for name in ("one", "other")]
    one, other = (drawn(folder, n, receipt.number, str(n)) for n, folder in enumerate(folders))
    assert one == other
    assert len(one) == len(set(one.values())) > 80


def test_the_moment_and_the_address_are_those_of_the_credential(city: City) -> None:
    version = all_versions(city)[0]
    city.clock.ahead = timedelta(hours=5)
    said = credential.read(version.credential).claims
    initialise(city.parts.settings.model_copy(update={"public_url": "https://new.example"}))
    pdf = city.parts.rendition.of_version(version)
    assert said_moment(pdf) == datetime.fromtimestamp(said.iat, UTC)
    verdict = city.parts.verification.verify_unknown_file(pdf)
    assert (verdict.state.value, verdict.problems) == (version.state(city.clock.today()).value, ())
    kept = documents.find(
        city.parts.database.reader, documents.DocumentKey(version.home, version.certificate, version.version)
    )
    assert kept is not None
    assert kept.recorded_at > said_moment(pdf) + timedelta(hours=4), "the time when it was made is still on record"


def test_a_seal_never_says_a_moment_before_its_own_certificate(city: City) -> None:
    version = all_versions(city)[0]
    city.clock.ahead = timedelta(hours=1)
    made = city.parts.rotation.replace(Purpose.DOCUMENT, version.authority)
    record = next(r for r in city.parts.rotation.x509_certificates() if r.kid == made.kid)
    city.clock.ahead = timedelta(hours=2)
    pdf = city.parts.rendition.of_version(version)
    assert said_moment(pdf) == from_micros(record.not_before)
    verdict = city.parts.verification.verify_unknown_file(pdf)
    assert (verdict.state.value, verdict.problems) == (version.state(city.clock.today()).value, ())


def test_a_file_from_after_the_backup_stays_what_it_is(city: City, tmp_path: Path) -> None:
    """Rendered and served by the original hub, then rendered again by the restored one, three hours later."""
    receipt, _ = taken(city)
    city.parts.backup.run(BackupFolder(tmp_path / "copy"))
    assert render_all(city) > 80
    lost = {version.identifier: city.parts.rendition.of_version(version) for version in all_versions(city)}
    lost["copy"] = city.parts.rendition.of_copy(receipt)
    settings = restored(tmp_path / "copy", tmp_path / "new", city.folder / "master.key")
    clock = SetClock()
    clock.ahead = timedelta(hours=3)
    with open_parts(settings, clock=clock) as parts:
        again = City(tmp_path / "new", parts, clock)
        samples = [*list(lost)[:3], "copy"]
        before = [parts.verification.verify_file(lost[name]) for name in samples]
        assert not {verdict.state for verdict in before} & {VerdictState.TAMPERED, VerdictState.UNKNOWN}
        assert render_all(again) == len(lost) - 1
        made = {version.identifier: parts.rendition.of_version(version) for version in all_versions(again)}
        made["copy"] = parts.rendition.of_copy(receipt)
        assert {name: hashlib.sha256(pdf).digest() for name, pdf in made.items()} == {
            name: hashlib.sha256(pdf).digest() for name, pdf in lost.items()
        }
        for name, verdict in zip(samples, before, strict=True):
            after = parts.verification.verify_file(lost[name])
            assert (after.state, after.problems) == (verdict.state, ())

"""Files and their verdicts: known and unknown files, forgeries, copies, scans, photos, and malformed files."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from hub.domain.certificate import State
from hub.store import keys as key_store
from hub.verification import Presented, VerdictState, problems
from signing import qr
from signing.keys import Purpose
from signing.pdf.check import finding as checked
from signing.pdf.check.checking import Checkers
from tests.support import drawings, engines, pdf_files
from tests.support import pdf_forgeries as forgeries
from tests.support import pdf_samples as samples
from tests.support.city import URL, City, open_copy
from tests.support.pdf_files import elsewhere, forget_documents, managing, taken, verify
from tests.support.verified import NO, UNKNOWN, YES, findings, kill, personal, resigned, text_of, versions

pytestmark = pytest.mark.sqlite


@pytest.fixture(scope="module")
def city(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with open_copy(template, tmp_path_factory.mktemp("shared") / "city") as found:
        yield found


@pytest.fixture
def own(template: Path, tmp_path: Path) -> Iterator[City]:
    with open_copy(template, tmp_path / "city") as found:
        yield found


# --- genuine files -------------------------------------------------------------------------------------------------


def test_known_bytes_are_answered_without_the_checker(own: City) -> None:
    for state in State:
        version = versions(own, state)[0]
        pdf = own.parts.rendition.of_version(version)
        own.parts.checkers.check = _never  # type: ignore[method-assign]
        verdict = verify(own, pdf)
        assert verdict.state is VerdictState(state.value)
        assert (verdict.presented, verdict.subject, verdict.problems) == (Presented.PDF, "certificate", ())
        assert findings(verdict)[:2] == (YES, YES)
        assert verdict.certificate is not None
        assert verdict.certificate.identifier == version.identifier
        assert verdict.as_json()["presented"] == "pdf"


def _never(*_: object) -> Any:
    raise AssertionError("the checker was asked")


def test_the_same_file_is_judged_alike_when_its_row_is_lost(own: City) -> None:
    for state in State:
        version = versions(own, state)[0]
        pdf = own.parts.rendition.of_version(version)
        known = verify(own, pdf)
        forget_documents(own)
        unknown = verify(own, pdf)
        assert replace(unknown, checked_at=known.checked_at) == known


def test_every_type_of_the_city_is_sealed_and_read(city: City) -> None:
    """Every layout: seal, credential and QR code agree."""
    seen = set()
    for version in versions(city, State.VALID):
        if version.type_code not in seen:
            seen.add(version.type_code)
            pdf = city.parts.rendition.of_version(version)
            for verdict in (verify(city, pdf), city.parts.verification.verify_unknown_file(pdf)):
                assert (verdict.state, verdict.problems) == (VerdictState.VALID, ())
    assert len(seen) > 8


def test_a_change_shows_at_once(own: City) -> None:
    version = personal(own)
    kept, lost = own.parts.rendition.of_version(version), pdf_files.sealed(own, versions(own, State.VALID)[-1])
    assert verify(own, kept).state is VerdictState.VALID
    act = {"reason": "测试", "legal_basis": "测试"}
    client = own.caller(managing(version.authority))
    own.parts.lifecycle.suspend(client, version.identifier, kind="lost", **act)
    assert (verify(own, kept).state, verify(own, kept).kind) == (VerdictState.SUSPENDED, "lost")
    own.parts.lifecycle.restore(client, version.identifier, **act)
    assert verify(own, kept).state is VerdictState.VALID
    own.parts.lifecycle.revoke(client, version.identifier, kind="rescinded", effective_on=date(2026, 11, 1), **act)
    verdict = verify(own, kept)
    assert (verdict.state, verdict.kind, verdict.since) == (VerdictState.REVOKED, "rescinded", date(2026, 11, 1))
    assert findings(verdict) == (YES, YES, NO, YES)
    forget_documents(own)
    assert findings(verify(own, kept)) == (YES, YES, NO, YES)
    assert verify(own, lost).state is VerdictState.VALID


def test_only_masked_data_leaves(city: City) -> None:
    version = personal(city)
    told = str(verify(city, pdf_files.sealed(city, version)).as_json())
    for holder in version.holders:
        assert holder.name not in told
        assert holder.id_number not in told


# --- forgeries -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(city: City) -> list[forgeries.Forgery]:
    """The corpus of tests/support/pdf_forgeries.py, built from the city's certificates with the city's seals."""
    version, other = personal(city), elsewhere(city, personal(city))
    by_kid = {record.kid: record.der for record in key_store.x509_certificates(city.parts.database.reader)}
    root, issuing = (city.parts.keyring.active(purpose) for purpose in (Purpose.ROOT, Purpose.ISSUING))
    ours = samples.City(city.parts.keyring.folder, root, issuing, by_kid[root.kid], by_kid[issuing.kid])
    files = {"licence": pdf_files.sealed(city, version, at=samples.MADE), "proof": pdf_files.sealed(city, other)}
    seal = pdf_files.seal_of(city, version.authority)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "city", lambda: ours)
        patch.setattr(samples, "seal", lambda: seal)
        patch.setattr(samples, "sealed", files.__getitem__)
        patch.setattr(samples, "licence", lambda: pdf_files.sheet_of(version))
        patch.setattr(samples, "printed", lambda: (version.identifier, version.code, "", version.credential))
        patch.setattr(samples, "CHECKED", datetime.now(UTC))
        _forget_made()
        made = forgeries.cases()
        _forget_made()
    assert verify(city, files["licence"]).state is VerdictState.VALID
    return made


def _forget_made() -> None:
    forgeries.copy.cache_clear()


EXPECTED = {
    "no": {VerdictState.TAMPERED},
    "yes": {VerdictState.UNTRUSTED},
    "unknown": {VerdictState.UNKNOWN, VerdictState.COMPARE},
}


def test_no_forgery_is_valid(city: City, corpus: list[forgeries.Forgery]) -> None:
    version, table = personal(city), []
    for forgery in corpus:
        verdict = verify(city, forgery.pdf)
        table.append(f"{forgery.name:42} {verdict.state:10} {' '.join(verdict.problems)}")
        assert verdict.state in EXPECTED.get(forgery.intact, set().union(*EXPECTED.values())), table[-1]
        assert YES is not verdict.checks.intact or verdict.checks.trusted is not YES, table[-1]
        assert not forgery.problem or forgery.problem in verdict.problems, table[-1]
        assert all(code in problems.MEANINGS for code in verdict.problems), table[-1]
        assert (verdict.presented is Presented.PICTURE) == ("pdf.unsigned" in verdict.problems), table[-1]
        assert verdict.state is not VerdictState.COMPARE or verdict.presented is Presented.PICTURE, table[-1]
        assert verdict.certificate is None or verdict.certificate.identifier in {
            version.identifier,
            elsewhere(city, version).identifier,
        }
    assert len(table) > 60
    print("\n".join(table))


def test_what_the_hub_alone_can_tell(own: City) -> None:
    """Files with intact, trusted seals of ours that still are not what was issued."""
    version = personal(own)
    other = elsewhere(own, version)
    sign, kid = own.parts.keyring.sign, version.kid
    receipt, _ = taken(own)
    forged = {
        "seal_of_another_authority": (
            pdf_files.sealed(own, version, seal=pdf_files.seal_of(own, other.authority)),
            VerdictState.UNTRUSTED,
            "file.other_authority",
        ),
        "credential_of_another_certificate": (
            pdf_files.sealed(own, version, credential=other.credential),
            VerdictState.TAMPERED,
            "file.parts_differ",
        ),
        "code_of_another_certificate": (
            pdf_files.sealed(own, version, qr_text=text_of(other)),
            VerdictState.TAMPERED,
            "file.parts_differ",
        ),
        "code_of_a_copy_of_another_certificate": (
            pdf_files.sealed(own, version, qr_text=f"{URL}/v/{receipt.code}"),
            VerdictState.TAMPERED,
            "file.parts_differ",
        ),
        "digits_of_another_certificate": (
            pdf_files.sealed(own, version, qr_text=qr.text(URL, version.code, other.digits)),
            VerdictState.TAMPERED,
            "signature.wrong",
        ),
        "credential_that_was_never_issued": (
            pdf_files.sealed(own, version, credential=resigned(version, sign, kid, iat=1)),
            VerdictState.TAMPERED,
            "record.differs",
        ),
        "credential_with_a_broken_signature": (
            pdf_files.sealed(own, version, credential=version.credential.replace(".", ".A", 1)),
            VerdictState.TAMPERED,
            "",
        ),
        "code_on_another_host": (
            pdf_files.sealed(own, version, qr_text=f"https://evil.example/v/{version.code}"),
            VerdictState.UNKNOWN,
            "upload.no_code",
        ),
        "code_that_is_not_on_record": (
            pdf_files.sealed(own, version, qr_text=f"{URL}/v/0123456789ABCDEF"),
            VerdictState.UNKNOWN,
            "code.unknown",
        ),
    }
    for name, (pdf, state, problem) in forged.items():
        verdict = verify(own, pdf)
        assert verdict.state is state, (name, verdict.problems)
        assert not problem or problem in verdict.problems, (name, verdict.problems)
    own.parts.rendition.of_version(version)
    second = verify(own, pdf_files.sealed(own, version))
    assert (second.state, second.problems) == (VerdictState.TAMPERED, (problems.NOT_AS_ISSUED,))
    copy = own.parts.rendition.of_copy(receipt)
    _, of_child = taken(own)
    assert verify(own, copy).state is VerdictState.VALID
    second = verify(own, pdf_files.sealed_copy(own, of_child, receipt.code))
    assert (second.state, second.problems) == (VerdictState.TAMPERED, (problems.NOT_AS_ISSUED,))


def test_revoked_seals_are_not_trusted_but_known_bytes_are(own: City) -> None:
    version = personal(own)
    known, unknown = own.parts.rendition.of_version(version), pdf_files.sealed(own, versions(own, State.VALID)[-1])
    assert verify(own, unknown).state is VerdictState.VALID
    kid = pdf_files.seal_of(own, versions(own, State.VALID)[-1].authority).key.kid
    with own.parts.database.write() as writer:
        key_store.revoke_x509(writer, kid, int(time.time() * 1e6) - 1_000_000)
    time.sleep(2.1)
    verdict = verify(own, unknown)
    assert (verdict.state, verdict.problems) == (VerdictState.UNTRUSTED, ("pdf.signer_revoked",))
    assert verify(own, known).state is VerdictState.VALID


def test_a_seal_is_checked_for_longer_than_its_x509_certificate_lives(own: City) -> None:
    version = next(v for v in versions(own, State.VALID) if v.dates.valid_until is None)
    pdf = pdf_files.sealed(own, version)
    own.clock.ahead = timedelta(days=365 * 11)
    verdict = verify(own, pdf)
    assert (verdict.state, verdict.problems) == (VerdictState.UNKNOWN, ("pdf.signer_expired",))
    assert findings(verdict) == (YES, UNKNOWN, YES, YES)
    assert verdict.certificate is not None
    assert verdict.certificate.state is VerdictState.VALID


# --- paper -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["JPEG", "PNG", "PDF"])
@pytest.mark.parametrize(("angle", "blur"), [(0, 0), (3, 0.8), (-11, 0.6), (90, 0.5), (180, 0.5)])
def test_paper_leads_to_its_record_and_proves_nothing(city: City, form: str, angle: float, blur: float) -> None:
    version = personal(city)
    verdict = verify(city, pdf_files.scanned(pdf_files.sealed(city, version), form, angle=angle, blur=blur))
    assert (verdict.state, verdict.problems) == (VerdictState.COMPARE, ("file.image",))
    assert verdict.presented is Presented.PICTURE
    assert findings(verdict) == (UNKNOWN, UNKNOWN, YES, YES)
    assert verdict.certificate is not None
    assert verdict.certificate.identifier == version.identifier
    assert verdict.certificate.state is VerdictState.VALID


@pytest.mark.parametrize("form", drawings.FORMS)
def test_an_overpainted_file_is_never_valid(city: City, form: str) -> None:
    """The attack: a genuine file with another name painted over, saved in a form that has no seal."""
    version = personal(city)
    forged = drawings.overpainted(pdf_files.sealed(city, version), form)
    verdict = verify(city, forged)
    assert (verdict.state, verdict.presented) == (VerdictState.COMPARE, Presented.PICTURE), verdict.problems
    assert findings(verdict) == (UNKNOWN, UNKNOWN, YES, YES)
    assert verdict.problems == (("pdf.unsigned",) if form == "words" else ("file.image",))
    assert verdict.certificate is not None
    assert (verdict.certificate.identifier, verdict.certificate.state) == (version.identifier, VerdictState.VALID)


@pytest.mark.parametrize("form", ["JPEG", "outlines", "words"])
def test_a_picture_of_what_has_ended_says_that(city: City, form: str) -> None:
    for state in (State.REVOKED, State.EXPIRED, State.SUSPENDED):
        version = versions(city, state)[0]
        verdict = verify(city, drawings.overpainted(pdf_files.sealed(city, version), form))
        assert (verdict.state, verdict.presented) == (VerdictState(state.value), Presented.PICTURE)
        assert findings(verdict)[:2] == (UNKNOWN, UNKNOWN)


@pytest.mark.parametrize("form", ["PNG", "outlines", "words"])
def test_pictures_of_forged_codes_fall(city: City, form: str) -> None:
    version, other = personal(city), elsewhere(city, personal(city))
    verification = city.parts.verification
    for text, state in (
        (qr.text(URL, version.code, other.digits), VerdictState.TAMPERED),
        (qr.text(URL, version.code, _altered(version.digits)), VerdictState.TAMPERED),
        (f"{URL}/v/0123456789ABCDEF", VerdictState.NOT_FOUND),
        (f"https://evil.example/v/{version.code}", VerdictState.UNTRUSTED),
        (qr.text("https://evil.example", version.code, version.digits), VerdictState.UNTRUSTED),
        ("https://evil.example/menu?table=3", VerdictState.UNTRUSTED),
    ):
        verdict = verify(city, drawings.overpainted(pdf_files.sealed(city, version, qr_text=text), form))
        typed = verification.verify_qr(text)
        assert (verdict.state, verdict.presented) == (state, Presented.PICTURE), (text, verdict.problems)
        assert (typed.state, typed.presented) == (state, Presented.RECORD)
        assert verdict.checks.intact is not YES
        assert verdict.checks.trusted is not YES
        assert set(typed.problems) <= set(verdict.problems)


def _altered(digits: str) -> str:
    middle = len(digits) // 2
    return f"{digits[:middle]}{(int(digits[middle]) + 1) % 10}{digits[middle + 1 :]}"


def test_a_picture_of_a_code_at_a_former_address_of_ours(own: City) -> None:
    version, former = personal(own), "https://former.example"
    with engines.tampering(own.parts) as writer:
        key_store.set_public_url(writer, former, 1)
    own.parts.verification.addresses.refresh()
    text = qr.text(former, version.code, version.digits)
    assert own.parts.verification.verify_qr(text).state is VerdictState.VALID
    picture = drawings.overpainted(pdf_files.sealed(own, version, qr_text=text), "JPEG")
    assert verify(own, picture).state is VerdictState.COMPARE


@pytest.mark.parametrize("host", [URL, "https://evil.example"])
def test_two_codes_on_one_picture_are_not_mixed_up(city: City, host: str) -> None:
    """Two certificates of ours, or one of ours and one that only looks like it."""
    version, other = versions(city)[:2]
    files = pdf_files.sealed(city, version), pdf_files.sealed(city, other, qr_text=f"{host}/v/{other.code}")
    one, two = (samples.Image.open(_file(pdf_files.scanned(pdf, "PNG"))) for pdf in files)
    both = samples.Image.new("RGB", (one.width + two.width, max(one.height, two.height)), "white")
    both.paste(one, (0, 0))
    both.paste(two, (one.width, 0))
    verdict = verify(city, pdf_files.saved(both, "JPEG"))
    assert (verdict.state, verdict.certificate) == (VerdictState.UNKNOWN, None)
    assert "file.several_codes" in verdict.problems


def test_typed_texts_are_judged_as_before(city: City) -> None:
    version = personal(city)
    for verdict in (
        city.parts.verification.verify_qr(text_of(version)),
        city.parts.verification.verify_code(version.code),
    ):
        assert (verdict.state, verdict.presented) == (VerdictState.VALID, Presented.RECORD)
        assert findings(verdict) == (YES, YES, YES, YES)


def _file(data: bytes) -> Any:
    from io import BytesIO

    return BytesIO(data)


# --- what cannot be read -------------------------------------------------------------------------------------------


def test_other_files_say_nothing_of_any_certificate(city: City) -> None:
    for data in (b"", b"hello", b"PK\3\4" + bytes(900), b"\xff\xd8\xff" + bytes(99), os.urandom(4096), b"%PDF-1.7\n"):
        verdict = verify(city, data)
        assert (verdict.state, verdict.certificate) == (VerdictState.UNKNOWN, None)
        assert findings(verdict) == (UNKNOWN,) * 4
        assert verdict.problems
    assert verify(city, b"%PDF-" + bytes(10 * 1024 * 1024)).problems[0] == "upload.too_large"


def test_bombs_and_crowds_leave_the_next_file_unharmed(city: City, corpus: list[forgeries.Forgery]) -> None:
    files = {forgery.name: forgery.pdf for forgery in corpus}
    good = pdf_files.sealed(city, versions(city, State.VALID)[-1])
    for name in ("bomb_in_nested_streams", "ten_thousand_pages", "encrypted_with_a_password"):
        threads = [threading.Thread(target=verify, args=(city, files[name])) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert verify(city, good).state is VerdictState.VALID


def test_a_dead_checker_is_no_verdict(own: City, monkeypatch: pytest.MonkeyPatch) -> None:
    version = personal(own)
    pdf = pdf_files.sealed(own, version)
    monkeypatch.setattr("signing.pdf.check.checking._PROGRAM", ("/bin/false",))
    verdict = verify(own, pdf)
    assert (verdict.state, verdict.certificate) == (VerdictState.UNKNOWN, None)
    assert findings(verdict) == (UNKNOWN,) * 4
    assert verdict.problems == ("pdf.checker_failed", "upload.no_code")
    assert verify(own, own.parts.rendition.of_version(versions(own, State.VALID)[-1])).state is VerdictState.VALID
    monkeypatch.undo()
    assert verify(own, pdf).state is VerdictState.VALID


def test_without_a_database_seals_still_speak(own: City) -> None:
    version, expired = personal(own), versions(own, State.EXPIRED)[0]
    good, over = pdf_files.sealed(own, version), pdf_files.sealed(own, expired)
    foreign = pdf_files.sealed(own, version, seal=pdf_files.seal_of(own, elsewhere(own, version).authority))
    scan = pdf_files.scanned(good, "JPEG")
    assert verify(own, good).state is VerdictState.VALID  # names and roots are known from now on
    kill(own)
    time.sleep(2.1)
    verdict = verify(own, good)
    assert (verdict.state, findings(verdict)) == (VerdictState.UNKNOWN, (YES, YES, UNKNOWN, YES))
    assert verdict.problems == ("database.unavailable",)
    assert verdict.certificate is not None
    assert verdict.certificate.state is VerdictState.UNKNOWN
    assert verify(own, over).state is VerdictState.EXPIRED
    assert verify(own, good[:-40] + b"x" + good[-39:]).state is VerdictState.TAMPERED
    assert verify(own, foreign).state is VerdictState.UNTRUSTED
    verdict = verify(own, scan)
    assert (verdict.state, findings(verdict)) == (VerdictState.UNKNOWN, (UNKNOWN, UNKNOWN, UNKNOWN, YES))


def test_without_a_database_from_the_start_nothing_is_foreign(template: Path, tmp_path: Path) -> None:
    with open_copy(template, tmp_path / "city") as own:
        pdf = pdf_files.sealed(own, personal(own))
        kill(own)
        verdict = verify(own, pdf)
        assert verdict.state is VerdictState.UNKNOWN
        assert verdict.checks.trusted is UNKNOWN
        assert "database.unavailable" in verdict.problems


def test_the_checker_has_nothing_of_ours(own: City) -> None:
    """The checker has no environment and no files except its pipes: no database, no key, no socket."""
    verify(own, pdf_files.sealed(own, personal(own)))
    idle = own.parts.checkers._idle
    program = next(found for found in (idle.get(), idle.get()) if found is not None)
    folder = Path("/proc") / str(program._process.pid)
    names = {line.partition(b"=")[0] for line in (folder / "environ").read_bytes().split(b"\0") if line}
    assert names <= {b"LC_CTYPE"}
    assert (folder / "cwd").readlink() == Path("/")
    open_files = [str(file.readlink()) for file in (folder / "fd").iterdir()]
    assert all(name.startswith("pipe:") or name == "/dev/null" for name in open_files), open_files
    program.close()


def test_checkers_start_with_the_first_unknown_file_and_end_with_the_parts(template: Path, tmp_path: Path) -> None:
    with open_copy(template, tmp_path / "city") as own:
        version = personal(own)
        verify(own, own.parts.rendition.of_version(version))
        assert _programs(own.parts.checkers) == []
        verify(own, pdf_files.sealed(own, elsewhere(own, version)))
        (program,) = _programs(own.parts.checkers)
        assert program._process.poll() is None
    assert program._process.poll() is not None


def _programs(checkers: Checkers) -> list[Any]:
    return [program for program in checkers._idle.queue if program is not None]


def test_a_checker_in_other_hands_makes_nothing_valid(
    own: City, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A malicious checker, which reports every file as intact and trusted, with the right signer and arbitrary
    texts."""
    version = personal(own)
    pdf = own.parts.rendition.of_version(version)
    text, authority = text_of(version), version.authority
    finding = checked.CheckFinding(
        checked.What.PDF,
        checked.Answer.YES,
        checked.Answer.YES,
        signer_code=authority,
        credential=version.credential,
        qr_texts=(text,),
        problems=("personal words",),
    )
    told = BytesIO()
    checked.Reply(checked.Ended.ANSWERED, 0.01, finding.to_json().encode()).write(told)
    liar = tmp_path / "liar.py"
    liar.write_text(
        "import sys\n"
        "size = int.from_bytes(sys.stdin.buffer.read(8), 'big'); sys.stdin.buffer.read(size)\n"
        f"sys.stdout.buffer.write({told.getvalue()!r})\n",
        encoding="utf-8",
    )
    monkeypatch.setattr("signing.pdf.check.checking._PROGRAM", (sys.executable, "-I", str(liar)))
    verdict = verify(own, pdf + b"changed")
    assert (verdict.state, verdict.problems) == (VerdictState.TAMPERED, ("pdf.checker_failed", "record.differs"))

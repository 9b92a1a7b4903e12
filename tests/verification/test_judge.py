"""Stage 3 without a database: a table of what was presented, what is on record, and the judgement."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hub.domain.case import Person
from hub.domain.certificate import Dates, Standing
from hub.domain.version import Version
from hub.store.acts import Why
from hub.verification import presentation
from hub.verification.issued import Issued, Records
from hub.verification.judge import Judgement, judge
from hub.verification.presentation import Presentation, PresentedDigits
from signing import credential, identifier, qr
from signing.keys import KeyFolder, PublicKey, Purpose
from signing.pdf.check.finding import Answer, CheckFinding, What

URL, FOREIGN = "https://hub.example", "https://other.example"
TYPE, AUTHORITY, OTHER_AUTHORITY = "11100000000013338W011", "11430000006122244L", "11350000003591037L"
TODAY = date(2026, 11, 24)
FACE = (date(2026, 1, 1), date(2026, 1, 1), date(2026, 12, 31))
PDF = b"%PDF- a file"
CODE, OTHER_CODE = "0123456789ABCDEF", "FEDCBA9876543210"


@dataclass(frozen=True)
class Made:
    """A version as on record, and the key that signed it."""

    version: Version
    key: PublicKey


@cache
def made(serial: str = "0123456789ABCDEFGHJK", code: str = CODE, until: date | None = FACE[2]) -> Made:
    with TemporaryDirectory() as folder:
        return _made(folder, serial, code, until)


def _made(folder: str, serial: str, code: str, until: date | None) -> Made:
    keys = KeyFolder(Path(folder), b"x")
    key = keys.generate(Purpose.CREDENTIAL)
    name = identifier.build(TYPE, AUTHORITY, serial, 1)
    holder = credential.Holder("林小满", "111", "35010219900307283X")
    dates = (*FACE[:2], until)
    claims = credential.Claims(
        issuer=URL,
        type_code=TYPE,
        edition=2,
        iat=1_767_225_600,
        identifier=name,
        version=1,
        authority_code=AUTHORITY,
        issued_on=dates[0],
        valid_from=dates[1],
        valid_until=dates[2],
        origin="issued",
        status_list=3,
        status_index=77,
        number="闽A0120260001",
        holders=(holder,),
        fields={},
    )
    prepared = credential.prepare(claims, key.kid)
    text = credential.assemble(prepared, keys.sign(key.kid, Purpose.CREDENTIAL, prepared.signing_input))
    face = qr.prepare(qr.Face(name, "闽A01*****01", ("林*满",), *dates, 3, 77), code, key.kid)
    digits = qr.assemble(face, keys.sign(key.kid, Purpose.CREDENTIAL, face.to_be_signed))
    version = Version(
        home=1,
        certificate=1,
        version=1,
        current_version=1,
        version_key=1,
        identifier=name,
        code=code,
        type_code=TYPE,
        authority=AUTHORITY,
        serial=serial,
        origin=1,
        edition=2,
        standing=Standing.ACTIVE,
        revision=1,
        dates=Dates(*dates),
        source="s",
        case_number="1",
        recorded_at=0,
        kid=key.kid,
        credential=text,
        digits=digits,
        number="闽A0120260001",
        holders=(Person(holder.name, holder.id_type, holder.id_number),),
        parties=(1,),
        fields={},
        salt=bytes(16),
    )
    return Made(version, key)


def issued(version: Version, why: Why | None = None) -> Issued:
    return Issued(version, why=why or Why())


def on_record(**changes: object) -> Records:
    """The records for a QR code, a credential or a file of the version."""
    one = made()
    found = issued(one.version)
    known = Records(code=CODE, found=found, named=found, ours={URL: True, FOREIGN: False}, keys={one.key.kid: one.key})
    return replace(known, **changes)  # type: ignore[arg-type]


def with_digits(**changes: object) -> Records:
    text = made().version.digits
    return on_record(**{"digits": PresentedDigits(text, qr.read(text)), **changes})


AWAY = Issued(problem="database.unavailable")
NO_RECORD = Issued()
SCANNED = presentation.read_qr(qr.text(URL, CODE, made().version.digits))
TYPED = presentation.read_code(CODE)
CREDENTIAL = presentation.read_credential(made().version.credential)


def known(data: bytes = PDF) -> Presentation:
    return presentation.read_file(data)


def file(*, has_roots: bool = True, **changes: object) -> Presentation:
    """The checker's report on a sealed PDF with the version's credential and QR code, with changes."""
    version = made().version
    found = CheckFinding(
        What.PDF,
        Answer.YES,
        Answer.YES,
        signer_code=AUTHORITY,
        credential=version.credential,
        qr_texts=(qr.text(URL, CODE, version.digits),),
    )
    return presentation.read_finding(replace(found, **changes), PDF, has_roots=has_roots)  # type: ignore[arg-type]


def in_state(standing: Standing, **dates: date) -> Issued:
    version = made().version
    return issued(replace(version, standing=standing, dates=replace(version.dates, **dates)))


def other() -> Issued:
    return issued(made("KJHGFEDCBA9876543210", OTHER_CODE).version)


def keys_of(*found: Made) -> dict[str, PublicKey | None]:
    return {one.key.kid: one.key for one in found}


UNKEYED: dict[str, PublicKey | None] = {}
STRANGE: dict[str, PublicKey | None] = {made().key.kid: None}
DAMAGED = issued(replace(made().version, dates=Dates(*FACE[:2], date(2099, 12, 31))))
REVOKED = in_state(Standing.REVOKED)
REPLACED = in_state(Standing.ACTIVE, superseded_on=date(2026, 6, 1))
NONE = Records()
IMAGE = {"what": What.IMAGE, "intact": Answer.UNKNOWN, "trusted": Answer.UNKNOWN, "credential": None}
SURE = {"intact": Answer.YES, "trusted": Answer.YES}
FOREIGN_CODE = {"qr_texts": (f"{FOREIGN}/v/{CODE}",)}
BOTH = (qr.text(URL, CODE, made().version.digits), f"{FOREIGN}/v/{OTHER_CODE}")
UNSIGNED = {"intact": Answer.UNKNOWN, "trusted": Answer.UNKNOWN, "credential": None, "problems": ("pdf.unsigned",)}

# answers: intact, trusted, in_force, within_dates
CASES: list[tuple[str, Presentation, Records, str, str, tuple[str, ...]]] = [
    # codes and digits
    ("a code", TYPED, on_record(), "valid", "yyyy", ()),
    ("a code, suspended", TYPED, on_record(found=in_state(Standing.SUSPENDED)), "suspended", "yyny", ()),
    ("a code, revoked", TYPED, on_record(found=REVOKED), "revoked", "yyny", ()),
    ("a code, replaced", TYPED, on_record(found=REPLACED), "superseded", "yyny", ()),
    ("no code", presentation.read_code("x"), NONE, "not_found", "????", ("code.malformed",)),
    ("unknown code", TYPED, on_record(found=NO_RECORD), "not_found", "????", ("code.unknown",)),
    ("code, no database", TYPED, on_record(found=AWAY), "unknown", "????", ("database.unavailable",)),
    ("code, no keys", TYPED, on_record(keys=UNKEYED), "unknown", "????", ("database.unavailable",)),
    ("code, strange key", TYPED, on_record(keys=STRANGE), "untrusted", "?n??", ("key.unknown",)),
    ("code, changed record", TYPED, on_record(found=DAMAGED), "tampered", "ny??", ("record.damaged",)),
    ("code, acts unread", TYPED, on_record(found=Issued(made().version)), "valid", "yyyy", ("database.unavailable",)),
    ("digits", SCANNED, with_digits(), "valid", "yyyy", ()),
    ("digits, no record", SCANNED, with_digits(found=NO_RECORD), "unknown", "yy?y", ("record.missing",)),
    ("digits, no database", SCANNED, with_digits(found=AWAY), "unknown", "yy?y", ("database.unavailable",)),
    ("digits, no keys", SCANNED, with_digits(found=NO_RECORD, keys=UNKEYED), "not_found", "????", ("code.unknown",)),
    ("digits, strange key", SCANNED, with_digits(found=NO_RECORD, keys=STRANGE), "untrusted", "?n??",
     ("key.unknown", "code.unknown")),
    ("digits, changed record", SCANNED, with_digits(found=DAMAGED), "unknown", "yy?y", ("record.damaged",)),
    ("digits of another code", SCANNED, with_digits(code=OTHER_CODE, found=other()), "tampered", "n???",
     ("signature.wrong", "database.unavailable")),
    ("host unread", SCANNED, replace(NONE, ours={}), "unknown", "????", ("database.unavailable",)),
    ("foreign host", presentation.read_qr(f"{FOREIGN}/v/{CODE}"), on_record(code=None), "untrusted", "?n??",
     ("host.foreign",)),
    ("no text of ours", presentation.read_qr("hello\0"), NONE, "not_found", "????", ("qr.text",)),
    # credentials
    ("a credential", CREDENTIAL, on_record(), "valid", "yyyy", ()),
    ("credential, no record", CREDENTIAL, on_record(named=NO_RECORD), "unknown", "yy?y", ("record.missing",)),
    ("credential, no keys", CREDENTIAL, on_record(keys=UNKEYED), "unknown", "????", ("database.unavailable",)),
    ("credential, strange key", CREDENTIAL, on_record(keys=STRANGE, named=NO_RECORD), "untrusted", "?n??",
     ("key.unknown",)),
    ("credential, its key id damaged", CREDENTIAL, on_record(keys=STRANGE), "tampered", "nn??", ("key.unknown",)),
    ("credential, foreign issuer", CREDENTIAL, on_record(ours={URL: False}), "untrusted", "yn??", ("issuer.foreign",)),
    ("credential, issuer unread", CREDENTIAL, on_record(ours={}), "unknown", "y???", ("database.unavailable",)),
    ("credential, never issued", CREDENTIAL, on_record(named=other()), "tampered", "ny??", ("record.differs",)),
    ("no credential", presentation.read_credential("x"), NONE, "tampered", "n???", ("credential.shape",)),
    # files that we issued
    ("a known file", known(), on_record(), "valid", "yyyy", ()),
    ("known file, revoked", known(), on_record(found=REVOKED), "revoked", "yyny", ()),
    ("known file, changed record", known(), on_record(found=DAMAGED), "unknown", "yy??", ("record.damaged",)),
    # other files
    ("a sealed file", file(), with_digits(), "valid", "yyyy", ()),
    ("sealed, revoked", file(), with_digits(found=REVOKED), "revoked", "yyny", ()),
    ("sealed, no database", file(), with_digits(found=AWAY, named=AWAY), "unknown", "yy?y", ("database.unavailable",)),
    ("sealed, no roots", file(has_roots=False), with_digits(), "unknown", "y?yy", ("database.unavailable",)),
    ("sealed, the file on record", file(), with_digits(file=file().sha256), "valid", "yyyy", ()),
    ("sealed, another file on record", file(), with_digits(file=bytes(32)), "tampered", "nyyy", ("record.differs",)),
    ("sealed by another authority", file(signer_code=OTHER_AUTHORITY), with_digits(), "untrusted", "ynyy",
     ("file.other_authority",)),
    ("seal broken", file(intact=Answer.NO, problems=("pdf.changed",)), with_digits(), "tampered", "nyyy",
     ("pdf.changed",)),
    ("seal not judged", file(trusted=Answer.UNKNOWN, problems=("pdf.signer_expired",)), with_digits(), "unknown",
     "y?yy", ("pdf.signer_expired",)),
    ("stranger's seal", file(trusted=Answer.NO, problems=("pdf.untrusted_signer",)), with_digits(), "untrusted",
     "ynyy", ("pdf.untrusted_signer",)),
    ("no credential in it", file(credential=None), with_digits(), "unknown", "?yyy", ("file.no_credential",)),
    ("no code in it", file(qr_texts=()), with_digits(code=None, digits=None), "unknown", "?yyy", ("upload.no_code",)),
    ("two codes", file(), on_record(code=None, several=True), "unknown", "?yyy",
     ("upload.no_code", "file.several_codes")),
    ("code of another", file(), on_record(code=OTHER_CODE, found=other(),
     keys=keys_of(made(), made("KJHGFEDCBA9876543210", OTHER_CODE))), "tampered", "nyyy", ("file.parts_differ",)),
    ("code not on record", file(), on_record(code=OTHER_CODE, found=NO_RECORD), "unknown", "?yyy", ("code.unknown",)),
    ("sealed, a foreign code in it", file(qr_texts=(f"{FOREIGN}/v/{CODE}",)), on_record(code=None), "unknown", "?yyy",
     ("upload.no_code",)),
    # files without a seal: never proven, whatever they show
    ("unsigned", file(**UNSIGNED), with_digits(), "compare", "??yy", ("pdf.unsigned",)),
    ("unsigned, code alone", file(**UNSIGNED), on_record(), "compare", "??yy", ("pdf.unsigned",)),
    ("unsigned, no code", file(**UNSIGNED | {"qr_texts": ()}), on_record(code=None), "unknown", "????",
     ("pdf.unsigned", "upload.no_code")),
    ("unsigned, revoked", file(**UNSIGNED), with_digits(found=REVOKED), "revoked", "??ny", ("pdf.unsigned",)),
    ("unsigned, unknown code", file(**UNSIGNED), on_record(found=NO_RECORD), "not_found", "????",
     ("pdf.unsigned", "code.unknown")),
    ("unsigned, foreign code", file(**UNSIGNED | FOREIGN_CODE), on_record(code=None), "untrusted", "?n??",
     ("pdf.unsigned", "host.foreign")),
    ("seal removed", file(**UNSIGNED | {"credential": made().version.credential}), with_digits(), "compare", "??yy",
     ("pdf.unsigned",)),
    ("seal removed, revoked", file(**UNSIGNED | {"credential": made().version.credential}),
     with_digits(found=REVOKED, named=REVOKED), "revoked", "??ny", ("pdf.unsigned",)),
    ("seal and code removed", file(**UNSIGNED | {"credential": made().version.credential, "qr_texts": ()}),
     on_record(code=None), "unknown", "??yy", ("pdf.unsigned", "upload.no_code")),
    ("seal removed, code of another", file(**UNSIGNED | {"credential": made().version.credential}),
     on_record(code=OTHER_CODE, found=other(), keys=keys_of(made(), made("KJHGFEDCBA9876543210", OTHER_CODE))),
     "tampered", "n?yy", ("pdf.unsigned", "file.parts_differ")),
    ("words for a problem", file(problems=("anything",)), with_digits(), "valid", "yyyy", ("pdf.checker_failed",)),
    # pictures
    ("a picture", file(**IMAGE), with_digits(), "compare", "??yy", ("file.image",)),
    ("picture, code alone", file(**IMAGE), on_record(), "compare", "??yy", ("file.image",)),
    ("picture, suspended", file(**IMAGE), with_digits(found=in_state(Standing.SUSPENDED)), "suspended", "??ny",
     ("file.image",)),
    ("picture, revoked", file(**IMAGE), with_digits(found=REVOKED), "revoked", "??ny", ("file.image",)),
    ("picture, replaced", file(**IMAGE), on_record(found=REPLACED), "superseded", "??ny", ("file.image",)),
    ("picture, no record", file(**IMAGE), with_digits(found=NO_RECORD), "unknown", "???y",
     ("file.image", "record.missing")),
    ("picture, no database", file(**IMAGE), with_digits(found=AWAY), "unknown", "???y",
     ("file.image", "database.unavailable")),
    ("picture, changed record", file(**IMAGE), with_digits(found=DAMAGED), "unknown", "???y",
     ("file.image", "record.damaged")),
    ("picture, digits of another code", file(**IMAGE), with_digits(code=OTHER_CODE, found=other()), "tampered", "n???",
     ("file.image", "signature.wrong", "database.unavailable")),
    ("picture, strange key", file(**IMAGE), with_digits(found=NO_RECORD, keys=STRANGE), "untrusted", "?n??",
     ("file.image", "key.unknown", "code.unknown")),
    ("picture, unknown code", file(**IMAGE), on_record(found=NO_RECORD), "not_found", "????",
     ("file.image", "code.unknown")),
    ("picture, no code", file(**IMAGE | {"qr_texts": ()}), on_record(code=None), "unknown", "????",
     ("file.image", "upload.no_code")),
    ("picture, other words", file(**IMAGE | {"qr_texts": ("hello",)}), on_record(code=None), "unknown", "????",
     ("file.image", "upload.no_code")),
    ("picture, two codes", file(**IMAGE), on_record(code=None, several=True), "unknown", "????",
     ("file.image", "file.several_codes")),
    ("picture, foreign code", file(**IMAGE | FOREIGN_CODE), on_record(code=None), "untrusted", "?n??",
     ("file.image", "host.foreign")),
    ("picture, foreign address", file(**IMAGE | {"qr_texts": (f"{FOREIGN}/menu?table=3",)}),
     replace(NONE, ours={f"{FOREIGN}/menu?table=3": False}), "untrusted", "?n??", ("file.image", "host.foreign")),
    ("picture, host unread", file(**IMAGE | FOREIGN_CODE), replace(NONE, ours={}), "unknown", "????",
     ("file.image", "database.unavailable")),
    ("picture, our code and a foreign one", file(**IMAGE | {"qr_texts": BOTH}), with_digits(), "unknown", "????",
     ("file.image", "file.several_codes")),
    ("picture, our code next to an advertisement", file(**IMAGE | {"qr_texts": (BOTH[0], f"{FOREIGN}/menu")}),
     with_digits(ours={URL: True, f"{FOREIGN}/menu": False}), "compare", "??yy", ("file.image",)),
    ("picture, by a checker that calls it intact", file(**IMAGE | SURE), with_digits(), "compare", "??yy",
     ("file.image",)),
]  # fmt: skip


@pytest.mark.parametrize(("presented", "records", "state", "answers", "noted"), [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])  # fmt: skip
def test_the_judgement(
    presented: Presentation, records: Records, state: str, answers: str, noted: tuple[str, ...]
) -> None:
    judgement = judge(presented, records, TODAY)
    assert (judgement.state.value, shown(judgement), judgement.problems) == (state, answers, noted)


def shown(judgement: Judgement) -> str:
    checks = judgement.checks
    letters = {"yes": "y", "no": "n", "unknown": "?"}
    return "".join(letters[a] for a in (checks.intact, checks.trusted, checks.in_force, checks.within_dates))


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_what_cannot_be_read_never_looks_invalid_and_never_valid(case: tuple[object, ...]) -> None:
    """Rule 3, for every row of the table: without rows, keys or addresses, no answer becomes no, no state valid."""
    presented, records = case[1], case[2]
    assert isinstance(presented, Presentation)
    assert isinstance(records, Records)
    before = judge(presented, records, TODAY)
    for lost in (
        replace(records, found=AWAY, named=AWAY, file=None),
        replace(records, keys=UNKEYED),
        replace(records, found=AWAY, named=AWAY, file=None, keys=UNKEYED, ours={}),
    ):
        after = judge(presented, lost, TODAY)
        for was, now in zip(shown(before), shown(after), strict=True):
            assert now != "n" or was == "n"
        assert after.state.value != "valid" or before.state.value == "valid"


def _day(day: date) -> Callable[[], Judgement]:
    return lambda: judge(SCANNED, with_digits(found=NO_RECORD), day)


def test_proven_bytes_alone_tell_that_a_certificate_is_over_and_never_that_it_is_valid() -> None:
    states = [_day(day)().state.value for day in (date(2025, 12, 31), date(2026, 1, 1), date(2027, 1, 1))]
    assert states == ["not_yet", "unknown", "expired"]


def test_every_file_without_a_seal_is_presented_as_a_picture() -> None:
    told = {name: presented.presented.value for name, presented, *_ in CASES if presented.file is not None}
    pictures = {
        name for name in told if name.startswith(("picture", "a picture", "unsigned", "seal removed", "seal and"))
    }
    assert {name for name, how in told.items() if how == "picture"} == pictures

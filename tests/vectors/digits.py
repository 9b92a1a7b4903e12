"""QR digits and QR texts: good ones, and bad ones that are each wrong in one way."""

from dataclasses import asdict, replace
from datetime import date
from typing import Any

import cbor2
from credentials import RICH, SIMPLE
from fixed import CREDENTIAL, ISSUER, OTHER, STATUS, Key, flipped, high_s

from signing import identifier, qr
from signing.keys import kid_bytes

CODE, OTHER_CODE = "0X4T9M2K7PQR8VWZ", "0X4T9M2K7PQR8VWY"
SIMPLE_FACE = qr.Face(
    identifier=SIMPLE.identifier,
    number="闽A01*******1",
    holders=("林*满",),
    issued_on=date(2026, 1, 1),
    valid_from=date(2026, 1, 1),
    valid_until=date(2028, 12, 31),
    status_list=0,
    status_index=4711,
)
RICH_FACE = replace(
    SIMPLE_FACE,
    identifier=RICH.identifier,
    holders=("陈*", '福州"示例"建设有限公司', "A** \\ O'B*****"),
    valid_from=date(2026, 2, 1),
    valid_until=None,
    status_list=35_184_372_088_831,
    status_index=131_071,
)


def _made(face: qr.Face) -> tuple[qr.PreparedDigits, str]:
    prepared = qr.prepare(face, CODE, CREDENTIAL.kid)
    return prepared, qr.assemble(prepared, CREDENTIAL.sign(prepared.to_be_signed))


PREPARED, GOOD = _made(SIMPLE_FACE)
CLAIMS = cbor2.loads(PREPARED.payload)
SIGNATURE = CREDENTIAL.sign(PREPARED.to_be_signed)


def good() -> list[dict[str, Any]]:
    vectors = []
    for name, face in {"simple": SIMPLE_FACE, "rich": RICH_FACE}.items():
        prepared, digits = _made(face)
        written = asdict(face) | {
            day: None if getattr(face, day) is None else getattr(face, day).isoformat()
            for day in ("issued_on", "valid_from", "valid_until")
        }
        vectors.append(
            {
                "name": name,
                "code": CODE,
                "face": written,
                "protected": prepared.protected.hex(),
                "payload": prepared.payload.hex(),
                "to_be_signed": prepared.to_be_signed.hex(),
                "signature": CREDENTIAL.sign(prepared.to_be_signed).hex(),
                "digits": digits,
                "text": qr.text(ISSUER, CODE, digits),
            }
        )
    return vectors


def _number(token: bytes, version: int = 1) -> str:
    return str(int.from_bytes(bytes([version]) + token, "big"))


def _token(
    payload: bytes = PREPARED.payload,
    protected: bytes = PREPARED.protected,
    key: Key = CREDENTIAL,
    unprotected: Any = None,
    signature: bytes | None = None,
) -> bytes:
    signed = cbor2.dumps(["Signature1", protected, CODE.encode(), payload])
    return cbor2.dumps([protected, unprotected or {}, payload, signature or key.sign(signed)])


def bad() -> list[dict[str, Any]]:
    return [*_signatures(), *_numbers(), *_structures(), *_claims()]


def _bad(name: str, digits: str, refused: str, code: str = CODE, *, strict: bool = True) -> dict[str, Any]:
    return {"name": name, "code": code, "digits": digits, "refused": refused, "strict": strict}


def _signatures() -> list[dict[str, Any]]:
    later = PREPARED.payload.replace(cbor2.dumps(20281231), cbor2.dumps(20291231))
    other_kid = cbor2.dumps({1: -7, 4: kid_bytes(OTHER.kid)})
    status_kid = cbor2.dumps({1: -7, 4: kid_bytes(STATUS.kid)})
    sign = "signature"
    return [
        _bad("digits-of-another-code", GOOD, sign, OTHER_CODE, strict=False),
        _bad("code-in-lower-case", GOOD, sign, CODE.lower(), strict=False),
        _bad("one-bit-payload", _number(_token(later, signature=SIGNATURE)), sign, strict=False),
        _bad("one-bit-signature", _number(_token(signature=flipped(SIGNATURE, 40))), sign, strict=False),
        _bad("signature-upper-half", _number(_token(signature=high_s(SIGNATURE))), sign),
        _bad("signature-all-zero", _number(_token(signature=bytes(64))), sign, strict=False),
        _bad("other-key", _number(_token(key=OTHER)), sign, strict=False),
        _bad("kid-of-another-key", _number(_token(protected=other_kid)), sign, strict=False),
        _bad("key-of-another-purpose", _number(_token(protected=status_kid, key=STATUS)), sign),
        _bad("signature-of-63-bytes", _number(_token(signature=SIGNATURE[:63])), "qr.cose", strict=False),
    ]


def _numbers() -> list[dict[str, Any]]:
    digits = "qr.digits"
    full_width = GOOD.translate({ord("0") + place: chr(0xFF10 + place) for place in range(10)})
    return [
        _bad("empty", "", digits, strict=False),
        _bad("leading-zero-digits", f"0{GOOD}", digits),
        _bad("plus-sign", f"+{GOOD}", digits),
        _bad("space-inside", f"{GOOD[:9]} {GOOD[9:]}", digits),
        _bad("underscore-inside", f"{GOOD[:9]}_{GOOD[9:]}", digits),
        _bad("line-feed-at-the-end", f"{GOOD}\n", digits),
        _bad("full-width-digits", full_width, digits),
        _bad("hexadecimal", hex(int(GOOD)), digits),
        _bad("more-than-2000-digits", "1" * 2001, digits, strict=False),
        _bad("a-million-digits", "7" * 10_000, digits, strict=False),
        _bad("one-digit-changed", ("2" if GOOD[0] == "1" else "1") + GOOD[1:], "any", strict=False),
        _bad("last-digit-missing", GOOD[:-1], "any", strict=False),
        _bad("digit-appended", f"{GOOD}0", "any", strict=False),
        _bad("format-version-2", _number(_token(), version=2), "qr.version", strict=False),
        _bad("only-the-format-version", "1", "qr.cbor", strict=False),
    ]


def _structures() -> list[dict[str, Any]]:
    cbor, cose, header = "qr.cbor", "qr.cose", "qr.header"
    kid = kid_bytes(CREDENTIAL.kid)
    whole = _token()
    payload_map = PREPARED.payload
    long_array = b"\x98\x04" + whole[1:]
    indefinite = b"\x9f" + whole[1:] + b"\xff"
    entry = payload_map[1:]
    return [
        _bad("bytes-appended", _number(whole + b"\0"), cbor, strict=False),
        _bad("cut-off", _number(whole[:-1]), cbor, strict=False),
        _bad("cbor-indefinite-array", _number(indefinite), cbor, strict=False),
        _bad("cbor-long-length", _number(long_array), cbor),
        _bad("cbor-tagged", _number(b"\xd2" + whole), cbor, strict=False),
        _bad("cbor-deep", _number(b"\x81" * 200 + b"\0"), cbor, strict=False),
        _bad("cbor-false-length", _number(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff"), cbor, strict=False),
        _bad("cose-of-three", _number(cbor2.dumps([PREPARED.protected, {}, PREPARED.payload])), cose, strict=False),
        _bad("cose-unprotected-kid", _number(_token(unprotected={4: kid})), cose),
        _bad("cose-payload-detached", _number(cbor2.dumps([PREPARED.protected, {}, None, SIGNATURE])), cose, strict=False),
        _bad("header-other-algorithm", _number(_token(protected=cbor2.dumps({1: -35, 4: kid}))), header, strict=False),
        _bad("header-no-kid", _number(_token(protected=cbor2.dumps({1: -7}))), header, strict=False),
        _bad("header-short-kid", _number(_token(protected=cbor2.dumps({1: -7, 4: kid[:7]}))), header, strict=False),
        _bad("header-with-crit", _number(_token(protected=cbor2.dumps({1: -7, 2: [4], 4: kid}))), header),
        _bad("header-keys-unsorted", _number(_token(protected=cbor2.dumps({4: kid, 1: -7}))), cbor),
        _bad("header-not-cbor", _number(_token(protected=b"\xff")), cbor, strict=False),
        _bad("payload-label-twice", _number(_token(b"\xa8" + entry + cbor2.dumps(7) + cbor2.dumps([0, 1]))), cbor),
        _bad("payload-labels-unsorted", _number(_token(cbor2.dumps(dict(reversed(CLAIMS.items()))))), cbor),
        _bad("payload-long-integer", _number(_token(payload_map.replace(b"\x04\x1a", b"\x04\x1b\0\0\0\0", 1))), cbor),
        _bad("payload-bytes-appended", _number(_token(payload_map + b"\0")), cbor),
    ]  # fmt: skip


def _claims() -> list[dict[str, Any]]:
    claims = "qr.claims"

    def changed(name: str, refused: str = claims, **changes: Any) -> dict[str, Any]:
        content = CLAIMS | {int(label[1:]): value for label, value in changes.items()}
        return _bad(name, _number(_token(cbor2.dumps(content, canonical=True))), refused)

    without = {label: value for label, value in CLAIMS.items() if label != 6}
    tail = SIMPLE.identifier.removeprefix(identifier.ROOT)
    return [
        changed("unknown-label", "qr.labels", _8="copy"),
        changed("unknown-text-label", "qr.cbor", _9=1) | {"digits": _number(_token(cbor2.dumps(CLAIMS | {"x": 1}, canonical=True)))},
        _bad("missing-label", _number(_token(cbor2.dumps(without, canonical=True))), "qr.labels"),
        changed("identifier-with-its-root", "identifier.shape", _1=SIMPLE.identifier),
        changed("identifier-with-wrong-check", "identifier.check", _1=tail[:-1] + ("0" if tail[-1] != "0" else "1")),
        changed("number-an-integer", _2=1),
        changed("holders-a-text", _3="林*满"),
        changed("holders-empty", _3=[]),
        changed("holders-with-an-integer", _3=[1]),
        changed("date-impossible", _4=20260230),
        changed("date-a-text", _4="2026-01-01"),
        changed("date-a-float", "qr.cbor", _4=20260101.5),
        changed("date-true", "qr.cbor", _4=True),
        changed("date-negative", _5=-20260101),
        changed("status-index-too-large", _7=[0, 131_072]),
        changed("status-negative", _7=[-1, 0]),
        changed("status-list-too-large", _7=[2**46, 0]),
        changed("status-of-texts", _7=["0", "0"]),
        changed("status-an-integer", _7=0),
        changed("status-of-three", _7=[0, 0, 0]),
        changed("date-with-a-tag", "qr.cbor", _4=date(2026, 1, 1)),
    ]  # fmt: skip


def texts() -> list[dict[str, Any]]:
    """QR texts as they are scanned or typed, and what they come apart into."""

    def split(text: str) -> dict[str, Any]:
        return {"text": text, "parts": asdict(qr.split(text))}

    grouped = "0x4t-9m2k-7pqr-8vwz"
    wrong = [
        "", "   ", "https://hub.example.test/v/", "https://hub.example.test/x/0X4T9M2K7PQR8VWZ", "ftp://hub.example.test/v/A",
        "/v/0X4T9M2K7PQR8VWZ", "https://hub.example.test/v/a/b", "https://hub ex/v/A", "A\u0000B", "x" * 4097,
    ]  # fmt: skip
    return [
        split(qr.text(ISSUER, CODE, GOOD)),
        split(qr.text(f"{ISSUER}/", CODE, GOOD)),
        split(qr.text("http://127.0.0.1:8080", CODE, "")),
        split(f"{ISSUER}/v/{CODE}#"),
        split(f"HTTPS://hub.example.test/v/{CODE}#{GOOD}"),
        split(f"https://hub.example.test/some/where/v/{CODE}?from=scan#{GOOD}"),
        split(f"  {ISSUER}/v/{grouped}  "),
        split(grouped),
        split(f"{CODE}#{GOOD}"),
        split(GOOD),
        *({"text": text, "refused": "qr.text"} for text in wrong),
    ]

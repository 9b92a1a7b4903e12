"""Credentials: good ones, and bad ones that are each wrong in one way."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import date
from typing import Any

from fixed import AUTHORITY, CREDENTIAL, ISSUER, OTHER, STATUS, TYPE, flipped, high_s, jwt, loads, salts

from signing import credential, identifier
from signing.encoding import base64url, compact_json
from signing.keys import ORDER

HEADER = {"alg": "ES256", "kid": CREDENTIAL.kid, "typ": "dc+sd-jwt"}
SIMPLE = credential.Claims(
    issuer=ISSUER,
    type_code=TYPE,
    edition=1,
    iat=1_767_225_600,
    identifier=identifier.build(TYPE, AUTHORITY, "0123456789ABCDEFGHJK", 1),
    version=1,
    authority_code=AUTHORITY,
    issued_on=date(2026, 1, 1),
    valid_from=date(2026, 1, 1),
    valid_until=date(2028, 12, 31),
    origin="issued",
    status_list=0,
    status_index=4711,
    number="闽A0120260001",
    holders=(credential.Holder("林小满", "111", "35010219900307283X"),),
    fields={"post": "安全生产管理人员", "first_issued_on": "2023-01-01", "hours": 48, "score": "86.50"},
)
RICH = replace(
    SIMPLE,
    issuer=f"{ISSUER}/certificates",
    edition=3,
    identifier=identifier.build(TYPE, AUTHORITY, "ZYXWVTSRQPNMKJHGFEDC", 12),
    version=12,
    valid_from=date(2026, 2, 1),
    valid_until=None,
    origin="collected",
    status_list=35_184_372_088_831,
    status_index=131_071,
    holders=(
        credential.Holder("陈䶮", "111", "350102198807115529"),
        credential.Holder('福州"示例"建设有限公司', "001", "91350100M000100Y43"),
        credential.Holder("Ana \\ O'Brien 🐉", "414", "XN1234567"),
    ),
    fields={
        "number": "a field may be called number",
        "address": "鼓楼区示例路 1 号\n二层\t<b>&amp;",
        "area": "120.00",
        "largest": 9007199254740991,
        "smallest": -9007199254740991,
        "nested": {"list": [1, "二", None, True, {}], "空": []},
        "empty": "",
        "none": None,
    },
)
BARE = replace(SIMPLE, fields={})


def _made(claims: credential.Claims, label: str) -> tuple[credential.Prepared, str]:
    prepared = credential.prepare(claims, CREDENTIAL.kid, random=salts(label))
    return prepared, credential.assemble(prepared, CREDENTIAL.sign(prepared.signing_input))


PREPARED, GOOD = _made(SIMPLE, "simple")
JWT, *DISCLOSURES, _ = GOOD.split("~")
SIGNED, _, SIGNATURE_TEXT = JWT.rpartition(".")
SIGNATURE = base64url.decode(SIGNATURE_TEXT, "signature")
PAYLOAD = loads(base64url.decode(SIGNED.split(".")[1], "payload"))


def good() -> list[dict[str, Any]]:
    vectors = []
    for name, claims in {"simple": SIMPLE, "rich": RICH, "without-fields": BARE}.items():
        prepared, text = _made(claims, name)
        written = asdict(claims) | {
            day: None if getattr(claims, day) is None else getattr(claims, day).isoformat()
            for day in ("issued_on", "valid_from", "valid_until")
        }
        header, payload = (base64url.decode(part, name).decode() for part in prepared.signing_input.decode().split("."))
        vectors.append(
            {
                "name": name,
                "claims": written,
                "salts": salts(name)(16 * (2 + len(claims.fields))).hex(),
                "header": header,
                "payload": payload,
                "disclosures": [base64url.decode(part, name).decode() for part in prepared.disclosures],
                "credential": text,
                "discloses": _discloses(text),
            }
        )
    shown = {
        "presenting-no-field": credential.present(GOOD, []),
        "presenting-one-field": credential.present(GOOD, ["post"]),
        "presenting-nothing-at-all": f"{JWT}~",
        "disclosures-reordered": "~".join((JWT, *reversed(DISCLOSURES), "")),
    }
    return vectors + [{"name": name, "credential": text, "discloses": _discloses(text)} for name, text in shown.items()]


def _discloses(text: str) -> dict[str, Any]:
    read = credential.read(text)
    holders = None if read.holders is None else [asdict(holder) for holder in read.holders]
    return {"number": read.number, "holders": holders, "fields": read.fields}


def bad() -> list[dict[str, Any]]:
    """Each with the problem that the reader names, or `signature` when only the signature tells.

    `strict`: true where a general SD-JWT library may accept it. Mostly only our frozen format refuses those; unknown
    and repeated disclosures RFC 9901 §7.1 refuses too, but @sd-jwt/core 0.19 drops them without a word.
    """
    groups = (_signatures(), _headers(), _payloads(), _json(), _disclosures(), _shapes())
    return [vector for group in groups for vector in group]


def _bad(name: str, text: str, refused: str, *, strict: bool = False) -> dict[str, Any]:
    return {"name": name, "credential": text, "refused": refused, "strict": strict}


def _with(jwt_text: str) -> str:
    return "~".join((jwt_text, *DISCLOSURES, ""))


def _signature(signature: bytes) -> str:
    return _with(f"{SIGNED}.{base64url.encode(signature)}")


def _signatures() -> list[dict[str, Any]]:
    header, payload = SIGNED.split(".")
    later = base64url.encode(base64url.decode(payload, "").replace(b'"iat":1767225600', b'"iat":1767225601'))
    hmac_header = base64url.encode(compact_json.encode(HEADER | {"alg": "HS256"}))
    mac = hmac.digest(CREDENTIAL.public.spki, f"{hmac_header}.{payload}".encode(), hashlib.sha256)
    n = ORDER.to_bytes(32, "big")
    return [
        _bad("one-bit-payload", _with(f"{header}.{later}.{SIGNATURE_TEXT}"), "signature"),
        _bad("one-bit-signature", _signature(flipped(SIGNATURE, 5)), "signature"),
        _bad("one-bit-signature-end", _signature(flipped(SIGNATURE, 63)), "signature"),
        _bad("other-key", _with(jwt(HEADER, PAYLOAD, OTHER)), "signature"),
        _bad("other-key-with-its-kid", _with(jwt(HEADER | {"kid": OTHER.kid}, PAYLOAD, CREDENTIAL)), "signature"),
        _bad(
            "key-of-another-purpose",
            _with(jwt(HEADER | {"kid": STATUS.kid}, PAYLOAD, STATUS)),
            "signature",
            strict=True,
        ),
        _bad("signature-upper-half", _signature(high_s(SIGNATURE)), "signature", strict=True),
        _bad("signature-r-zero", _signature(bytes(32) + SIGNATURE[32:]), "signature"),
        _bad("signature-s-zero", _signature(SIGNATURE[:32] + bytes(32)), "signature"),
        _bad("signature-all-zero", _signature(bytes(64)), "signature"),
        _bad("signature-r-is-order", _signature(n + SIGNATURE[32:]), "signature"),
        _bad("signature-s-is-order", _signature(SIGNATURE[:32] + n), "signature"),
        _bad("signature-of-63-bytes", _signature(SIGNATURE[:63]), "credential.signature"),
        _bad("signature-of-65-bytes", _signature(SIGNATURE + b"\0"), "credential.signature"),
        _bad("signature-empty", _with(f"{SIGNED}."), "credential.signature"),
        _bad(
            "signature-by-hmac-with-public-key",
            _with(f"{hmac_header}.{payload}.{base64url.encode(mac)}"),
            "credential.header",
        ),
    ]


def _headers() -> list[dict[str, Any]]:
    none = base64url.encode(b'{"alg":"none","typ":"dc+sd-jwt"}')

    def header(name: str, changed: dict[str, Any], *, strict: bool = True) -> dict[str, Any]:
        return _bad(name, _with(jwt(changed, PAYLOAD)), "credential.header", strict=strict)

    return [
        _bad("alg-none", _with(f"{none}.{SIGNED.split('.')[1]}."), "credential.header"),
        header("alg-none-but-signed", HEADER | {"alg": "none"}, strict=False),
        header("alg-lower-case", HEADER | {"alg": "es256"}, strict=False),
        header("wrong-typ", HEADER | {"typ": "JWT"}, strict=False),
        header("wrong-typ-of-a-status-list", HEADER | {"typ": "statuslist+jwt"}, strict=False),
        header("no-typ", {"alg": "ES256", "kid": CREDENTIAL.kid}, strict=False),
        header("no-kid", {"alg": "ES256", "typ": "dc+sd-jwt"}, strict=False),
        header("kid-a-number", HEADER | {"kid": 12345678901}, strict=False),
        header("kid-not-base64url", HEADER | {"kid": "../../../../a"}, strict=False),
        header("header-with-jwk", HEADER | {"jwk": OTHER.public.jwk()}),
        header("header-with-jku", HEADER | {"jku": "https://elsewhere.example.test/jwks.json"}),
        header("header-with-x5c", HEADER | {"x5c": ["MIIB"]}),
        header("header-with-x5u", HEADER | {"x5u": "https://elsewhere.example.test/a.pem"}),
        header("header-with-crit", HEADER | {"crit": ["exp"], "exp": 1}, strict=False),
        header("header-with-another-member", HEADER | {"cty": "json"}),
        header("header-a-list", ["ES256"], strict=False),
    ]


def _payloads() -> list[dict[str, Any]]:
    def payload(name: str, refused: str, **changes: Any) -> dict[str, Any]:
        return _bad(name, _with(jwt(HEADER, PAYLOAD | changes)), refused, strict=True)

    def without(member: str, refused: str) -> dict[str, Any]:
        kept = {name: value for name, value in PAYLOAD.items() if name != member}
        return _bad(f"no-{member.replace('_', '-').strip('-')}", _with(jwt(HEADER, kept)), refused, strict=True)

    status = {"idx": 4711, "uri": f"{ISSUER}/status/0"}
    claims, other = "credential.claims", identifier.build(TYPE, AUTHORITY, "0123456789ABCDEFGHJK", 2)
    return [
        *(without(member, claims) for member in ("iss", "vct", "iat", "identifier", "version", "issued_on", "valid_until", "origin")),
        without("status", "credential.status"),
        without("_sd", "credential.disclosures"),
        without("_sd_alg", "credential.disclosures"),
        payload("iss-not-an-address", claims, iss="hub.example.test"),
        payload("iss-with-trailing-slash", claims, iss=f"{ISSUER}/"),
        payload("iat-a-string", claims, iat="1767225600"),
        payload("iat-true", claims, iat=True),
        payload("version-true", claims, version=True),
        payload("identifier-of-another-version", claims, identifier=other),
        payload("identifier-with-wrong-check", "identifier.check", identifier=SIMPLE.identifier[:-1] + ("0" if SIMPLE.identifier[-1] != "0" else "1")),
        payload("vct-of-another-type", claims, vct="urn:hub:type:11100000000013338W032:1"),
        payload("vct-edition-zero", claims, vct=f"urn:hub:type:{TYPE}:0"),
        payload("date-impossible", claims, issued_on="2026-02-30"),
        payload("date-without-dashes", claims, issued_on="20260101"),
        payload("valid-until-empty", claims, valid_until=""),
        payload("origin-unknown", claims, origin="copied"),
        payload("status-of-another-host", "credential.status", status={"status_list": status | {"uri": "https://elsewhere.example.test/status/0"}}),
        payload("status-uri-only-a-number", "credential.status", status={"status_list": status | {"uri": "0"}}),
        payload("status-list-not-canonical", "credential.status", status={"status_list": status | {"uri": f"{ISSUER}/status/00"}}),
        payload("status-index-too-large", "credential.status", status={"status_list": status | {"idx": 131_072}}),
        payload("status-index-negative", "credential.status", status={"status_list": status | {"idx": -1}}),
        payload("status-index-a-string", "credential.status", status={"status_list": status | {"idx": "4711"}}),
        payload("sd-alg-unknown", "credential.disclosures", _sd_alg="sha-512"),
        payload("sd-with-a-digest-twice", "credential.disclosures", _sd=[PAYLOAD["_sd"][0]] * 2),
        payload("sd-digest-in-both-places", "credential.disclosures", fields={"_sd": [*PAYLOAD["fields"]["_sd"], PAYLOAD["_sd"][0]]}),
        payload("sd-not-a-list", "credential.disclosures", _sd="abc"),
        payload("sd-elsewhere", "credential.disclosures", extra={"_sd": []}),
        payload("fields-with-a-plain-value", "credential.disclosures", fields=PAYLOAD["fields"] | {"post": "x"}),
    ]  # fmt: skip


def _json() -> list[dict[str, Any]]:
    text = base64url.decode(SIGNED.split(".")[1], "payload")

    def json(name: str, changed: bytes) -> dict[str, Any]:
        return _bad(name, _with(jwt(HEADER, changed)), "credential.payload", strict=True)

    origin = b'"origin":"issued"'
    deep = b'"origin":' + b"[" * 20_000 + b"]" * 20_000
    header = compact_json.encode(HEADER)
    return [
        json("duplicate-key", text.replace(origin, b'"origin":"collected",' + origin)),
        json("duplicate-key-nested", text.replace(b'"idx":4711', b'"idx":1,"idx":4711')),
        json("json-with-spaces", text.replace(origin, b'"origin": "issued"')),
        json("json-with-needless-escape", text.replace(origin, b'"origin":"\\u0069ssued"')),
        json("json-with-lone-surrogate", text.replace(origin, b'"origin":"issued","x":"\\ud800"')),
        json("json-with-byte-order-mark", b"\xef\xbb\xbf" + text),
        json("json-with-a-fraction", text.replace(b'"version":1', b'"version":1.0')),
        json("json-with-an-exponent", text.replace(b'"version":1', b'"version":1e0')),
        json("json-with-nan", text.replace(b'"version":1', b'"version":NaN')),
        json("json-with-minus-zero", text.replace(b'"version":1', b'"version":-0')),
        json("json-with-huge-integer", text.replace(b'"version":1', b'"version":' + b"9" * 5000)),
        json("json-beyond-2-to-53", text.replace(b'"version":1', b'"version":9007199254740992')),
        json("json-deep", text.replace(origin, deep)),
        json("json-not-utf-8", text.replace(origin, b'"origin":"issued\xff"')),
        json("json-cut-off", text[:-1]),
        json("json-with-trailing-text", text + b"{}"),
        json("json-a-list", b"[]"),
        _bad("duplicate-key-in-header", _with(jwt(header.replace(b'"kid"', b'"alg":"ES256","kid"'), PAYLOAD)), "credential.header", strict=True),
    ]  # fmt: skip


def _disclosures() -> list[dict[str, Any]]:
    first, second, third = DISCLOSURES[:3]
    disclosures = "credential.disclosures"

    def shown(
        name: str, *texts: str, refused: str = "credential.disclosure_unknown", strict: bool = False
    ) -> dict[str, Any]:
        return _bad(name, "~".join((JWT, *texts, "")), refused, strict=True)

    def promised(name: str, content: Any, refused: str = disclosures, place: str = "fields") -> dict[str, Any]:
        """Sign a payload that does promise this disclosure, so that only its content is wrong."""
        raw = content if isinstance(content, bytes) else compact_json.encode(content)
        text = base64url.encode(raw)
        digest = base64url.encode(hashlib.sha256(text.encode()).digest())
        payload = dict(PAYLOAD)
        if place == "fields":
            payload["fields"] = {"_sd": [*PAYLOAD["fields"]["_sd"], digest]}
        else:
            payload["_sd"] = [PAYLOAD["_sd"][0], digest]
        return _bad(name, f"{jwt(HEADER, payload)}~{text}~", refused, strict=True)

    salt = "AAAAAAAAAAAAAAAAAAAAAA"
    altered = base64url.encode(base64url.decode(first, "").replace("闽A".encode(), "闽B".encode()))
    people = {"name": "林小满", "id_type": "111", "id_number": "35010219900307283X"}
    changes: list[Callable[[], dict[str, Any]]] = [
        lambda: shown("disclosure-altered", altered, second),
        lambda: shown("disclosure-unknown", *DISCLOSURES, base64url.encode(compact_json.encode([salt, "grade", "A"]))),
        lambda: shown("disclosure-twice", first, second, first, refused=disclosures),
        lambda: shown("disclosure-of-another-credential", *_made(BARE, "without-fields")[0].disclosures),
        lambda: shown("disclosure-empty", first, "", second),
        lambda: shown("disclosure-with-padding", f"{third}=="),
        lambda: promised("disclosure-of-two-elements", [salt, "x"]),
        lambda: promised("disclosure-of-four-elements", [salt, "grade", "A", "B"]),
        lambda: promised("disclosure-an-object", {"salt": salt}),
        lambda: promised("disclosure-named-sd", [salt, "_sd", []]),
        lambda: promised("disclosure-named-dots", [salt, "...", "x"]),
        lambda: promised("disclosure-name-not-a-word", [salt, "Größe", "x"]),
        lambda: promised("disclosure-holding-digests", [salt, "grade", {"_sd": []}]),
        lambda: promised("disclosure-holding-an-array-digest", [salt, "grade", [{"...": "x"}]]),
        lambda: promised("disclosure-with-a-fraction", b'["' + salt.encode() + b'","grade",1.5]'),
        lambda: promised("disclosure-with-duplicate-key", b'["' + salt.encode() + b'","grade",{"a":1,"a":2}]'),
        lambda: promised("disclosure-salt-a-number", [1, "grade", "A"]),
        lambda: promised("field-among-people", [salt, "post", "x"], place="people"),
        lambda: promised("number-a-number", [salt, "number", 1], "credential.number", place="people"),
        lambda: promised("number-empty", [salt, "number", ""], "credential.number", place="people"),
        lambda: promised("holders-empty", [salt, "holders", []], "credential.holders", place="people"),
        lambda: promised("holders-an-object", [salt, "holders", people], "credential.holders", place="people"),
        lambda: promised("holders-with-another-member", [salt, "holders", [people | {"sex": "F"}]], "credential.holders", place="people"),
        lambda: promised("holders-with-a-null-name", [salt, "holders", [people | {"name": None}]], "credential.holders", place="people"),
    ]  # fmt: skip
    return [change() for change in changes]


def _shapes() -> list[dict[str, Any]]:
    loose = SIGNATURE_TEXT[:-1] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[SIGNATURE_TEXT[-1]]
    shape, alphabet = "credential.shape", "credential.base64url"
    return [
        _bad("empty", "", shape),
        _bad("a-plain-jwt", JWT, shape, strict=True),
        _bad("no-final-tilde", GOOD[:-1], shape),
        _bad("garbage-appended", f"{GOOD}x", shape),
        _bad("key-binding-appended", GOOD + jwt({"alg": "ES256", "typ": "kb+jwt"}, {"iat": 1}), shape, strict=True),
        _bad("two-parts", _with(SIGNED), shape),
        _bad("four-parts", _with(f"{JWT}.{SIGNATURE_TEXT}"), shape),
        _bad("line-feed-at-the-end", f"{GOOD}\n", shape, strict=True),
        _bad("space-in-front", f" {GOOD}", alphabet),
        _bad("base64-with-padding", _with(f"{JWT}=="), alphabet, strict=True),
        _bad("base64-with-plus", _with(f"{SIGNED}.+{SIGNATURE_TEXT[1:]}"), alphabet),
        _bad("base64-with-loose-bits", _with(f"{SIGNED}.{loose}"), alphabet, strict=True),
        _bad("not-ascii", f"{GOOD[:-1]}é~", alphabet, strict=True),
        _bad("too-large", _with("A" * 65_536), "credential.too_large"),
        _bad("too-many-disclosures", JWT + "~" + "e30~" * 300, "credential.disclosures"),
    ]  # fmt: skip

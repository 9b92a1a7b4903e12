"""Identifiers, codes, status lists and ledger leaves."""

import hashlib
import zlib
from datetime import date
from typing import Any

import cbor2
from credentials import GOOD as CREDENTIAL_TEXT
from credentials import SIMPLE
from fixed import AUTHORITY, CREDENTIAL, ISSUER, OTHER, STATUS, TYPE, flipped, jwt, loads

from signing import identifier, ledger_leaf, public_code, status
from signing.encoding import base64url

# zlib builds may deflate to other bytes, so the published list is fixed here and only what it says is compared.
LIST = "eNrt0DERAAAIBCBruRn9o9nCc4AIdAE8MwoAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA4lwXd9QE6"
LISTED = {0: 1, 1: 2, 2: 3, 3: 0, 4711: 1, 131_071: 3}
IAT = 1_767_225_600
INDEX_KEY = bytes(range(32))
SALT = bytes(range(16))


def _leaf_hash(data: bytes) -> str:
    """SHA-256 of 0x00 and the leaf, in hex (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\0" + data).hexdigest()


def identifiers() -> dict[str, Any]:
    """Rows 1 to 6 were found in public code of real systems; the seventh and eighth there have wrong checks."""
    found = [
        "11100000000013338W011.11430000006122244L.20230000403.001.U",
        "11100000000013338W011.11430000006122244L.20230000403.002.S",
        "11100000000013338W011.11110000000021135M.20230329701.003.Y",
        "11100000000013338W032.11220000013544541J.2430599.001.F",
        "11100000000013338W009.11330105002500287C.2025052201.002.0",
        "11100000MB03271699022.340100.000000016.001.9",
    ]
    good = [identifier.ROOT + tail for tail in found]
    good.append(identifier.build(TYPE, AUTHORITY, "0123456789ABCDEFGHJK", 1))
    bad = {
        "edited-sample": ("11100000000013661B006.113700000045046442.209FA4E88F9E4C878F3E9BED2CE7EA49.001.M", "check"),
        "demo-with-underscore": ("062301.1101101102.0624_001.001.U", "shape"),
        "wrong-check": (found[0][:-1] + "T", "check"),
        "check-missing": (found[0][:-2], "shape"),
        "check-lower-case": (found[0][:-1] + "u", "check"),
        "check-of-two": (found[0] + "U", "check"),
        "version-zero": ("11100000000013338W011.11430000006122244L.20230000403.000.0", "shape"),
        "version-of-two-digits": ("11100000000013338W011.11430000006122244L.20230000403.01.0", "shape"),
        "lower-case-serial": ("11100000000013338W011.11430000006122244L.abc.001.0", "shape"),
        "full-width-digits": ("11100000000013338W011.11430000006122244L.２０.001.0", "shape"),
        "serial-too-long": (f"11100000000013338W011.11430000006122244L.{'1' * 33}.001.0", "shape"),
        "line-feed-at-the-end": (found[0] + "\n", "check"),
        "neighbours-swapped": (found[0].replace("403", "430"), "check"),
    }
    return {
        "good": [
            {
                "identifier": text,
                "parts": {name: getattr(identifier.parse(text), name) for name in identifier.Identifier.__slots__},
            }
            for text in good
        ],
        "bad": [
            {"name": name, "identifier": identifier.ROOT + tail, "refused": f"identifier.{problem}"}
            for name, (tail, problem) in bad.items()
        ]
        + [{"name": "without-root", "identifier": found[0], "refused": "identifier.shape"}],
    }


def code_vectors() -> dict[str, Any]:
    typed = [
        "0X4T9M2K7PQR8VWZ", "0x4t-9m2k-7pqr-8vwz", "0X4T 9M2K 7PQR 8VWZ", "OX4T9M2K7PQR8VWZ", "IlL1000000000000",
        "０Ｘ４ｔ－９Ｍ２Ｋ\u30007PQR—8VWZ", "0X4T9M2K7PQR8VW", "0X4T9M2K7PQR8VWZ0", "UX4T9M2K7PQR8VWZ", "", "0X4T9M2K7PQR8VW!",
        "٠X4T9M2K7PQR8VWZ", "0" * 16 + "-" * 49,
    ]  # fmt: skip
    random = [bytes(10), b"\xff" * 10, bytes(range(10))]
    return {
        "made": [{"random": data.hex(), "code": (code := public_code.new_code(lambda _, data=data: data)), "printed": public_code.grouped(code)} for data in random],
        "typed": [{"typed": text, "code": public_code.read_code(text)} for text in typed],
    }  # fmt: skip


def status_vectors() -> dict[str, Any]:
    keys = [0, 1, 2, 131_071, 131_072, 131_073, 5_000_000_000, 2**62 + 12_345]
    places = [{"version_key": key, "list": place[0], "index": place[1]} for key in keys for place in [status.index_of(key, INDEX_KEY)]]  # fmt: skip
    uri = f"{ISSUER}/status/0"
    signed = status.signing_input(uri, LIST, IAT, STATUS.kid)
    token = status.assemble(signed, STATUS.sign(signed))
    return {
        "places": {"key": INDEX_KEY.hex(), "vectors": places},
        "good": [{"name": "simple", "token": token, "uri": uri, "iat": IAT, "exp": IAT + 86_400, "ttl": 900, "entries": LISTED}],
        "bad": _bad_tokens(token),
    }  # fmt: skip


def _bad_tokens(token: str) -> list[dict[str, Any]]:
    signed, _, signature = token.rpartition(".")
    header = {"alg": "ES256", "kid": STATUS.kid, "typ": "statuslist+jwt"}
    payload = loads(base64url.decode(signed.split(".")[1], "payload"))
    raw = base64url.decode(signature, "signature")
    none = base64url.encode(b'{"alg":"none","typ":"statuslist+jwt"}')
    entries = status.unpack(LIST, max_bytes=32_768)

    def changed(name: str, refused: str = "status.claims", **changes: Any) -> dict[str, Any]:
        return {"name": name, "token": jwt(header, payload | changes, STATUS), "refused": refused}

    def listing(name: str, data: bytes, refused: str = "status.lst") -> dict[str, Any]:
        return changed(name, refused, status_list={"bits": 2, "lst": base64url.encode(data)})

    return [
        {"name": "alg-none", "token": f"{none}.{signed.split('.')[1]}.", "refused": "status.header"},
        {"name": "wrong-typ", "token": jwt(header | {"typ": "JWT"}, payload, STATUS), "refused": "status.header"},
        {"name": "other-key", "token": jwt(header, payload, OTHER), "refused": "signature"},
        {"name": "key-of-another-purpose", "token": jwt(header | {"kid": CREDENTIAL.kid}, payload, CREDENTIAL), "refused": "signature"},
        {"name": "one-bit-signature", "token": f"{signed}.{base64url.encode(flipped(raw, 9))}", "refused": "signature"},
        {"name": "signature-of-63-bytes", "token": f"{signed}.{base64url.encode(raw[:63])}", "refused": "status.signature"},
        {"name": "kid-too-short", "token": jwt(header | {"kid": "AAAAAAAAAA"}, payload, STATUS), "refused": "status.header"},
        {"name": "header-with-jwk", "token": jwt(header | {"jwk": STATUS.public.jwk()}, payload, STATUS), "refused": "status.header"},
        {"name": "padded", "token": f"{token}==", "refused": "status.base64url"},
        {"name": "too-large", "token": "A" * 98_305, "refused": "status.too_large"},
        {"name": "two-parts", "token": signed, "refused": "status.shape"},
        changed("exp-before-iat", exp=IAT - 1),
        changed("exp-a-string", exp="1767312000"),
        changed("iat-true", iat=True),
        changed("iat-negative", iat=-1),
        changed("ttl-zero", ttl=0),
        changed("sub-not-a-list", sub=ISSUER),
        changed("sub-a-number", sub=1),
        changed("list-a-text", status_list=LIST),
        changed("list-with-another-member", status_list={"bits": 2, "lst": LIST, "aggregation_uri": ISSUER}),
        changed("bits-true", status_list={"bits": True, "lst": LIST}),
        changed("unknown-claim", aud="x"),
        changed("one-bit-entries", status_list={"bits": 1, "lst": LIST}),
        changed("lst-a-list", status_list={"bits": 2, "lst": [LIST]}),
        listing("lst-not-zlib", entries[:64]),
        listing("lst-too-short", zlib.compress(entries[:-1])),
        listing("lst-too-long", zlib.compress(entries + b"\0")),
        listing("lst-cut-off", zlib.compress(entries)[:-1]),
        listing("lst-with-trailing-bytes", zlib.compress(entries) + b"\0"),
        listing("lst-inflating-without-end", zlib.compress(bytes(8_000_000))),
    ]  # fmt: skip


def leaves() -> dict[str, Any]:
    def made(name: str, kind: int, effective_on: date, recorded_at_us: int, revision: int) -> dict[str, Any]:
        data = ledger_leaf.leaf(kind, SIMPLE.identifier, CREDENTIAL_TEXT, SALT, effective_on, recorded_at_us, revision)
        return {
            "name": name,
            "kind": kind,
            "identifier": SIMPLE.identifier,
            "credential": CREDENTIAL_TEXT,
            "salt": SALT.hex(),
            "effective_on": effective_on.isoformat(),
            "recorded_at_us": recorded_at_us,
            "revision": revision,
            "leaf": data.hex(),
            "leaf_hash": _leaf_hash(data),
        }

    good = [
        made("issued", 1, date(2026, 1, 1), 1_767_225_600_123_456, 1),
        made("revoked", 6, date(2026, 3, 15), 1_773_570_000_000_000, 2),
    ]
    whole = bytes.fromhex(good[0]["leaf"])
    content = cbor2.loads(whole)

    def changed(label: int, value: Any) -> str:
        return cbor2.dumps(content | {label: value}, canonical=True).hex()

    bad = {
        "format-version-2": (changed(1, 2), "leaf.labels"),
        "unknown-kind": (changed(2, 8), "leaf.kind"),
        "short-digest": (changed(3, bytes(31)), "leaf.claims"),
        "kind-a-text": (changed(2, "1"), "leaf.claims"),
        "digest-a-text": (changed(3, "x" * 32), "leaf.claims"),
        "short-credential-digest": (changed(4, bytes(31)), "leaf.claims"),
        "revision-negative": (changed(7, -1), "leaf.claims"),
        "revision-a-text": (changed(7, "1"), "leaf.claims"),
        "date-impossible": (changed(5, 20261301), "leaf.claims"),
        "negative-time": (changed(6, -1), "leaf.claims"),
        "unknown-label": (changed(8, 1), "leaf.labels"),
        "bytes-appended": ((whole + b"\0").hex(), "leaf.cbor"),
        "empty": ("", "leaf.cbor"),
    }
    return {
        "good": good,
        "bad": [{"name": name, "leaf": data, "refused": problem} for name, (data, problem) in bad.items()],
        "empty_leaf_hash": _leaf_hash(b""),
    }

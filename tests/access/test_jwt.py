"""The strict JWT parser: every forgery is refused with one of a few fixed messages, and nothing else is refused."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.access import jwt
from hub.domain.errors import Refusal
from signing.keys import ORDER

NOW = datetime(2026, 11, 24, 10, 0, 0, 500_000, tzinfo=UTC)
AT = int(NOW.timestamp())
HUB = "https://hub.example"
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
EXPECTED = jwt.Expected(
    types=frozenset({None, "JWT", "client-authentication+jwt"}),
    issuer="some-client",
    subject="some-client",
    audience=HUB,
    lifetime_s=120,
)
CLAIMS: dict[str, Any] = {
    "iss": "some-client",
    "sub": "some-client",
    "aud": HUB,
    "iat": AT,
    "exp": AT + 60,
    "jti": "one",
}
HEADER: dict[str, Any] = {"alg": "ES256", "typ": "JWT", "kid": "some-key"}


def part(content: bytes | object) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signature(text: str, key: ec.EllipticCurvePrivateKey = KEY, *, high: bool = False) -> str:
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    s = max(s, ORDER - s) if high else min(s, ORDER - s)
    return part(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def token(header: object = None, claims: object = None, key: ec.EllipticCurvePrivateKey = KEY, **kw: Any) -> str:
    text = f"{part(HEADER if header is None else header)}.{part(CLAIMS if claims is None else claims)}"
    return f"{text}.{signature(text, key, **kw)}"


def check(text: str, now: datetime = NOW, expected: jwt.Expected = EXPECTED) -> jwt.Unverified:
    read = jwt.read(text)
    jwt.check(read, KEY.public_key(), expected, now)
    return read


def refused(text: str, **kw: Any) -> str:
    with pytest.raises(Refusal) as error:
        check(text, **kw)
    return error.value.code


def claims(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (CLAIMS | changes).items() if value is not ...}


def header(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (HEADER | changes).items() if value is not ...}


# --- what is taken ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "good",
    [
        token(),
        token(header(typ=...)),
        token(header(typ="client-authentication+jwt")),
        token(header(kid=...)),
        token(header(x5t="thumbprint-names-no-key")),
        token(None, claims(aud=[HUB])),
        token(None, claims(nbf=AT - 5, more={"a": [1.5]})),
        token(None, claims(exp=AT + 120)),
        token(high=True),
        pyjwt.encode(CLAIMS, KEY, algorithm="ES256"),
    ],
)
def test_good_tokens_are_taken(good: str) -> None:
    read = check(good)
    assert (read.subject, read.jti, read.expires_at - read.issued_at) in {
        ("some-client", "one", 60),
        ("some-client", "one", 120),
    }


def test_only_the_holder_of_the_key_learns_that_a_token_has_expired() -> None:
    read = jwt.read(token(None, claims(iat=AT - 300, exp=AT - 200)))
    with pytest.raises(Refusal, match=r"auth\.invalid"):
        jwt.check(read, OTHER.public_key(), EXPECTED, NOW)
    with pytest.raises(Refusal, match=r"auth\.expired"):
        jwt.check(read, KEY.public_key(), EXPECTED, NOW)


# --- forgeries ----------------------------------------------------------------------------------------------------------


def unsigned(alg: str) -> str:
    return f"{part(header(alg=alg))}.{part(CLAIMS)}."


def with_public_key_as_secret(encoding: Encoding, form: PublicFormat) -> str:
    secret = KEY.public_key().public_bytes(encoding, form)
    text = f"{part(header(alg='HS256'))}.{part(CLAIMS)}"
    return f"{text}.{part(hmac.digest(secret, text.encode(), 'sha256'))}"


def duplicate(member: str, where: str) -> str:
    """A duplicate member: parsers that keep the first and the last one would disagree."""
    texts = {"header": json.dumps(HEADER), "claims": json.dumps(CLAIMS)}
    texts[where] = texts[where][:-1] + f", {member}}}"
    return token(texts["header"].encode(), texts["claims"].encode())


def embedded_key() -> str:
    numbers = OTHER.public_key().public_numbers()
    jwk = {
        "kty": "EC",
        "crv": "P-256",
        "x": part(numbers.x.to_bytes(32, "big")),
        "y": part(numbers.y.to_bytes(32, "big")),
    }
    return token(header(jwk=jwk), None, OTHER)


FORGERIES = {
    "none": unsigned("none"),
    "None": unsigned("None"),
    "none, signed": token(header(alg="none")),
    "public key as secret, PEM": with_public_key_as_secret(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "public key as secret, DER": with_public_key_as_secret(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "public key as secret, point": with_public_key_as_secret(Encoding.X962, PublicFormat.UncompressedPoint),
    "ES384": token(header(alg="ES384")),
    "es256": token(header(alg="es256")),
    "ES256K": token(header(alg="ES256K")),
    "no alg": token(header(alg=...)),
    "alg in a list": token(header(alg=["ES256"])),
    "another key": token(None, None, OTHER),
    "key in the header": embedded_key(),
    "jku": token(header(jku="https://evil.example/jwks.json")),
    "x5u": token(header(x5u="https://evil.example/c.pem")),
    "x5c": token(header(x5c=["MIIB"])),
    "crit": token(header(crit=["exp"])),
    "crit, empty": token(header(crit=[])),
    "b64": token(header(b64=False, crit=["b64"])),
    "b64, alone": token(header(b64=True)),
    "zip": token(header(zip="DEF")),
    "kid with a path": token(header(kid="../../etc/passwd")),
    "kid with SQL": token(header(kid="' OR 1=1 --")),
    "kid as a number": token(header(kid=1)),
    "kid null": token(header(kid=None)),
    "kid empty": token(header(kid="")),
    "kid with a newline": token(header(kid="some-key\n")),
    "typ of an access token": token(header(typ="at+jwt")),
    "typ with another case": token(header(typ="jwt")),
    "typ null": token(header(typ=None)),
    "typ as a list": token(header(typ=["JWT"])),
    "duplicate alg": duplicate('"alg": "ES256"', "header"),
    "duplicate sub": duplicate('"sub": "another-client"', "claims"),
    "duplicate exp": duplicate(f'"exp": {AT + 60}', "claims"),
    "duplicate within a claim": duplicate('"more": {"a": 1, "a": 1}', "claims"),
    "wrong aud": token(None, claims(aud="https://other.example")),
    "aud with a slash": token(None, claims(aud=HUB + "/")),
    "aud with the endpoint": token(None, claims(aud=HUB + "/oauth/token")),
    "aud among others": token(None, claims(aud=[HUB, "https://other.example"])),
    "aud twice": token(None, claims(aud=[HUB, HUB])),
    "aud empty": token(None, claims(aud=[])),
    "aud as an object": token(None, claims(aud={HUB: 1})),
    "aud in two lists": token(None, claims(aud=[[HUB]])),
    "wrong iss": token(None, claims(iss="another-client")),
    "iss as a list": token(None, claims(iss=["some-client"])),
    "wrong sub": token(None, claims(sub="another-client")),
    "sub as a number": token(None, claims(sub=7)),
    "sub empty": token(None, claims(sub="")),
    "jti as a number": token(None, claims(jti=7)),
    "jti empty": token(None, claims(jti="")),
    "jti very long": token(None, claims(jti="x" * 513)),
    "jti that is no text": token(None, json.dumps(claims(jti="@@")).replace("@@", "\\ud800").encode()),
    **{f"no {name}": token(None, claims(**{name: ...})) for name in CLAIMS},
    **{f"{name} null": token(None, claims(**{name: None})) for name in CLAIMS},
    "exp as a text": token(None, claims(exp=str(AT + 60))),
    "exp as a fraction": token(None, claims(exp=AT + 60.0)),
    "exp as true": token(None, claims(exp=True, iat=0)),
    "exp with an exponent": token(None, json.dumps(CLAIMS).replace(str(AT + 60), "1.9e9").encode()),
    "exp without end": token(None, json.dumps(CLAIMS).replace(str(AT + 60), "Infinity").encode()),
    "exp not a number": token(None, json.dumps(CLAIMS).replace(str(AT + 60), "NaN").encode()),
    "not a number, elsewhere": token(None, claims(more=float("nan"))),
    "exp of a hundred digits": token(None, claims(exp=10**100)),
    "exp below zero": token(None, claims(exp=-1, iat=-60)),
    "iat as a text": token(None, claims(iat=str(AT))),
    "iat as a fraction": token(None, claims(iat=AT + 0.5)),
    "iat as true": token(None, claims(iat=True)),
    "nbf as a text": token(None, claims(nbf=str(AT))),
    "nbf null": token(None, claims(nbf=None)),
    "ten years": token(None, claims(exp=AT + 10 * 365 * 86_400)),
    "one second too long": token(None, claims(exp=AT + 121)),
    "ends as it begins": token(None, claims(exp=AT, iat=AT)),
    "ends before it begins": token(None, claims(exp=AT + 10, iat=AT + 20)),
    "claims in a list": token(None, [CLAIMS]),
    "claims as a text": token(None, b'"claims"'),
    "header as a list": token([HEADER]),
    "not JSON": token(None, b"{"),
    "not UTF-8": token(None, b'{"iss": "\xff"}'),
    "a byte order mark": token(None, b"\xef\xbb\xbf" + json.dumps(CLAIMS).encode()),
    "nested a thousand deep": token(None, b"[" * 1400 + b"]" * 1400),
    "4097 characters": token(None, claims(pad="x" * 3000)),
    "huge": "a" * 5_000_000,
    "empty": "",
    "two parts": token().rpartition(".")[0],
    "four parts": token() + ".AAAA",
    "no signature": token().rpartition(".")[0] + ".",
    "padding": token() + "==",
    "white space": " " + token(),
    "newline": token() + "\n",
    "the other alphabet": token().replace("-", "+").replace("_", "/") + "/",
    "short signature": token()[:-2],
    "long signature": token() + "AA",
    "letters beyond ASCII": token() + "ａ",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgeries_are_invalid(name: str) -> None:
    with pytest.raises(Refusal) as error:
        check(FORGERIES[name])
    assert error.value.code == "auth.invalid"
    assert "client" not in error.value.detail


def test_a_signature_of_zeros_is_no_signature() -> None:
    text = token().rpartition(".")[0]
    for r, s in [(0, 0), (0, 1), (1, 0), (ORDER, ORDER), (ORDER, 1)]:
        assert refused(f"{text}.{part(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}") == "auth.invalid"


def test_a_second_spelling_of_the_same_bytes_is_refused() -> None:
    """64 bytes leave four unused bits in the last character: all their values would decode to the same bytes."""
    good = token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(good[-1])
    for unused in range(1, 16):
        assert refused(good[:-1] + alphabet[last | unused]) == "auth.invalid"


def test_a_key_on_another_curve_verifies_nothing() -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(Refusal, match=r"auth\.invalid"):
        jwt.check(jwt.read(token()), key.public_key(), EXPECTED, NOW)


@given(position=st.integers(0, len(token()) - 1), bit=st.integers(0, 6))
@settings(max_examples=300, deadline=None)
def test_one_changed_bit_is_refused(position: int, bit: int) -> None:
    good = token()
    position %= len(good)
    changed = good[:position] + chr(ord(good[position]) ^ 1 << bit) + good[position + 1 :]
    assert refused(changed) == "auth.invalid"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def outcome(text: str) -> str:
    try:
        check(text)
    except Refusal as refusal:
        return refusal.code
    return "taken"


@given(name=st.sampled_from(["iss", "sub", "aud", "jti"]), value=JSON_VALUES)
@settings(max_examples=300, deadline=None)
def test_no_value_of_a_claim_is_a_crash(name: str, value: Any) -> None:
    fits = name == "jti" and isinstance(value, str) and value != ""
    assert outcome(token(None, claims(**{name: value}))) == ("taken" if fits else "auth.invalid")


@given(name=st.sampled_from(["exp", "iat", "nbf"]), value=JSON_VALUES)
@settings(max_examples=300, deadline=None)
def test_no_value_of_a_time_is_a_crash(name: str, value: Any) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    wanted = {"taken", "auth.invalid", "auth.expired", "auth.clock_skew"} if whole else {"auth.invalid"}
    assert outcome(token(None, claims(**{name: value}))) in wanted


@given(name=st.sampled_from(["alg", "typ", "kid", "jku", "crit", "cty"]), value=JSON_VALUES)
@settings(max_examples=300, deadline=None)
def test_no_value_in_the_header_is_a_crash(name: str, value: Any) -> None:
    harmless = {"kid", "cty"} if isinstance(value, str) else {"cty"}
    assert outcome(token(header(**{name: value}))) == "auth.invalid" or name in harmless


@given(
    st.text(max_size=200)
    | st.from_regex(r"[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,90}", fullmatch=True)
)
@settings(max_examples=300, deadline=None)
def test_noise_is_invalid(text: str) -> None:
    assert refused(text) == "auth.invalid"


# --- times --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"iat": AT - 119, "exp": AT - 59}, None),
        ({"iat": AT - 120, "exp": AT - 60}, "auth.expired"),
        ({"iat": AT - 3600, "exp": AT - 3540}, "auth.expired"),
        ({"exp": AT - 3600}, "auth.expired"),
        ({"iat": 0, "exp": 1}, "auth.expired"),
        ({"iat": AT + 60, "exp": AT + 120}, None),
        ({"iat": AT + 61, "exp": AT + 121}, "auth.clock_skew"),
        ({"iat": AT + 3600, "exp": AT + 3660}, "auth.clock_skew"),
        ({"nbf": AT + 60}, None),
        ({"nbf": AT + 61}, "auth.clock_skew"),
        ({"iat": AT - 60, "exp": AT + 60}, None),
        ({"iat": AT - 61, "exp": AT + 60}, "auth.invalid"),
    ],
)
def test_clocks_may_differ_by_a_minute(changes: dict[str, int], code: str | None) -> None:
    text = token(None, claims(**changes))
    if code is None:
        check(text)
    else:
        assert refused(text) == code


def test_an_invalid_signature_reveals_nothing_about_times_or_audience() -> None:
    for changes in ({"exp": AT - 3600, "iat": AT - 3660}, {"iat": AT + 3600, "exp": AT + 3660}, {"aud": "x"}):
        with pytest.raises(Refusal) as error:
            check(token(None, claims(**changes), OTHER))
        assert (error.value.code, error.value.detail) == ("auth.invalid", "账号、密钥或签名不符")


def test_refusals_repeat_nothing() -> None:
    secret = hashlib.sha256(b"x").hexdigest()
    for text in (
        token(header(kid=secret + "!")),
        token(None, claims(jti=secret * 20)),
        token(None, claims(aud=secret)),
    ):
        with pytest.raises(Refusal) as error:
            check(text)
        assert secret not in f"{error.value.detail}{error.value}"

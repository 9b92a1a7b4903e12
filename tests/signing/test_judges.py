"""What the hub signs, verified by jose, @sd-jwt/* and Node's crypto."""

import json
from pathlib import Path
from typing import Any

from signing import status
from signing.keys import KeyFolder, Purpose
from tests.judges import judge_credentials, judge_digits, judge_status_lists
from tests.support.paths import VECTORS


def load(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


JWKS = {"keys": [record["jwk"] for record in load("keys")["keys"]]}


def test_good_credentials_are_accepted() -> None:
    vectors = load("credential")["good"]
    for vector, verdict in zip(vectors, judge_credentials(JWKS, [v["credential"] for v in vectors]), strict=True):
        assert verdict["accepted"], (vector["name"], verdict)
        payload, shown = verdict["payload"], vector["discloses"]
        assert (payload.get("number"), payload.get("holders")) == (shown["number"], shown["holders"])
        assert payload["fields"] == shown["fields"]
        assert not {"_sd", "_sd_alg"} & payload.keys()


def test_bad_credentials_are_refused() -> None:
    """Vectors marked strict break a rule of our format only, so a general library may accept them."""
    vectors = [vector for vector in load("credential")["bad"] if not vector["strict"]]
    assert len(vectors) > 25
    verdicts = judge_credentials(JWKS, [vector["credential"] for vector in vectors])
    accepted = [v["name"] for v, verdict in zip(vectors, verdicts, strict=True) if verdict["accepted"]]
    assert not accepted


def test_unknown_disclosures_reveal_nothing() -> None:
    """The package drops disclosures that our parser rejects: what it then shows must still be signed."""
    vectors = [vector for vector in load("credential")["bad"] if vector["refused"] == "credential.disclosure_unknown"]
    assert len(vectors) > 4
    issued = load("credential")["good"][0]["discloses"]
    for verdict in judge_credentials(JWKS, [vector["credential"] for vector in vectors]):
        if verdict["accepted"]:
            assert verdict["payload"].get("number", issued["number"]) == issued["number"]
            assert verdict["payload"]["fields"].items() <= issued["fields"].items()


def test_status_is_followed_from_the_credential_to_its_list(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path, b"x")
    key = folder.generate(Purpose.STATUS)
    vector = next(vector for vector in load("credential")["good"] if vector["name"] == "simple")
    uri = f"{vector['claims']['issuer']}/status/{vector['claims']['status_list']}"
    index, iat = vector["claims"]["status_index"], vector["claims"]["iat"]
    jwks = {"keys": [*JWKS["keys"], key.jwk()]}
    for value in status.Value:
        signed = status.signing_input(uri, status.build({index: value, index + 1: 3}), iat, key.kid)
        token = status.assemble(signed, folder.sign(key.kid, Purpose.STATUS, signed))
        fresh, stale = (
            judge_credentials(jwks, [vector["credential"]], {uri: token}, now=iat + age)[0] for age in (60, 90_000)
        )
        assert fresh["accepted"], fresh
        assert fresh["status"] == value
        assert not stale["accepted"]


def test_status_lists() -> None:
    vectors = load("status")
    good = vectors["good"][0]
    indexes = [int(index) for index in good["entries"]]
    verdict = judge_status_lists(JWKS, [{"token": good["token"], "indexes": indexes}])[0]
    assert verdict["accepted"], verdict
    assert verdict["values"] == list(good["entries"].values())
    assert {name: verdict["claims"][name] for name in ("iat", "exp", "ttl")} == {
        name: good[name] for name in ("iat", "exp", "ttl")
    }
    assert verdict["claims"]["sub"] == good["uri"]
    names = {"alg-none", "other-key", "one-bit-signature", "wrong-typ", "lst-not-zlib", "two-parts"}
    bad = [vector for vector in vectors["bad"] if vector["name"] in names]
    assert len(bad) == len(names)
    verdicts = judge_status_lists(JWKS, [{"token": vector["token"], "indexes": [0]} for vector in bad])
    assert not [v["name"] for v, verdict in zip(bad, verdicts, strict=True) if verdict["accepted"]]


def test_digits() -> None:
    vectors = load("qr")
    good = judge_digits(JWKS, [{"code": v["code"], "digits": v["digits"]} for v in vectors["good"]])
    for vector, verdict in zip(vectors["good"], good, strict=True):
        assert verdict["accepted"], (vector["name"], verdict)
        assert verdict["face"]["3"] == vector["face"]["holders"]
        assert verdict["face"]["7"] == [vector["face"]["status_list"], vector["face"]["status_index"]]
    bad = [vector for vector in vectors["bad"] if not vector["strict"]]
    assert len(bad) > 20
    verdicts = judge_digits(JWKS, [{"code": v["code"], "digits": v["digits"]} for v in bad])
    accepted = [v["name"] for v, verdict in zip(bad, verdicts, strict=True) if verdict["accepted"]]
    assert not accepted

"""The cost of a certificate: limits far above the measured values, to detect a change of kind rather than of
machine."""

import time
from collections.abc import Callable
from datetime import date

import pytest

from signing import credential, identifier, ledger_leaf, public_code, qr, status
from signing.keys import KeyFolder, Purpose

TYPE, AUTHORITY = "11100000000013338W011", "11430000006122244L"
IDENTIFIER = identifier.build(TYPE, AUTHORITY, identifier.new_serial(), 1)
DAY = date(2026, 1, 1)
CLAIMS = credential.Claims(
    "http://127.0.0.1:8080", TYPE, 1, 1_767_225_600, IDENTIFIER, 1, AUTHORITY, DAY, DAY, None, "issued", 0, 77, "闽A01",
    (credential.Holder("林小满", "111", "35010219900307283X"),), {f"field_{place}": "安全生产" for place in range(13)},
)  # fmt: skip
FACE = qr.Face(IDENTIFIER, "闽A0*", ("林*满",), DAY, DAY, None, 0, 77)


def cost_us(work: Callable[[], object], turns: int = 200) -> float:
    """The lowest CPU time of seven rounds, in µs per operation."""
    rounds = []
    for _ in range(7):
        started = time.process_time()
        for _ in range(turns):
            work()
        rounds.append((time.process_time() - started) / turns * 1e6)
    return min(rounds)


@pytest.mark.parametrize(
    ("name", "bound_us"),
    [
        ("credential", 1000), ("digits", 480), ("sign", 400), ("read credential", 1600), ("read digits", 320),
        ("place", 200), ("leaf", 100),
    ],
)  # fmt: skip
def test_cost(name: str, bound_us: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = KeyFolder(tmp_path_factory.mktemp("keys"), b"x")
    kid = folder.generate(Purpose.CREDENTIAL).kid
    code, signature = public_code.new_code(), b"\1" * 64
    text = credential.assemble(credential.prepare(CLAIMS, kid), signature)
    digits = qr.assemble(qr.prepare(FACE, code, kid), signature)
    work: dict[str, Callable[[], object]] = {
        "credential": lambda: credential.assemble(credential.prepare(CLAIMS, kid), signature),
        "digits": lambda: qr.assemble(qr.prepare(FACE, code, kid), signature),
        "sign": lambda: folder.sign(kid, Purpose.CREDENTIAL, b"x" * 1000),
        "read credential": lambda: credential.read(text),
        "read digits": lambda: qr.read(digits),
        "place": lambda: status.index_of(123_456_789, bytes(32)),
        "leaf": lambda: ledger_leaf.leaf(1, IDENTIFIER, text, bytes(16), DAY, 1, 1),
    }
    spent = cost_us(work[name])
    print(f"{name}: {spent:.0f} µs")
    assert spent < bound_us

"""Status lists beyond the vectors: the published examples, and the permutation of indexes."""

import zlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing import status
from signing.encoding import base64url
from signing.errors import Malformed
from tests.support.status_places import version_key_of

# Token Status List, appendix "Test vectors for Status List encoding": lists of 2^20 entries.
ONE_BIT = (
    "eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogEAAKkeCQAAAAAAAAAAAAAAAAAAAIBylgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAXG9IAAAAAAAAAPwsJAAAAAAAAAAAAAAAvhsSAAAAAAAAAAAA7KpLAAAAAAAAAAAAAAAAAAAAAJsLCQAAAAAAAAAAADje"
    "lAAAAAAAAAAAKjDMAQAAAACAZC8L2AEb"
)
TWO_BITS = (
    "eNrt2zENACEQAEEuoaBABP5VIO01fCjIHTMStt9ovGVIAAAAAABAbiEBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEB5WwIAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAID0ugQAAAAA"
    "AAAAAAAAAAAAQG12SgAAAAAAAAAAAAAAAAAAAAAAAAAAAOCSIQEAAAAAAAAAAAAAAAAAAAAAAAD8ExIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAwJEuAQAAAAAAAAAAAAAAAAAAAAAAAMB9SwIAAAAAAAAAAAAAAAAAAACoYUoAAAAAAAAAAAAAAEBqH81gAQw"
)
SET = (0, 1993, 25_460, 159_495, 495_669, 554_353, 645_645, 723_232, 854_545, 934_534, 1_000_345)
EXAMPLES = [
    (ONE_BIT, 1, dict.fromkeys(SET, 1)),
    (TWO_BITS, 2, dict(zip(SET, (1, 2, 1, 3, 1, 1, 2, 1, 1, 2, 3), strict=True))),
]
KEY = bytes(range(32))


@pytest.mark.parametrize(("lst", "bits", "entries"), EXAMPLES, ids=["1 bit", "2 bits"])
def test_published_lists(lst: str, bits: int, entries: dict[int, int]) -> None:
    unpacked = status.unpack(lst, max_bytes=1 << 20)
    assert len(unpacked) == (1 << 20) * bits // 8
    assert {index: status.value_in(unpacked, index, bits=bits) for index in SET} == entries
    assert sum(bin(byte).count("1") for byte in unpacked) == sum(bin(value).count("1") for value in entries.values())
    packed = status.pack(entries, bits=bits, entries=1 << 20)
    assert status.unpack(packed, max_bytes=1 << 20) == unpacked
    if "ng" not in zlib.ZLIB_RUNTIME_VERSION:  # other deflaters choose other bytes for the same list
        assert packed == lst


def test_short_published_lists() -> None:
    # Token Status List §4.1 and §4.2: b9 a3 and c9 44 f9.
    assert status.unpack("eNrbuRgAAhcBXQ", max_bytes=2).hex() == "b9a3"
    assert status.unpack("eNo76fITAAPfAgc", max_bytes=3).hex() == "c944f9"
    bits = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]
    assert [status.value_in(b"\xb9\xa3", index, bits=1) for index in range(16)] == bits
    pairs = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]
    assert [status.value_in(b"\xc9\x44\xf9", index, bits=2) for index in range(12)] == pairs


@pytest.mark.slow
def test_places_of_a_whole_list_are_a_permutation() -> None:
    assert len({status.index_of(key, KEY) for key in range(status.ENTRIES)}) == status.ENTRIES


def test_places_are_never_shared() -> None:
    keys = [*range(3000), *range(status.ENTRIES - 1000, status.ENTRIES + 1000), *range(5 << 17, (5 << 17) + 1000)]
    places = [status.index_of(key, KEY) for key in keys]
    assert len(set(places)) == len(keys)
    assert [version_key_of(*place, KEY) for place in places] == keys
    assert {place[0] for place in places} == {0, 1, 5}


@settings(max_examples=200, deadline=None)
@given(version_key=st.integers(0, 2**63 - 1), key=st.binary(min_size=16, max_size=32))
def test_a_place_leads_back_to_its_version(version_key: int, key: bytes) -> None:
    number, index = status.index_of(version_key, key)
    assert (number, 0 <= index < status.ENTRIES) == (version_key >> 17, True)
    assert version_key_of(number, index, key) == version_key


def test_neighbours_are_scattered_and_keys_and_lists_differ() -> None:
    first = [status.index_of(key, KEY)[1] for key in range(200)]
    steps = {abs(one - two) for one, two in pairwise(first)}
    assert len(steps) > 190
    assert min(sum(index < status.ENTRIES // 2 for index in first), sum(index >= status.ENTRIES // 2 for index in first)) > 60  # fmt: skip
    assert first != [status.index_of(key, bytes(32))[1] for key in range(200)]
    assert first != [status.index_of((1 << 17) + key, KEY)[1] for key in range(200)]


@pytest.mark.parametrize("index", [-1, 131_072, 2**40])
def test_places_outside_a_list(index: int) -> None:
    with pytest.raises(Malformed):
        status.build({index: 1})
    signed = status.signing_input("http://127.0.0.1:8080/status/0", status.build({}), 1_767_225_600, "AAAAAAAAAAA")
    token = status.read(status.assemble(signed, bytes(64)))
    with pytest.raises(Malformed):
        status.value(token, index)


@pytest.mark.parametrize("version_key", [-1, 2**63])
def test_version_keys_have_63_bits(version_key: int) -> None:
    with pytest.raises(Malformed):
        status.index_of(version_key, KEY)


def test_values_have_two_bits() -> None:
    with pytest.raises(Malformed):
        status.build({0: 4})
    with pytest.raises(Malformed):
        status.build({0: -1})


def test_the_fullest_list_fits() -> None:
    import random

    dice = random.Random(1)
    values = {index: dice.randrange(4) for index in range(status.ENTRIES)}
    uri = "https://" + "h" * 380 + "/status/35184372088831"
    signed = status.signing_input(uri, status.build(values), 1_767_225_600, "AAAAAAAAAAA")
    token = status.assemble(signed, bytes(64))
    assert len(token) < status.MAX_BYTES
    read = status.read(token)
    assert all(status.value(read, index) == values[index] for index in range(0, status.ENTRIES, 997))


def test_what_could_not_be_read_is_not_made() -> None:
    lst = status.build({})
    for uri in ("", "http://h/status/01", "http://h/list/1", "ftp://h/status/1", f"http://{'h' * 500}/status/1"):
        with pytest.raises(Malformed):
            status.signing_input(uri, lst, 1, "AAAAAAAAAAA")
    with pytest.raises(Malformed):
        status.signing_input("http://h/status/1", lst, 1, "A")
    with pytest.raises(Malformed):
        status.assemble(b"a.b", bytes(63))


def test_tokens_are_read_as_bytes_too() -> None:
    signed = status.signing_input("http://h/status/1", status.build({}), 1, "AAAAAAAAAAA")
    token = status.assemble(signed, bytes(64))
    assert status.read(token.encode()) == status.read(token)
    assert status.read(token).signing_input == signed


def test_inflating_stops_at_the_limit() -> None:
    bomb = base64url.encode(zlib.compress(bytes(50_000_000), 9))
    with pytest.raises(Malformed):
        status.unpack(bomb, max_bytes=32_768)


def test_many_places_at_once_are_those_of_each() -> None:
    for number in (0, 7, status.LISTS - 1):
        first = number << status.INDEX_BITS
        keys = [first + low for low in (0, 1, 511, 512, 4711, 131_071)]
        assert status.indexes_of(keys, number, b"k" * 32) == [status.index_of(key, b"k" * 32)[1] for key in keys]
        everything = status.indexes_of(range(first, first + status.ENTRIES), number, b"k" * 32)
        assert len(set(everything)) == status.ENTRIES
    with pytest.raises(Malformed):
        status.indexes_of([1 << 17], 0, b"k" * 32)

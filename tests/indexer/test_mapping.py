"""An entry as the JSON document that is sent to Elasticsearch, written by hand and read back by a JSON parser."""

import json
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.elastic import mapping
from indexer.entry import Entry

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
OF_TYPE = {int: st.integers(0, 2**63 - 1), bool: st.booleans(), str: TEXT}
ENTRIES = st.builds(Entry, **{name: OF_TYPE[kind] for name, kind in get_type_hints(Entry).items()})


@given(ENTRIES)
def test_a_document_is_read_back_as_its_entry(entry: Entry) -> None:
    assert mapping.entry_of(json.loads(mapping.document(entry))) == entry


@pytest.mark.parametrize("text", ['"', "\\", "\n", "\x00", "\x1f", "\x7f", "\u2028", "𤩽", '福"州\\', "</script>"])
def test_characters_that_json_escapes(text: str) -> None:
    entry = Entry(*[text if kind is str else kind(1) for kind in get_type_hints(Entry).values()])
    assert mapping.entry_of(json.loads(mapping.document(entry))) == entry


@given(ENTRIES)
def test_a_document_has_only_mapped_fields(entry: Entry) -> None:
    assert json.loads(mapping.document(entry)).keys() <= mapping.PROPERTIES.keys()

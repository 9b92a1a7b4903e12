"""The row types have exactly the columns of their tables, in the same order."""

import pytest

from hub.db.tables import metadata
from hub.store import rows

TYPES = {
    "parties": rows.PartyRow,
    "blind_index": rows.BlindRow,
    "handles": rows.HandleRow,
    "cases": rows.CaseRow,
    "case_numbers": rows.CaseNumberRow,
    "pushes": rows.PushRow,
    "intents": rows.IntentRow,
    "successions": rows.SuccessionRow,
    "certificates": rows.CertificateRow,
    "versions": rows.VersionRow,
    "holdings": rows.HoldingRow,
    "acts": rows.ActRow,
    "outbox": rows.OutboxRow,
    "audit": rows.AuditRow,
}


@pytest.mark.parametrize("table", TYPES)
def test_a_row_has_the_columns_of_its_table(table: str) -> None:
    assert TYPES[table]._fields == tuple(column.name for column in metadata.tables[table].columns)


@pytest.mark.parametrize("table", TYPES)
def test_a_field_that_may_be_none_is_a_column_that_may_be_null(table: str) -> None:
    optional = {
        name for name, kind in TYPES[table].__annotations__.items() if type(None) in getattr(kind, "__args__", ())
    }
    assert optional == {column.name for column in metadata.tables[table].columns if column.nullable}


def test_no_type_is_left_out() -> None:
    made = {kind for name, kind in vars(rows).items() if name.endswith("Row")}
    assert made == set(TYPES.values())

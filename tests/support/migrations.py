"""Make a migration from what changed in `hub/db/tables.py`, and compare the tables with what the migrations make.

    .venv/bin/python -m tests.support.migrations "what it changes"

writes the next file of `hub/db/migrations/versions` from a new embedded database. Read it before you commit it.
"""

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from hub.db import schema
from hub.db.postgres_server import Address
from hub.db.tables import metadata


def new_migration(place: Path | Address, message: str) -> None:
    """Write a migration from the difference between a migrated database and `tables.py`."""
    number = schema._numbers(schema.HEAD)[0]
    name = f"{number + 1:04}_{number:04}"
    with schema._connection(place) as connection:
        command.revision(schema._config(connection), message=message, autogenerate=True, rev_id=name)


def differences(place: Path | Address) -> list[object]:
    """How a migrated database differs from `tables.py`."""
    with schema._connection(place) as connection:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "hub.db"
        schema.migrate(database)
        new_migration(database, sys.argv[1])

"""A future release: this one with more migrations, for testing this release next to it.

    python -m tests.support.later_release MIGRATIONS HEAD COMMAND...

runs a `hub` command of it. KILLED: the table after whose change it is killed; PATIENCE_S: how long a migration tries.
"""

import os
import shutil
import sys
from pathlib import Path

from hub.db import schema

_NEWEST = schema._numbers(schema.HEAD)[0]
COLUMN, INDEX = f"{_NEWEST + 1:04}_0001", f"{_NEWEST + 2:04}_0001"
INCOMPATIBLE = f"{_NEWEST + 3:04}"
_REVISION = '''"""{title}."""

import os
import signal

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
{body}
'''
_COLUMN = """\
    for table in ("certificates", "versions", "cases", "documents"):
        op.add_column(table, sa.Column("note", sa.SmallInteger(), nullable=True))
        if os.environ.get("KILLED") == table:
            os.kill(os.getpid(), signal.SIGKILL)
"""
_INDEX = """\
    if op.get_bind().dialect.name == "sqlite":
        op.create_index("certificates_note", "certificates", ["note"])
        return
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS certificates_note")
        op.create_index("certificates_note", "certificates", ["note"], postgresql_concurrently=True)
"""


def make(folder: Path, head: str = INDEX) -> Path:
    """The migrations of a release whose newest one is `head`."""
    shutil.copytree(schema._MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    before = schema.HEAD
    for revision, title, body in (
        (COLUMN, "Columns that may be empty", _COLUMN),
        (INDEX, "An index", _INDEX),
        (INCOMPATIBLE, "Something that releases before cannot work on", "    pass\n"),
    ):
        text = _REVISION.format(title=title, revision=revision, before=before, body=body)
        (folder / "versions" / f"{revision}.py").write_text(text, encoding="utf-8")
        before = revision
        if revision == head:
            break
    return folder


def be(folder: Path, head: str) -> None:
    """Turn this process into that release."""
    schema._MIGRATIONS, schema.HEAD = folder, head


if __name__ == "__main__":
    be(Path(sys.argv[1]), sys.argv[2])
    schema.PATIENCE_S = float(os.environ.get("PATIENCE_S", schema.PATIENCE_S))
    del sys.argv[1:3]
    from hub.cli import main

    main()

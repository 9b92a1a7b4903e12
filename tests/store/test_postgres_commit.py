"""A commit on PostgreSQL whose connection is cut: the server completes it, but no client gets the result."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hub.db import postgres_pool
from hub.db.database import DatabaseUnavailable
from hub.db.postgres import PostgresDatabase
from hub.keys.generate import KeyRequest
from hub.store import certificates, documents
from hub.store import keys as key_store
from hub.store.documents import DocumentKey
from signing.keys import Purpose
from tests.ops.test_serve import wait_for
from tests.support import city as c
from tests.support import engines, postgres
from tests.support.city import City, open_copy

CONTENT = b"%PDF-1.7 of a commit"
LINGERING = """
CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER lingering AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION linger();
"""
COMMITTING = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND state = 'active' AND query = 'COMMIT'"


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    postgres.require()
    c.load_city(tmp_path / "template", engines.POSTGRESQL)
    with open_copy(tmp_path / "template", tmp_path / "data") as found:
        yield found
        with postgres.shared().connect(engines.name_of(found.parts.settings)) as owner:
            owner.execute("DROP FUNCTION IF EXISTS linger CASCADE")


def cut_in_commit(city: City, table: str, seconds: float, work: Callable[[], object]) -> None:
    """Call work that inserts into a table; its COMMIT takes a while, and the client does not wait for it."""
    database, name = city.parts.database, engines.name_of(city.parts.settings)
    assert isinstance(database, PostgresDatabase)
    with postgres.shared().connect(name) as owner, ThreadPoolExecutor(1) as pool:
        owner.execute(LINGERING.format(table=table, seconds=seconds))
        working = pool.submit(work)
        wait_for(lambda: owner.execute(COMMITTING, [name]).fetchone() is not None)
        for connection in list(database._connections.watch.busy):
            postgres_pool._cut(connection)
        with pytest.raises(DatabaseUnavailable):
            working.result()


def test_a_document_whose_commit_is_not_answered_keeps_its_file(city: City) -> None:
    """A reader that checks immediately whether the row exists does not see it yet."""
    parts, reader = city.parts, city.parts.database.reader
    home, certificate = certificates.walk(reader, (-1, -1), 1)[0]
    key = DocumentKey(home, certificate, 1)
    cut_in_commit(city, "documents", 1.5, lambda: parts.documents.keep(key, CONTENT, city.clock.now()))
    assert documents.find(reader, key) is None
    wait_for(lambda: documents.find(reader, key) is not None)
    found = documents.find(reader, key)
    assert found is not None
    assert parts.documents.read(found) == CONTENT


@pytest.mark.parametrize("seconds", [0.5, 2.5])
def test_a_key_whose_commit_is_not_answered_keeps_its_file(city: City, seconds: float) -> None:
    """Without the file nothing could be signed; the commit ends before or after the client stops waiting."""
    parts = city.parts
    before = parts.keyring.active(Purpose.CREDENTIAL).kid
    cut_in_commit(city, "signing_keys", seconds, lambda: parts.signing_keys.replace(KeyRequest(Purpose.CREDENTIAL)))
    wait_for(lambda: key_store.active_kid(parts.database.reader, Purpose.CREDENTIAL) != before)
    parts.keyring.refresh()
    made = parts.keyring.active(Purpose.CREDENTIAL).kid
    assert parts.keyring.sign(made, Purpose.CREDENTIAL, b"something")
    with postgres.shared().connect(engines.name_of(parts.settings)) as owner:
        owner.execute("DROP FUNCTION linger CASCADE")
    parts.signing_keys.replace(KeyRequest(Purpose.STATUS))  # clears up what its predecessor may have left
    assert parts.keyring.sign(made, Purpose.CREDENTIAL, b"something")

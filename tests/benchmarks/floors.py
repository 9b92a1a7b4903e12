"""What no hub could be faster than on this machine: an empty route, a bare commit, a bare signature, a bare read."""

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI

empty = FastAPI(docs_url=None, openapi_url=None)


@empty.get("/empty")
def nothing() -> dict[str, str]:
    """The empty route: a plain function, as ours are."""
    return {"state": "ok"}


def commits(folder: Path, seconds: float = 2.0) -> float:
    """Commits a second of one small row, flushed to disk, by one writer on SQLite as the hub opens it."""
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, content BLOB)")
    content = os.urandom(400)

    def commit() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t (content) VALUES (?)", (content,))
        connection.execute("COMMIT")

    found = rate(commit, seconds)
    connection.close()
    return found


def reads(folder: Path, seconds: float = 1.0) -> float:
    """Reads a second of one row by its key, out of 100,000."""
    connection = sqlite3.connect(folder / "reads.db", isolation_level=None)
    connection.execute("CREATE TABLE t (id TEXT PRIMARY KEY, content BLOB)")
    connection.execute("BEGIN")
    content = os.urandom(400)
    connection.executemany("INSERT INTO t VALUES (?, ?)", ((f"{n:08d}", content) for n in range(100_000)))
    connection.execute("COMMIT")
    numbers = iter(range(10**9))

    def read() -> None:
        key = f"{next(numbers) * 7919 % 100_000:08d}"
        connection.execute("SELECT content FROM t WHERE id = ?", (key,)).fetchone()

    found = rate(read, seconds)
    connection.close()
    return found


def signatures(seconds: float = 1.0) -> float:
    """P-256 signatures a second of 1,000 bytes, one thread."""
    key = ec.generate_private_key(ec.SECP256R1())
    data = os.urandom(1000)
    algorithm = ec.ECDSA(hashes.SHA256())
    return rate(lambda: key.sign(data, algorithm), seconds)


def rate(work: Callable[[], object], seconds: float) -> float:
    """How often a second `work` is done."""
    end = time.perf_counter() + seconds
    begun, done = time.perf_counter(), 0
    while time.perf_counter() < end:
        work()
        done += 1
    return done / (time.perf_counter() - begun)

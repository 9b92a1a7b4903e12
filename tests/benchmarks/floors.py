"""Lower bounds for any hub on this machine: empty route, bare commit, signature, artefact, read."""

import os
import sqlite3
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI

from signing import credential, identifier, qr

empty = FastAPI(docs_url=None, openapi_url=None)


@empty.get("/empty")
def nothing() -> dict[str, str]:
    """The empty route: a plain function, like our handlers."""
    return {"state": "ok"}


def commits(path: Path, seconds: float = 2.0) -> float:
    """Commits per second of five small rows, flushed to disk, by one writer on SQLite opened like the hub's."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, content BLOB)")
    content = os.urandom(400)

    def commit() -> None:
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(5):
            connection.execute("INSERT INTO t (content) VALUES (?)", (content,))
        connection.execute("COMMIT")

    found = rate(commit, seconds)
    connection.close()
    return found


def reads(path: Path, seconds: float = 1.0) -> float:
    """Reads per second of one row by its key, out of 100,000."""
    connection = sqlite3.connect(path, isolation_level=None)
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
    """P-256 signatures per second of 1,000 bytes, one thread."""
    key = ec.generate_private_key(ec.SECP256R1())
    data = os.urandom(1000)
    algorithm = ec.ECDSA(hashes.SHA256())
    return rate(lambda: key.sign(data, algorithm), seconds)


def artefacts(seconds: float = 1.0) -> float:
    """Credentials and QR digits per second, built by the signing package alone, without signatures."""
    holder = credential.Holder("测试甲", "111", "990121198307073910")
    day = date(2026, 1, 5)
    kid, made = "AAAAAAAAAAA", identifier.build("11350000MB9G00191W003", "11350100MB9A10175L", "A" * 20, 1)
    fields = {f"field_{n}": "经查询,申请人在上述期间无犯罪记录。" for n in range(5)}
    claims = credential.Claims(
        issuer="http://127.0.0.1:8080",
        type_code="11350000MB9G00191W003",
        edition=1,
        iat=1,
        identifier=made,
        version=1,
        authority_code="11350100MB9A10175L",
        issued_on=day,
        valid_from=day,
        valid_until=None,
        origin="issued",
        status_list=0,
        status_index=0,
        number="榕无犯证字〔2026〕第00000001号",
        holders=(holder,),
        fields=fields,
    )
    face = qr.Face(made, "榕无犯*********号", ("测*甲",), day, day, None, 0, 0)

    def make() -> None:
        credential.assemble(credential.prepare(claims, kid), bytes(64))
        qr.assemble(qr.prepare(face, "0" * 16, kid), b"\x01" * 64)

    return rate(make, seconds)


def rate(work: Callable[[], object], seconds: float) -> float:
    """How often per second `work` runs."""
    end = time.perf_counter() + seconds
    begun, done = time.perf_counter(), 0
    while time.perf_counter() < end:
        work()
        done += 1
    return done / (time.perf_counter() - begun)

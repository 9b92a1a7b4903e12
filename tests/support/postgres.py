"""PostgreSQL as installed: a private temporary cluster, with fsync as in production, never as root.

`shared()` is one cluster for the whole test run; databases are copied from templates. A test that stops or kills its
server starts its own `Cluster`.
"""

import atexit
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import psycopg
import pytest

from tests.support import ports, quick

_START_S = 60.0
_SERVER = {
    "max_connections": 200,
    "shared_buffers": "64MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "1h",
    "fsync": "on",
    "full_page_writes": "on",
    "logging_collector": "off",
    "log_min_messages": "fatal",
}


def programs() -> Path | None:
    """The folder of the newest installed server's programs, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parent.parent.name))
    if found:
        return found[-1].parent
    plain = shutil.which("postgres")
    return Path(plain).resolve().parent if plain else None


def require() -> Path:
    """The programs; if they are missing, the test is skipped, or fails if CI=true."""
    quick.skip_servers()
    found = programs()
    if found is None:
        message = "PostgreSQL is not installed (Debian package postgresql)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


def _user() -> str | None:
    """The user that the server runs as: it refuses to run as root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class Cluster:
    """One server on loopback, with trust authentication."""

    def __init__(self, *, within: Path | None = None, **settings: Any) -> None:
        """within: a folder on the file system to use; settings: lines of postgresql.conf, which override ours."""
        self._bin = require()
        self._user = _user()
        self.folder = Path(mkdtemp(prefix="hub-pg-", dir=within or "/tmp"))
        self._settings = {**_SERVER, **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self._holder = ports.hold()
        self.port = int(self._holder.getsockname()[1])
        self.folder.chmod(0o755)
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._run(
            "initdb",
            "-D",
            str(self.folder / "data"),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "-N",
            "--locale=C.UTF-8",
        )
        self._owner = os.getpid()
        atexit.register(self.remove)
        self.start()

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [str(self._bin / program), *words],
            user=self._user,
            cwd=self.folder,
            capture_output=True,
            check=False,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        )
        assert done.returncode == 0, done.stderr.decode()

    def start(self) -> None:
        """Start or restart, and wait until it answers."""
        words = [f"-c{name}={value}" for name, value in self._settings.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(self._bin / "postgres"),
                    "-D",
                    str(self.folder / "data"),
                    "-p",
                    str(self.port),
                    "-h",
                    "127.0.0.1",
                    "-k",
                    str(self.folder),
                    *words,
                ],
                user=self._user,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
                process_group=0,
            )
        deadline = time.monotonic() + _START_S
        while True:
            try:
                psycopg.connect(self.conninfo("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: fast shutdown; SIGQUIT: immediate, with recovery at the next start."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(_START_S)
            self._process = None

    def kill(self) -> None:
        """Kill the whole server at once, as in a crash of the machine: the postmaster and all its processes."""
        if self._process is not None:
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait(_START_S)
            self._process = None
            time.sleep(0.05)

    def processes(self) -> list[int]:
        """The process ids of the postmaster and of its current children."""
        assert self._process is not None
        pid = self._process.pid
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]

    def panics(self) -> int:
        """How often the server ended all its sessions because of a PANIC."""
        return (self.folder / "log").read_bytes().count(b"PANIC:")

    def has_ended(self) -> bool:
        """Whether it has exited without being stopped."""
        return self._process is not None and self._process.poll() is not None

    def freeze(self, number: signal.Signals = signal.SIGSTOP) -> None:
        """Suspend all its processes, with their connections open; SIGCONT resumes them."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def remove(self) -> None:
        """Stop permanently and delete everything."""
        if os.getpid() == self._owner:  # not in a forked child
            with suppress(subprocess.TimeoutExpired):
                self.stop(signal.SIGQUIT)
            shutil.rmtree(self.folder, ignore_errors=True)
            self._holder.close()

    # --- databases ----------------------------------------------------------------------------------------------------

    def conninfo(self, database: str, user: str = "postgres") -> str:
        return f"host=127.0.0.1 port={self.port} user={user} dbname={database}"

    def url(self, database: str, user: str = "postgres") -> str:
        """In the form of HUB_DATABASE_URL."""
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres", user: str = "postgres", **more: Any) -> "psycopg.Connection[Any]":
        return psycopg.connect(self.conninfo(database, user), autocommit=True, **more)

    def create(self, template: str | None = None) -> str:
        """Create a database from the current state of its template; returns its name."""
        name = f"t{secrets.token_hex(6)}"
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template or "template0"}" STRATEGY wal_log')
        return name

    def drop(self, name: str) -> None:
        with self.connect() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


class Template:
    """A database whose content is saved, so that copies of it can be lent, returned and lent again.

    Copying a database takes 400 ms (hundreds of small files, each flushed); restoring its rows takes 20.
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster = cluster
        self._name = name
        self._free: list[str] = []
        with cluster.connect(name) as connection:
            rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            tables = [row[0] for row in rows]
            connection.execute("DROP SCHEMA IF EXISTS kept CASCADE; CREATE SCHEMA kept")
            for table in tables:
                connection.execute(f"CREATE TABLE kept.{table} AS TABLE public.{table}")
        self._reset = "; ".join(
            ["SET LOCAL session_replication_role = replica", "SET LOCAL synchronous_commit = off"]  # no triggers
            + [f"DELETE FROM public.{table}; INSERT INTO public.{table} TABLE kept.{table}" for table in tables]
        )

    def lend(self) -> str:
        """A database with the template's content."""
        return self._free.pop() if self._free else self._cluster.create(self._name)

    def give_back(self, name: str) -> None:
        """Return a database that is no longer used: its rows are restored."""
        try:
            with self._cluster.connect(name) as connection, connection.transaction():
                connection.execute(self._reset)
        except psycopg.Error:  # the test changed more than rows
            return
        self._free.append(name)


@cache
def shared() -> Cluster:
    """The cluster of this test run."""
    return Cluster()

"""Connect to a PostgreSQL server and check that it is usable: address, version, encoding and privileges.

`hub init` connects as the user in the address, creates the tables and grants rights on them to the service role. All
other processes work as the service role; their login must be that role or a member of it.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hub.db.database import DatabaseUnavailable, Writer, WrongDatabase
from hub.db.postgres import LOCKS, PostgresDatabase
from hub.db.postgres_pool import Limits, translated
from hub.db.postgres_roles import BEYOND, MISSING, fitting, grants, not_needed

OLDEST = 15
_ASK_AGAIN_S = 0.1
_SCHEMES = ("postgresql+psycopg://", "postgresql://")
_PASSING = (
    "refused",
    "timeout",
    "timed out",
    "unreachable",
    "No such file",
    "could not translate",
    "failed to resolve",
    "closed the connection",
    "closed unexpectedly",
    "reset by peer",
    "Broken pipe",
    "EOF detected",
    "unexpected eof",
    "starting up",
    "shutting down",
    "not yet accepting",
    "terminating connection",
    "too many",
    "recovery",
    "remaining connection slots",
)
"""Messages of transient errors; libpq has no error codes for failed connections."""


@dataclass(frozen=True, slots=True)
class Address:
    """A database on a server. `conninfo` may contain a password and is never displayed."""

    conninfo: str
    service_role: str
    limits: Limits

    def __repr__(self) -> str:
        return "Address(...)"

    @property
    def name(self) -> str:
        """Host, port and database, for display and comparison."""
        parts = conninfo_to_dict(self.conninfo)
        return f"{parts.get('host') or 'localhost'}:{parts.get('port') or 5432}/{parts['dbname']}"


def address(url: str, password_file: Path | None, service_role: str, limits: Limits) -> Address:
    """Parse a URL `postgresql+psycopg://user@host:port/database`; raises WrongDatabase."""
    scheme = next((scheme for scheme in _SCHEMES if url.startswith(scheme)), None)
    if scheme is None:
        raise WrongDatabase(
            "HUB_DATABASE_URL 要以 postgresql+psycopg:// 开头；不设就用数据目录里的 SQLite。",
            "HUB_DATABASE_URL must begin with postgresql+psycopg://; leave it unset for SQLite in the data directory",
        )
    more: dict[str, Any] = {"application_name": "hub"}
    if password_file is not None:
        try:
            more["password"] = password_file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            raise WrongDatabase(
                "HUB_DATABASE_PASSWORD_FILE 读不出来。", "HUB_DATABASE_PASSWORD_FILE cannot be read"
            ) from None
    try:
        found = make_conninfo("postgresql://" + url.removeprefix(scheme), **more)
        parts = conninfo_to_dict(found)
    except psycopg.Error:
        parts = {}
    ports = str(parts.get("port", "")).split(",")
    if not parts.get("dbname") or not all(port.isdigit() or not port for port in ports):
        raise WrongDatabase(
            "HUB_DATABASE_URL 的格式不对，应为 postgresql+psycopg://user@host:port/database。",
            "HUB_DATABASE_URL must have the form postgresql+psycopg://user@host:port/database",
        )
    return Address(found, service_role, limits)


@contextmanager
def connected(place: Address) -> Iterator["psycopg.Connection[Any]"]:
    """One autocommit connection as the user in the address; driver errors are translated.

    Raises WrongDatabase where only a change of settings or server helps, DatabaseUnavailable where waiting may.
    """
    connection = _connect(place)
    try:
        _require_server(connection)
        yield connection
    except psycopg.Error as error:
        known = translated(error)
        raise known or error from None
    finally:
        connection.close()


def _connect(place: Address) -> "psycopg.Connection[Any]":
    try:
        return psycopg.connect(
            place.conninfo,
            autocommit=True,
            connect_timeout=max(2, round(place.limits.connect_s)),
            prepare_threshold=None,
        )
    except psycopg.Error as error:
        text = str(error)
        if "FATAL" not in text and "SSL" not in text and "certificate" not in text:
            raise DatabaseUnavailable("the database server cannot be reached") from None
        if any(word in text for word in _PASSING):
            raise DatabaseUnavailable("the database server does not accept connections at the moment") from None
        raise WrongDatabase(
            "数据库服务器拒绝连接：请核对 HUB_DATABASE_URL 的用户、数据库名、密码和 TLS 设置。",
            "The database server refused the connection: check user, database, password and TLS in HUB_DATABASE_URL",
        ) from None


def _require_server(connection: "psycopg.Connection[Any]") -> None:
    version = connection.info.server_version // 10_000
    if version < OLDEST:
        raise WrongDatabase(
            f"数据库服务器是 PostgreSQL {version}，需要 {OLDEST} 或更高版本。",
            f"The server is PostgreSQL {version}; version {OLDEST} or later is required",
        )
    row = connection.execute("SELECT current_setting('server_encoding')").fetchone()
    if row is None or row[0] != "UTF8":
        raise WrongDatabase(
            "数据库的编码不是 UTF8：请用 ENCODING 'UTF8' 重新建立数据库。",
            "The database encoding is not UTF8: create the database again with ENCODING 'UTF8'",
        )


def opened(place: Address) -> PostgresDatabase:
    """Open the database for the service, as the service role if the login may assume it.

    Raises DatabaseUnavailable, and WrongDatabase if the role's privileges are insufficient or excessive. A database
    without tables is opened; the caller checks the schema.
    """
    with _serving(place) as (connection, role):
        missing = _named(connection, MISSING, fitting())
        if missing:
            raise WrongDatabase(
                f"数据库用户的权限不够（表 {missing[0]} 等）：请用表的所有者运行 hub init。",
                f"The database user lacks privileges (on {missing[0]}): run `hub init` as the owner of the tables, "
                f"and make this user a member of {place.service_role}",
            )
        beyond = _named(connection, BEYOND, not_needed()) if role is not None else []
        if beyond:
            raise WrongDatabase(
                f"服务角色 {role} 的权限过多（表 {beyond[0]} 等）：请用表的所有者运行 hub init，并收回多余的授权。",
                f"The service role {role} has too many privileges (on {beyond[0]}): run `hub init` as the owner of the "
                "tables, and revoke the other grants",
            )
    return PostgresDatabase(place.conninfo, place.limits, role)


def beyond_need(place: Address) -> list[str]:
    """The tables on which the service has more privileges than it needs: all of them without a service role."""
    with _serving(place) as (connection, _):
        return _named(connection, BEYOND, not_needed())


def lacks_service_role(place: Address) -> bool:
    """Whether the role does not exist because the user of `hub init` was not allowed to create it."""
    with connected(place) as connection:
        return not _exists(connection, place.service_role)


@contextmanager
def _serving(place: Address) -> Iterator["tuple[psycopg.Connection[Any], str | None]"]:
    """A connection with the service's privileges, and the role that it assumed, or None if it may not."""
    with connected(place) as connection:
        role = place.service_role if _may_be(connection, place.service_role) else None
        if role is not None:
            connection.execute("SELECT set_config('role', %s, false)", [role])
        yield connection, role


def _named(connection: "psycopg.Connection[Any]", question: str, lines: list[str]) -> list[str]:
    return [str(row[0]) for row in connection.execute(question, [lines]).fetchall()]


def opened_as_owner(place: Address) -> PostgresDatabase:
    """The database as the user in the address: for `hub init` alone."""
    return PostgresDatabase(place.conninfo, place.limits)


def _may_be(connection: "psycopg.Connection[Any]", role: str) -> bool:
    row = connection.execute(
        "SELECT pg_has_role(current_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = %s", [role]
    ).fetchone()
    return row is not None and bool(row[0])


def _has_tables(connection: "psycopg.Connection[Any]") -> bool:
    row = connection.execute("SELECT to_regclass('alembic_version')").fetchone()
    return row is not None and row[0] is not None


# --- for `hub init` ---------------------------------------------------------------------------------------------------


@contextmanager
def migration_lock(place: Address) -> Iterator["psycopg.Connection[Any]"]:
    """A connection that holds the migration lock: of two concurrent migrations, only one does the work.

    Polls for the lock. A statement blocked on it would stay open, CREATE INDEX CONCURRENTLY would wait for that
    statement, and the two would deadlock.
    """
    with connected(place) as connection:
        while connection.execute("SELECT pg_try_advisory_lock(%s, 3)", [LOCKS]).fetchone() != (True,):
            time.sleep(_ASK_AGAIN_S)
        yield connection


def revision(connection: "psycopg.Connection[Any]") -> str:
    """The database's schema revision, empty without tables."""
    if not _has_tables(connection):
        return ""
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else ""


def is_in_use(error: BaseException | None) -> bool:
    """Whether a driver error says that another session held a table lock for too long."""
    return isinstance(error, errors.LockNotAvailable)


def raise_translated(error: BaseException | None) -> None:
    """Raise the translated driver error, unless it is a programming error."""
    if isinstance(error, errors.InsufficientPrivilege):
        raise WrongDatabase(
            "这个数据库用户不能建表：请用数据库的所有者运行 hub init。",
            "This user may not create tables: run `hub init` as the owner of the database",
        ) from None
    if isinstance(error, psycopg.Error) and (known := translated(error)) is not None:
        raise known from None


def give_rights(connection: "psycopg.Connection[Any]", role: str) -> bool:
    """Create the service role if it is missing, and grant its rights; returns whether the role exists.

    Without the privilege to create it, continue without: then the service works as the owner of the tables.
    """
    if not _exists(connection, role):
        try:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
        except (errors.DuplicateObject, errors.UniqueViolation):
            pass  # created just now by another database of the same server
        except errors.InsufficientPrivilege:
            return False
    if not _may_be(connection, role):
        with suppress(errors.InsufficientPrivilege):
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))
    tables = connection.execute(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
    ).fetchall()
    try:
        with connection.transaction():
            for statement in grants(tables[0][0], [row[1] for row in tables], role):
                connection.execute(statement)
    except errors.InsufficientPrivilege as error:
        raise_translated(error)
    return True


def _exists(connection: "psycopg.Connection[Any]", role: str) -> bool:
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None


# --- filling an empty database ----------------------------------------------------------------------------------------

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"


def require_empty(place: Address, head: str, tables: Sequence[str]) -> None:
    """Raise WrongDatabase unless there are no tables, or those of revision `head` without a row."""
    with connected(place) as connection:
        found = [str(row[0]) for row in connection.execute(_TABLES).fetchall()]
        if not found:
            return
        has = revision(connection)
        if has and has != head:
            raise WrongDatabase(
                f"数据库的结构属于另一个版本（{has}），请换一个空的数据库。",
                f"The database has the schema of another release ({has}): use an empty database",
            )
        if set(found) - {*tables, "alembic_version"} or not has:
            raise _occupied()
        try:
            for table in found:
                if table in tables and connection.execute(_any_row(table)).fetchone():
                    raise _occupied()
        except errors.InsufficientPrivilege as error:
            raise_translated(error)


def require_no_rows(writer: Writer, tables: Sequence[str]) -> None:
    """The same check inside the transaction that fills them."""
    if any(writer.one(_any_row(table).decode()) for table in tables):
        raise _occupied()


def _any_row(table: str) -> bytes:
    return f"SELECT 1 FROM {table} LIMIT 1".encode()  # noqa: S608


def _occupied() -> WrongDatabase:
    return WrongDatabase(
        "HUB_DATABASE_URL 或 --to 指向的数据库不是空的，不会覆盖；请新建一个。",
        "The database is not empty and will not be overwritten: create a new one (HUB_DATABASE_URL or --to)",
    )


def leave_mark(writer: Writer, mark: str) -> None:
    """Store the mark of the process that fills the database, in the same transaction as its rows."""
    writer.run(f"COMMENT ON TABLE alembic_version IS 'filled {mark}'")


def mark_of(place: Address) -> str:
    """The stored mark, or empty. Waits for an open filling; raises DatabaseUnavailable if that does not end in time."""
    with connected(place) as connection, connection.transaction():
        connection.execute(f"SET LOCAL lock_timeout = {round(place.limits.connect_s * 1000)}")
        connection.execute("SELECT pg_advisory_xact_lock_shared(%s, 1)", [LOCKS])
        row = connection.execute("SELECT obj_description(to_regclass('alembic_version'), 'pg_class')").fetchone()
        return str(row[0]).removeprefix("filled ") if row and row[0] else ""


def analyse(place: Address) -> None:
    """Update the planner's statistics."""
    with connected(place) as connection:
        connection.execute("ANALYZE")

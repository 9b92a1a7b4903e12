"""Database, directory and worker: availability, versions and backlog."""

from collections.abc import Iterator
from datetime import datetime

from hub.db import health, schema
from hub.db.engines import beyond_need, is_embedded, place_of
from hub.domain.dates import from_micros, to_micros
from hub.ops.doctor.report import DoctorFinding, down, note, ok, problem
from hub.parts import Parts
from hub.runtime import heartbeat, serve_lock
from hub.settings import Settings
from hub.store.ledger import Lag
from indexer.errors import DirectoryUnavailable

OLDEST_SQLITE = (3, 40)
OLDEST_POSTGRESQL = (15,)
CLOCKS_DIFFER_S = 2.0
SILENT_S = 60.0
OVERDUE_S = 300.0
INDEX_LATE_S = 30.0
RENDERING_LATE_S = 600.0
MOST_WAITING = 10_000


def database(parts: Parts) -> Iterator[DoctorFinding]:
    """Check version, writability, clocks and privileges."""
    embedded = is_embedded(parts.settings)
    name, oldest = ("SQLite", OLDEST_SQLITE) if embedded else ("PostgreSQL", OLDEST_POSTGRESQL)
    found = health.engine_version(parts.database.reader, embedded=embedded)
    version = ".".join(map(str, found))
    why = parts.database.why_not_writable()
    if found < oldest:
        yield problem(
            "database",
            f"{name} {version} 过旧。",
            f"{name} {version} is too old.",
            f"升级到 {'.'.join(map(str, oldest))} 或更高版本（SQLite 随操作系统）。",
            f"Upgrade to {'.'.join(map(str, oldest))} or later; SQLite comes with the operating system.",
        )
    elif why is not None:
        yield problem(
            "database",
            "数据库不能写入。",
            f"{why[:1].upper()}{why[1:]}.",
            "检查数据库文件的权限，或者服务器是不是只读的备库。",
            "Check the permissions of the database file, or whether the server is a read-only standby.",
        )
    elif parts.database.revision() != schema.HEAD:
        yield note(
            "database",
            f"数据库（{name} {version}）已由更新的版本升级，本版本照常工作。",
            f"{name} {version}; upgraded by a newer release, this one still works.",
            "这里也换成那个版本；备份要用新版本做。",
            "Install that release here too; only it can make backups.",
        )
    else:
        yield ok("database", f"数据库是 {name} {version}。", f"{name} {version} with this release's schema.")
    yield _time(parts, embedded=embedded)
    if not embedded:
        yield _rights(parts.settings)


def _rights(settings: Settings) -> DoctorFinding:
    role, beyond = settings.database_service_role, ", ".join(beyond_need(place_of(settings)))
    if not beyond:
        return ok(
            "database rights", "服务在数据库里只有需要的权限。", "The service has only the privileges that it needs."
        )
    return problem(
        "database rights",
        f"服务在数据库里的权限太大：{beyond}。",
        f"The service has more privileges than it needs on: {beyond}.",
        f"由管理员建立角色 {role} 和属于它的登录用户，再运行 hub init（见 docs/operations.md）。",
        f"As an administrator, create the role {role} and a login that is a member of it, run `hub init` again, and "
        "let the service log in as that member.",
    )


def _time(parts: Parts, *, embedded: bool) -> DoctorFinding:
    fix = (
        "校准时间：timedatectl set-ntp true（或 chronyc makestep）。",
        "Synchronise the clock (NTP): `timedatectl set-ntp true`, or `chronyc makestep`.",
    )
    reader = parts.database.reader
    if not embedded:
        apart = (health.server_clock(reader) - to_micros(parts.clock.now())) / 1_000_000
        if abs(apart) > CLOCKS_DIFFER_S:
            return problem(
                "time",
                f"本机和数据库服务器的时间相差 {abs(apart):.0f} 秒。",
                f"Clock skew of {abs(apart):.0f} s between this machine and the database server.",
                *fix,
            )
    newest = health.newest_change(reader)
    ahead = 0.0 if newest is None else (newest - to_micros(parts.clock.now())) / 1_000_000
    if ahead > CLOCKS_DIFFER_S:
        return problem(
            "time",
            f"本机时间比最近一次变更的记录还早 {ahead:.0f} 秒。",
            f"This machine's clock is {ahead:.0f} s behind the newest recorded change.",
            *fix,
        )
    return ok("time", "本机时间和记录一致。", "The clock is in sync with the records.")


def worker(parts: Parts) -> Iterator[DoctorFinding]:
    """Check that the worker is alive and that no case is overdue."""
    now = parts.clock.now()
    seen = heartbeat.last(parts.settings.data_dir)
    yield _alive(parts.settings, None if seen is None else (now - seen).total_seconds())
    due = health.overdue_since(parts.database.reader)
    late = _age(due, now)
    if late > OVERDUE_S:
        yield problem(
            "cases",
            f"有办件已等待签发 {late:.0f} 秒。",
            f"A case has been waiting for its certificates for {late:.0f} s.",
            "检查后台进程是否在运行、签名密钥是否在 keys/；原因见后台进程的日志。",
            "Check that the worker is running and the signing keys are in keys/; see the worker's log.",
        )
    else:
        yield ok("cases", "没有积压的办件。", "No case is overdue.")


def _alive(settings: Settings, silent_s: float | None) -> DoctorFinding:
    if silent_s is not None and silent_s <= SILENT_S:
        return ok("worker", f"后台进程 {silent_s:.0f} 秒前有心跳。", "The worker is alive.")
    text = "后台进程没有心跳。" if silent_s is None else f"后台进程 {silent_s:.0f} 秒没有心跳。"
    fix = (
        "启动 hub serve（内嵌数据库）或 hub work。",
        "Start `hub serve` (embedded database) or `hub work`.",
    )
    if is_embedded(settings) and not serve_lock.is_held(settings.data_dir):
        return note("worker", f"服务没有运行；{text}", "The hub is not running.", *fix)
    return problem("worker", text, "The worker has no heartbeat.", *fix)


def feed(parts: Parts) -> Iterator[DoctorFinding]:
    """Check the directory and the backlog of everything derived from changes."""
    now = parts.clock.now()
    try:
        status = parts.directory.status()
    except DirectoryUnavailable as error:
        yield _no_directory(str(error))
    else:
        yield _no_directory("") if status.generation is None else _late("index", status.lag, now, INDEX_LATE_S)
    yield _rejected_entries(parts.directory.rejected_count())
    waiting = health.outbox_size(parts.database.reader)
    if waiting > MOST_WAITING:
        yield problem(
            "outbox",
            f"{waiting} 条变更还没有编号。",
            f"{waiting} changes have no ledger position yet.",
            "检查后台进程是否在运行；跟不上时，查看数据库的负载。",
            "Check that the worker is running; if it is too slow, check the load of the database.",
        )
    else:
        yield ok("outbox", f"等待编号的变更 {waiting} 条。", f"{waiting} changes have no ledger position yet.")
    yield _late("documents", parts.rendering.lag(), now, RENDERING_LATE_S)


def _rejected_entries(rejected: int) -> DoctorFinding:
    if rejected:
        return problem(
            "set aside",
            f"目录拒绝了 {rejected} 条，检索仍能查到它们。",
            f"The directory rejected {rejected} entries; lookups still find them.",
            "原因见后台进程的日志（set aside）；排除后运行 hub index retry。",
            "The worker's log has the reason (`set aside`); fix it, then run `hub index retry`.",
        )
    return ok("set aside", "目录没有拒绝任何条目。", "No rejected entries.")


def _no_directory(why: str) -> DoctorFinding:
    return down(
        "index",
        "目录不可用，检索改由数据库回答。",
        f"The directory is unavailable{': ' + why if why else ''}. Lookups are answered by the database.",
        "后台进程会建立目录或重新连接；也可以运行 hub index rebuild。",
        "The worker will build it or reconnect; you can also run `hub index rebuild`.",
    )


def _late(name: str, lag: Lag, now: datetime, limit_s: float) -> DoctorFinding:
    age = _age(lag.oldest_at, now)
    if age > limit_s:
        return problem(
            name,
            f"{lag.changes} 条变更待处理，最久的等了 {age:.0f} 秒。",
            f"{lag.changes} changes pending, the oldest for {age:.0f} s.",
            "检查后台进程是否在运行；原因见它的日志和 hub index status。",
            "Check that the worker is running; see its log and `hub index status`.",
        )
    return ok(name, f"待处理的变更 {lag.changes} 条。", f"{lag.changes} changes pending.")


def _age(since: int | None, now: datetime) -> float:
    return 0.0 if since is None else (now - from_micros(since)).total_seconds()

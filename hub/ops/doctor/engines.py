"""Database, directory and worker: whether they answer, which they are, and what waits in them."""

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
    """Its version, whether it can be written, and whether its clock and ours agree with what is on record."""
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
            f"升级到 {'.'.join(map(str, oldest))} 或更高(SQLite 随操作系统)。",
            f"Upgrade to {'.'.join(map(str, oldest))} or later; SQLite comes with the operating system.",
        )
    elif why is not None:
        yield problem(
            "database",
            "数据库不能写。",
            f"{why[:1].upper()}{why[1:]}.",
            "核对数据库文件的权限,或数据库是否是只读的备库。",
            "Check the rights of the database's file, or whether the server is a read-only standby.",
        )
    elif parts.database.revision() != schema.HEAD:
        yield note(
            "database",
            f"数据库({name} {version})已由更新的版本升级,本版本照常工作。",
            f"{name} {version}; a newer release has upgraded it, and this one works on.",
            "把这里也换成那个版本;备份由新版本做。",
            "Install that release here too; backups are for it to make.",
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
            "database rights", "服务在数据库里只有所需的权限。", "The service may do in the database what it must."
        )
    return problem(
        "database rights",
        f"服务在数据库里的权限超出所需:{beyond}。",
        f"The service may do more than it must with: {beyond}.",
        f"由管理员建立角色 {role} 和属于它的登录用户,再运行 hub init(见 docs/operations.md)。",
        f"As an administrator make the role {role} and a login that is its member, then run `hub init` again and let "
        "the service log in as that member.",
    )


def _time(parts: Parts, *, embedded: bool) -> DoctorFinding:
    fix = (
        "校准时间:timedatectl set-ntp true(或 chronyc makestep)。",
        "Set the clock: `timedatectl set-ntp true`, or `chronyc makestep`.",
    )
    reader = parts.database.reader
    if not embedded:
        apart = (health.server_clock(reader) - to_micros(parts.clock.now())) / 1_000_000
        if abs(apart) > CLOCKS_DIFFER_S:
            return problem(
                "time",
                f"本机与数据库服务器的时间相差 {abs(apart):.0f} 秒。",
                f"This machine's clock and the database server's differ by {abs(apart):.0f} s.",
                *fix,
            )
    newest = health.newest_change(reader)
    ahead = 0.0 if newest is None else (newest - to_micros(parts.clock.now())) / 1_000_000
    if ahead > CLOCKS_DIFFER_S:
        return problem(
            "time",
            f"本机时间比最近一次变更的记录还早 {ahead:.0f} 秒。",
            f"This machine's clock stands {ahead:.0f} s before the newest change on record.",
            *fix,
        )
    return ok("time", "本机时间与记录一致。", "The clock agrees with what is on record.")


def worker(parts: Parts) -> Iterator[DoctorFinding]:
    """Whether it lives, and the cases that wait for it."""
    now = parts.clock.now()
    seen = heartbeat.last(parts.settings.data_dir)
    yield _alive(parts.settings, None if seen is None else (now - seen).total_seconds())
    due = health.overdue_since(parts.database.reader)
    late = _age(due, now)
    if late > OVERDUE_S:
        yield problem(
            "cases",
            f"有办件已等待签发 {late:.0f} 秒。",
            "A case has been waiting for its certificates.",
            "后台进程应在运行,签名密钥应在 keys/;原因见后台日志。",
            "The worker must run and the signing keys be in keys/; the worker's log says why it could not.",
        )
    else:
        yield ok("cases", "没有滞留的办件。", "No case is stuck.")


def _alive(settings: Settings, silent_s: float | None) -> DoctorFinding:
    if silent_s is not None and silent_s <= SILENT_S:
        return ok("worker", f"后台进程 {silent_s:.0f} 秒前有心跳。", "The worker is alive.")
    text = "后台进程没有心跳。" if silent_s is None else f"后台进程 {silent_s:.0f} 秒没有心跳。"
    fix = (
        "启动 hub serve(内嵌数据库)或 hub work。",
        "Start `hub serve` (embedded database) or `hub work`.",
    )
    if is_embedded(settings) and not serve_lock.is_held(settings.data_dir):
        return note("worker", f"服务没有运行;{text}", "The hub is not running.", *fix)
    return problem("worker", text, "The worker shows no sign of life.", *fix)


def feed(parts: Parts) -> Iterator[DoctorFinding]:
    """The directory, and what waits on the way from a change to all that is derived from it."""
    now = parts.clock.now()
    try:
        status = parts.directory.status()
    except DirectoryUnavailable as error:
        yield _no_directory(str(error))
    else:
        yield _no_directory("") if status.generation is None else _late("index", status.lag, now, INDEX_LATE_S)
    yield _set_aside(parts.directory.set_aside())
    waiting = health.outbox_size(parts.database.reader)
    if waiting > MOST_WAITING:
        yield problem(
            "outbox",
            f"{waiting} 条变更还没有编号。",
            "Changes wait for their position in the ledger.",
            "后台进程应在运行;跟不上时看数据库的负载。",
            "The worker must run; where it is too slow, look at the load of the database.",
        )
    else:
        yield ok("outbox", f"等待编号的变更 {waiting} 条。", f"{waiting} changes wait for their position.")
    yield _late("documents", parts.rendering.lag(), now, RENDERING_LATE_S)


def _set_aside(refused: int) -> DoctorFinding:
    if refused:
        return problem(
            "set aside",
            f"目录拒绝了 {refused} 条;检索仍会找到它们。",
            f"The directory has refused {refused} entries; lookups find them all the same.",
            "原因见后台日志(set aside);改正后运行 hub index retry。",
            "The worker's log says why (`set aside`); when that is mended, `hub index retry`.",
        )
    return ok("set aside", "目录没有拒绝任何条目。", "The directory has refused nothing.")


def _no_directory(why: str) -> DoctorFinding:
    return down(
        "index",
        "目录不可用;检索由数据库回答。",
        f"No directory answers{': ' + why if why else ''}; lookups are answered by the database.",
        "后台进程会建立或重连;也可运行 hub index rebuild。",
        "The worker makes one or connects again; or run `hub index rebuild`.",
    )


def _late(name: str, lag: Lag, now: datetime, limit_s: float) -> DoctorFinding:
    age = _age(lag.oldest_at, now)
    if age > limit_s:
        return problem(
            name,
            f"{lag.changes} 条变更在途,最久的 {age:.0f} 秒。",
            f"{lag.changes} changes on their way, the oldest for {age:.0f} s.",
            "后台进程应在运行;原因见其日志和 hub index status。",
            "The worker must run; its log and `hub index status` say why it is late.",
        )
    return ok(name, f"在途变更 {lag.changes} 条。", f"{lag.changes} changes on their way.")


def _age(since: int | None, now: datetime) -> float:
    return 0.0 if since is None else (now - from_micros(since)).total_seconds()

"""Run all checks: first those that need no database, then those that open it, as far as possible."""

from collections.abc import Callable, Iterable, Iterator

from hub.db.database import DatabaseUnavailable, WrongDatabase
from hub.db.schema import NewerSchema, WrongSchema
from hub.ops.doctor import elastic, engines, intake, keys, machine
from hub.ops.doctor.report import DoctorFinding, down, problem
from hub.parts import Parts, open_parts
from hub.runtime.clock import Clock
from hub.settings import Settings
from hub.vault import VaultError
from indexer.errors import WrongServer

_Check = Callable[[Parts], Iterable[DoctorFinding]]
_CHECKS: tuple[tuple[str, _Check], ...] = (
    ("database", engines.database),
    ("keys", keys.check),
    ("worker", engines.worker),
    ("catalogue", intake.check),
)
_OF_DIRECTORY: tuple[tuple[str, _Check], ...] = (("index", elastic.check), ("index", engines.feed))


def examine(settings: Settings, *, clock: Clock | None = None, unknown: Iterable[str] = ()) -> list[DoctorFinding]:
    """Run all checks. Changes nothing; problems become findings, not exceptions.

    unknown: `HUB_*` names in the environment that are not settings.
    """
    clock = clock or Clock()
    found = [*machine.check(settings, sorted(unknown))]
    found += keys.master(settings, clock.now())
    found += keys.trusted(settings, clock.now())
    found += _of_database(settings, clock)
    return found


def _of_database(settings: Settings, clock: Clock) -> Iterator[DoctorFinding]:
    try:
        try:
            yield from _run_checks(settings, clock, _CHECKS + _OF_DIRECTORY)
        except WrongServer as error:
            yield problem(
                "index",
                "目录的服务器不能用，按现在的设置服务不会启动。",
                f"{error}.",
                error.message,
                "Correct the setting; see docs/settings.md.",
            )
            yield from _run_checks(settings.model_copy(update={"index_url": None}), clock, _CHECKS)
    except NewerSchema:
        yield problem(
            "database",
            "数据库已经由更新的版本升级。",
            "A newer release has upgraded the database.",
            "在这台机器上也安装那个版本。",
            "Install that release on this machine too.",
        )
    except WrongSchema:
        yield problem(
            "database",
            "数据库还没有建立，或者不是本版本的。",
            "There is no database yet, or it is not of this release.",
            "运行 hub init；升级之后运行 hub migrate。",
            "Run `hub init`, or `hub migrate` after an upgrade.",
        )
    except WrongDatabase as error:
        yield problem(
            "database",
            "这个数据库不能用。",
            f"{error}.",
            error.message,
            "Correct the setting; see docs/settings.md.",
        )
    except VaultError as error:
        yield problem(
            "master key",
            "主密钥打不开这个数据库。",
            f"{str(error)[:1].upper()}{str(error)[1:]}.",
            "让 HUB_MASTER_KEY_FILE 指向这个数据库的主密钥；没有就从它的备份取回。",
            "Set HUB_MASTER_KEY_FILE to the master key of this database; restore it from its backup if necessary.",
        )
    except DatabaseUnavailable as error:
        yield _unavailable("database", error)
    except OSError as error:
        yield problem(
            "folder",
            "数据目录里有不能读写的文件。",
            f"{error.strerror or 'Cannot be read'}.",
            f"检查 {settings.data_dir} 的属主和权限。",
            "Check the owner and permissions of the data directory.",
        )


def _run_checks(settings: Settings, clock: Clock, checks: tuple[tuple[str, _Check], ...]) -> Iterator[DoctorFinding]:
    with open_parts(settings, clock=clock) as parts:
        for name, check in checks:
            yield from _guarded(name, check, parts)


def _guarded(name: str, check: _Check, parts: Parts) -> Iterator[DoctorFinding]:
    try:
        yield from check(parts)
    except DatabaseUnavailable as error:
        yield _unavailable(name, error)


def _unavailable(name: str, error: DatabaseUnavailable) -> DoctorFinding:
    return down(
        name,
        "数据库没有应答。",
        f"The database is unavailable: {error}.",
        "启动数据库服务器，检查 HUB_DATABASE_URL；内嵌数据库坏了就从备份恢复。",
        "Start the database server and check HUB_DATABASE_URL; restore an embedded database from a backup.",
    )

"""What all commands share: opening the parts, exit codes, messages, tables, progress."""

import errno
import gc
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hub.backup import Damaged, NotPossible
    from hub.db.schema import TablesInUse, WrongSchema
    from hub.parts import Parts
    from hub.runtime.progress import Progress
    from hub.settings import Settings
    from hub.store.documents import DocumentDamaged

_PIPE_WIDTH = 400


class Exit(IntEnum):
    """What a command's end tells the shell."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    PARTLY = 3
    CONFIGURATION = 4
    DEPENDENCY = 5


class Stop(Exception):  # noqa: N818 (an ending, not an error of the program)
    """End the command with this code and this line, Chinese and English; nothing personal in either."""

    def __init__(self, code: Exit, message: str, message_en: str) -> None:
        super().__init__(message_en)
        self.code = code
        self.line = f"{message} {message_en}"


def say(message: str, message_en: str = "") -> None:
    """One line for the person at the terminal, on stderr: Chinese first, English beside it."""
    print(f"{message} {message_en}".rstrip(), file=sys.stderr, flush=True)  # noqa: T201


def emit(text: str) -> None:
    """One line of data, on stdout."""
    print(text)  # noqa: T201


def emit_json(value: Any) -> None:
    """Data for programs, on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2))  # noqa: T201


def emit_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Rows for people, on stdout; never cut, so that it can be piped."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=box.SIMPLE, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, markup=False, highlight=False).print(table)


@contextmanager
def progress(label: str) -> Iterator["Progress"]:
    """A bar on stderr for `(done, total)`; where stderr is not a terminal, one line at the end."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True, markup=False, highlight=False)
    seen = (0, 0)

    def silently(done: int, total: int) -> None:
        nonlocal seen
        seen = (done, total)

    if not console.is_terminal:
        yield silently
        say(f"{label} {seen[0]}/{seen[1] or seen[0]}")
        return
    with Bar(console=console) as bar:
        task = bar.add_task(label, total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None)

        yield show


def settings() -> "Settings":
    """The settings of this environment; a wrong `HUB_*` value ends the command with CONFIGURATION."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from hub.settings import Settings

    try:
        found = Settings()
    except ValidationError as error:
        wrong = {f"HUB_{str(item['loc'][0]).upper()}": item["msg"] for item in error.errors() if item["loc"]}
        raise Stop(
            Exit.CONFIGURATION,
            f"环境变量的值不对:{', '.join(sorted(wrong))}(见 docs/settings.md)。",
            "; ".join(f"{name}: {_expected(text)}" for name, text in sorted(wrong.items())) + ".",
        ) from None
    except SettingsError:
        raise Stop(
            Exit.CONFIGURATION, "环境变量 HUB_* 无法读取。", "The HUB_* environment variables cannot be read."
        ) from None
    if found.data_dir.exists() and not found.data_dir.is_dir():
        raise Stop(
            Exit.CONFIGURATION, f"HUB_DATA_DIR 不是目录:{found.data_dir}。", "HUB_DATA_DIR must name a directory."
        )
    return found


def _expected(text: str) -> str:
    """What pydantic says should be there; it never quotes what is."""
    return text.removeprefix("Value error, ").replace("Input should", "should").replace("String should", "should")


def say_of_rights(settings: "Settings") -> None:
    """For whoever serves: where the service may do more in the database than it must, say what to do, and go on."""
    from hub.db import engines

    if engines.beyond_need(engines.place_of(settings)):
        say_how_to_limit(settings)


def say_how_to_limit(settings: "Settings") -> None:
    """How the service gets the rights that it needs, and no others."""
    role = settings.database_service_role
    say(
        f"提醒:服务在数据库里的权限超出所需,能改表,也能删改记录。请由管理员执行 CREATE ROLE {role} NOLOGIN; 和"
        f" CREATE ROLE hub LOGIN IN ROLE {role}; 再运行 hub init,让服务用 hub 登录(见 docs/operations.md)。",
        "Note: the service may do more in the database than it must: alter tables, change what is on record. As an"
        f" administrator make the role {role} and a login that is its member, run `hub init` again, and let the service"
        " log in as that member.",
    )


@contextmanager
def opened() -> Iterator["Parts"]:
    """The parts of this environment's data directory; what they raise becomes an exit code in `tell`."""
    from hub.parts import open_parts

    with open_parts(settings()) as parts:
        gc.freeze()  # what was imported and built stays: it need not be looked through for garbage again and again
        yield parts


def tell(error: Exception) -> int:
    """Say on stderr what is the matter, without a traceback and without values; the exit code."""
    from hub.backup import Damaged, NotPossible
    from hub.db.database import DatabaseUnavailable, StorageFull, WrongDatabase
    from hub.db.schema import TablesInUse, WrongSchema
    from hub.domain.errors import TITLES, Refusal
    from hub.store.documents import DocumentDamaged
    from hub.vault import VaultError
    from indexer.errors import WrongServer
    from signing.errors import KeyMissing

    code = Exit.FAILED
    match error:
        case Stop():
            code = error.code
            say(error.line)
        case Refusal():
            _say_refusal(error, *TITLES[error.code])
        case WrongSchema() | TablesInUse():
            code = _say_of_schema(error)
        case WrongDatabase():
            code = Exit.CONFIGURATION
            say(error.message, f"{error}.")
        case NotPossible() | Damaged() | DocumentDamaged():
            code = _say_of_copying(error)
        case WrongServer():
            code = Exit.CONFIGURATION
            say(error.message, f"{error}.")
        case VaultError():
            code = Exit.CONFIGURATION
            say("主密钥打不开数据,请核对 HUB_MASTER_KEY_FILE。", f"Master key: {error}.")
        case StorageFull():
            code = Exit.DEPENDENCY
            say("存储空间不足,操作未完成。", "Storage is full: nothing was done.")
        case DatabaseUnavailable():
            code = Exit.DEPENDENCY
            say("数据库暂不可用,请稍后重试。", f"The database is not available: {error}.")
        case KeyMissing():
            code = Exit.DEPENDENCY
            say("签名密钥不可用。", f"A signing key is not available: {error}.")
        case OSError():
            code = _say_os_error(error)
        case _:
            _log_unknown(error)
            say("系统出现问题,操作未完成,详情见上面的日志。", f"Something failed here ({type(error).__name__}).")
    return int(code)


def _say_refusal(error: Any, title: str, title_en: str) -> None:
    say(f"{error.code}: {error.detail or title}。", f"{title_en}.")
    for item in error.errors:
        say(f"  {item.pointer or '/'}  {item.message}", item.message_en)


def _say_of_schema(error: "WrongSchema | TablesInUse") -> Exit:
    from hub.db.schema import NewerSchema, TablesInUse

    if isinstance(error, TablesInUse):
        say(
            "数据库表一直被占用,升级没有完成,服务不受影响:等备份、hub check 等长时间的操作结束后再运行一次。",
            "A table was in use all the time: the upgrade is not complete, and the service goes on. Run it again when"
            " backups, `hub check` and other long work have ended.",
        )
        return Exit.DEPENDENCY
    if isinstance(error, NewerSchema):
        say(
            "数据库已由更新的版本升级,本版本不能使用:请在这台机器上也安装那个版本。",
            "A newer release has upgraded the database: install that release on this machine too.",
        )
    else:
        say("数据库尚未建立或不是本版本的,请先运行 hub init。", "Not this release's database: run `hub init`.")
    return Exit.CONFIGURATION


def _say_of_copying(error: "NotPossible | Damaged | DocumentDamaged") -> Exit:
    from hub.backup import Damaged, NotPossible

    if isinstance(error, NotPossible):
        say(error.message, error.message_en)
        return Exit.CONFIGURATION if error.is_setting else Exit.FAILED
    if isinstance(error, Damaged):
        say(f"备份已损坏,没有恢复:{error.what}。", "The backup is damaged: nothing was put back.")
    else:
        say("文件丢失或损坏,操作未完成。", f"A document is lost or damaged: {error}.")
    return Exit.FAILED


def _say_os_error(error: OSError) -> Exit:
    if error.errno == errno.ENOSPC:
        say("存储空间不足,操作未完成。", "Storage is full: nothing was done.")
        return Exit.DEPENDENCY
    where = f"{error.filename}: " if error.filename else ""
    say("文件或目录无法读写。", f"{where}{error.strerror or type(error).__name__}.")
    return Exit.CONFIGURATION if isinstance(error, PermissionError | NotADirectoryError) else Exit.FAILED


def _log_unknown(error: Exception) -> None:
    """Kinds and places, never the message: it may hold what somebody typed."""
    from hub.runtime import logs

    print(json.dumps({"level": "error", "part": "cli", **logs.where(error)}), file=sys.stderr)  # noqa: T201

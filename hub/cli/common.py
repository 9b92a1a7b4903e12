"""Shared by all commands: opening the parts, exit codes, messages, tables and progress."""

import errno
import gc
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
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
    """Exit codes."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    PARTLY = 3
    CONFIGURATION = 4
    DEPENDENCY = 5


class Stop(Exception):  # noqa: N818 (ends the command; not a program error)
    """End the command with this exit code and message (Chinese and English, without personal data)."""

    def __init__(self, code: Exit, message: str, message_en: str) -> None:
        super().__init__(message_en)
        self.code = code
        self.line = f"{message} {message_en}"


def say(message: str, message_en: str = "") -> None:
    """Print a message to stderr: Chinese, followed by English."""
    print(f"{message} {message_en}".rstrip(), file=sys.stderr, flush=True)  # noqa: T201


def emit(text: str) -> None:
    """Print one line of data to stdout."""
    print(text)  # noqa: T201


def emit_json(value: Any) -> None:
    """Print JSON to stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2))  # noqa: T201


def emit_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table to stdout; cells are never truncated, so the output can be piped."""
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
    """A progress bar on stderr, updated with `(done, total)`; a single line at the end if stderr is not a terminal."""
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
    """Read the settings; an invalid `HUB_*` value ends the command with CONFIGURATION."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from hub.settings import Settings

    try:
        found = Settings()
    except ValidationError as error:
        wrong = {f"HUB_{str(item['loc'][0]).upper()}": item["msg"] for item in error.errors() if item["loc"]}
        raise Stop(
            Exit.CONFIGURATION,
            f"环境变量的值不对，请改正：{', '.join(sorted(wrong))}（见 docs/settings.md）。",
            "; ".join(f"{name}: {_expected(text)}" for name, text in sorted(wrong.items())) + ".",
        ) from None
    except SettingsError:
        raise Stop(
            Exit.CONFIGURATION, "环境变量 HUB_* 读不出来，请检查。", "Cannot read the HUB_* environment variables."
        ) from None
    if found.data_dir.exists() and not found.data_dir.is_dir():
        raise Stop(
            Exit.CONFIGURATION, f"HUB_DATA_DIR 不是目录：{found.data_dir}。", "HUB_DATA_DIR must be a directory."
        )
    return found


def _expected(text: str) -> str:
    """The expectation from pydantic's message, which never quotes the value."""
    return text.removeprefix("Value error, ").replace("Input should", "should").replace("String should", "should")


def say_of_rights(settings: "Settings") -> None:
    """Warn, and continue, if the service has more privileges in the database than it needs.

    Only a hint: a connection that is lost here does not end the start.
    """
    from hub.db import engines
    from hub.db.database import DatabaseUnavailable

    with suppress(DatabaseUnavailable):
        if engines.beyond_need(engines.place_of(settings)):
            say_how_to_limit(settings)


def say_how_to_limit(settings: "Settings") -> None:
    """Explain how to limit the service to the privileges that it needs."""
    role = settings.database_service_role
    say(
        f"提醒：服务在数据库里的权限太大，能改表，也能删改记录。请由管理员执行 CREATE ROLE {role} NOLOGIN; 和"
        f" CREATE ROLE hub LOGIN IN ROLE {role}; 再运行 hub init，让服务用 hub 登录（见 docs/operations.md）。",
        "Note: the service has more database privileges than it needs; it could alter tables and change records. As an"
        f" administrator, create the role {role} and a login that is a member of it, run `hub init` again, and let the"
        " service log in as that member.",
    )


@contextmanager
def opened() -> Iterator["Parts"]:
    """Open the parts for this environment; `report` turns their exceptions into exit codes."""
    from hub.parts import open_parts

    with open_parts(settings()) as parts:
        gc.freeze()  # imports and parts stay for the whole run: exempt them from garbage collection
        yield parts


def report(error: Exception) -> int:
    """Report an error on stderr, without a traceback and without values; returns the exit code."""
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
            _report_refusal(error, *TITLES[error.code])
        case WrongSchema() | TablesInUse():
            code = _report_schema(error)
        case WrongDatabase():
            code = Exit.CONFIGURATION
            say(error.message, f"{error}.")
        case NotPossible() | Damaged() | DocumentDamaged():
            code = _report_copying(error)
        case WrongServer():
            code = Exit.CONFIGURATION
            say(error.message, f"{error}.")
        case VaultError():
            code = Exit.CONFIGURATION
            say("主密钥打不开数据，请检查 HUB_MASTER_KEY_FILE。", f"Master key: {error}.")
        case StorageFull():
            code = Exit.DEPENDENCY
            say("存储空间不足，操作没有完成；请清理后重试。", "Storage is full; nothing was changed.")
        case DatabaseUnavailable():
            code = Exit.DEPENDENCY
            say("数据库暂时不可用，请稍后重试。", f"Database unavailable: {error}.")
        case KeyMissing():
            code = Exit.DEPENDENCY
            say("签名密钥不可用，请运行 hub doctor。", f"Signing key unavailable: {error}. Run `hub doctor`.")
        case OSError():
            code = _say_os_error(error)
        case _:
            _log_unknown(error)
            say(
                "系统出错，操作没有完成，详情见上面的日志。",
                f"Internal error ({type(error).__name__}); see the log above.",
            )
    return int(code)


def _report_refusal(error: Any, title: str, title_en: str) -> None:
    say(f"{error.code}: {error.detail or title}。", f"{title_en}.")
    for item in error.errors:
        say(f"  {item.pointer or '/'}  {item.message}", item.message_en)


def _report_schema(error: "WrongSchema | TablesInUse") -> Exit:
    from hub.db.schema import NewerSchema, TablesInUse

    if isinstance(error, TablesInUse):
        say(
            "数据库表一直被占用，升级没有完成，服务不受影响。请等备份、hub check 等耗时的操作结束后再运行一次。",
            "A table stayed locked: the upgrade is not complete; the service keeps running. Run it again when backups,"
            " `hub check` and other long-running work have finished.",
        )
        return Exit.DEPENDENCY
    if isinstance(error, NewerSchema):
        say(
            "数据库已经由更新的版本升级，本版本不能用了；请在这台机器上也安装那个版本。",
            "A newer release has upgraded the database; install that release on this machine too.",
        )
    else:
        say("数据库还没有建立，或者不是本版本的，请先运行 hub init。", "No database of this release; run `hub init`.")
    return Exit.CONFIGURATION


def _report_copying(error: "NotPossible | Damaged | DocumentDamaged") -> Exit:
    from hub.backup import Damaged, NotPossible

    if isinstance(error, NotPossible):
        say(error.message, error.message_en)
        return Exit.CONFIGURATION if error.is_setting else Exit.FAILED
    if isinstance(error, Damaged):
        say(f"备份已损坏，没有恢复：{error.what}。", "The backup is damaged; nothing was restored.")
    else:
        say("文件丢失或损坏，操作没有完成。", f"Document missing or damaged: {error}.")
    return Exit.FAILED


def _say_os_error(error: OSError) -> Exit:
    if error.errno == errno.ENOSPC:
        say("存储空间不足，操作没有完成；请清理后重试。", "Storage is full; nothing was changed.")
        return Exit.DEPENDENCY
    where = f"{error.filename}: " if error.filename else ""
    say("文件或目录不能读写，请检查权限。", f"{where}{error.strerror or type(error).__name__}.")
    return Exit.CONFIGURATION if isinstance(error, PermissionError | NotADirectoryError) else Exit.FAILED


def _log_unknown(error: Exception) -> None:
    """Log exception types and places, never the message, which may contain input."""
    from hub.runtime import logs

    print(json.dumps({"level": "error", "part": "cli", **logs.where(error)}), file=sys.stderr)  # noqa: T201

"""`hub serve` and `hub work`: the API server and the worker, which `serve` starts with the embedded database."""

import errno
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli import common
from hub.cli.common import Exit, Stop

if TYPE_CHECKING:
    from hub.parts import Parts
    from hub.settings import Settings

STOP_S = 10.0
FIRST_PAUSE_S = 0.1
MAX_PAUSE_S = 1.0
RELEASE_S = 10.0
"""How long a start waits for the address: API processes of a `hub serve` that was killed may not have let go of it."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(help="运行服务，并看管后台进程。 Run the API server and supervise the worker.")(serve)
    app.command(
        help="运行后台进程（内嵌数据库时由 serve 启动）。 Run the worker (embedded database: `serve` starts it)."
    )(work)


def serve(
    host: Annotated[str, typer.Option(help="监听地址。 Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="监听端口。 Port to listen on.")] = 8080,
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            max=64,
            help="服务进程数，内嵌数据库只能为 1。 Number of API processes; 1 with the embedded database.",
        ),
    ] = 1,
    socket_number: Annotated[int, typer.Option("--socket", hidden=True, help="继承的套接字。 Inherited socket.")] = -1,
    shared: Annotated[int, typer.Option(hidden=True, help="进程共用的文件。 File that the processes share.")] = -1,
) -> None:
    """Serve until SIGINT or SIGTERM, then finish the requests in progress and exit 0."""
    _end_at_a_signal()
    settings = common.settings()
    if socket_number >= 0:
        _serve_for_parent(settings, socket_number, shared)
    elif settings.database_url is not None:
        _serve_server(settings, host, port, workers)
    elif workers == 1:
        _serve_embedded(settings, host, port)
    else:
        raise Stop(
            Exit.USAGE,
            "内嵌数据库（SQLite）只能有一个服务进程，请去掉 --workers。",
            "The embedded database allows only one API process; omit --workers.",
        )


def _serve_embedded(settings: "Settings", host: str, port: int) -> None:
    """One API process on the embedded database, with the worker as a child."""
    from hub.cli.supervisor import Supervisor
    from hub.parts import open_parts
    from hub.runtime import logs

    with serve_lock_held(settings), bound(host, port) as sock, Supervisor() as supervisor:
        logs.configure(settings.log_level)
        with open_parts(settings) as parts:
            supervisor.start()
            from hub.server import run

            run(parts, sock)


def _serve_server(settings: "Settings", host: str, port: int, workers: int) -> None:
    """One process, or several that share a socket, on a database server; `hub work` runs separately."""
    from hub.runtime import logs

    with bound(host, port, RELEASE_S) as sock:
        logs.configure(settings.log_level)
        with _opened(settings, patient=False) as parts:
            common.say_of_rights(settings)
            if workers == 1:
                from hub.server import run

                run(parts, sock)
                return
        _supervise(sock, workers)


def _supervise(sock: socket.socket, workers: int) -> None:
    """Keep the API processes running until a signal arrives, then stop all of them gracefully at the same time."""
    import tempfile

    from hub.cli.supervisor import Supervisor
    from hub.runtime.shared_file import SharedFile
    from hub.server import DRAIN_S
    from hub.web.metrics import SHARED_FOLDER

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    shared = SharedFile()
    files = (sock.fileno(), shared.number)
    words = ("serve", "--socket", str(sock.fileno()), "--shared", str(shared.number))
    with tempfile.TemporaryDirectory(prefix="hub-metrics-") as folder, ExitStack() as stack:
        os.environ[SHARED_FOLDER] = folder
        children = [
            stack.enter_context(Supervisor(words, files=files, stop_s=DRAIN_S + STOP_S)) for _ in range(workers)
        ]
        for child in children:
            child.start()
        stop.wait()
        for child in children:
            child.ask_to_stop()


def _serve_for_parent(settings: "Settings", number: int, shared: int) -> None:
    """One of several processes, on a socket bound by the parent; it ends with the parent."""
    threading.Thread(target=_stop_without_parent, daemon=True).start()
    from hub.runtime import logs
    from hub.server import run

    with socket.socket(fileno=number) as sock:
        logs.configure(settings.log_level)
        with _opened(settings, patient=False, shared=shared) as parts:
            run(parts, sock)


def _stop_without_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def work(
    until_eof: Annotated[bool, typer.Option("--until-eof", hidden=True, help="End when stdin is closed.")] = False,
) -> None:
    """Work until SIGINT or SIGTERM, then finish the current task and exit 0."""
    from hub.runtime import logs
    from hub.worker import Worker

    _end_at_a_signal()
    settings = common.settings()
    stop = threading.Event()
    if until_eof:
        threading.Thread(target=_watch_parent, args=(stop,), daemon=True).start()
    logs.configure(settings.log_level)
    with _opened(settings) as parts:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        common.say_of_rights(settings)
        gc.freeze()  # imports and parts stay for the whole run: exempt them from garbage collection
        Worker(parts, stop).run()


def _end_at_a_signal() -> None:
    """Until the process installs its own handlers: being stopped during the start is not an error."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(int(Exit.DONE)))


@contextmanager
def _opened(settings: "Settings", *, patient: bool = True, shared: int | None = None) -> "Iterator[Parts]":
    """Open the parts of a starting process; retries while the database server is unavailable or the connection is lost.

    Raises DatabaseUnavailable when HUB_DATABASE_CONNECT_S has passed, and immediately what a retry cannot cure.
    """
    from hub.db.database import DatabaseUnavailable, WrongDatabase
    from hub.db.schema import WrongSchema
    from hub.parts import open_parts

    until = time.monotonic() + (0.0 if settings.database_url is None else settings.database_connect_s)
    pause = FIRST_PAUSE_S
    with ExitStack() as stack:
        while True:
            try:
                parts = stack.enter_context(open_parts(settings, patient=patient, shared=shared))
                break
            except (WrongDatabase, WrongSchema):
                raise
            except DatabaseUnavailable:
                if time.monotonic() + pause > until:
                    raise
            time.sleep(pause)
            pause = min(MAX_PAUSE_S, pause * 2)
        yield parts


def _watch_parent(stop: threading.Event) -> None:
    """Stop when stdin is closed: the parent holds the other end, so this happens however the parent ends.

    The current task may finish, but is not waited for longer than STOP_S.
    """
    while os.read(sys.stdin.fileno(), 1):
        pass
    stop.set()
    threading.Timer(STOP_S, os._exit, (1,)).start()


@contextmanager
def bound(host: str, port: int, wait_s: float = 0.0) -> Iterator[socket.socket]:
    """The socket to serve on, bound before anything else; ends the command if the address stays in use."""
    until = time.monotonic() + wait_s
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        while True:
            try:
                sock.bind((host, port))
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > until:
                    raise Stop(
                        Exit.CONFIGURATION,
                        f"不能在 {host}:{port} 上监听，端口可能已被占用，请用 --port 另选。",
                        f"Cannot listen on this address: {error.strerror}.",
                    ) from None
            time.sleep(FIRST_PAUSE_S)
        yield sock


@contextmanager
def serve_lock_held(settings: "Settings") -> Iterator[None]:
    """Hold the serve lock of the data directory; ends the command if another process holds it."""
    from hub.runtime import serve_lock

    if not settings.data_dir.is_dir():
        raise Stop(
            Exit.CONFIGURATION,
            "数据目录还没有建立，请先运行 hub init。",
            "No data directory; run `hub init` first.",
        )
    with ExitStack() as stack:
        try:
            stack.enter_context(serve_lock.held(settings.data_dir))
        except BlockingIOError:
            raise Stop(
                Exit.CONFIGURATION,
                f"已有一个服务进程在使用数据目录 {settings.data_dir}。",
                "Another `hub serve` is using this data directory.",
            ) from None
        yield

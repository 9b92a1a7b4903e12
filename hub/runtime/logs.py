"""Structured logs: one JSON object per line on stderr. No line contains a path, a query, a body or an exception's text,
because any of these may contain personal data that a user typed.
"""

import logging
import sys
import traceback
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, BinaryIO, cast

import structlog
from pydantic_core import to_json
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that this thread is serving; every log line contains it."""

MAX_FRAMES = 30
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(level: str) -> None:
    """Set up logging for this process: our own log lines, and those of libraries in the same format."""
    shared: list[Any] = [_request_id, structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso")]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_line)],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.BytesLoggerFactory(cast("BinaryIO", _Stderr())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_StderrText())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                _without_texts,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(_LEVELS[level], logging.WARNING))
    # Its warnings mean nothing without their values, which must not be logged; the caller logs the failure.
    logging.getLogger("elastic_transport").setLevel(logging.ERROR)


class _Stderr:
    """The current standard error stream. A line that cannot be written is dropped: a full disk or a closed pipe behind
    the log must not turn a reply into an error.
    """

    def write(self, line: bytes) -> int:
        with suppress(OSError, ValueError):
            sys.stderr.buffer.write(line)
        return len(line)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


class _StderrText:
    """The same for the standard library's handler."""

    def write(self, line: str) -> int:
        return _Stderr().write(line.encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        _Stderr().flush()


def get(name: str) -> FilteringBoundLogger:
    """A logger whose lines contain the name of the component that writes them."""
    logger: FilteringBoundLogger = structlog.get_logger(part=name)
    return logger


def where(error: BaseException) -> dict[str, Any]:
    """What may be logged about an unexpected exception: types and locations, never messages."""
    kinds: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(kinds) < 5:
        kinds.append(type(seen).__qualname__)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    return {"fault": kinds, "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames)]}


def _line(event: EventDict, **_: Any) -> bytes:
    """Three times as fast as the standard library; it matters, because every request logs a line."""
    return to_json(event)


def _request_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    request_id = REQUEST_ID.get()
    if request_id:
        event.setdefault("request_id", request_id)
    return event


def _without_texts(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A library's log line: its format string and an exception's location, without arguments and messages."""
    record: logging.LogRecord = event["_record"]
    event["event"] = str(record.msg)
    event["part"] = record.name
    if record.exc_info and isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
        event.update(where(record.exc_info[1]))
    event.pop("exc_info", None)
    return event

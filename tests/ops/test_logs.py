"""Logging never fails a request: a line is written or lost."""

import io
import logging
import sys

import pytest
import structlog

from hub.runtime import logs


class FullDisk(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, _: object) -> int:
        raise OSError(28, "No space left on device")


@pytest.fixture(autouse=True)
def _settings_of_others():
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


def closed() -> io.TextIOWrapper:
    stream = io.TextIOWrapper(io.BytesIO())
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [closed(), io.TextIOWrapper(FullDisk())], ids=["closed", "full"])
def test_a_line_that_cannot_be_written_is_lost_and_nothing_else(monkeypatch, stream):
    logs.configure("info")
    log = logs.get("test")
    monkeypatch.setattr(sys, "stderr", stream)
    log.info("said", count=1)
    logging.getLogger("library").error("said")


def test_lines_go_where_standard_error_is_now(monkeypatch):
    logs.configure("info")
    log = logs.get("test")
    stream = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stderr", stream)
    log.info("said", count=1)
    assert b'"event":"said"' in stream.buffer.getvalue()
    logging.getLogger("library").warning("a text with %s", "something personal")
    assert "something personal" not in stream.buffer.getvalue().decode()

"""Key files: written atomically, never overwritten, readable by their owner only."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.cli.common import Exit, Stop


@contextmanager
def new_file(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Write one new file (mode 0600) atomically; it is removed if the block fails.

    An existing file is never overwritten: it may be the only copy of another key.
    """
    exists = Stop(
        Exit.FAILED, "密钥文件已存在，不会覆盖；请换一个文件名。", "The key file exists and will not be overwritten."
    )
    if path.exists() or path.is_symlink():
        raise exists
    written = False

    def write(content: bytes) -> None:
        nonlocal written
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            path.hardlink_to(temporary)
            written = True
        except FileExistsError:
            raise exists from None
        finally:
            temporary.unlink(missing_ok=True)

    try:
        yield write
    except BaseException:
        if written:
            path.unlink(missing_ok=True)
        raise

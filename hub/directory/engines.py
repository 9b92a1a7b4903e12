"""Open the directory engine that the settings select; the other engine's client is not even imported."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hub.settings import Settings
from indexer.embedded.engine import EmbeddedDirectory
from indexer.engine import DirectoryEngine
from indexer.errors import DirectoryUnavailable, WrongServer

if TYPE_CHECKING:
    from indexer.elastic.engine import Access, ElasticDirectory


def index_folder(settings: Settings) -> Path:
    """The folder of the embedded directory, which can be deleted and rebuilt."""
    return settings.data_dir / "index"


@contextmanager
def opened(settings: Settings) -> Iterator[DirectoryEngine]:
    """The directory engine of these settings. A server that is unavailable now is tolerated: it may come back.

    Raises WrongServer if an operator must change the settings or the server.
    """
    if settings.index_url is None:
        yield EmbeddedDirectory(index_folder(settings))
        return
    from indexer.elastic.engine import ElasticDirectory, Shape

    shape = Shape(settings.index_prefix, settings.index_shards, settings.index_replicas)
    engine = ElasticDirectory(_access(settings, settings.index_url), shape, index_folder(settings))
    try:
        _require_usable(engine)
        yield engine
    finally:
        engine.close()


def _require_usable(engine: "ElasticDirectory") -> None:
    try:
        engine.require_usable()
    except WrongServer:
        raise
    except DirectoryUnavailable:
        return


def _access(settings: Settings, urls: str) -> "Access":
    from indexer.elastic.engine import Access

    if bool(settings.index_user) != (settings.index_password_file is not None):
        raise WrongServer(
            "HUB_INDEX_USER 和 HUB_INDEX_PASSWORD_FILE 要同时设置。",
            "HUB_INDEX_USER and HUB_INDEX_PASSWORD_FILE belong together: set both or neither",
        )
    if settings.index_user and settings.index_api_key_file is not None:
        raise WrongServer(
            "HUB_INDEX_USER 和 HUB_INDEX_API_KEY_FILE 只能设置一个。",
            "HUB_INDEX_USER and HUB_INDEX_API_KEY_FILE are mutually exclusive: set one",
        )
    return Access(
        urls=tuple(urls.split(",")),
        ca_file=settings.index_ca_file,
        user=settings.index_user,
        password=_secret(settings.index_password_file, "HUB_INDEX_PASSWORD_FILE"),
        api_key=_secret(settings.index_api_key_file, "HUB_INDEX_API_KEY_FILE"),
        connect_timeout_s=settings.index_connect_timeout_s,
        timeout_s=settings.index_timeout_s,
        write_timeout_s=settings.index_write_timeout_s,
    )


def _secret(path: Path | None, name: str) -> str:
    if path is None:
        return ""
    found = ""
    with suppress(OSError, UnicodeDecodeError):
        found = path.read_text(encoding="utf-8").strip()
    if not found:
        raise WrongServer(
            f"{name} 指向的文件读不出来，或者是空的。", f"The file named by {name} cannot be read or is empty"
        )
    return found

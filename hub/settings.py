"""All settings of the hub, from environment variables `HUB_*`; docs/settings.md documents each of them.

A name that ends in `_FILE` is a path to a secret. No other module reads these variables.
"""

from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def _address(url: str) -> str:
    """Validate an origin with an optional path, and drop the trailing slash: QR codes contain it for decades."""
    trimmed = url.rstrip("/")
    try:
        found = urlsplit(trimmed)
        is_good = found.scheme in {"http", "https"} and bool(found.hostname) and found.port != 0
    except ValueError:  # an invalid port or IPv6 bracket
        is_good = False
    if not is_good or "@" in trimmed or any(c in trimmed for c in " #?\"'<>\\"):
        raise ValueError("must be an http or https address without query or fragment")
    return trimmed


def _addresses(urls: str | None) -> str | None:
    """Addresses of the nodes of one cluster, separated by commas."""
    return None if urls is None else ",".join(_address(url.strip()) for url in urls.split(","))


def _networks(text: str) -> str:
    """IP addresses and networks, separated by commas; none that contains every address."""
    found = [ip_network(item.strip()) for item in text.split(",") if item.strip()]
    if any(network.prefixlen == 0 for network in found):
        raise ValueError("must name the proxies, not every address")
    return ",".join(map(str, found))


class Settings(BaseSettings):
    """The operator's settings. `_s` are seconds, `_bytes` bytes, `_a_day` distinct people a day in Asia/Shanghai."""

    model_config = SettingsConfigDict(
        env_prefix="HUB_", frozen=True, extra="ignore", env_ignore_empty=True, allow_inf_nan=False
    )

    data_dir: Path = Path("data")
    public_url: Annotated[str, AfterValidator(_address)] = "http://127.0.0.1:8080"
    master_key_file: Path | None = None

    database_url: str | None = None
    database_password_file: Path | None = None
    database_service_role: str = Field("hub_service", pattern="^[a-z_][a-z0-9_]{0,62}$")
    database_connections: int = Field(10, ge=2, le=200)
    database_wait_s: float = Field(1.0, gt=0)
    database_statement_s: float = Field(1.2, gt=0)
    database_lock_s: float = Field(1.1, gt=0)
    database_connect_s: float = Field(5.0, gt=0)

    index_url: Annotated[str | None, AfterValidator(_addresses)] = None
    index_ca_file: Path | None = None
    index_user: str = ""
    index_password_file: Path | None = None
    index_api_key_file: Path | None = None
    index_prefix: str = Field("hub-directory", pattern="^[a-z][a-z0-9_-]{0,62}$")
    index_shards: int = Field(1, ge=1, le=1024)
    index_replicas: int = Field(1, ge=0, le=10)
    index_connect_timeout_s: float = Field(0.5, gt=0)
    index_timeout_s: float = Field(1.0, gt=0)
    index_write_timeout_s: float = Field(10.0, gt=0)

    max_body_bytes: int = Field(10 * 1024 * 1024, ge=1024)
    max_public_body_bytes: int = Field(256 * 1024, ge=1024)
    max_file_bytes: int = Field(10 * 1024 * 1024, ge=1024, le=10 * 1024 * 1024)
    body_timeout_s: float = Field(15.0, gt=0)
    max_people_a_case: int = Field(20, ge=1, le=100)

    writes_at_once: int | None = Field(None, ge=1)
    writes_waiting: int = Field(64, ge=0)
    reads_at_once: int = Field(8, ge=1)
    reads_waiting: int = Field(128, ge=0)
    public_at_once: int = Field(2, ge=1)
    public_waiting: int = Field(128, ge=0)
    files_at_once: int = Field(2, ge=1)
    files_waiting: int = Field(8, ge=0)
    files_per_address: int = Field(5, ge=1)
    file_deadline_s: float = Field(2.0, gt=0)
    file_wall_clock_s: float = Field(120.0, gt=0)
    file_cpu_per_address_s: float = Field(30.0, gt=0)
    proxy_addresses: Annotated[str, AfterValidator(_networks)] = ""

    people_a_day_per_clerk: int = Field(300, ge=1)
    people_taken_in_a_day_per_clerk: int = Field(100, ge=1)
    people_a_day_per_client: int = Field(5_000, ge=1)
    people_a_day: int = Field(200_000, ge=1)
    copy_days: int = Field(30, ge=1, le=3650)

    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")

    @property
    def writers(self) -> int:
        """How many writing requests one process handles at once: SQLite has one writer, PostgreSQL many."""
        return self.writes_at_once or (1 if self.database_url is None else 4)

    @property
    def master_key_path(self) -> Path:
        """The path of the master key; outside the data directory if the operator sets it so."""
        return self.master_key_file or self.data_dir / "master.key"


def unknown(names: Iterable[str]) -> list[str]:
    """Environment variables that look like settings but are not: mostly typing errors."""
    known = {f"HUB_{name.upper()}" for name in Settings.model_fields}
    return sorted(name for name in names if name.upper().startswith("HUB_") and name.upper() not in known)

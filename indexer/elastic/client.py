"""The connection to Elasticsearch: the official client with our time limits, our exceptions and a circuit breaker.

After a failure, requests fail immediately for a while, with exponential back-off; then a single request tests the
server while all others still fail immediately. So a server that is down or slow does not delay callers. Keys of entries
are sent in bodies only, because URLs end up in the logs of proxies.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import urllib3
from elastic_transport import NodeConfig, TlsError, TransportError, Urllib3HttpNode
from elasticsearch import ApiError, Elasticsearch, UnsupportedProductError
from urllib3.exceptions import ReadTimeoutError

from indexer.errors import DirectoryBroken, DirectoryUnavailable, WrongServer

MAJOR = 8
RIGHTS = ("manage", "read", "write")
"""The index privileges that the user needs; the cluster privilege `monitor` is tested by querying the cluster's
health."""
_DOWN_S, _DOWN_AT_MOST_S = 3.0, 24.0
_CONNECTIONS = 32
_PIECE = 65_536
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")
_OVERLOADED = {429, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Access:
    """Addresses and credentials of the server. Secrets are read from files and never shown.

    urls: any nodes of one cluster. ca_file: the CA of its certificate, None for the system's CAs. timeout_s: for one
    query; write_timeout_s: for one write including retries.
    """

    urls: tuple[str, ...]
    ca_file: Path | None = None
    user: str = ""
    password: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    connect_timeout_s: float = 0.5
    timeout_s: float = 1.0
    write_timeout_s: float = 10.0


class Client:
    """Queries and writes. Safe to share between threads."""

    def __init__(self, access: Access) -> None:
        self.write_timeout_s = access.write_timeout_s
        self._ask_timeout_s = access.timeout_s
        self._access = access
        raw = _connect(access)
        self._asking = raw.options(request_timeout=access.timeout_s)
        self._writing = raw.options(request_timeout=access.write_timeout_s)
        self._circuit = _Circuit()

    @contextmanager
    def querying(self) -> Iterator[Elasticsearch]:
        """For a query; fails immediately while the circuit is open."""
        with self._guarded_by_circuit(self._circuit.enter()):
            yield self._asking

    @contextmanager
    def writing(self) -> Iterator[Elasticsearch]:
        """For writes and administration, which bypass the circuit: a server that rejects writes may still answer
        queries."""
        with faults():
            yield self._writing

    def close(self) -> None:
        """Close all connections."""
        self._asking.close()

    def search(self, index: str, bodies: Sequence[dict[str, Any]], routing: int | None = None) -> list[Any]:
        """Send several searches in one request; each result is complete, or DirectoryUnavailable is raised."""
        header: dict[str, Any] = {"index": index, "allow_partial_search_results": False}
        if routing is not None:
            header["routing"] = str(routing)
        timeout = f"{round(self._ask_timeout_s * 1000)}ms"
        lines = [line for body in bodies for line in (header, body | {"timeout": timeout})]
        with self.querying() as server:
            answers = server.msearch(searches=lines).body["responses"]
            for answer in answers:
                _require_whole(answer)
        return list(answers)

    def documents(self, index: str, wanted: Sequence[tuple[str, str]]) -> list[dict[str, Any] | None]:
        """The sources of some documents by (id, routing), as last written, even if not searchable yet."""
        places = [{"_id": name, "routing": routing} for name, routing in wanted]
        with self.querying() as server:
            found = server.mget(index=index, docs=places).body["docs"]
            for one in found:
                if "error" in one:
                    raise fault_of(one.get("status", 0), str(one["error"]["type"]))
        return [one["_source"] if one["found"] else None for one in found]

    def require_usable(self, indexes: str) -> None:
        """Raise WrongServer if an operator must act, DirectoryUnavailable if waiting may help.

        indexes: the pattern of the indexes that the hub creates, writes and reads.
        """
        try:
            with self.writing() as server:
                status = server.cluster.health(filter_path="status").body["status"]
                nodes = server.nodes.info(node_id="_all", metric="process", filter_path="nodes.*.version").body["nodes"]
                self._require_rights(server, indexes)
        except WrongServer:
            raise
        except DirectoryUnavailable:
            self._require_plain()
            raise
        versions = sorted({str(node["version"]) for node in nodes.values()})
        if any(not version.startswith(f"{MAJOR}.") for version in versions):
            raise WrongServer(
                f"HUB_INDEX_URL 处的 Elasticsearch 版本为 {'、'.join(versions)}，请改用 {MAJOR}.x。",
                f"The Elasticsearch at HUB_INDEX_URL is {', '.join(versions)}; use release {MAJOR}",
            )
        if status == "red":
            raise DirectoryUnavailable("the cluster is red")

    def _require_rights(self, server: Elasticsearch, indexes: str) -> None:
        """A server without security grants every privilege, so it is not queried."""
        if self._access.user or self._access.api_key:
            wanted = [{"names": [indexes], "privileges": list(RIGHTS)}]
            if not server.security.has_privileges(index=wanted).body["has_all_requested"]:
                raise _lacks_rights()

    def _require_plain(self) -> None:
        """Detect TLS explicitly: a server with TLS drops a plain connection without any error message."""
        for url in self._access.urls:
            if url.startswith("http:") and _accepts_tls(url, self._access.connect_timeout_s):
                raise WrongServer(
                    "HUB_INDEX_URL 处的服务器使用 TLS，请改用 https://。",
                    "The server at HUB_INDEX_URL uses TLS: change the address to https://",
                )

    @contextmanager
    def _guarded_by_circuit(self, failures: int) -> Iterator[None]:
        try:
            with faults():
                yield
        except (DirectoryBroken, _RequestRejected):
            self._circuit.answered()
            raise
        except DirectoryUnavailable:
            self._circuit.failed(failures)
            raise
        self._circuit.answered()


@contextmanager
def faults() -> Iterator[None]:
    """Translate the client's exceptions into ours."""
    try:
        yield
    except UnsupportedProductError:
        raise WrongServer(
            "HUB_INDEX_URL 处的服务不是 Elasticsearch，请检查这个地址。",
            "The service at HUB_INDEX_URL is not Elasticsearch: correct the address",
        ) from None
    except ApiError as error:
        raise fault_of(error.status_code, str(error.error)) from None
    except TlsError as error:
        raise _tls_fault(error) from None
    except TransportError as error:
        raise DirectoryUnavailable(type(error).__name__) from None


def fault_of(status: int, kind: str) -> DirectoryUnavailable:
    """The exception for an error response; kind: the server's error code."""
    if kind == "index_not_found_exception":
        return DirectoryBroken("the index is missing")
    if status == 401:
        return WrongServer(
            "Elasticsearch 不接受这个身份，请检查 HUB_INDEX_USER 和密码文件，或者 API 密钥文件。",
            "Elasticsearch rejected the credentials: check HUB_INDEX_USER and its password file, or the API key file",
        )
    if status == 403 and kind == "security_exception":
        return _lacks_rights()
    if status == 406 or kind in {"media_type_header_exception", "content_type_header_exception"}:
        return WrongServer(
            f"HUB_INDEX_URL 处的服务器版本不对，请改用 Elasticsearch {MAJOR}.x。",
            f"The server at HUB_INDEX_URL does not support our protocol: use Elasticsearch release {MAJOR}",
        )
    text = f"{status} {kind}" if kind.replace("_", "").isalnum() else str(status)
    return _RequestRejected(text) if status in {400, 404, 405, 409} else DirectoryUnavailable(text)


def _lacks_rights() -> WrongServer:
    return WrongServer(
        "Elasticsearch 用户的权限不够，请按 docs/operations.md 授予。",
        "The Elasticsearch user lacks privileges: grant those listed in docs/operations.md",
    )


def _accepts_tls(url: str, timeout_s: float) -> bool:
    """Whether the address accepts a TLS handshake; nothing is sent or verified."""
    place = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((place.hostname, place.port or 80), timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=place.hostname),
        ):
            return True
    except OSError:
        return False


def _tls_fault(error: TlsError) -> DirectoryUnavailable:
    """Distinguish a permanent misconfiguration from a connection that broke during the handshake."""
    if "CERTIFICATE_VERIFY_FAILED" in error.message:
        return WrongServer(
            "HUB_INDEX_URL 处的服务器证书不受信任，请检查 HUB_INDEX_CA_FILE。",
            "The certificate of the server at HUB_INDEX_URL is not trusted: check HUB_INDEX_CA_FILE",
        )
    if any(sign in error.message for sign in _NO_TLS):
        return WrongServer(
            "HUB_INDEX_URL 处的服务器不使用 TLS，请改用 http:// 或在服务器上启用 TLS。",
            "The server at HUB_INDEX_URL does not use TLS: change the address to http://, or enable TLS on the server",
        )
    return DirectoryUnavailable("the connection was interrupted")


def is_overloaded(error: ApiError) -> bool:
    """Whether a retry of the request may succeed soon."""
    return error.status_code in _OVERLOADED


def _require_whole(answer: dict[str, Any]) -> None:
    if "error" in answer:
        raise fault_of(answer.get("status", 0), str(answer["error"]["type"]))
    if answer["timed_out"] or answer["_shards"]["failed"]:
        raise DirectoryUnavailable("only some shards answered")


class _RequestRejected(DirectoryUnavailable):
    """The server works but rejects this request."""


class _Circuit:
    """A circuit breaker on the monotonic clock: closed while the server answers, open for a while after a failure.

    Every request remembers the number of failures at its start: of several requests that fail together, one counts.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._pause_s = 0.0
        self._failures = 0

    def enter(self) -> int:
        """Returns the number of failures so far; raises DirectoryUnavailable while the circuit is open."""
        with self._lock:
            if self._pause_s:
                now = time.monotonic()
                if now < self._until:
                    raise DirectoryUnavailable("the server failed a moment ago")
                self._until = now + self._pause_s  # this request tests the server; the others wait for its result
            return self._failures

    def failed(self, failures: int) -> None:
        """Open the circuit, for longer if a test request failed; `failures` is the result of `enter`."""
        with self._lock:
            if failures != self._failures:
                return
            self._failures += 1
            self._pause_s = min(self._pause_s * 2 or _DOWN_S, _DOWN_AT_MOST_S)
            self._until = time.monotonic() + self._pause_s

    def answered(self) -> None:
        """Close the circuit."""
        with self._lock:
            self._pause_s = 0.0


@dataclass(frozen=True, slots=True)
class _Response:
    """A complete response."""

    status: int
    headers: Any
    data: bytes


class _Pool:
    """A connection pool with a time limit for the whole response; urllib3 limits the wait for each chunk only."""

    def __init__(self, pool: urllib3.HTTPConnectionPool) -> None:
        self._pool = pool

    def urlopen(self, method: str, target: str, *, timeout: urllib3.Timeout, **more: Any) -> _Response:
        """Send a request; raises ReadTimeoutError when the time is up, after twice the time limit at the latest."""
        until = time.monotonic() + cast("float", timeout.total)
        answer = self._pool.urlopen(method, target, timeout=timeout, preload_content=False, **more)
        try:
            data = b"".join(self._pieces(answer, target, until))
        except BaseException:
            answer.close()
            raise
        answer.release_conn()
        return _Response(answer.status, answer.headers, data)

    def _pieces(self, answer: urllib3.BaseHTTPResponse, target: str, until: float) -> Iterator[bytes]:
        while piece := answer.read1(_PIECE):
            yield piece
            if time.monotonic() > until:
                raise ReadTimeoutError(self._pool, target, "the answer has not ended in time")

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class _Node(Urllib3HttpNode):
    """Has a separate, shorter connect timeout, to distinguish an unreachable host from a slow query."""

    connect_timeout_s = 0.5

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        self.pool = cast("Any", _Pool(self.pool))

    def perform_request(self, method: str, target: str, **more: Any) -> Any:  # type: ignore[override]
        total = more.pop("request_timeout")
        limits = urllib3.Timeout(connect=min(self.connect_timeout_s, total), total=total)
        return super().perform_request(method, target, request_timeout=cast("float", limits), **more)


def _connect(access: Access) -> Elasticsearch:
    class Node(_Node):
        connect_timeout_s = access.connect_timeout_s

    how: dict[str, Any] = {}
    if access.api_key:
        how["api_key"] = access.api_key
    elif access.user:
        how["basic_auth"] = (access.user, access.password)
    if any(url.startswith("https:") for url in access.urls):
        how["ssl_context"] = _trust(access.ca_file)
    return Elasticsearch(
        list(access.urls),
        node_class=Node,
        connections_per_node=_CONNECTIONS,
        request_timeout=access.timeout_s,
        max_retries=len(access.urls) - 1,
        retry_on_status=(),
        retry_on_timeout=False,
        **how,
    )


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError:  # ssl.SSLError is one
        raise WrongServer(
            "HUB_INDEX_CA_FILE 读不出来，或者不是 PEM 证书，请检查。",
            "HUB_INDEX_CA_FILE cannot be read or contains no PEM certificate",
        ) from None

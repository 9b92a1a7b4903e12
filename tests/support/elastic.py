"""Elasticsearch from Maven Central: real private servers on loopback, never as root, removed when the tests end.

`shared()` is one server for the whole test run (the fixture `elasticsearch`); a test that stops, kills or breaks its
server starts its own with `server()`, `secured()` or `cluster()`. The distribution is downloaded and unpacked once into
.cache/elasticsearch; if it, Java or Maven is not available, the test is skipped with a printed reason, unless CI is
"true". It is the build for integration tests: the core, transport and security, without analysis-common, reindex,
scripts, ingest and `GET /`.
"""

import atexit
import hashlib
import json
import os
import pwd
import re
import shutil
import signal
import ssl
import stat
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from tests.judges import ROOT, missing
from tests.support import elastic_tls, ports, quick

VERSION = "8.19.16"
_SHA256 = "c3d95992e27741b33a8057118379cda8b17cfda9e46ff4ec25e3f5b94fc22b52"
_ARTIFACT = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip"
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"
_FETCH_S = 600.0
_START_S = 240.0
_STOP_S = 30.0
_LEAST_JAVA = 17
PREFIX = "hub-"
"""The least-privilege user may access indices and aliases with this prefix."""

# Settings of production (no automatic creation of indices), and those for loopback and small disks.
_SETTINGS = {
    "network.host": "127.0.0.1",
    "action.auto_create_index": False,
    "action.destructive_requires_name": True,
    "cluster.routing.allocation.disk.threshold_enabled": False,
    "node.store.allow_mmap": False,
    "xpack.security.enabled": False,
}
_LOG = """status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%c{1.}] [%node_name]%marker %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""
# Servers start often and run for seconds: optimising compilation costs more than it saves.
_QUICK = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-AlwaysPreTouch"
# Otherwise it keeps trying to copy the built-in roles into an index that this build cannot create.
_NO_SYNC = "-Des.queryable_built_in_roles_enabled=false"


# --- the distribution -------------------------------------------------------------------------------------------------


def require() -> Path:
    """The unpacked distribution; if it is missing, the test is skipped, or fails if CI is "true"."""
    quick.skip_servers()
    found = _distribution()
    if isinstance(found, str):
        missing(found)
    return Path(found)


@cache
def _distribution() -> Path | str:
    """The unpacked distribution, or what is missing; cached, because an unreachable registry takes long to fail."""
    if isinstance(home := _java(), str):
        return home
    if shutil.which("mvn") is None:
        return "mvn"
    folder = _cache_folder()
    done = folder / f"elasticsearch-{VERSION}"
    if done.exists():
        return done
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        archive = Path(scratch) / f"elasticsearch-{VERSION}.zip"
        if (trouble := _fetch(archive)) is not None:
            return trouble
        _unpack(archive, Path(scratch))
        with suppress(OSError):  # another process was faster
            (Path(scratch) / done.name).rename(done)
    return done


def _fetch(archive: Path) -> str | None:
    # Without Maven's strict checksums: a mirror may lack them, and we verify our own digest below.
    words = [
        "mvn",
        "-q",
        "-B",
        f"{_PLUGIN}:copy",
        f"-Dartifact={_ARTIFACT}",
        f"-DoutputDirectory={archive.parent}",
    ]
    try:
        fetched = subprocess.run(words, capture_output=True, check=False, text=True, timeout=_FETCH_S)
    except subprocess.TimeoutExpired:
        return f"Elasticsearch {VERSION} (Maven did not fetch it in {_FETCH_S:.0f} s)"
    if fetched.returncode or not archive.exists():
        return f"Elasticsearch {VERSION} (Maven: {fetched.stdout[-300:]})"
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert digest == _SHA256, f"Maven has fetched another Elasticsearch than ours: {digest}"
    return None


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack with file modes, which zipfile drops, so that another user may read and run it."""
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            path = Path(packed.extract(entry, folder))
            runs = entry.is_dir() or (entry.external_attr >> 16) & stat.S_IXUSR or path.parent.name == "bin"
            path.chmod(0o755 if runs else 0o644)


def _cache_folder() -> Path:
    """The project's .cache, or a folder outside the project if the servers' user cannot access it."""
    folder = ROOT / ".cache" / "elasticsearch"
    return folder if _reachable(folder) else Path("/var/cache/certificate-hub-tests")


@cache
def _java() -> Path | str:
    """The home of a Java that is new enough, or what is missing."""
    plain = shutil.which("java")
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    homes += [Path(plain).resolve().parent.parent] if plain else []
    homes += sorted(Path("/usr/lib/jvm").glob("*"))
    for home in homes:
        with suppress(OSError):
            said = subprocess.run([home / "bin" / "java", "-version"], capture_output=True, check=False, text=True)
            version = re.search(r'version "(\d+)', said.stderr)
            if version and int(version[1]) >= _LEAST_JAVA and _reachable(home):
                return home
    return f"Java {_LEAST_JAVA} or later"


def _user() -> pwd.struct_passwd | None:
    """The user that a server runs as: it refuses to run as root."""
    return pwd.getpwnam("nobody") if os.getuid() == 0 else None


def _reachable(path: Path) -> bool:
    """Whether the servers' user may enter every existing folder on the path."""
    if _user() is None:
        return True
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.absolute().parents if folder.exists())


# --- servers ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Account:
    """A user of the file realm."""

    name: str
    password: str


class Server:
    """One node; its ports and data stay the same after a restart."""

    def __init__(
        self, folder: Path | None, *, name: str = "node", heap_mb: int = 512, settings: Mapping[str, Any] | None = None
    ) -> None:
        self._distribution = require()
        self.name = name
        self._heap_mb = heap_mb
        self._holders = [ports.hold(), ports.hold()]
        self.port, self.transport_port = (int(holder.getsockname()[1]) for holder in self._holders)
        self.home, self._temporary = _home(folder and folder / name)
        self.settings: dict[str, Any] = {
            **_SETTINGS,
            "node.name": name,
            "http.port": self.port,
            "transport.port": self.transport_port,
            "path.data": str(self.home / "data"),
            "path.logs": str(self.home / "logs"),
            **(settings or {}),
        }
        self._pid_file = self.home / "tmp" / "pid"  # writable by the server's user
        self.ca_file: Path | None = None
        self.superuser: Account | None = None
        self.hub: Account | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._configure()
        atexit.register(self.remove)

    def secure(self) -> None:
        """Before the first start: enable TLS and add the accounts `superuser` and `hub` (with the hub's privileges)."""
        files, accounts = elastic_tls.files(PREFIX)
        for name, content in files.items():
            self._write(name, content)
        self.superuser, self.hub = (Account(name, accounts[name]) for name in ("superuser", "hub"))
        self.ca_file = self.home / "config" / elastic_tls.CA
        self.settings |= elastic_tls.SETTINGS

    @property
    def url(self) -> str:
        """Its base URL, without a trailing slash."""
        return f"{'https' if self.ca_file else 'http'}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the server itself (not of its launcher)."""
        return int(self._pid_file.read_text())

    @property
    def log(self) -> str:
        """Everything that it has printed."""
        return (self.home / "log").read_text(errors="replace")

    def start(self, *, wait: bool = True) -> None:
        """Start or restart; by default wait until it answers, has a master, and every primary shard is active."""
        assert self._process is None, "it runs"
        self._write(
            "elasticsearch.yml", "".join(f"{key}: {json.dumps(value)}\n" for key, value in self.settings.items())
        )
        user = _user()
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._distribution / "bin" / "elasticsearch"), "-p", str(self._pid_file)],
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                process_group=0,
                **({"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}),
            )
        self._guard = _guard(self._process.pid)
        if wait:
            self.wait()

    def wait(self, nodes: int = 1, status: str = "yellow") -> None:
        """Wait until it answers and sees a master, this many nodes and all primary shards ("green": replicas too).

        Asks the node for its local view: the master may know more. Fails after four minutes.
        """
        deadline = time.monotonic() + _START_S
        path = f"/_cluster/health?local=true&wait_for_status={status}&wait_for_nodes=>={nodes}&timeout=10s"
        while True:
            assert self._process is not None
            assert self._process.poll() is None, f"{self.name} has ended: {self.log[-3000:]}"
            assert time.monotonic() < deadline, f"{self.name} does not answer: {self.log[-3000:]}"
            with suppress(httpx.TransportError):
                if self.request("GET", path).status_code == 200:
                    return
            time.sleep(0.1)

    def request(
        self, method: str, path: str, body: Any = None, *, account: Account | None = None, timeout_s: float = 30.0
    ) -> httpx.Response:
        """Send a request, as the superuser if security is on; `body` is sent as JSON."""
        who = account or self.superuser
        verify = ssl.create_default_context(cafile=self.ca_file) if self.ca_file else False
        auth = (who.name, who.password) if who else None
        with httpx.Client(base_url=self.url, verify=verify, auth=auth, timeout=timeout_s, trust_env=False) as client:
            return client.request(method, path, json=body)

    def stop(self) -> None:
        """Stop it gracefully; does nothing if it is not running."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
            self.kill()

    def kill(self) -> None:
        """SIGKILL the server and its launcher; does nothing if it is not running."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_STOP_S)
            self._process = None
            _wait_until_gone(self._pid_file)
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
            self._guard = None

    def freeze(self, number: signal.Signals = signal.SIGSTOP) -> None:
        """Suspend it with its connections open, and wait until every thread has stopped; SIGCONT resumes it."""
        os.kill(self.pid, number)
        deadline = time.monotonic() + _STOP_S
        while number == signal.SIGSTOP and not _is_stopped(self.pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def remove(self) -> None:
        """Kill it and release its ports and folder."""
        if os.getpid() != self._owner:  # a forked child
            return
        self.kill()
        for holder in self._holders:
            holder.close()
        if self._temporary:
            shutil.rmtree(self.home, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "ES_JAVA_HOME": str(_java()),
            "ES_JAVA_OPTS": f"-Xms{self._heap_mb}m -Xmx{self._heap_mb}m {_QUICK} {_NO_SYNC}",
            "CLI_JAVA_OPTS": _QUICK,
            "ES_PATH_CONF": str(self.home / "config"),
            "ES_TMPDIR": str(self.home / "tmp"),
        }

    def _configure(self) -> None:
        for name in ("config", "data", "logs", "tmp"):
            (self.home / name).mkdir(exist_ok=True)
            self._give(self.home / name)
        shipped = (self._distribution / "config" / "jvm.options").read_text().splitlines()
        unwanted = ("-Xlog", "-XX:+UseG1GC", "-XX:+HeapDump", "-XX:HeapDump")
        kept = [line for line in shipped if not re.sub(r"^[\d-]+:", "", line).startswith(unwanted)]
        self._write("jvm.options", "\n".join(kept) + "\n")
        self._write("log4j2.properties", _LOG)

    def _write(self, name: str, content: str) -> None:
        path = self.home / "config" / name
        path.write_text(content)
        path.chmod(0o600)
        self._give(path)

    def _give(self, path: Path) -> None:
        if (user := _user()) is not None:
            os.chown(path, user.pw_uid, user.pw_gid)


def _home(wanted: Path | None) -> tuple[Path, bool]:
    """A server's folder, and whether to delete it with the server: the wanted one, or in /tmp with a link if its user
    cannot access that.
    """
    if wanted is not None:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        if _reachable(wanted):
            wanted.mkdir(exist_ok=True)
            return wanted.resolve(), False
    home = Path(tempfile.mkdtemp(prefix="hub-es-", dir="/tmp"))
    home.chmod(0o755)
    if wanted is not None:
        wanted.symlink_to(home)
    return home, True


def _is_stopped(pid: int) -> bool:
    """Whether all threads of a process are stopped by a signal (state T, proc(5))."""
    tasks = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(task.read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)


def _guard(group: int) -> subprocess.Popen[bytes]:
    """Kills the server if the test process is killed: waits for our end of the pipe to close."""
    return subprocess.Popen(
        ["sh", "-c", 'read -r _; kill -s KILL -- "-$0"', str(group)], stdin=subprocess.PIPE, start_new_session=True
    )


def _wait_until_gone(pid_file: Path) -> None:
    """Wait until the server, which is not our child, has released its ports and data."""
    deadline = time.monotonic() + _STOP_S
    with suppress(FileNotFoundError, ProcessLookupError, ValueError):
        process = Path("/proc") / str(int(pid_file.read_text()))
        # Its main thread is a zombie while other threads hold open files; an unreaped process counts as gone.
        while b" (java) Z" not in (process / "stat").read_bytes() or len(list((process / "task").iterdir())) > 1:
            assert time.monotonic() < deadline, "a killed server does not end"
            time.sleep(0.02)
    pid_file.unlink(missing_ok=True)


# --- servers for tests ------------------------------------------------------------------------------------------------


def server(folder: Path | None, *, heap_mb: int = 512, settings: Mapping[str, Any] | None = None) -> Server:
    """Start one node without security. `settings` are lines of elasticsearch.yml and override ours."""
    found = Server(folder, heap_mb=heap_mb, settings={"discovery.type": "single-node", **(settings or {})})
    found.start()
    return found


def secured(folder: Path, *, heap_mb: int = 512, settings: Mapping[str, Any] | None = None) -> Server:
    """Start one node with TLS and users: `ca_file`, `superuser` and `hub`, who may only access indices under PREFIX."""
    found = Server(folder, heap_mb=heap_mb, settings={"discovery.type": "single-node", **(settings or {})})
    found.secure()
    found.start()
    return found


@dataclass(frozen=True)
class Cluster:
    """Nodes of one cluster, each of which can be stopped, killed, frozen and started separately."""

    nodes: Sequence[Server]

    @property
    def urls(self) -> list[str]:
        """The base URL of each node."""
        return [node.url for node in self.nodes]

    def master(self) -> Server:
        """The elected master, as reported by the first node that answers."""
        for node in self.nodes:
            with suppress(httpx.TransportError):
                answer = node.request("GET", "/_cluster/state/master_node,nodes", timeout_s=5)
                if answer.status_code == 200:
                    state = answer.json()
                    name = state["nodes"][state["master_node"]]["name"]
                    return next(node for node in self.nodes if node.name == name)
        raise AssertionError("no node knows a master")

    def remove(self) -> None:
        """Kill every node and release everything."""
        for node in self.nodes:
            node.remove()


def cluster(folder: Path, nodes: int = 3, *, heap_mb: int = 512, settings: Mapping[str, Any] | None = None) -> Cluster:
    """Start this many nodes without security, each master-eligible and holding data, joined into a cluster."""
    found = [
        Server(folder, name=f"node-{n}", heap_mb=heap_mb, settings={"cluster.name": "hub-tests", **(settings or {})})
        for n in range(1, nodes + 1)
    ]
    for node in found:
        node.settings["discovery.seed_hosts"] = [f"127.0.0.1:{other.transport_port}" for other in found]
        node.settings["cluster.initial_master_nodes"] = [other.name for other in found]
        node.start(wait=False)
    for node in found:
        node.wait(nodes)
    return Cluster(found)


@cache
def shared() -> Server:
    """The server of this test run: tests use indices with their own prefix, and do not stop it."""
    return server(None)

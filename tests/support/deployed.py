"""`docker-compose.yml` as processes on this machine: the same commands, environment and files, with mapped paths.

Needs no container engine: paths, ports and host names of containers are mapped to a folder and to loopback; otherwise
it runs exactly what the file says.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import postgres
from tests.support.paths import ROOT
from tests.support.ports import free_port

COMPOSE = ROOT / "docker-compose.yml"
HOST = "hub.city.example"
PROXY_ADDRESS = "172.30.83.10"
NGINX = (ROOT / "deploy/nginx/nginx.conf").read_text(encoding="utf-8")
_VARIABLE = re.compile(r"\$(?:\$|\{([A-Z_]+)(?::([-?])([^}]*))?\})")


@cache
def compose() -> dict[str, Any]:
    """The file, with its YAML merges resolved and its variables as written."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return found


def resolved(text: str, given: Mapping[str, str]) -> str:
    """A value as Compose passes it to a container; raises KeyError for a missing required variable."""

    def one(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if name is None:
            return "$"
        if given.get(name):
            return given[name]
        if kind == "-":
            return str(rest)
        raise KeyError(name)

    return _VARIABLE.sub(one, text)


def program(name: str, package: str) -> str:
    """A system program; if it is missing, the test is skipped, or fails if CI=true."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        message = f"{name} is not installed (Debian package {package})"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


def make_secrets(folder: Path, name: str = HOST) -> None:
    """Run the operator's script unchanged; in a test, the files belong to the user who runs it."""
    done = subprocess.run(
        [str(ROOT / "deploy/make-secrets"), "--name", name, "--dir", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stdout


def copied_into(image: str) -> dict[str, str]:
    """Sources and targets of every COPY from the build context in one stage of the Dockerfile."""
    stage, found = "", {}
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["FROM"]:
            stage = words[-1]
        if words[:1] == ["COPY"] and stage == image and not words[1].startswith("--"):
            found |= dict.fromkeys(words[1:-1], words[-1])
    return found


def image_folder(folder: Path) -> Path:
    """/opt/hub as in the image: the files that the Dockerfile copies, with the font and pages that its set-up adds."""
    for source, target in copied_into("build").items():
        place = folder / target / (Path(source).name if target.endswith("/") else "")
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / source, place)
    return folder


@dataclass
class Site:
    """The containers' paths and addresses on this machine."""

    folder: Path
    public_url: str = f"https://{HOST}"
    ports: dict[str, int] = field(default_factory=dict)
    database: "PostgresService" = field(init=False)

    def __post_init__(self) -> None:
        for name in ("api", "proxy", "plain"):
            self.ports[name] = free_port()
        self.secrets.mkdir()
        make_secrets(self.secrets)
        self.secrets.chmod(0o755)  # a container engine mounts each file, whatever its folder
        self.data.mkdir(mode=0o700)
        image_folder(self.image)
        for folder in (self.folder / "hub-tmp", self.folder / "proxy"):
            folder.mkdir()
            folder.chmod(0o777)
        self.database = PostgresService(self)
        self.ports["database"] = self.database.cluster.port
        if may_become("api"):
            os.chown(self.data, *([user_of("api")] * 2))

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def image(self) -> Path:
        return self.folder / "image"

    def mapped(self, text: str) -> str:
        """A container's text with the paths of this machine."""
        text = resolved(text, {"HUB_PUBLIC_URL": self.public_url})
        for inside, here in (
            ("/run/secrets", self.secrets),
            ("/run/hub-master", self.secrets / "master"),
            ("/var/lib/hub", self.data),
            (PROXY_ADDRESS, "127.0.0.1"),
        ):
            text = text.replace(inside, str(here))
        return text

    def environment(self, service: str) -> dict[str, str]:
        """The environment of one service, without the settings of engines that this site lacks."""
        found = {name: self.mapped(str(value)) for name, value in compose()["services"][service]["environment"].items()}
        for engine, place in (("database", "@postgres:5432"), ("index", "//elasticsearch:9200")):
            url = f"HUB_{engine.upper()}_URL"
            assert place in found[url]
            if engine in self.ports:
                here = f"127.0.0.1:{self.ports[engine]}" if engine == "database" else f"localhost:{self.ports[engine]}"
                found[url] = found[url].replace(place.lstrip("@/"), here)
            else:
                found = {name: value for name, value in found.items() if not name.startswith(f"HUB_{engine.upper()}_")}
        temporary = str(self.folder / "hub-tmp")
        return {"PATH": os.environ["PATH"], "PYTHONPATH": f"{self.image}:{PACKAGES}", "TMPDIR": temporary, **found}

    def command(self, service: str) -> list[str]:
        """`hub …` of one service, with a port of this machine."""
        words = [str(word) for word in compose()["services"][service]["command"]]
        given = {"--host": "127.0.0.1", "--port": str(self.ports["api"]), "--workers": "2"}
        for option, value in given.items():
            if option in words:
                words[words.index(option) + 1] = value
        return self.contained(service, [own_python() or sys.executable, "-m", *entrypoint("hub"), *words])

    def nginx(self) -> list[str]:
        """The proxy's own file with the ports of this machine, otherwise as deployed."""
        text = NGINX
        temporary = self.folder / "proxy"
        for before, after in (
            ("/tmp/", f"{temporary}/"),
            ("server api:8080;", f"server 127.0.0.1:{self.ports['api']};"),
            ("listen 8080 ", f"listen 127.0.0.1:{self.ports['plain']} "),
            ("listen 8443 ", f"listen 127.0.0.1:{self.ports['proxy']} "),
            ("/run/secrets/", f"{self.secrets}/"),
        ):
            assert before in text
            text = text.replace(before, after)
        (temporary / "nginx.conf").write_text(text, encoding="utf-8")
        own = ["-p", str(temporary), "-c", str(temporary / "nginx.conf")]
        return self.contained("proxy", [program("nginx", "nginx"), *own, *entrypoint("proxy")[1:]])

    def contained(self, service: str, words: list[str]) -> list[str]:
        """Run as the service's own user, without capabilities, on a root that is read-only but for its volumes.

        As far as this user is permitted to: without root privileges, the command is unchanged.
        """
        if may_become(service):
            words = dropped(service, words)
        if not may_mount():
            return words
        assert compose()["services"][service]["read_only"]
        hubs = [self.data, self.secrets / "master", self.folder / "hub-tmp"]
        volumes = [self.folder / "proxy"] if service == "proxy" else hubs
        steps = [f"mount --bind {volume} {volume}" for volume in volumes] + ["mount -o remount,ro,bind /"]
        return [*_MOUNT, " && ".join([*steps, 'exec "$@"']), service, *words]


def user_of(service: str) -> int:
    """The user id of a service."""
    return int(compose()["services"][service]["user"].partition(":")[0])


_MOUNT = ["unshare", "--mount", "--propagation", "private", "sh", "-c"]


def _succeeds(words: list[str]) -> bool:
    return subprocess.run(words, check=False, capture_output=True, cwd="/").returncode == 0


@cache
def may_mount() -> bool:
    """Whether this user may create a read-only root of its own."""
    return os.getuid() == 0 and _succeeds([*_MOUNT, "mount -o remount,ro,bind /"])


def dropped(service: str, words: list[str]) -> list[str]:
    """Run as a service's user, without capabilities."""
    user = user_of(service)
    ids = [f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
    return ["setpriv", *ids, "--", *words]


PACKAGES = sysconfig.get_path("purelib")
_TRY = (
    "import subprocess, sys, pydantic_core; sys.exit(subprocess.call([sys.executable, '-c', 'import pydantic_core']))"
)


def _runs(service: str, words: list[str]) -> bool:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": PACKAGES}
    command = dropped(service, words)
    return subprocess.run(command, check=False, capture_output=True, cwd="/", env=environment).returncode == 0


@cache
def own_python() -> str | None:
    """A Python that the hub's user may run: ours, or the system's, as in the image, if ours is in a home directory."""
    if os.getuid() != 0:
        return None
    theirs = f"/usr/bin/python3.{sys.version_info[1]}"
    return next((python for python in (sys.executable, theirs) if _runs("api", [python, "-c", _TRY])), None)


@cache
def may_become(service: str) -> bool:
    """Whether this user may switch to a service's user."""
    if service == "proxy":
        return os.getuid() == 0 and _runs(service, [program("nginx", "nginx"), "-v"])
    return own_python() is not None


def entrypoint(image: str) -> list[str]:
    """The words of a stage's ENTRYPOINT."""
    stage = ""
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("FROM"):
            stage = line.split()[-1]
        if line.startswith("ENTRYPOINT") and stage == image:
            found: list[str] = yaml.safe_load(line.removeprefix("ENTRYPOINT"))
            return found
    raise KeyError(image)


class PostgresService:
    """The database server of a site, with its own options and roles script, and password authentication."""

    def __init__(self, site: Site) -> None:
        access = site.folder / "pg_hba.conf"
        access.write_text("host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        access.chmod(0o644)
        words = [str(word) for word in compose()["services"]["postgres"]["command"]]
        assert words[0] == "postgres"
        assert set(words[1::2]) == {"-c"}
        options = dict(word.split("=", 1) for word in words[2::2])
        self.cluster = postgres.Cluster(hba_file=access, **options)
        self._make_roles(site)

    def _make_roles(self, site: Site) -> None:
        """The script that the image runs once, unchanged but for the path of the secrets."""
        (mount,) = (m for m in compose()["services"]["postgres"]["volumes"] if "initdb" in m)
        script = (ROOT / mount.partition(":")[0]).read_text(encoding="utf-8")
        programs = postgres.programs()
        done = subprocess.run(
            ["bash", "-c", site.mapped(script.replace("$", "$$"))],
            env={
                "PATH": f"{programs}:{os.environ['PATH']}",
                "PGHOST": "127.0.0.1",
                "PGPORT": str(self.cluster.port),
                "POSTGRES_USER": compose()["services"]["postgres"]["environment"]["POSTGRES_USER"],
                "POSTGRES_DB": "postgres",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")

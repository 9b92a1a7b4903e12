"""The search engine of a site: the deployment's own configuration, roles, users and certificate on a real server.

The build for integration tests replaces the image: it runs as the harness's user, with a smaller heap, on ports and
folders of this machine, and lacks the modules that docker-compose.yml disables in the image's environment.
"""

import shutil
from pathlib import Path
from typing import Any

import yaml

from tests.support import elastic
from tests.support.deployed import ROOT, Site, compose

_INSIDE = "/usr/share/elasticsearch/"
_OURS = ("node.name", "http.port", "transport.port", "network.host")


class ElasticService:
    """A running server, with every file where the compose file mounts it, relative to the configuration folder."""

    def __init__(self, site: Site) -> None:
        service: dict[str, Any] = compose()["services"]["elasticsearch"]
        mounts = {inside: ROOT / here for here, inside, *_ in (v.split(":") for v in service["volumes"]) if "/" in here}
        mounts |= {s["target"]: site.secrets / s["source"] for s in service["secrets"] if isinstance(s, dict)}
        own = yaml.safe_load(mounts.pop(f"{_INSIDE}config/elasticsearch.yml").read_text(encoding="utf-8"))
        self.server = elastic.Server(
            site.folder, name="index", settings={name: value for name, value in own.items() if name not in _OURS}
        )
        for inside, here in mounts.items():
            self._mount(here, self.server.home / inside.removeprefix(_INSIDE))
        self.server.ca_file = site.secrets / "ca.crt"
        password = (site.secrets / "index_password").read_text(encoding="utf-8")
        # There is no superuser: the health check uses the hub's user.
        self.server.superuser = self.server.hub = elastic.Account("hub", password)
        self.server.start()

    def _mount(self, here: Path, inside: Path) -> None:
        if not inside.parent.exists():
            inside.parent.mkdir()
            self.server._give(inside.parent)
        shutil.copyfile(here, inside)
        inside.chmod(0o400)
        self.server._give(inside)

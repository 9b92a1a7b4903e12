"""Loads the sample city: its catalogue, accounts and cases, and an index of what was created.

Everything goes through the same steps as the requests of a department's system.
"""

import json
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, cast

import yaml

from hub.access.assertion import read_key
from hub.domain.caller import Caller
from hub.domain.dates import show_moment
from hub.parts import Parts
from hub.runtime.progress import Progress
from signing import identifier as identifiers
from signing.keys import kid_of

DATA = Path(__file__).parent
_NOW = re.compile(r'"@now-([0-9]+)([dh])"')
_REFERENCE = re.compile(r'"@([^"/]+)/([0-9]+)"')


class Unfinished(Exception):  # noqa: N818 (not an error: another run continues the load)
    """The load was interrupted, for instance because the signer is unavailable; run it again."""


@dataclass(slots=True)
class _Granted:
    """The identifiers from the reply to the latest push of a case, in pushed order."""

    client: str
    identifiers: list[str]


def load(parts: Parts, folder: Path, progress: Progress) -> None:
    """Load the sample city and describe it in `folder` (`DATA_DIR/sample/index.json`).

    Calls `progress(done, total)` after every step. Resumes an interrupted load; does nothing if it is complete. Raises
    Unfinished if the hub cannot sign now, and the Refusals of the steps.
    """
    _Load(parts, folder, progress).run()


class _Load:
    def __init__(self, parts: Parts, folder: Path, progress: Progress) -> None:
        self._parts = parts
        self._folder = folder
        self._progress = progress
        self._accounts = _yaml("accounts.yaml")
        self._story = _yaml("story.yaml")
        self._callers = {c["name"]: _caller(c) for c in self._accounts["clients"]}
        self._granted: dict[str, _Granted] = {}
        self._done = 0
        self._total = 1 + sum(
            len(those) for those in (self._accounts["clients"], self._accounts["clerks"], self._story["steps"])
        )

    def run(self) -> None:
        index = self._folder / "index.json"
        if index.exists():
            self._progress(self._total, self._total)
            return
        for folder in (self._folder, self._folder / "keys", self._folder / "cases"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._parts.registration.load_catalogue(_yaml("city.yaml"))
        self._step()
        self._add_accounts()
        self._play()
        _write(index, json.dumps(self._index(), ensure_ascii=False, indent=2).encode() + b"\n")
        self._journal.unlink(missing_ok=True)

    def _step(self) -> None:
        self._done += 1
        self._progress(self._done, self._total)

    def _add_accounts(self) -> None:
        for client in self._accounts["clients"]:
            self._add_client(client)
            self._step()
        for clerk in self._accounts["clerks"]:
            self._parts.registration.add_clerk(clerk["name"], clerk["authority"], clerk["id"])
            self._step()

    def _add_client(self, client: dict[str, Any]) -> None:
        """Add a client and its key file; if a load was killed between the two, the client gets a new key."""
        name = client["name"]
        key_file = self._folder / _key_file(name)
        registration = self._parts.registration
        known = next((c for c in registration.clients() if c.client_id == name), None)
        if known is None:
            registration.add_client(
                name,
                client["authority"],
                source=client.get("source"),
                acts_for=tuple(client.get("acts_for", ())),
                scopes=tuple(client["scopes"]),
                keep=lambda pem: _write(key_file, pem),
            )
        elif not key_file.exists() or _kid(key_file) not in {key.kid for key in known.keys}:
            for key in known.keys:
                registration.retire_client_key(name, key.kid)
            registration.add_client_key(name, keep=lambda pem: _write(key_file, pem))

    @property
    def _journal(self) -> Path:
        """The number of status changes made so far; unlike pushes, they must not be repeated."""
        return self._folder / "acts-done"

    def _play(self) -> None:
        acts_done = int(self._journal.read_text()) if self._journal.exists() else 0
        acts = 0
        for step in self._story["steps"]:
            if "push" in step:
                self._push(step["push"])
            else:
                acts += 1
                if acts > acts_done:
                    self._act(step)
                    _write(self._journal, str(acts).encode())
            self._step()

    def _push(self, push: dict[str, str]) -> None:
        """Push a case file; its exact bytes are saved first, so that a resumed load repeats them."""
        copy = self._folder / push["body"]
        if not copy.exists():
            _write(copy, self._fill((DATA / push["body"]).read_text(encoding="utf-8")).encode())
        number = push["case_number"]
        reply = self._parts.cases.push(self._callers[push["client"]], number, copy.read_bytes()).reply
        if reply["issuance"] == "pending":
            raise Unfinished(number)
        self._granted[number] = _Granted(push["client"], [c["identifier"] for c in reply["certificates"]])

    def _fill(self, text: str) -> str:
        """Fill in the placeholders of a case file: times before now, and identifiers from other cases."""

        def moment(match: re.Match[str]) -> str:
            count = int(match[1])
            ago = timedelta(days=count) if match[2] == "d" else timedelta(hours=count)
            return json.dumps(show_moment(self._parts.clock.now() - ago))

        def reference(match: re.Match[str]) -> str:
            return json.dumps(self._granted[match[1]].identifiers[int(match[2])])

        return _REFERENCE.sub(reference, _NOW.sub(moment, text))

    def _act(self, step: dict[str, Any]) -> None:
        case_number, _, position = step["certificate"].rpartition("/")
        body = dict(step["body"])
        if "effective_on" in body:
            body["effective_on"] = date.fromisoformat(body["effective_on"])
        lifecycle = self._parts.lifecycle
        act = {"suspension": lifecycle.suspend, "restoration": lifecycle.restore, "revocation": lifecycle.revoke}
        identifier = self._granted[case_number].identifiers[int(position)]
        act[step["act"]](self._callers[step["client"]], identifier, **body)

    def _index(self) -> dict[str, Any]:
        pushes = [step["push"] for step in self._story["steps"] if "push" in step]
        return {
            "clients": [
                {
                    "client_id": c["name"],
                    "authority_code": c["authority"],
                    "scopes": c["scopes"],
                    "key_file": _key_file(c["name"]),
                }
                for c in self._accounts["clients"]
            ],
            "clerks": [
                {"id": c["id"], "name": c["name"], "authority_code": c["authority"]} for c in self._accounts["clerks"]
            ],
            "cases": [
                {"case_number": p["case_number"], "client_id": p["client"], "body_file": p["body"]} for p in pushes
            ],
            "certificates": list(self._certificates()),
            "open_cases": [self._open_case(e) for e in self._story["open_cases"]],
        }

    def _open_case(self, entry: dict[str, Any]) -> dict[str, Any]:
        body_file = next(
            s["push"]["body"]
            for s in self._story["steps"]
            if "push" in s and s["push"]["case_number"] == entry["case_number"]
        )
        body = json.loads((self._folder / body_file).read_bytes())
        return {
            "case_number": entry["case_number"],
            "client_id": entry["client"],
            "matter_code": body["matter_code"],
            "clerk_id": entry["clerk"],
            "holder": entry["holder"],
        }

    def _certificates(self) -> Iterator[dict[str, str]]:
        """The current version of every certificate with its final state."""
        newest: dict[tuple[str, str, str], tuple[int, dict[str, str]]] = {}
        for number, granted in self._granted.items():
            if not granted.identifiers:
                continue
            live = self._parts.cases.live(self._callers[granted.client], number).reply
            for certificate in live["certificates"]:
                parsed = identifiers.parse(certificate["identifier"])
                key = (parsed.type_code, parsed.authority_code, parsed.serial)
                version = int(parsed.version)
                if key not in newest or newest[key][0] <= version:
                    newest[key] = (
                        version,
                        {
                            "identifier": certificate["identifier"],
                            "type_code": certificate["type_code"],
                            "case_number": number,
                            "state": certificate["state"],
                            "verify_url": certificate["links"]["verify"],
                        },
                    )
        yield from (entry for _, entry in newest.values())


def _yaml(name: str) -> dict[str, Any]:
    return cast("dict[str, Any]", yaml.safe_load((DATA / name).read_text(encoding="utf-8")))


def _caller(client: dict[str, Any]) -> Caller:
    return Caller(
        client_id=client["name"],
        authority=client["authority"],
        source=client.get("source", client["authority"]),
        acts_for=frozenset(client.get("acts_for", ())),
        scopes=frozenset(client["scopes"]),
    )


def _kid(key_file: Path) -> str:
    return kid_of(read_key(key_file.read_bytes()).public_key())


def _key_file(client: str) -> str:
    return f"keys/{client}.pem"


def _write(path: Path, content: bytes) -> None:
    """Write a file atomically, readable only by its owner."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)

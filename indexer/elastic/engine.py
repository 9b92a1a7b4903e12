"""The Elasticsearch engine: every generation is an index, and an alias names the current one.

With the prefix `hub`, the index is `hub-g7`; the alias `hub` points to the current generation. Writes go through the
alias `hub-g7-w`, because a write to a deleted index would create a new one. Only repairs delete documents.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch

from indexer.elastic import mapping, queries, servers, shards
from indexer.elastic.bulk import Bulk, Outcome, delete_entry, put_marks, refresh, upsert_entries
from indexer.elastic.client import Access, Client
from indexer.elastic.mapping import MARKS, VERSION, entry_id, entry_of, mark_id, mark_of
from indexer.engine import Mark, OnRejected, ServerState, reject
from indexer.entry import Entry, EntryKey
from indexer.errors import DirectoryBroken
from indexer.query import Page, Search

__all__ = ["Access", "ElasticDirectory", "Shape"]

_NAME = re.compile(r"g[0-9]{1,12}")
_ANSWERING = {"refresh_interval": "1s"}
_PURGE_ATTEMPTS, _PURGE_WAIT_S = 10, 0.15
_KNOWN_S = 1.0
_DELETE_DELAY_S = 1.5
"""How long after a swap the previous generation may still be queried. A query to an index that is being deleted fails
like one to a sick server."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Names and layout of indexes. replicas: additional copies of each shard, on other nodes."""

    prefix: str = "hub-directory"
    shards: int = 1
    replicas: int = 1


class ElasticDirectory:
    """The generations of one prefix; see `DirectoryEngine`. folder: for this machine's lock of the rebuild.

    Two machines that rebuild at the same time only undo each other's progress.
    """

    def __init__(self, access: Access, shape: Shape, folder: Path) -> None:
        self.folder = folder
        self._shape = shape
        self._client = Client(access)
        self._verified: set[str] = set()
        self._known_current: set[str] = set()
        self._swapped_at = -_DELETE_DELAY_S
        self._known: tuple[str, float, tuple[str, Mark] | None] = ("", 0.0, None)

    def require_usable(self) -> None:
        """Raise WrongServer if an operator must act, DirectoryUnavailable if waiting may help."""
        self._client.require_usable(f"{self._shape.prefix}*")

    def server(self) -> ServerState:
        """The state of the cluster and its disks; may take as long as a write."""
        with self._client.writing() as server:
            return servers.state(server, f"{self._shape.prefix}-g*")

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    # --- generations --------------------------------------------------------------------------------------------------

    def current(self) -> str | None:
        """The current generation; None if there is none, or if another release made it."""
        with self._client.querying() as server:
            found = _versions(server, self._shape.prefix)
        verified = {name for index, version in found.items() if version == VERSION and (name := self._name(index))}
        self._verified = verified | (self._verified - {str(self._name(index)) for index in found})
        return max(verified, key=_number, default=None)

    def answering(self, mark: str) -> tuple[str, Mark] | None:
        """The current generation and one of its marks, at most a second old; None without either."""
        known, until, found = self._known
        if known != mark or time.monotonic() > until:
            until = time.monotonic() + _KNOWN_S
            name = self.current()
            value = None if name is None else self.mark(name, mark)
            found = None if name is None or value is None else (name, value)
            self._known = (mark, until, found)
        return found

    def names(self) -> list[str]:
        """Every generation of this prefix, oldest first."""
        with self._client.querying() as server:
            found = server.indices.get_alias(index=f"{self._shape.prefix}-g*").body
        return sorted((name for index in found if (name := self._name(index))), key=_number)

    def create(self, marks: Mapping[str, Mark] | None = None) -> str:
        """Create an empty generation with these marks and return its name. It serves no queries until `swap`."""
        names = self.names()
        name = f"g{_number(names[-1]) + 1 if names else 1}"
        shape = self._shape
        with self._client.writing() as server:
            server.indices.create(
                index=self._index(name),
                mappings=mapping.mappings(shape.shards),
                settings=mapping.settings(shape.shards, shape.replicas),
                aliases={self._writable(name): {}},
            )
            whole = list(shards.marks(server, self._index(name)))
        with self._writing(name) as bulk:
            bulk.send(whole)
        self.write(name, (), marks)
        return name

    def swap(self, name: str) -> None:
        """Make a generation current, atomically for every process; all its entries are searchable then."""
        index, prefix = self._index(name), self._shape.prefix
        with self._client.writing() as server:
            server.indices.put_settings(index=index, settings=_ANSWERING)
            refresh(server, index)
            server.indices.update_aliases(
                actions=[
                    {"remove": {"index": f"{prefix}-g*", "alias": prefix, "must_exist": False}},
                    {"add": {"index": index, "alias": prefix}},
                ]
            )
        self._known_current.add(name)
        self._swapped_at = time.monotonic()

    def drop(self, name: str) -> None:
        """Delete a generation that is not current."""
        if name == self.current():
            raise ValueError("the generation in use cannot be dropped")
        time.sleep(max(0.0, self._swapped_at + _DELETE_DELAY_S - time.monotonic()))
        with self._client.writing() as server:
            server.options(ignore_status=404).indices.delete(index=self._index(name))
        self._verified.discard(name)
        self._known_current.discard(name)

    def examine(self, name: str) -> None:
        """Check that an index is as this release would create it with these settings, and is the alias's only
        target."""
        index, shape = self._index(name), self._shape
        with self._client.querying() as server:
            found = server.indices.get(index=index).body[index]
            answering = [one for one in _versions(server, shape.prefix) if one != index]
        wanted = mapping.mappings(shape.shards)
        if any(found["mappings"].get(part) != wanted[part] for part in ("dynamic", "_meta", "_routing", "properties")):
            raise DirectoryBroken("the index has a different mapping")
        if self._writable(name) not in found["aliases"]:
            raise DirectoryBroken("the index is read-only")
        if answering:
            raise DirectoryBroken("the alias points to several indexes")
        self.require_whole(name)
        if int(found["settings"]["index"]["number_of_replicas"]) != shape.replicas:
            with self._client.writing() as server:
                server.indices.put_settings(index=index, settings={"number_of_replicas": shape.replicas})

    def require_whole(self, name: str) -> None:
        """Raise DirectoryBroken if a lost shard was replaced by an empty one."""
        self._complete_hits(name, [])

    # --- writing ------------------------------------------------------------------------------------------------------

    def write(
        self,
        name: str,
        entries: Iterable[Entry],
        marks: Mapping[str, Mark] | None = None,
        instead_of: Iterable[Entry] = (),
        on_rejected: OnRejected = reject,
    ) -> int:
        """Write entries and make them searchable, then write marks. See `DirectoryEngine.write`."""
        wanted = {entry.key: entry for entry in entries}
        outdated = self._still_stored(name, wanted, instead_of)
        with self._writing(name) as bulk:
            replaced = {entry.key for entry in outdated}
            outcome = bulk.send(upsert_entries(entry for key, entry in wanted.items() if key not in replaced))
        if outdated:
            outcome = outcome.plus(self._replace(name, outdated, wanted))
        if outcome.rejected:
            on_rejected(outcome.rejected)
        if wanted and self._is_current(name):
            with self._writing(name) as bulk:
                bulk.refresh()
        if marks:
            with self._writing(name) as bulk:
                bulk.send(put_marks(marks))
        return outcome.taken

    def _replace(self, name: str, outdated: Sequence[Entry], wanted: Mapping[EntryKey, Entry]) -> Outcome:
        """Delete entries and write others in their places, possibly with lower revisions."""
        instead = [wanted[entry.key] for entry in outdated if entry.key in wanted]
        with self._writing(name) as bulk:
            bulk.send(map(delete_entry, outdated))
            for _ in range(_PURGE_ATTEMPTS):
                bulk.refresh()  # after a refresh and a while, the server forgets the versions of deleted documents
                outcome = bulk.send(upsert_entries(instead))
                if not outcome.older:
                    break
                time.sleep(_PURGE_WAIT_S)
        return outcome

    @contextmanager
    def _writing(self, name: str) -> Iterator[Bulk]:
        with self._client.writing() as server:
            deadline = time.monotonic() + self._client.write_timeout_s
            yield Bulk(server, self._index(name), self._writable(name), deadline)

    def _still_stored(self, name: str, wanted: Mapping[EntryKey, Entry], instead_of: Iterable[Entry]) -> list[Entry]:
        """Those of `instead_of` that are still stored exactly like this and that no higher revision will replace."""
        seen = [e for e in instead_of if e.key not in wanted or wanted[e.key].revision < e.revision]
        if not seen:
            return []
        found = self._documents(name, [(entry_id(entry.key), str(entry.party)) for entry in seen])
        return [entry for entry, there in zip(seen, found, strict=True) if there and entry_of(there) == entry]

    def _is_current(self, name: str) -> bool:
        """Whether queries may reach a generation. Checked after writing: a later swap makes everything searchable."""
        if name not in self._known_current:
            with self._client.querying() as server:
                if self._index(name) not in _versions(server, self._shape.prefix):
                    return False
            self._known_current.add(name)
        return True

    # --- queries ------------------------------------------------------------------------------------------------------

    def mark(self, name: str, mark: str) -> Mark | None:
        """One of a generation's marks, None where it was never set."""
        (found,) = self._documents(name, [(mark_id(mark), MARKS)])
        return None if found is None else mark_of(found)

    def of_party(self, name: str, party: int, type_codes: Sequence[str], today: int) -> list[Entry]:
        """What a party holds of some types on a day; queries one shard."""
        found: list[Entry] = []
        before: int | None = None
        while True:
            body = queries.party_body(party, type_codes, today, before)
            hits = self._complete_hits(name, [body], party)[0]
            found += queries.entries_of(hits)
            if len(hits) < queries.AT_ONCE:
                return found
            before = int(hits[-1]["sort"][0])

    def search(self, name: str, search: Search) -> Page:
        """One page; facets on the first page only."""
        if search.text and not search.tokens:
            return Page((), None)
        hits, *edge = self._complete_hits(name, queries.page_bodies(search), search.party)
        page = queries.page_of(search, hits)
        if not edge:
            return page
        (counted,) = self._search(name, [queries.facets_body(search, edge[0])], search.party)
        facets = queries.facets_of(counted["aggregations"])
        return replace(page, facets=facets, sampled=len(edge[0]) > 1)

    def walk(self, name: str, after: EntryKey, limit: int) -> list[Entry]:
        """The next entries of a generation in key order."""
        (answer,) = self._search(name, [queries.walk_body(after, limit)])
        return queries.entries_of(answer["hits"]["hits"])

    def find(self, name: str, key: EntryKey) -> Entry | None:
        """One entry of a generation."""
        (found,) = self._documents(name, [(entry_id(key), str(key[0]))])
        return None if found is None else entry_of(found)

    def count(self, name: str) -> int:
        """The number of entries in a generation, including ended ones."""
        (answer,) = self._search(name, [queries.count_body()])
        return int(answer["hits"]["total"]["value"])

    def _search(self, name: str, bodies: Sequence[Any], routing: int | None = None) -> list[Any]:
        self._require_own_mapping(name)
        return self._client.search(self._index(name), bodies, routing)

    def _complete_hits(self, name: str, bodies: Sequence[Any], routing: int | None = None) -> list[Any]:
        """The hits of queries whose result must be complete: every shard must still have its data."""
        whole, *answers = self._search(name, [shards.body(), *bodies], routing)
        shards.require(whole)
        return [answer["hits"]["hits"] for answer in answers]

    def _documents(self, name: str, wanted: Sequence[tuple[str, str]]) -> list[dict[str, Any] | None]:
        self._require_own_mapping(name)
        return self._client.documents(self._index(name), wanted)

    def _require_own_mapping(self, name: str) -> None:
        """Refuse an index of another release: fields may be missing, and searches would miss entries."""
        if name in self._verified:
            return
        with self._client.querying() as server:
            version = _versions(server, self._index(name)).get(self._index(name))
        if version != VERSION:
            raise DirectoryBroken("the index is missing or has a different mapping")
        self._verified = self._verified | {name}

    # --- names --------------------------------------------------------------------------------------------------------

    def _index(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("not the name of a generation")
        return f"{self._shape.prefix}-{name}"

    def _writable(self, name: str) -> str:
        return f"{self._index(name)}-w"

    def _name(self, index: str) -> str | None:
        """The generation of an index, None for a foreign index."""
        name = index.removeprefix(f"{self._shape.prefix}-")
        return name if _NAME.fullmatch(name) else None


def _versions(server: Elasticsearch, where: str) -> dict[str, int | None]:
    """The mapping version of every index behind a name; empty if the name is unknown."""
    found = server.options(ignore_status=404).indices.get_mapping(
        index=where, filter_path="*.mappings._meta,*.mappings.dynamic"
    )
    if found.meta.status == 404:
        return {}
    return {index: one["mappings"].get("_meta", {}).get("mapping_version") for index, one in found.body.items()}


def _number(name: str) -> int:
    return int(name[1:])

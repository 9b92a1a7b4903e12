"""Bulk writes to Elasticsearch. Every item of a response is checked: accepted, version conflict, rejected, or retried.

An item carries its revision as external version, so it may be sent any number of times and in any order. Items that the
server is too busy for are retried with exponential back-off until the deadline; documents that it will never accept are
returned as rejected; a request that is too large is split in halves.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from elasticsearch import ApiError, Elasticsearch

from indexer.elastic.client import fault_of, is_overloaded
from indexer.elastic.mapping import MARKS, document, entry_id, mark_document, mark_id
from indexer.engine import Mark, RejectedEntry
from indexer.entry import Entry
from indexer.errors import DirectoryUnavailable

AT_ONCE = 1_000
IN_FLIGHT = 3
"""The number of requests of one load that are in flight while the next one is prepared."""
TOO_LARGE = "too_large"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_ANSWER = "items.*.status,items.*.error.type"


class Operation(NamedTuple):
    """One item of a bulk request: its action line with the document's line, if any, and the entry it is about."""

    lines: bytes
    entry: Entry | None = None


@dataclass(slots=True)
class Outcome:
    """The results of some items. older: version conflicts, because a higher revision was stored already."""

    taken: int
    older: int
    rejected: list[RejectedEntry]

    def plus(self, other: "Outcome") -> "Outcome":
        """The sum of both."""
        return Outcome(self.taken + other.taken, self.older + other.older, self.rejected + other.rejected)


def upsert_entries(entries: Iterable[Entry]) -> Iterator[Operation]:
    """Upsert each entry, unless a newer one is stored."""
    for entry in entries:
        action = _action("index", entry_id(entry.key), entry.party, entry.revision)
        yield Operation(f"{action}\n{document(entry)}".encode(), entry)


def delete_entry(entry: Entry) -> Operation:
    """Delete an entry that is stored in exactly this revision; a newer one stays."""
    return Operation(_action("delete", entry_id(entry.key), entry.party, entry.revision).encode())


def put_marks(marks: Mapping[str, Mark]) -> Iterator[Operation]:
    """Set each mark; a number is its own version, so it only grows."""
    for name, value in marks.items():
        version = value if isinstance(value, int) else None
        yield put_document(mark_id(name), MARKS, mark_document(value), version)


def put_document(name: str, routing: int | str, source: str, version: int | None = None) -> Operation:
    """Store a document that is no entry. name: letters, digits and hyphens only."""
    return Operation(f"{_action('index', name, routing, version)}\n{source}".encode())


class Bulk:
    """Sends operations to one index until a deadline on the monotonic clock."""

    def __init__(self, server: Elasticsearch, index: str, alias: str, deadline: float) -> None:
        self._server = server
        self._index = index
        self._alias = alias
        self._deadline = deadline

    def send(self, operations: Iterable[Operation]) -> Outcome:
        """Send all of them; only operations of the same batch keep their order. Raises DirectoryUnavailable at the
        deadline, and what the client raises."""
        remaining = iter(operations)
        batch = list(islice(remaining, AT_ONCE))
        following = list(islice(remaining, AT_ONCE))
        outcome = Outcome(0, 0, [])
        if not following:
            return self._whole(batch)
        in_flight: deque[Future[Outcome]] = deque()
        with ThreadPoolExecutor(IN_FLIGHT) as senders:
            while batch:
                if len(in_flight) == IN_FLIGHT:
                    outcome = outcome.plus(in_flight.popleft().result())
                in_flight.append(senders.submit(self._whole, batch))
                batch, following = following, list(islice(remaining, AT_ONCE))
            for sent in in_flight:
                outcome = outcome.plus(sent.result())
        return outcome

    def _whole(self, batch: Sequence[Operation]) -> Outcome:
        """Send a batch and retry until every item has a final result."""
        outcome, pause = Outcome(0, 0, []), _FIRST_PAUSE_S
        while batch and (batch := self._once(batch, outcome)):
            if time.monotonic() + pause > self._deadline:
                raise DirectoryUnavailable("the server rejects writes")
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)
        return outcome

    def refresh(self) -> None:
        """Make everything that was written searchable."""
        refresh(self._server, self._index)

    def _once(self, batch: Sequence[Operation], outcome: Outcome) -> list[Operation]:
        """Send a batch; the operations to retry."""
        lines: list[Any] = [operation.lines for operation in batch]
        try:
            answer = self._server.bulk(
                index=self._alias, require_alias=True, operations=lines, filter_path=_ANSWER
            ).body
        except ApiError as error:
            if error.status_code == 413:
                return self._in_halves(batch, outcome)
            if is_overloaded(error):
                return list(batch)
            raise
        again = []
        for operation, item in zip(batch, answer["items"], strict=True):
            (result,) = item.values()
            if _must_retry(operation, int(result["status"]), result.get("error", {}).get("type", ""), outcome):
                again.append(operation)
        return again

    def _in_halves(self, batch: Sequence[Operation], outcome: Outcome) -> list[Operation]:
        if len(batch) == 1:
            _reject(batch[0], TOO_LARGE, outcome)
            return []
        middle = len(batch) // 2
        return self._once(batch[:middle], outcome) + self._once(batch[middle:], outcome)


def refresh(server: Elasticsearch, index: str) -> None:
    """Make everything that was written to an index searchable, on every copy."""
    if server.indices.refresh(index=index).body["_shards"]["failed"]:
        raise DirectoryUnavailable("a shard copy could not be refreshed")


def _must_retry(operation: Operation, status: int, kind: str, outcome: Outcome) -> bool:
    """Record the result of an item; True for one to retry."""
    if status in {200, 201}:
        outcome.taken += 1
    elif status == 409 or (status == 404 and not kind):
        outcome.older += 1
    elif status == 400:
        _reject(operation, kind, outcome)
    elif status == 429 or status >= 500 or kind == "cluster_block_exception":
        return True
    else:
        raise fault_of(status, kind)
    return False


def _reject(operation: Operation, reason: str, outcome: Outcome) -> None:
    if operation.entry is None:
        raise DirectoryUnavailable(reason)
    outcome.rejected.append(RejectedEntry(operation.entry, reason))


def _action(verb: str, name: str, routing: int | str, version: int | None = None) -> str:
    """The action line, built by hand because every document has one."""
    versioned = "" if version is None else f',"version":{version},"version_type":"external_gte"'
    return f'{{"{verb}":{{"_id":"{name}","routing":"{routing}"{versioned}}}}}'

"""Writing to Elasticsearch in bulk, every item looked at: taken, older than what is there, set aside, or again.

An item carries its revision as external version, so it may be sent any number of times and in any order. What the
server is too busy for is sent again, after pauses that grow, until the time is up; what it will never take is handed
back; a request that is too large goes in halves.
"""

import json
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from elasticsearch import ApiError, Elasticsearch

from indexer.elastic.client import fault_of, is_overloaded
from indexer.elastic.mapping import MARKS, document, entry_id, mark_document, mark_id
from indexer.engine import Mark, SetAside
from indexer.entry import Entry
from indexer.errors import DirectoryUnavailable

AT_ONCE = 1_000
IN_FLIGHT = 3
"""Requests of one load that are on their way at the same time, while the next one is made."""
TOO_LARGE = "too_large"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_ANSWER = "items.*.status,items.*.error.type"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


@dataclass(frozen=True, slots=True)
class Operation:
    """One item: its two lines, and the entry that it is about. action: of letters, digits and hyphens alone."""

    action: str
    source: dict[str, Any] | None = None
    entry: Entry | None = None

    def lines(self) -> Iterator[bytes]:
        """As they are sent."""
        yield self.action.encode()
        if self.source is not None:
            yield _encode(self.source).encode()


@dataclass(slots=True)
class Outcome:
    """What became of some items. older: there was a higher revision already."""

    taken: int
    older: int
    refused: list[SetAside]

    def and_also(self, other: "Outcome") -> "Outcome":
        """Both together."""
        return Outcome(self.taken + other.taken, self.older + other.older, self.refused + other.refused)


def put_entries(entries: Iterable[Entry]) -> Iterator[Operation]:
    """Each whole entry, unless a newer one is there."""
    for entry in entries:
        yield Operation(action("index", entry_id(entry.key), entry.party, entry.revision), document(entry), entry)


def take_out(entry: Entry) -> Operation:
    """The removal of an entry that is there in exactly this revision; a newer one stays."""
    return Operation(action("delete", entry_id(entry.key), entry.party, entry.revision))


def put_marks(marks: Mapping[str, Mark]) -> Iterator[Operation]:
    """Each mark; the number is its own version, so it only grows."""
    for name, value in marks.items():
        version = value if isinstance(value, int) else None
        yield Operation(action("index", mark_id(name), MARKS, version), mark_document(value))


class Bulk:
    """Sends operations to one index, until a deadline by the monotonic clock."""

    def __init__(self, server: Elasticsearch, index: str, alias: str, deadline: float) -> None:
        self._server = server
        self._index = index
        self._alias = alias
        self._deadline = deadline

    def send(self, operations: Iterable[Operation]) -> Outcome:
        """All of them, in no certain order beyond `AT_ONCE`; raises DirectoryUnavailable when the time is up, and what
        the client raises."""
        remaining = iter(operations)
        batch = list(islice(remaining, AT_ONCE))
        following = list(islice(remaining, AT_ONCE))
        outcome = Outcome(0, 0, [])
        if not following:
            return self._whole(batch)
        under_way: deque[Future[Outcome]] = deque()
        with ThreadPoolExecutor(IN_FLIGHT) as senders:
            while batch:
                if len(under_way) == IN_FLIGHT:
                    outcome = outcome.and_also(under_way.popleft().result())
                under_way.append(senders.submit(self._whole, batch))
                batch, following = following, list(islice(remaining, AT_ONCE))
            for sent in under_way:
                outcome = outcome.and_also(sent.result())
        return outcome

    def _whole(self, batch: Sequence[Operation]) -> Outcome:
        """Send a batch until nothing of it has to be sent again."""
        outcome, pause = Outcome(0, 0, []), _FIRST_PAUSE_S
        while batch and (batch := self._once(batch, outcome)):
            if time.monotonic() + pause > self._deadline:
                raise DirectoryUnavailable("the server rejects writes")
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)
        return outcome

    def refresh(self) -> None:
        """Let everything that was written be found."""
        refresh(self._server, self._index)

    def _once(self, batch: Sequence[Operation], outcome: Outcome) -> list[Operation]:
        """Send a batch; what has to be sent again."""
        lines: list[Any] = [line for operation in batch for line in operation.lines()]
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
            if _is_for_later(operation, int(result["status"]), result.get("error", {}).get("type", ""), outcome):
                again.append(operation)
        return again

    def _in_halves(self, batch: Sequence[Operation], outcome: Outcome) -> list[Operation]:
        if len(batch) == 1:
            _refuse(batch[0], TOO_LARGE, outcome)
            return []
        middle = len(batch) // 2
        return self._once(batch[:middle], outcome) + self._once(batch[middle:], outcome)


def refresh(server: Elasticsearch, index: str) -> None:
    """Let everything that was written to an index be found, on every copy."""
    if server.indices.refresh(index=index).body["_shards"]["failed"]:
        raise DirectoryUnavailable("a shard copy could not be refreshed")


def _is_for_later(operation: Operation, status: int, kind: str, outcome: Outcome) -> bool:
    """Note what became of an item, unless it has to be sent again."""
    if status in {200, 201}:
        outcome.taken += 1
    elif status == 409 or (status == 404 and not kind):
        outcome.older += 1
    elif status == 400:
        _refuse(operation, kind, outcome)
    elif status == 429 or status >= 500 or kind == "cluster_block_exception":
        return True
    else:
        raise fault_of(status, kind)
    return False


def _refuse(operation: Operation, reason: str, outcome: Outcome) -> None:
    if operation.entry is None:
        raise DirectoryUnavailable(reason)
    outcome.refused.append(SetAside(operation.entry, reason))


def action(verb: str, name: str, routing: int | str, version: int | None = None) -> str:
    """Put together by hand, for there is one for every document."""
    versioned = "" if version is None else f',"version":{version},"version_type":"external_gte"'
    return f'{{"{verb}":{{"_id":"{name}","routing":"{routing}"{versioned}}}}}'

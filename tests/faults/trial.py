"""One trial of a row of faults: where it runs, for how long, and what it reports."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import servers as engines
from tests.faults.forkserver import ForkServer
from tests.faults.servers import Servers


@dataclass
class Trial:
    """`running`: servers that the row may use and must leave working; otherwise it starts its own.

    tried: how often each fault occurred; failed: how many of them ended in a failed assertion without ending the row.
    answers: how many the clients received; again: how often a client had to retry.
    """

    forkserver: ForkServer
    folder: Path
    seconds: float
    running: Servers | None = None
    tried: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    again: int = 0

    @contextmanager
    def servers(self) -> Iterator[Servers]:
        """A database server and a single node, each behind a proxy."""
        if self.running is None:
            with engines.servers(self.folder) as found:
                yield found
        else:
            self.running.mend()
            yield self.running

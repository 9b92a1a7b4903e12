"""One trial of a row of faults: where it takes place, for how long, and what it has to tell afterwards."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import servers as engines
from tests.faults.servers import Servers
from tests.faults.stage import Stage


@dataclass
class Trial:
    """`running`: servers that may be used, and that are well again afterwards; else a row starts its own.

    tried: how often each fault was; failed: of these, where something did not hold and the row went on. answers: how
    many the clients were given; again: how often one was told to come again.
    """

    theatre: Stage
    folder: Path
    seconds: float
    running: Servers | None = None
    tried: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    again: int = 0

    @contextmanager
    def servers(self) -> Iterator[Servers]:
        """A database server and a single node, with a way to each."""
        if self.running is None:
            with engines.servers(self.folder) as found:
                yield found
        else:
            self.running.mend()
            yield self.running

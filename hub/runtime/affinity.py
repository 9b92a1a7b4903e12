"""One CPU for the threads of an API process that share the interpreter lock, as nginx's `worker_cpu_affinity` does.

Only one of these threads runs Python at a time, and a request passes from the event loop to a lane and back. On two
CPUs each hand-over wakes a thread on the other one, with cold caches: a verification took 1.6 times the CPU.
ADR 0021 has the figures.
"""

import contextlib
import os
import random
from typing import NamedTuple, Self


class Affinity(NamedTuple):
    """python: the CPU of the event loop and its lanes. any: every CPU of the process, for threads with children."""

    python: frozenset[int]
    any: frozenset[int]

    @classmethod
    def choose(cls, slot: int | None = None) -> Self | None:
        """A CPU by `slot`, which sibling processes number consecutively; a random one without.

        None where there is nothing to choose: on one CPU, or on a system without this call.
        """
        if not hasattr(os, "sched_getaffinity"):
            return None
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            return None
        place = random.randrange(len(cpus)) if slot is None else slot % len(cpus)
        return cls(frozenset({cpus[place]}), frozenset(cpus))


def run_on(cpus: frozenset[int]) -> None:
    """Restrict the calling thread, and the threads and processes that it starts later, to these CPUs.

    If they went offline since, the thread runs where it did before.
    """
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, cpus)

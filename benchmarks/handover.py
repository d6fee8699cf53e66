"""How far apart two cores lie: the time in which one answers the other through a cache line.

Cores that share a last-level cache answer in some 100 ns, those of another cluster or socket in several
hundred, and whatever several threads do together takes longer. A virtual machine's cores may move while it
runs, so the time is taken before every round and stands with the figures.
"""

from __future__ import annotations

import time

import numpy as np

from symconv.device import core_error
from symconv.graph.params import pack

ROUNDS = 2000


def handover() -> float | None:
    """Nanoseconds of a round trip between two cores, the least of three; None where only one may be used, or
    the C++ core is not built (other peers are timed without it)."""
    if core_error() is not None:
        return None
    from symconv import _core

    if _core.num_threads() < 2:
        return None
    params, out, best = pack("PeakParams", count=0, rounds=ROUNDS, itemsize=4), np.zeros(1), None
    for _ in range(3):
        begin = time.perf_counter()
        _core.call_kernel("peak_handover", params, [], [out])
        seconds = time.perf_counter() - begin
        if out[0] == ROUNDS and (best is None or seconds < best):
            best = seconds
    return None if best is None else 1e9 * best / ROUNDS


def near(limit: float | None, patience: float = 120.0) -> float | None:
    """handover(), taken again until it is below `limit`, if there is one, or `patience` seconds are over."""
    end = time.monotonic() + patience
    while (ns := handover()) is not None and limit is not None and ns >= limit and time.monotonic() < end:
        time.sleep(0.5)
    return ns

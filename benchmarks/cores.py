"""What several cores are worth at this moment: how far apart two of them lie, and whether they are whole.

Cores that share a last-level cache answer one another in some 100 ns, those of another cluster or socket in
several hundred, and whatever several threads do together takes longer. Two threads on the two halves of one
core do the arithmetic of one. A virtual machine's cores may move while it runs, and be worth less after much
work than after a rest, or the other way round: both are taken at every timing and stand with the figures.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.device import core_error
from symconv.graph.params import pack

HANDOVERS = 2000
CHAINS = 250_000  # rounds of peak_fma: below a millisecond
REPEATS = 3
WORK, REST = 1.0, 10.0  # seconds
RUNS_BEFORE_REST = 3


@dataclass(frozen=True)
class Cores:
    handover_ns: float | None  # of a round trip between two cores; None where the second does not come
    whole: float  # arithmetic of all threads at once, in that of one alone


def _seconds(kernel: str, out: np.ndarray, **params: Any) -> float:
    from symconv import _core

    begin = time.perf_counter()
    _core.call_kernel(kernel, pack("PeakParams", itemsize=4, **params), [], [out])
    return time.perf_counter() - begin


def _handover() -> float | None:
    out, answers = np.zeros(1), []
    for _ in range(REPEATS):
        seconds = _seconds("peak_handover", out, count=0, rounds=HANDOVERS)
        if out[0] == HANDOVERS:
            answers.append(1e9 * seconds / HANDOVERS)
    return min(answers, default=None)


def _rate(threads: int) -> float:
    out = np.zeros(2)
    seconds = min(_seconds("peak_fma", out, count=threads, rounds=CHAINS) for _ in range(REPEATS))
    return float(out[0]) / seconds


def look() -> Cores | None:
    """Both measures, each the best of three; None where only one core may be used, or the C++ core is not
    built (other peers are timed without it)."""
    if core_error() is not None:
        return None
    from symconv import _core

    if _core.num_threads() < 2:
        return None
    return Cores(_handover(), _rate(0) / _rate(1))


def cores_of(seen: Sequence[Cores]) -> dict[str, float | None]:
    """What rows and records tell of the cores: medians, None where nothing was measured."""
    apart = [c.handover_ns for c in seen if c.handover_ns is not None]
    return {
        "handover_ns": statistics.median(apart) if apart else None,
        "whole": statistics.median(c.whole for c in seen) if seen else None,
    }


def add_wanted(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--near", type=float, metavar="NS", help="wait until two cores answer in less")
    add("--whole", type=float, metavar="CORES", help="wait until all threads do this many cores' arithmetic")


@dataclass(frozen=True)
class Wanted:
    """Cores nearer than `near` ns and worth `whole` of one together, or more; None: as they are."""

    near: float | None = None
    whole: float | None = None

    @classmethod
    def of(cls, args: argparse.Namespace) -> Wanted:
        return cls(args.near, args.whole)

    def met_by(self, cores: Cores | None) -> bool:
        if cores is None:
            return True
        apart = cores.handover_ns
        return (self.near is None or (apart is not None and apart < self.near)) and (
            self.whole is None or cores.whole >= self.whole
        )

    def settle(self, patience: float = 60.0) -> Cores | None:
        """look(), taken again until it is what is wanted or `patience` seconds are over. In between all cores
        work, which may spread the threads, and rest now and then, which may give the cores back."""
        end, runs = time.monotonic() + patience, 0
        while not self.met_by(cores := look()) and time.monotonic() < end:
            if runs == RUNS_BEFORE_REST:
                time.sleep(REST)
                runs = 0
                continue
            stop = time.monotonic() + WORK
            while time.monotonic() < stop:
                _rate(0)
            runs += 1
        return cores

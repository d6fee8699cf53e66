"""Times of what a loop does inside, where the NumPy reference computes it node by node."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from symconv.backends.executable import TimedItem, Timing
from symconv.graph import Apply
from symconv.graph.observe import observed
from symconv.loops.op import Scan

T = TypeVar("T")
HOW = "Python's clock after every node"


class LoopClock:
    """Calls during which the nodes inside `node`, a loop, are timed; loops within it too."""

    def __init__(self, node: Apply) -> None:
        assert isinstance(node.op, Scan)
        self._op = node.op
        self._own: Counter[Apply] = Counter()  # nanoseconds, without those of the nodes inside a node
        self._count: Counter[Apply] = Counter()

    def call(self, run: Callable[[], T]) -> T:
        last = time.perf_counter_ns()

        def see(node: Apply, *_: Any) -> None:
            nonlocal last
            self._own[node] += time.perf_counter_ns() - last
            self._count[node] += 1
            last = time.perf_counter_ns()

        with observed(see):
            return run()

    def timing(self) -> Timing:
        return self._of(self._op)

    def _of(self, op: Scan) -> Timing:
        nodes = op.body.nodes
        inside = {k: self._of(n.op) for k, n in enumerate(nodes) if isinstance(n.op, Scan)}
        ns = np.array([float(self._own[n]) for n in nodes])
        for k, inner in inside.items():
            ns[k] += inner.ns.sum()
        runs = max((self._count[n] for n in nodes), default=0)
        items = tuple(TimedItem(k, n, "reference") for k, n in enumerate(nodes))
        return Timing(items, runs, ns, np.empty((0, len(items) + 1), np.int64), HOW, inside)


def loop_clocks(nodes: Sequence[Apply | None]) -> dict[int, LoopClock]:
    """A clock for each loop among `nodes`, by its place."""
    return {k: LoopClock(n) for k, n in enumerate(nodes) if n is not None and isinstance(n.op, Scan)}

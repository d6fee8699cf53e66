"""Updates that change a shared variable's shape: the new value leaves the plan as an output and is stored
after it.

The storage behind a state has the size of the old value, so that a plan cannot write a value of another
size there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symconv.backends.executable import Executable, Progress, Timing
from symconv.errors import ShapeError
from symconv.graph import SharedVariable
from symconv.graph.function_graph import FunctionGraph
from symconv.plan.plan import Plan


def split_growing(graph: FunctionGraph) -> tuple[FunctionGraph, list[int]]:
    """The graph with the new values of other shapes behind its outputs, and the states that they are for."""
    growing = [(i, v) for i, v in graph.updates if v.type.shape != graph.states[i].type.shape]
    if not growing:
        return graph, []
    kept = tuple(u for u in graph.updates if u not in growing)
    outputs = (*graph.outputs, *(v for _, v in growing))
    return FunctionGraph(graph.inputs, graph.states, outputs, kept), [i for i, _ in growing]


class GrowingExecutable:
    """`inner`, whose last outputs are the new values of `targets`."""

    def __init__(self, inner: Executable, targets: Sequence[SharedVariable]) -> None:
        self.inner = inner
        self.targets = list(targets)
        self.graph, self.stages = inner.graph, inner.stages

    @property
    def plan(self) -> Plan | None:
        return self.inner.plan

    def explain(self) -> str:
        names = ", ".join(repr(s) for s in self.targets)
        return f"{self.inner.explain()}\nstored after the plan, as their shapes change: {names}"

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        results = self.inner.run(inputs)
        n = len(results) - len(self.targets)
        for target, value in zip(self.targets, results[n:]):
            target.set_value(value, borrow=True)
        return results[:n]

    def run_many(
        self, n: int, inputs: Sequence[np.ndarray], mapped: bool, progress: Progress | None = None
    ) -> list[np.ndarray]:
        names = ", ".join(repr(s) for s in self.targets)
        raise ShapeError(
            f"loop, map: the shape of {names} changes from call to call\n  hint: call the function once "
            f"per iteration"
        )

    def profile(self, on: bool, stamps: int = 0) -> None:
        self.inner.profile(on, stamps)

    def timing(self) -> Timing:
        return self.inner.timing()

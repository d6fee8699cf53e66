"""What a backend makes of a rewritten graph: an Executable for inputs of fixed shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from symconv.graph import Apply, SharedVariable
from symconv.graph.function_graph import FunctionGraph
from symconv.plan.plan import Plan
from symconv.rewrite.pipeline import Stage

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class TimedItem:
    """What was timed: a step of a plan, one of its launches, or (node None) the upkeep between steps."""

    step: int
    node: Apply | None
    kernel: str


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the parts of a plan took.

    ns: float64 [items], summed over `runs`. stamps: int64 [runs, items + 1], the start and then the end of
    every item in nanoseconds of time.perf_counter_ns, of the first runs that there was room for. how: what
    clock, and whether things ran otherwise than without a profile. inside: by item, what a loop did in all
    its iterations, each of which counts as a run.
    """

    items: tuple[TimedItem, ...]
    runs: int
    ns: np.ndarray
    stamps: np.ndarray
    how: str
    inside: Mapping[int, Timing] = field(default_factory=dict)


class Executable(Protocol):
    graph: FunctionGraph
    stages: Sequence[Stage]  # from the graph with its shapes to the one that runs, for pictures of them

    @property
    def plan(self) -> Plan | None: ...

    def explain(self) -> str:
        """What runs, on what, and why, as text."""
        ...

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One execution: new arrays with the outputs; shared variables hold their new values."""
        ...

    def run_many(
        self, n: int, inputs: Sequence[np.ndarray], mapped: bool, progress: Progress | None = None
    ) -> list[np.ndarray]:
        """n executions in one call; outputs are stacked.

        mapped: inputs have a leading axis of n, one slice per execution; else all see the same inputs.
        """
        ...

    def profile(self, on: bool, stamps: int = 0) -> None:
        """Time the parts of the runs that follow, from zero; room for about `stamps` time stamps."""
        ...

    def timing(self) -> Timing:
        """What was timed since profile(True)."""
        ...


def compile_graph(
    graph: FunctionGraph,
    shared: Sequence[SharedVariable],
    device: str,
    passes: Sequence[Any],
    stages: Sequence[Stage] = (),
) -> Executable:
    """The Executable of `graph` on `device`, with `shared` behind its states."""
    executable = _on(device, graph, shared, passes)
    executable.stages = stages
    return executable


def _on(
    device: str, graph: FunctionGraph, shared: Sequence[SharedVariable], passes: Sequence[Any]
) -> Executable:
    if device == "cpu":
        from symconv.backends.cpu import CpuExecutable

        return CpuExecutable(graph, shared, passes)
    if device in ("cuda", "emulated"):
        from symconv.backends.gpu.executable import GpuExecutable

        return GpuExecutable(graph, shared, device, passes)
    from symconv.backends.reference import ReferenceExecutable

    return ReferenceExecutable(graph, shared)

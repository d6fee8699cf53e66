"""The oracle: evaluates a graph node by node with every op's NumPy `reference`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from symconv.backends.executable import TimedItem, Timing
from symconv.backends.loop_clock import HOW, loop_clocks
from symconv.errors import ExecutionError, GraphError, SymconvError
from symconv.graph import Apply, Constant, SharedVariable, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.traversal import toposort
from symconv.rewrite.pipeline import Stage


def run_reference(node: Apply, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """The node's outputs; a failure names the node, its operands and the user's line."""
    try:
        out = node.op.reference(*arrays)
    except ExecutionError as error:
        raise ExecutionError(f"{node.op.label()} from {node.origin}: {error}") from error.__cause__
    except SymconvError:
        raise
    except Exception as error:
        shapes = ", ".join(f"{a.dtype}{list(a.shape)}" for a in arrays)
        raise ExecutionError(f"{node.op.label()} from {node.origin} on {shapes}: {error}") from error
    return out if isinstance(out, tuple) else (out,)


def evaluate(outputs: Sequence[Variable], values: Mapping[Variable, np.ndarray]) -> list[np.ndarray]:
    """The values of `outputs` given those of the inputs; shared variables and constants bring theirs."""
    memo: dict[Variable, np.ndarray] = dict(values)

    def value(v: Variable) -> np.ndarray:
        if v in memo:
            return memo[v]
        if isinstance(v, Constant):
            return v.data
        if isinstance(v, SharedVariable):
            return v.get_value(borrow=True)
        raise GraphError(f"no value for the input {v!r} made at {v.origin}")

    for node in toposort(outputs, stop=memo):
        for out, array in zip(node.outputs, run_reference(node, [value(v) for v in node.inputs])):
            memo[out] = array
    return [value(v) for v in outputs]


class ReferenceExecutable:
    """Runs a graph by `evaluate`, one NumPy call per node."""

    plan: None = None
    stages: Sequence[Stage] = ()

    def __init__(self, graph: FunctionGraph, shared: Sequence[SharedVariable]) -> None:
        self.graph = graph
        self.shared = list(shared)
        self._clock: _Clock | None = None
        self._profiling = False

    def profile(self, on: bool, stamps: int = 0) -> None:
        self._profiling = on
        if on:
            self._clock = _Clock(self.graph, stamps)

    def timing(self) -> Timing:
        return (self._clock or _Clock(self.graph, 0)).timing()

    def explain(self) -> str:
        return "reference executor: NumPy, node by node"

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        graph = self.graph
        values = dict(zip(graph.inputs, inputs))
        values |= {v: s.get_value(borrow=True) for v, s in zip(graph.states, self.shared)}
        timed = self._clock.evaluate if self._profiling and self._clock is not None else None
        results = evaluate(graph.roots, values) if timed is None else timed(graph.roots, values)
        outputs = [np.array(r, order="C") for r in results[: len(graph.outputs)]]
        news = [np.array(r) for r in results[len(graph.outputs) :]]
        for (i, _), new in zip(graph.updates, news):
            self.shared[i].set_value(new)
        return outputs

    def run_many(
        self,
        n: int,
        inputs: Sequence[np.ndarray],
        mapped: bool,
        progress: Callable[[int], None] | None = None,
    ) -> list[np.ndarray]:
        rows = []
        for i in range(n):
            rows.append(self.run([np.asarray(a[i]) for a in inputs] if mapped else inputs))
            if progress is not None:
                progress(i + 1)
        if not rows:
            return [np.empty((0, *v.type.dims), v.dtype) for v in self.graph.outputs]
        return [np.stack(column) for column in zip(*rows)]


class _Clock:
    """`evaluate` with a time stamp after every node."""

    def __init__(self, graph: FunctionGraph, room: int) -> None:
        self.nodes = graph.nodes()
        self.room = room // (len(self.nodes) + 1)
        self.ns = np.zeros(len(self.nodes))
        self.runs = 0
        self.stamps: list[list[int]] = []
        self.loops = loop_clocks(self.nodes)

    def evaluate(
        self, outputs: Sequence[Variable], values: Mapping[Variable, np.ndarray]
    ) -> list[np.ndarray]:
        memo: dict[Variable, np.ndarray] = dict(values)
        stamps = [time.perf_counter_ns()]
        for k, node in enumerate(self.nodes):
            arrays = [v.data if isinstance(v, Constant) else memo[v] for v in node.inputs]
            compute = partial(run_reference, node, arrays)
            memo.update(zip(node.outputs, self.loops[k].call(compute) if k in self.loops else compute()))
            stamps.append(time.perf_counter_ns())
        self.ns += np.diff(stamps)
        self.runs += 1
        if len(self.stamps) < self.room:
            self.stamps.append(stamps)
        return [v.data if isinstance(v, Constant) else memo[v] for v in outputs]

    def timing(self) -> Timing:
        items = tuple(TimedItem(i, node, "reference") for i, node in enumerate(self.nodes))
        stamps = np.asarray(self.stamps, np.int64).reshape(-1, len(items) + 1)
        inside = {k: clock.timing() for k, clock in self.loops.items()}
        return Timing(items, self.runs, self.ns, stamps, HOW, inside)

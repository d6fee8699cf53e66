"""The oracle: evaluates a graph node by node with every op's NumPy `reference`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

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
        raise ExecutionError(f"{node.op.label()} from {node.origin}: {error}") from None
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

    def explain(self) -> str:
        return "reference executor: NumPy, node by node"

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        graph = self.graph
        values = dict(zip(graph.inputs, inputs))
        values |= {v: s.get_value(borrow=True) for v, s in zip(graph.states, self.shared)}
        results = evaluate(graph.roots, values)
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

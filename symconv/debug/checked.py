"""Mode "debug": every call is checked, node by node and as a whole, before it counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from symconv.backends.executable import Executable
from symconv.backends.reference import evaluate
from symconv.debug.compare import Oracle
from symconv.debug.lone import CheckedNode, check_view, reference_of
from symconv.debug.rewrites import find_wrong_rewrite
from symconv.debug.transaction import on_host
from symconv.debug.wrapped import WrappedExecutable
from symconv.errors import MemoryClaimError, RewriteMismatchError
from symconv.graph import Apply, Constant, SharedVariable, TensorType, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.plan.check import check_plan

WHOLE_UNITS = 2.0**13  # epsilons by which a whole graph's results may differ: 1e-3 for float32


class CheckedExecutable(WrappedExecutable):
    """Every node's kernel alone and the plan as a whole, each beside the reference."""

    def __init__(
        self,
        inner: Executable,
        shared: Sequence[SharedVariable],
        device: str,
        nodes: bool = True,
        rewrites: bool = True,
    ) -> None:
        super().__init__(inner, shared)
        self.device = device
        self.nodes = nodes
        self.rewrites = rewrites
        self._checked: dict[Apply, CheckedNode] = {}
        if inner.plan is None:
            return
        check_plan(inner.plan)
        if nodes:  # now, while the kernels are those that the plan was made with
            ours = (node for node in self.graph.nodes() if node.op.view(node) is None)
            self._checked = {node: CheckedNode(node, device) for node in ours}

    def explain(self) -> str:
        return f"mode debug: every call is checked, node by node and as a whole\n{self.inner.explain()}"

    def _run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        inputs = on_host(inputs)
        values = dict(zip(self.graph.inputs, inputs))
        values |= {v: s.get_value() for v, s in zip(self.graph.states, self.shared)}
        alone = self._node_by_node(values) if self.nodes else None
        fill = getattr(self.inner, "poison", None)
        if fill is not None:
            fill()
        outputs = self.inner.run(inputs)
        results = [*outputs, *(self.shared[i].get_value() for i, _ in self.graph.updates)]
        if self.rewrites:
            self._as_a_whole(values, results, alone)
        return outputs

    def _node_by_node(self, values: Mapping[Variable, np.ndarray]) -> list[np.ndarray]:
        """The roots, computed by every node's kernel alone, each checked against its reference."""
        memo = dict(values)

        def value(v: Variable) -> np.ndarray:
            return v.data if isinstance(v, Constant) else memo[v]

        with np.errstate(all="ignore"):
            for node in self.graph.nodes():
                arrays = [value(v) for v in node.inputs]
                if node.op.view(node) is not None:
                    (result,) = reference_of(node, arrays)
                    check_view(node, arrays, result)
                    memo[node.out] = result
                    continue
                checked = self._checked.get(node)
                results = reference_of(node, arrays) if checked is None else checked(arrays)
                memo.update(zip(node.outputs, results))
        return [value(v) for v in self.graph.roots]

    def _as_a_whole(
        self,
        values: Mapping[Variable, np.ndarray],
        results: Sequence[np.ndarray],
        alone: Sequence[np.ndarray] | None,
    ) -> None:
        """The results of the whole plan are those of the graph as written."""
        oracle = graph_oracle(self.as_written, values)
        found = oracle.mismatch(results)
        if found is None:
            return
        wrong = find_wrong_rewrite(self.as_written, oracle, values, self.device)
        if wrong is not None:
            raise RewriteMismatchError(str(wrong))
        k, text = found
        what = describe_root(self.graph, k)
        hint = ""
        if alone is not None and oracle.mismatch(alone) is None:
            hint = "; each node by itself gives the right result, so the plan's order or memory is at fault"
        raise MemoryClaimError(
            f"{what} of the whole plan is not that of its graph{hint}\n  {text}\n  device {self.device}"
        )


def graph_oracle(graph: FunctionGraph, values: Mapping[Variable, np.ndarray]) -> Oracle:
    """The roots of a graph by the reference."""
    leaves = list(values)

    def compute(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        with np.errstate(all="ignore"):
            return evaluate(graph.roots, dict(zip(leaves, arrays)))

    changes = [(values[graph.states[i]], v) for i, v in graph.updates]
    return whole_oracle(compute, list(values.values()), whole_bases(len(graph.outputs), changes))


def whole_bases(outputs: int, updates: Sequence[tuple[np.ndarray, Variable]]) -> list[np.ndarray | None]:
    """Oracle.bases of a function: new states are judged by how they differ from the old ones."""
    changes = [
        old if v.type.is_float and v.type.accepts(TensorType(v.dtype, old.shape)) else None
        for old, v in updates
    ]
    return [*(None for _ in range(outputs)), *changes]


def whole_oracle(
    compute: Callable[[Sequence[np.ndarray]], list[np.ndarray]],
    inputs: Sequence[np.ndarray],
    bases: Sequence[np.ndarray | None],
) -> Oracle:
    """The oracle of a whole function's results."""
    return Oracle(compute, inputs, bases, WHOLE_UNITS, jumps=True)


def describe_root(graph: FunctionGraph, k: int) -> str:
    """Output k, or the update that follows the outputs, in words."""
    if k < len(graph.outputs):
        return f"output {k}, from {graph.outputs[k].origin},"
    i, v = graph.updates[k - len(graph.outputs)]
    return f"the update of {graph.states[i].name or f'state {i}'}, from {v.origin},"

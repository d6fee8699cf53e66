"""theano.compile.monitormode: a mode that calls the program's own functions around every node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symconv.backends.reference import run_reference
from symconv.graph import Constant
from symconv.graph.traversal import toposort
from symconv.theano.modes import Mode, in_kind
from symconv.theano.variable import Apply

Hook = Callable[[int, Any, Any], Any]


class Thunk:
    """What a hook reads of the computation of a node: its values, each in a list of one element."""

    def __init__(self, inputs: Sequence[np.ndarray], count: int) -> None:
        self.inputs = [[a] for a in inputs]
        self.outputs: list[list[Any]] = [[None] for _ in range(count)]


class MonitorMode(Mode):
    """pre_func(i, node, fn) is called before each node is computed, post_func(i, node, fn) after it.

    fn.inputs and fn.outputs are lists of lists of one array: fn.outputs[0][0] is the first result. The graph
    is computed as it was written, node by node, by the NumPy reference: slowly, without fusion.
    """

    name = "MonitorMode"

    def __init__(
        self, pre_func: Hook | None = None, post_func: Hook | None = None, optimizer: Any = "default",
        linker: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(linker, optimizer)
        self.pre_func, self.post_func = pre_func, post_func

    def run(self, function: Any, values: Sequence[Any]) -> list[np.ndarray]:
        graph, known, shared = function.specialized(*values)

        def value(v: Any) -> np.ndarray:
            array: np.ndarray = v.data if isinstance(v, Constant) else known[v]
            return array

        for i, node in enumerate(toposort(graph.roots)):
            thunk = Thunk([value(v) for v in node.inputs], len(node.outputs))
            if self.pre_func is not None:
                self.pre_func(i, Apply.of(node), thunk)
            try:
                results = run_reference(node, [cell[0] for cell in thunk.inputs])
            except Exception as error:
                raise in_kind(error) from error.__cause__
            for cell, array in zip(thunk.outputs, results):
                cell[0] = array
            if self.post_func is not None:
                self.post_func(i, Apply.of(node), thunk)
            known |= {v: np.asarray(cell[0]) for v, cell in zip(node.outputs, thunk.outputs)}
        outputs = [value(v).copy() for v in graph.outputs]
        news = [(shared[i], value(v).copy()) for i, v in graph.updates]
        for target, new in news:
            target.set_value(new)
        return outputs


__all__ = ["MonitorMode"]

"""f.maker: what programs read about a compiled function."""

from __future__ import annotations

from typing import Any

from symconv.graph import Variable as Native
from symconv.graph.traversal import rebuild, toposort
from symconv.ops.arithmetic import StopGradient
from symconv.theano.declared import Unchanged
from symconv.theano.functions import Function
from symconv.theano.variable import Apply, wrap


class Maker:
    """What programs read from f.maker: the graph, its inputs and outputs."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.fgraph = FunctionGraph(function)
        self.inputs, self.outputs, self.mode = function._ins, self.fgraph.outputs, function.mode


class FunctionGraph:
    """f.maker.fgraph: as it was written, without what only told gradients how to flow."""

    def __init__(self, function: Function) -> None:
        roots = [*function.native.outputs, *(v for _, v in function.native.updates)]
        passed: dict[Native, Native] = {}
        for node in toposort(roots):
            if isinstance(node.op, (Unchanged, StopGradient)):
                (passed[node.out],) = rebuild([node.inputs[0]], passed)
        self._roots = rebuild(roots, passed)
        self.inputs = [i.variable for i in function._ins]
        self.outputs = [wrap(v) for v in self._roots]

    def toposort(self) -> list[Any]:
        """The Apply nodes, producers first."""
        return [Apply.of(n) for n in toposort(self._roots)]

    @property
    def apply_nodes(self) -> set[Any]:
        return set(self.toposort())

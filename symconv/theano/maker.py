"""f.maker: what programs read about a compiled function."""

from __future__ import annotations

from typing import Any

from symconv.graph import Variable as Native
from symconv.graph.traversal import rebuild, toposort
from symconv.ops.arithmetic import StopGradient
from symconv.theano.declared import Unchanged
from symconv.theano.functions import Function
from symconv.theano.inputs import In
from symconv.theano.variable import Apply, wrap


class Maker:
    """What programs read from f.maker: the graph, its inputs and outputs."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.fgraph = FunctionGraph(function)
        self.inputs, self.outputs, self.mode = function._ins, self.fgraph.outputs, function.mode

    @property
    def expanded_inputs(self) -> list[Any]:
        """The inputs, and behind them one for each shared variable, whose `value` is what keeps it."""
        states = [i.state for i in self.inputs]
        return [*self.inputs, *(SharedInput(v) for v in self.function.get_shared() if v not in states)]


class SharedInput(In):
    """A shared variable among expanded_inputs: value.data is a copy of what it holds, and sets it."""

    def __init__(self, variable: Any) -> None:
        super().__init__(variable)
        self.shared = True
        self.value = SharedValue(variable)


class SharedValue:
    """Where a shared variable keeps its value."""

    def __init__(self, variable: Any) -> None:
        self._variable = variable

    @property
    def data(self) -> Any:
        return self._variable.get_value()

    @data.setter
    def data(self, new: Any) -> None:
        self._variable.set_value(new)


class Runner:
    """f.fn, Theano's virtual machine: calls without arguments, for small functions that are called often."""

    allow_gc = True  # has no effect

    def __init__(self, function: Function) -> None:
        self._function = function

    def __call__(self, n_calls: int = 1, output_subset: Any = None) -> list[Any]:
        """The outputs of the last of n_calls calls. Raises InputError where arguments are needed."""
        outputs: list[Any] = []
        for _ in range(n_calls):
            found = self._function(output_subset=output_subset)
            outputs = list(found.values()) if isinstance(found, dict) else found
        return outputs if isinstance(outputs, list) else [outputs]


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

"""theano.gof.fg: a graph between inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symconv.theano.gof.graph import io_toposort
from symconv.theano.inputs import MissingInputError as MissingInputError


class FunctionGraph:
    """The graph from `inputs` to `outputs`, to be looked at: symconv rewrites graphs by itself."""

    def __init__(self, inputs: Sequence[Any], outputs: Sequence[Any], clone: bool = True, **_: Any) -> None:
        self.inputs, self.outputs = list(inputs), list(outputs)

    def toposort(self) -> list[Any]:
        """The Apply nodes, producers first."""
        return io_toposort(self.inputs, self.outputs)

    @property
    def apply_nodes(self) -> set[Any]:
        return set(self.toposort())

    @property
    def variables(self) -> set[Any]:
        nodes = self.toposort()
        return {*self.inputs, *self.outputs, *(v for n in nodes for v in (*n.inputs, *n.outputs))}


__all__ = ["FunctionGraph", "MissingInputError"]

"""theano.tests.breakpoint: a debugger in the middle of a function."""

from __future__ import annotations

import pdb
from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.theano.gof.op import Apply, Op
from symconv.theano.gradient import DisconnectedType
from symconv.theano.variable import as_tensor_variable


class PdbBreakpoint(Op):
    """PdbBreakpoint(name)(condition, x, y...): x, y..., and pdb at the call where `condition` is not 0.

    At least one of the results must be used. In the debugger `monitored` lists the values of x, y....
    """

    __props__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def make_node(self, condition: Any, *monitored: Any) -> Apply:
        given = [as_tensor_variable(v) for v in monitored]
        return Apply(self, [as_tensor_variable(condition), *given], [v.type() for v in given])

    def perform(self, node: Any, inputs: Sequence[np.ndarray], output_storage: list[list[Any]]) -> None:
        condition, *monitored = inputs
        if condition:
            print(f"{self.name}: the breakpoint's condition holds; `monitored` lists its values")
            pdb.set_trace()
        for cell, value in zip(output_storage, monitored):
            cell[0] = value.copy()

    def infer_shape(self, node: Any, shapes: Sequence[Any]) -> list[Any]:
        return list(shapes[1:])

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> list[Any]:
        return [DisconnectedType()(), *output_gradients]

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        n = len(node.outputs)
        return [[False] * n, *([k == j for j in range(n)] for k in range(n))]


__all__ = ["PdbBreakpoint"]

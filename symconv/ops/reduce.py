"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from symconv.graph import Apply, Op, TensorType, Variable
from symconv.ops.operands import as_variable, normalize_axes
from symconv.ops.shape import broadcast_like, dims_of, reshape


@dataclass(frozen=True)
class Reduce(Op):
    """out = reduction of x over `axes` (sorted, non-negative)."""

    axes: tuple[int, ...]
    keepdims: bool = False
    operands: ClassVar[tuple[str, ...]] = ("x",)

    def result_dtype(self, dtype: str) -> str:
        return dtype

    def infer(self, x: Variable) -> TensorType:
        shape = x.type.shape
        if self.keepdims:
            out = tuple(1 if i in self.axes else d for i, d in enumerate(shape))
        else:
            out = tuple(d for i, d in enumerate(shape) if i not in self.axes)
        return TensorType(self.result_dtype(x.dtype), out)

    def flops(self, node: Apply) -> int:
        return node.inputs[0].type.size

    def expand(self, y: Variable, x: Variable) -> Variable:
        """y, shaped like this op's output, stretched back to the shape of x."""
        if not self.keepdims and self.axes and y.ndim:
            dims = dims_of(x)
            y = reshape(y, [1 if i in self.axes else d for i, d in enumerate(dims)])
        return broadcast_like(y, x)


@dataclass(frozen=True)
class Sum(Reduce):
    name = "sum"

    def result_dtype(self, dtype: str) -> str:
        return "int64" if dtype == "bool" or dtype.startswith(("int", "uint")) else dtype

    def reference(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(
            np.sum(x, axis=self.axes, keepdims=self.keepdims, dtype=self.result_dtype(str(x.dtype)))
        )

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        x = node.inputs[0]
        return [None if dy is None or not x.type.is_float else self.expand(dy, x)]


def reduce_sum(x: Any, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Variable:
    """Sum of x over `axis` (all by default); integers and bools give int64."""
    x = as_variable(x)
    return Sum(normalize_axes(axis, x.ndim), keepdims)(x)

"""Running sums and products along one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.graph import Apply, Op, TensorType, Variable
from symconv.ops.arithmetic import mul, true_div
from symconv.ops.cumulative_kernels import CUMULATIVE
from symconv.ops.operands import as_variable, normalize_axis
from symconv.ops.reduce import total_dtype
from symconv.ops.shape import flatten


@dataclass(frozen=True)
class _Cumulative(Op):
    axis: int
    reverse: bool = False
    operands = ("x",)

    def infer(self, x: Variable) -> TensorType:
        return TensorType(total_dtype(x.dtype), x.type.shape)

    def run(self, function: Any, x: np.ndarray) -> np.ndarray:
        dtype = np.dtype(total_dtype(str(x.dtype)))
        if self.reverse:
            x = np.flip(x, self.axis)
        with np.errstate(all="ignore"):
            out = function(x, axis=self.axis, dtype=dtype)
        return np.ascontiguousarray(np.flip(out, self.axis) if self.reverse else out)


@dataclass(frozen=True)
class CumSum(_Cumulative):
    """y[i] = x[0] + ... + x[i] along `axis`; from the end where `reverse`."""

    name = "cumsum"
    kernels = list(CUMULATIVE)

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        if dy is None or not node.inputs[0].type.is_inexact:
            return [None]
        return [CumSum(self.axis, not self.reverse)(dy)]

    def rop(self, node: Apply, *dxs: Variable | None) -> Sequence[Variable | None]:
        (dx,) = dxs
        return [None if dx is None else self(dx)]

    def reference(self, x: np.ndarray) -> np.ndarray:
        return self.run(np.cumsum, x)


@dataclass(frozen=True)
class CumProd(_Cumulative):
    """y[i] = x[0] * ... * x[i] along `axis`. The gradient divides by x, as Theano's: NaN where x is 0."""

    name = "cumprod"
    kernels = list(CUMULATIVE)

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        (x,) = node.inputs
        if dy is None or not x.type.is_float:
            return [None]
        return [true_div(CumSum(self.axis, not self.reverse)(mul(node.out, dy)), x)]

    def reference(self, x: np.ndarray) -> np.ndarray:
        return self.run(np.cumprod, x)


def _prepared(x: Any, axis: int | None, what: str) -> tuple[Variable, int]:
    x = as_variable(x)
    if axis is None:
        return flatten(x), 0
    return x, normalize_axis(axis, x.ndim, f"{what}: axis")


def cumsum(x: Any, axis: int | None = None) -> Variable:
    """Running sums along `axis`, of x flattened by default; integers and bools give int64."""
    x, axis = _prepared(x, axis, "cumsum")
    out: Variable = CumSum(axis)(x)
    return out


def cumprod(x: Any, axis: int | None = None) -> Variable:
    """Running products along `axis`, of x flattened by default; integers and bools give int64."""
    x, axis = _prepared(x, axis, "cumprod")
    out: Variable = CumProd(axis)(x)
    return out

"""Sorting along one axis: sort, argsort. Stable; NaN counts as the largest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.graph import Apply, Op, TensorType, Variable
from symconv.ops.create import arange, zeros_like
from symconv.ops.extents import extents
from symconv.ops.gather import Scatter, take_along_axis
from symconv.ops.operands import as_variable, normalize_axis
from symconv.ops.shape import dims_of, flatten, reshape
from symconv.ops.sort_kernels import sort_kernels


@dataclass(frozen=True)
class ArgSort(Op):
    """order[.., i, ..] = where the i-th smallest element lies along `axis`, as int64; equal ones in order."""

    axis: int
    name = "argsort"
    operands = ("x",)
    kernels = sort_kernels("argsort")

    def infer(self, x: Variable) -> TensorType:
        return TensorType("int64", x.type.shape)

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        return [None]

    def reference(self, x: np.ndarray) -> np.ndarray:
        return np.argsort(x, axis=self.axis, kind="stable").astype("int64")

    def flops(self, node: Apply) -> int:
        return comparisons(node)


@dataclass(frozen=True)
class Sort(Op):
    """The elements along `axis` in ascending order."""

    axis: int
    name = "sort"
    operands = ("x",)
    kernels = sort_kernels("sort", ((0, 0),))

    def infer(self, x: Variable) -> TensorType:
        return x.type

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        (x,) = node.inputs
        if dy is None or not x.type.is_float:
            return [None]
        places = _grid(x, self.axis, ArgSort(self.axis)(x))
        return [Scatter(0)(zeros_like(x), dy, *places)]

    def rop(self, node: Apply, *dxs: Variable | None) -> Sequence[Variable | None]:
        (dx,) = dxs
        (x,) = node.inputs
        return [None if dx is None else take_along_axis(dx, ArgSort(self.axis)(x), self.axis)]

    def reference(self, x: np.ndarray) -> np.ndarray:
        return np.sort(x, axis=self.axis, kind="stable")

    def flops(self, node: Apply) -> int:
        return comparisons(node)


def comparisons(node: Apply) -> int:
    """About as many as a sort by comparisons needs: n log2(n) a row."""
    return node.out.type.size * max(extents(node)[1] - 1, 0).bit_length()


def _grid(x: Variable, axis: int, order: Variable) -> list[Variable]:
    """An index array per axis of x, of which that of `axis` is `order`."""
    dims = dims_of(x)
    return [
        order if a == axis else reshape(arange(d), [d if b == a else 1 for b in range(x.ndim)])
        for a, d in enumerate(dims)
    ]


def _prepared(x: Any, axis: int | None, what: str) -> tuple[Variable, int]:
    x = as_variable(x)
    if axis is None:
        return flatten(x), 0
    return x, normalize_axis(axis, x.ndim, f"{what}: axis")


def sort(x: Any, axis: int | None = -1) -> Variable:
    """x in ascending order along `axis`; axis=None flattens x first. Stable; NaN comes last."""
    x, axis = _prepared(x, axis, "sort")
    out: Variable = Sort(axis)(x)
    return out


def argsort(x: Any, axis: int | None = -1) -> Variable:
    """Indices (int64) that bring x into ascending order along `axis`; axis=None flattens x first."""
    x, axis = _prepared(x, axis, "argsort")
    out: Variable = ArgSort(axis)(x)
    return out

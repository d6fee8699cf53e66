"""Where an array is not zero. How many places there are depends on values: that number is a guard of a plan.

A guard is computed by the reference before each call, and each number has a plan of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import ExecutionError
from symconv.graph import Apply, Op, TensorType, Variable, op_error
from symconv.ops.operands import as_variable, static_dim
from symconv.ops.shape import dims_of


def nonzero(x: Any) -> tuple[Variable, ...]:
    """The places where x is not 0, in C order: an int64 vector for each dimension. NaN is not 0.

    A loop in whose step the number of places changes from step to step is run by the references.
    """
    return places(as_variable(x))


def places(x: Variable, indexed: Sequence[Variable] = ()) -> tuple[Variable, ...]:
    """nonzero(x); `indexed` are the dimensions that x's must equal, of what it is a mask for."""
    if x.ndim == 0:
        raise op_error(Nonzero(), (x,), "a scalar has no places", "x.reshape(1)")
    n: Variable = CountNonzero()(x)
    out = Nonzero()(x, n, *indexed)
    return out if isinstance(out, tuple) else (out,)


class _NoGradient(Op):
    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        return [None] * len(node.inputs)


@dataclass(frozen=True)
class CountNonzero(_NoGradient):
    """How many elements of x are not 0: an int64 scalar."""

    name = "count_nonzero"
    operands = ("x",)

    def infer(self, x: Variable) -> TensorType:
        return TensorType("int64", ())

    def reference(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.count_nonzero(x), "int64")


@dataclass(frozen=True)
class Nonzero(_NoGradient):
    """The places of the n elements of x that are not 0: for each dimension int64[n]; inputs x, n, dimensions.

    Where dimensions are given they must be x's.
    """

    name = "nonzero"
    operands = ("x", "n")

    def infer(self, x: Variable, *sizes: Variable) -> tuple[TensorType, ...]:
        wanted = [static_dim(d) for d in sizes[1:]]
        if any(None not in (a, b) and a != b for a, b in zip(x.type.shape, wanted)):
            raise op_error(
                self, (x, *sizes), f"a mask of shape {list(x.type.shape)} indexes axes of shape {wanted}"
            )
        n = static_dim(sizes[0]) if sizes else None
        return (TensorType("int64", (n,)),) * x.ndim

    def shape_operands(self, n_inputs: int) -> Sequence[int]:
        return range(1, n_inputs)

    def reference(self, x: np.ndarray, n: np.ndarray, *dims: np.ndarray) -> tuple[np.ndarray, ...]:
        found = np.nonzero(x)
        if len(found[0]) != n:
            raise ExecutionError(f"nonzero: {len(found[0])} elements are not 0, the plan was made for {n}")
        return tuple(a.astype("int64", copy=False) for a in found)


def masked_axes(x: Variable, mask: Variable, axis: int) -> list[Variable]:
    """The index arrays that stand for a symbolic mask over the axes of x from `axis` on."""
    return list(places(mask, dims_of(x)[axis : axis + mask.ndim]))

"""unique, bincount, searchsorted of theano.tensor.extra_ops: steps in NumPy within the plan; flat indices.

How long the results of the first two are depends on values: they run once more before each call to tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.errors import ArgumentError, DTypeError, ShapeError
from symconv.theano import dtypes, shapes
from symconv.theano.gof.op import Apply, Op
from symconv.theano.printing import Assert
from symconv.theano.tensor import elementwise, shape_ops
from symconv.theano.tensor.reductions import all
from symconv.theano.variable import TensorType, as_tensor_variable, wrap


class Unique(Op):
    """The sorted distinct elements, or slices along an axis; see unique()."""

    __props__ = ("return_index", "return_inverse", "return_counts", "axis")

    def __init__(
        self, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
        axis: int | None = None,
    ) -> None:  # fmt: skip
        self.return_index, self.return_inverse, self.return_counts = (
            return_index,
            return_inverse,
            return_counts,
        )
        self.axis = axis

    def make_node(self, x: Any) -> Apply:
        x = as_tensor_variable(x)
        if self.axis is not None and not -x.ndim <= self.axis < x.ndim:
            raise DTypeError(f"unique: axis {self.axis} is out of range for {x.type}")
        rank = 1 if self.axis is None else x.ndim
        more = sum((self.return_index, self.return_inverse, self.return_counts))
        outputs = [TensorType(x.dtype, (False,) * rank)()]
        return Apply(self, [x], outputs + [TensorType("int64", (False,))() for _ in range(more)])

    def perform(self, node: Any, inputs: Sequence[np.ndarray], output_storage: list[list[Any]]) -> None:
        more: tuple[Any, ...] = (self.return_index, self.return_inverse, self.return_counts, self.axis)
        found: Any = np.unique(inputs[0], *more)
        parts = found if isinstance(found, tuple) else (found,)
        output_storage[0][0] = parts[0]
        for cell, part in zip(output_storage[1:], parts[1:]):
            cell[0] = np.asarray(part, "int64").reshape(-1)


def unique(
    ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
    axis: int | None = None,
) -> Any:  # fmt: skip
    """The sorted distinct elements; where asked for also their first places, the number of each element of ar
    among them, their counts."""
    return Unique(return_index, return_inverse, return_counts, axis)(ar)


class BinCount(Op):
    """Inputs x, minlength, and the weights if there are any."""

    __props__ = ()

    def make_node(self, x: Any, minlength: Any, *weights: Any) -> Apply:
        dtype = as_tensor_variable(weights[0]).dtype if weights else "int64"
        return Apply(self, [x, minlength, *weights], [TensorType(dtype, (False,))()])

    def perform(self, node: Any, inputs: Sequence[np.ndarray], output_storage: list[list[Any]]) -> None:
        x, minlength, *weights = inputs
        counts = np.bincount(x, weights[0] if weights else None, int(minlength))
        output_storage[0][0] = counts.astype(node.outputs[0].dtype)

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> list[Any]:
        return [None, None, *(output_gradients[0][inputs[0]] for _ in inputs[2:])]


def bincount(x: Any, weights: Any = None, minlength: Any = None, assert_nonneg: bool = False) -> Any:
    """How often 0, 1, ..., max(x) come in x, or the sums of their weights, minlength or more of them.

    Numbers below 0 raise when the function runs: a ValueError, with assert_nonneg an AssertionError.
    """
    x = as_tensor_variable(x)
    if x.ndim != 1 or x.dtype not in dtypes.DISCRETE:
        raise DTypeError(f"bincount: takes a vector of integers, got {x.type} from {x.native.origin}")
    least = as_tensor_variable(0 if minlength is None else minlength)
    given = [] if weights is None else [as_tensor_variable(weights)]
    if assert_nonneg:
        x = Assert("bincount: x has elements below 0")(x, all(elementwise.ge(x, 0)))
    return BinCount()(elementwise.cast(x, "int64"), least, *given)


class SearchSorted(Op):
    """Inputs x, v, and the order that sorts x if it is not sorted."""

    __props__ = ("side",)

    def __init__(self, side: str = "left") -> None:
        if side not in ("left", "right"):
            raise ArgumentError(f"searchsorted: side must be 'left' or 'right', got {side!r}")
        self.side = side

    def make_node(self, x: Any, v: Any, *order: Any) -> Apply:
        v = as_tensor_variable(v)
        return Apply(self, [x, v, *order], [TensorType("int64", (False,) * v.ndim)()])

    def perform(self, node: Any, inputs: Sequence[np.ndarray], output_storage: list[list[Any]]) -> None:
        x, v, *order = inputs
        side: Any = self.side
        found = np.searchsorted(x, v, side, order[0] if order else None)
        output_storage[0][0] = np.asarray(found, "int64")

    def infer_shape(self, node: Any, shapes: Sequence[Any]) -> list[Any]:
        return [shapes[1]]


def searchsorted(x: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """Where the elements of v belong in the sorted vector x; sorter is the order that sorts x."""
    x = as_tensor_variable(x)
    order = [] if sorter is None else [as_tensor_variable(sorter)]
    for given in (x, *order):
        if given.ndim != 1:
            raise ShapeError(f"searchsorted: x and sorter must be vectors, got {given!r}, {given.type}")
    if order and order[0].dtype not in dtypes.DISCRETE:
        raise DTypeError(f"searchsorted: sorter must hold integers, got {order[0]!r}, {order[0].type}")
    return SearchSorted(side)(x, v, *order)


def bartlett(M: Any) -> Any:  # noqa: N803 - Theano's name
    """The triangular window 1 - |2 n / (M - 1) - 1| of M points."""
    size = as_tensor_variable(M)
    if size.ndim != 0 or size.dtype not in dtypes.DISCRETE:
        raise DTypeError(f"bartlett: takes an integer, got {size.type}")
    places = elementwise.cast(shape_ops.arange(size), "float64")
    last = elementwise.cast(elementwise.maximum(size - 1, 1), "float64")
    return 1.0 - elementwise.abs_(
        2.0 * places / last - 1.0 * elementwise.cast(elementwise.gt(size, 1), "float64")
    )


def unravel_index(indices: Any, dims: Any, order: str = "C", ndim: int | None = None) -> tuple[Any, ...]:
    """The index along each dimension of the elements that flat indices name; order 'C' or 'F'. ndim is the
    length of a symbolic vector dims."""
    at = _integers(indices, "unravel_index")
    if ndim is not None and ndim != int(ndim):
        raise ArgumentError(f"unravel_index: ndim must be an integer, got {ndim!r}")
    found = []
    for d in _in_order(dims, order, "unravel_index", ndim)[::-1]:
        found.append(at % d)
        at = at // d
    return tuple(found[::-1] if order == "C" else found)


def ravel_multi_index(multi_index: Any, dims: Any, mode: str = "raise", order: str = "C") -> Any:
    """The flat indices of elements named along each dimension; mode 'wrap' or 'clip' brings strays back."""
    parts = [_integers(part, "ravel_multi_index") for part in multi_index]
    sizes = _in_order(dims, order, "ravel_multi_index", len(parts))
    if order == "F":
        parts.reverse()
    total: Any = 0
    for at, d in zip(parts, sizes):
        if mode == "wrap":
            at = at % d
        elif mode == "clip":
            at = elementwise.clip(at, 0, d - 1)
        elif mode != "raise":
            raise DTypeError(f"ravel_multi_index: mode must be 'raise', 'wrap' or 'clip', got {mode!r}")
        total = total * d + at
    return total


def _integers(x: Any, what: str) -> Any:
    x = as_tensor_variable(x)
    if x.dtype not in dtypes.DISCRETE:
        raise DTypeError(f"{what}: indices are integers, got {x!r} of dtype {x.dtype}")
    return x


def _in_order(dims: Any, order: str, what: str, ndim: int | None) -> list[Any]:
    if order not in ("C", "F"):
        raise DTypeError(f"{what}: order must be 'C' or 'F', got {order!r}")
    given = _integers(dims, what)
    if given.ndim != 1:
        raise DTypeError(f"{what}: dims must be a vector, got {given.type}")
    sizes = [wrap(d) for d in shapes.as_dims(given, what, ndim)]
    return sizes if order == "C" else sizes[::-1]


__all__ = [
    "Unique", "bartlett", "bincount", "ravel_multi_index", "searchsorted", "unique", "unravel_index",
]  # fmt: skip

"""sort, argsort, cumsum and kin."""

from __future__ import annotations

from typing import Any

from symconv import ops
from symconv.errors import ArgumentError, ShapeError
from symconv.theano import dtypes
from symconv.theano.tensor import elementwise, shape_ops
from symconv.theano.tensor.op_classes import ArgSortOp, SortOp, TopKOp  # noqa: F401
from symconv.theano.tensor.subtensor import set_subtensor
from symconv.theano.tensor.symbolic_axis import for_each_axis, is_symbolic
from symconv.theano.variable import TensorConstant, as_tensor_variable, native_of, wrap


def _axis(axis: Any) -> Any:
    """An axis as an int, or as an integer variable; Theano takes floats that hold whole numbers."""
    if isinstance(axis, TensorConstant):
        return int(axis.data)
    if is_symbolic(axis) and axis.dtype in dtypes.INEXACT:
        return elementwise.cast(axis, "int64")
    return axis


def sort(self: Any, axis: Any = -1, kind: str = "quicksort", order: Any = None) -> Any:
    """The elements in ascending order along `axis`; None flattens first."""
    x, axis = native_of(self), _axis(axis)
    if is_symbolic(axis):
        return for_each_axis(axis, x.ndim, "sort", lambda k: wrap(ops.sort(x, k)))
    return wrap(ops.sort(x, axis))


def argsort(self: Any, axis: Any = -1, kind: str = "quicksort", order: Any = None) -> Any:
    """The indices (int64) that sort along `axis`; equal elements keep their order, whatever `kind`."""
    x, axis = native_of(self), _axis(axis)
    if is_symbolic(axis):
        return for_each_axis(axis, x.ndim, "argsort", lambda k: wrap(ops.argsort(x, k)))
    return wrap(ops.argsort(x, axis))


def topk(x: Any, kth: Any, axis: int | None = -1, sorted: bool = True, idx_dtype: str = "int64") -> Any:
    """The kth largest elements along `axis`, ascending; a negative kth takes the smallest; None flattens."""
    return _last(sort(x, axis), kth, axis)


def argtopk(x: Any, kth: Any, axis: int | None = -1, sorted: bool = True, idx_dtype: str = "int64") -> Any:
    """Where the kth largest elements lie along `axis`."""
    return elementwise.cast(_last(argsort(x, axis), kth, axis), idx_dtype)


def topk_and_argtopk(
    x: Any, kth: Any, axis: int | None = -1, sorted: bool = True, idx_dtype: str = "int64"
) -> list[Any]:
    """[topk, argtopk]."""
    return [topk(x, kth, axis), argtopk(x, kth, axis, idx_dtype=idx_dtype)]


def _last(x: Any, kth: Any, axis: int | None) -> Any:
    lead = [slice(None)] * (0 if axis is None else axis % x.ndim)
    k = as_tensor_variable(kth)
    if isinstance(k, TensorConstant):
        n = int(k.data)
        if n == 0:
            raise ArgumentError("topk: kth must not be 0")
        return x[tuple([*lead, slice(-n, None) if n > 0 else slice(None, -n)])]
    if k.ndim or k.dtype not in dtypes.INTEGERS:
        raise ArgumentError(f"topk: kth must be an integer, got {k!r}, {k.type}")
    size = x.shape[len(lead)]
    largest = elementwise.gt(k, 0)
    start = elementwise.switch(largest, elementwise.maximum(size - k, 0), 0)
    return x[tuple([*lead, slice(start, elementwise.switch(largest, size, elementwise.neg(k)))])]


def cumsum(x: Any, axis: int | None = None) -> Any:
    """Running sums, of x flattened by default."""
    return wrap(ops.cumsum(native_of(x), axis))


def cumprod(x: Any, axis: int | None = None) -> Any:
    """Running products, of x flattened by default."""
    return wrap(ops.cumprod(native_of(x), axis))


def diff(x: Any, n: int = 1, axis: int = -1) -> Any:
    """x[i + 1] - x[i] along `axis`, n times."""
    x = as_tensor_variable(x)
    for _ in range(n):
        lead = (slice(None),) * (axis % x.ndim)
        x = x[lead + (slice(1, None),)] - x[lead + (slice(None, -1),)]
    return x


def to_one_hot(y: Any, nb_class: Any, dtype: Any = None) -> Any:
    """A row for each label, 1 at the label and 0 elsewhere, of floatX by default."""
    labels = as_tensor_variable(y)
    columns = shape_ops.arange(nb_class)
    hits = elementwise.eq(shape_ops.shape_padright(labels), columns)
    return elementwise.cast(hits, dtype or "floatX")


def fill_diagonal(a: Any, val: Any) -> Any:
    """a with `val` where all indices are equal; tensors of more than two dimensions must be as long along
    each."""
    a = as_tensor_variable(a)
    if a.ndim < 2:
        raise ShapeError(f"fill_diagonal: takes two dimensions or more, got {a!r}, {a.type}")
    if a.ndim == 2:
        return fill_diagonal_offset(a, val, 0)
    places = shape_ops.arange(a.shape[0])
    return set_subtensor(a[(places,) * a.ndim], elementwise.cast(val, a.dtype))


def fill_diagonal_offset(a: Any, val: Any, offset: Any) -> Any:
    """A matrix with `val` on the diagonal `offset` places above (or below, if negative) the main one."""
    a = as_tensor_variable(a)
    rows = shape_ops.arange(a.shape[0]) + elementwise.cast(offset, "int64")
    on = elementwise.eq(shape_ops.shape_padright(rows), shape_ops.arange(a.shape[1]))
    return elementwise.switch(on, elementwise.cast(val, a.dtype), a)

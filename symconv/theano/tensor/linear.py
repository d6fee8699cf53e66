"""Products of matrices and tensors in theano.tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symconv import ops
from symconv.errors import ShapeError
from symconv.ops.operands import cast as native_cast
from symconv.theano import dtypes
from symconv.theano.tensor import shape_ops
from symconv.theano.variable import as_tensor_variable, native_of, wrap


def _of_common_dtype(function: Callable[..., Any], a: Any, b: Any, *args: Any) -> Any:
    x, y = native_of(a), native_of(b)
    common = dtypes.upcast(x.dtype, y.dtype)
    return wrap(function(native_cast(x, common), native_cast(y, common), *args))


def dot(l: Any, r: Any) -> Any:
    """numpy.dot of the operands in their common dtype."""
    return _of_common_dtype(ops.dot, l, r)


def outer(x: Any, y: Any) -> Any:
    """out[i, j] = x[i] y[j]."""
    return _of_common_dtype(ops.outer, x, y)


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """The sum over pairs of axes, as numpy.tensordot."""
    if not isinstance(axes, int):
        axes = [list(s) if not isinstance(s, int) else s for s in axes]
    return _of_common_dtype(ops.tensordot, a, b, axes)


def batched_dot(a: Any, b: Any) -> Any:
    """out[i] = dot(a[i], b[i]); vectors per example give scalars."""
    x, y = as_tensor_variable(a), as_tensor_variable(b)
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError(f"batched_dot: needs at least one dimension, got {x.type} and {y.type}")
    if x.ndim == 1:
        return x.dimshuffle(0, *["x"] * (y.ndim - 1)) * y
    if y.ndim == 1:
        return x * y.dimshuffle(0, *["x"] * (x.ndim - 1))
    if x.ndim > 3 or y.ndim > 3:
        return batched_tensordot(x, y, [[x.ndim - 1], [max(1, y.ndim - 2)]])
    left = x.dimshuffle(0, "x", 1) if x.ndim == 2 else x
    right = y.dimshuffle(0, 1, "x") if y.ndim == 2 else y
    out = _of_common_dtype(ops.batched_dot, left, right)
    index = (slice(None), *([0] if x.ndim == 2 else [slice(None)]), *([0] if y.ndim == 2 else [slice(None)]))
    return out if x.ndim == y.ndim == 3 else out[index]


def batched_tensordot(x: Any, y: Any, axes: Any = 2) -> Any:
    """out[i] = tensordot(x[i], y[i], axes), where axes count the batch axis."""
    a, b = as_tensor_variable(x), as_tensor_variable(y)
    if isinstance(axes, int):
        over_a, over_b = list(range(a.ndim - axes, a.ndim)), list(range(1, axes + 1))
    else:
        over_a, over_b = ([s] if isinstance(s, int) else list(s) for s in axes)
    over_a, over_b = [i % a.ndim for i in over_a], [i % b.ndim for i in over_b]
    if 0 in over_a or 0 in over_b:
        raise ShapeError("batched_tensordot: axis 0 is the batch and cannot be summed over")
    free_a = [i for i in range(1, a.ndim) if i not in over_a]
    free_b = [i for i in range(1, b.ndim) if i not in over_b]
    n = a.shape[0]

    def count(v: Any, axes: list[int]) -> Any:
        total: Any = 1
        for i in axes:
            total = v.shape[i] * total
        return total

    left = shape_ops.reshape(a.transpose([0, *free_a, *over_a]), (n, count(a, free_a), count(a, over_a)))
    right = shape_ops.reshape(b.transpose([0, *over_b, *free_b]), (n, count(b, over_b), count(b, free_b)))
    out = _of_common_dtype(ops.batched_dot, left, right)
    return shape_ops.reshape(out, (n, *(a.shape[i] for i in free_a), *(b.shape[i] for i in free_b)))


def matrix_dot(*args: Any) -> Any:
    """dot of all operands, from the left."""
    out = args[0]
    for a in args[1:]:
        out = dot(out, a)
    return out

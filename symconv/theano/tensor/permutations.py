"""Permutations as rows of indices: applied, and turned round."""

from __future__ import annotations

from typing import Any

from symconv.errors import DTypeError, ShapeError
from symconv.theano import dtypes
from symconv.theano.tensor import elementwise, shape_ops, sort
from symconv.theano.tensor.subtensor import getitem
from symconv.theano.variable import as_tensor_variable


def inverse_permutation(perm: Any) -> Any:
    """The permutations q with perm[q[i]] = i, for each row of perm, in its dtype."""
    perm = _indices(perm, "inverse_permutation")
    return elementwise.cast(sort.argsort(perm, axis=-1), perm.dtype)


def permute_row_elements(x: Any, y: Any, inverse: Any = 0) -> Any:
    """z[..., j] = x[..., y[..., j]]; with inverse z[..., y[..., j]] = x[..., j].

    Leading dimensions of x and y that are flagged broadcastable stretch.
    """
    x, y = as_tensor_variable(x), _indices(y, "permute_row_elements")
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError("permute_row_elements: x and the permutations need a dimension each")
    if inverse:
        y = inverse_permutation(y)
    n = max(x.ndim, y.ndim)
    x, y = shape_ops.shape_padleft(x, n - x.ndim), shape_ops.shape_padleft(y, n - y.ndim)
    index = []
    for axis in range(n - 1):
        place = shape_ops.arange(x.shape[axis])
        pattern = ["x"] * n
        pattern[axis] = 0  # type: ignore[call-overload]
        index.append(0 if x.broadcastable[axis] else place.dimshuffle(*pattern))
    return getitem(x, (*index, y))


def _indices(y: Any, what: str) -> Any:
    y = as_tensor_variable(y)
    if y.dtype not in dtypes.INTEGERS:
        raise DTypeError(f"{what}: a permutation holds integers, got {y!r} of dtype {y.dtype}")
    return y


__all__ = ["inverse_permutation", "permute_row_elements"]

"""Diagonals and triangles of matrices: diagonal, diag, triu, tril."""

from __future__ import annotations

from typing import Any

from symconv.errors import ShapeError
from symconv.graph import Variable
from symconv.ops.axes import moveaxis
from symconv.ops.create import arange, zeros
from symconv.ops.gather import AdvancedIndex, Scatter
from symconv.ops.operands import as_variable, normalize_axis
from symconv.ops.shape import shape_of, symbolic_shape


def _offset(k: Any, what: str) -> int:
    if isinstance(k, bool) or not isinstance(k, int):
        raise ShapeError(f"{what}: the diagonal must be an int, got {k!r}")
    return k


def _places(n: Variable | int, first: int) -> Variable:
    """first, first + 1, ...: n of them."""
    return arange(first, n + first)


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Variable:
    """x[.., i, .., i + offset, ..] of two axes, laid along a new last axis."""
    x = as_variable(x)
    k = _offset(offset, "diagonal")
    if x.ndim < 2:
        raise ShapeError(f"diagonal: needs a matrix or more, got {x.type} from {x.origin}")
    a, b = normalize_axis(axis1, x.ndim), normalize_axis(axis2, x.ndim)
    if a == b:
        raise ShapeError(f"diagonal: axis1 and axis2 are both {a}")
    x = moveaxis(x, (a, b), (0, 1))
    rows, cols = symbolic_shape(x)[:2]
    height, width = (rows + k if k < 0 else rows), (cols - k if k > 0 else cols)
    if isinstance(height, int) and isinstance(width, int):
        n: Variable | int = max(min(height, width), 0)
    else:
        from symconv.ops.elementwise import maximum, minimum

        n = maximum(minimum(height, width), 0)
    out: Variable = AdvancedIndex(0)(x, _places(n, max(-k, 0)), _places(n, max(k, 0)))
    return moveaxis(out, 0, -1)


def diag(x: Any, k: int = 0) -> Variable:
    """A vector on diagonal k of a square matrix of zeros; of a matrix, its diagonal k."""
    x = as_variable(x)
    k = _offset(k, "diag")
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError(f"diag: takes a vector or a matrix, got {x.type} from {x.origin}")
    n = symbolic_shape(x)[0]
    size = n + abs(k)
    out: Variable = Scatter(0)(zeros((size, size), x.dtype), x, _places(n, max(-k, 0)), _places(n, max(k, 0)))
    return out


def _triangle(x: Any, k: Any, what: str, upper: bool) -> Variable:
    from symconv.ops.elementwise import ge, le, where

    x, k = as_variable(x), _offset(k, what)
    if x.ndim < 2:
        raise ShapeError(f"{what}: needs a matrix or more, got {x.type} from {x.origin}")
    rows = arange(shape_of(x, x.ndim - 2))[:, None]
    cols = arange(shape_of(x, x.ndim - 1))
    return where((ge if upper else le)(cols - rows, k), x, 0)


def triu(x: Any, k: int = 0) -> Variable:
    """The last two axes' elements on and above diagonal k, zeros below."""
    return _triangle(x, k, "triu", upper=True)


def tril(x: Any, k: int = 0) -> Variable:
    """The last two axes' elements on and below diagonal k, zeros above."""
    return _triangle(x, k, "tril", upper=False)

"""An axis that is a variable: each of its values has an expression, and a call computes the one it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symconv.errors import ShapeError
from symconv.theano import dtypes
from symconv.theano.variable import TensorConstant, Variable


def is_symbolic(axis: Any) -> bool:
    """Whether the axis is known only when a function runs."""
    return isinstance(axis, Variable) and not isinstance(axis, TensorConstant)


def for_each_axis(axis: Any, ndim: int, what: str, made: Callable[[int], Any]) -> Any:
    """made(axis), a variable or a list, for a symbolic axis from -ndim to ndim - 1.

    Each value that the axis takes has a plan of its own. Another value raises an AssertionError in the call.
    Raises ShapeError for what is no integer scalar.
    """
    from symconv.theano.ifelse import ifelse
    from symconv.theano.printing import Assert
    from symconv.theano.tensor import elementwise

    if axis.ndim or axis.dtype not in dtypes.DISCRETE or axis.dtype == "bool":
        raise ShapeError(f"{what}: an axis is an integer, got {axis.type} from {axis.native.origin}")
    counted = elementwise.switch(elementwise.lt(axis, 0), axis + ndim, axis)
    last = made(ndim - 1)
    check = Assert(f"{what}: the axis is out of range for {ndim} dimensions")
    met = elementwise.eq(counted, ndim - 1)
    out = [check(v, met) for v in last] if isinstance(last, list) else check(last, met)
    for k in reversed(range(ndim - 1)):
        out = ifelse(elementwise.eq(counted, k), made(k), out)
    return out

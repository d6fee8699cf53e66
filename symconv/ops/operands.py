"""How Python values become graph operands: arrays, weakly typed scalars, shapes, axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.errors import DTypeError, ShapeError
from symconv.graph import Constant, Variable, constant, promote
from symconv.graph.origin import user_line
from symconv.graph.types import COMPLEX, INEXACT, promote_scalar, scalar_dtype

Scalar = bool | int | float | complex  # np.float64 is a float, and as weakly typed as one


def is_scalar(value: Any) -> bool:
    return isinstance(value, (bool, int, float, complex))


def as_variable(value: Any, dtype: str | None = None) -> Variable:
    """A Variable for `value`: itself, or a constant; a sequence that holds Variables is stacked."""
    if isinstance(value, Variable):
        return value if dtype is None or value.dtype == dtype else cast(value, dtype)
    if is_scalar(value):
        try:
            return constant(value, dtype or scalar_dtype(value))
        except OverflowError as error:
            raise DTypeError(
                f"{value} does not fit into {dtype or scalar_dtype(value)}, the dtype of the other operand\n"
                "  hint: cast the other operand to a wider dtype"
            ) from error
    if isinstance(value, (list, tuple)) and _holds_variable(value):
        from symconv.ops.join import stack

        return stack([as_variable(v, dtype) for v in value])
    try:
        return constant(value, dtype)
    except (ValueError, TypeError) as error:
        raise DTypeError(
            f"cannot use a {type(value).__name__} as a tensor: {error}\n"
            "  hint: pass a symbolic variable, a NumPy array, a number, or a nested list of numbers"
        ) from error


def _holds_variable(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_holds_variable(v) for v in value)
    return isinstance(value, Variable)


def as_operands(*values: Any, to_float: bool = False) -> tuple[Variable, ...]:
    """Variables of one common dtype; Python scalars adopt that of the others."""
    strong = [as_variable(v) for v in values if not is_scalar(v)]
    dtype = promote(*(v.dtype for v in strong)) if strong else None
    for v in values:
        if is_scalar(v):
            dtype = scalar_dtype(v) if dtype is None else promote_scalar(dtype, v)
    assert dtype is not None
    if to_float and dtype not in INEXACT:
        dtype = promote_scalar("int64", 1.0)  # floatX
    return tuple(as_variable(v, dtype) for v in values)


def cast(x: Variable, dtype: str) -> Variable:
    """x as `dtype`; constants are converted at once."""
    from symconv.ops.elementwise import Cast

    if x.dtype == dtype:
        return x
    if x.dtype in COMPLEX and dtype not in COMPLEX:
        raise DTypeError(
            f"cast: {x.type} from {x.origin} to {dtype} would drop the imaginary part\n"
            "  hint: real(x), imag(x), abs(x) or angle(x) say what is wanted"
        )
    if isinstance(x, Constant):
        return constant(x.data.astype(dtype))
    return Cast(dtype)(x)


def as_dim(value: Any) -> Variable:
    """One dimension as a 0-d int64 variable."""
    if isinstance(value, Variable):
        if value.ndim != 0 or value.dtype in INEXACT or value.dtype == "bool":
            raise ShapeError(
                f"a dimension must be an integer scalar, got {value.type} from {value.origin}\n"
                "  hint: sc.cast(value, 'int64'), or index one element of it"
            )
        return cast(value, "int64")
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)  # 20.0 where 20 is meant, as old programs write it
    if isinstance(value, (np.ndarray, np.generic)) and np.ndim(value) == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int):
        raise ShapeError(f"a dimension must be an integer or an integer scalar variable, got {value!r}")
    return constant(value, "int64")


def as_dims(shape: Any) -> tuple[Variable, ...]:
    """A shape given as int, sequence, or integer vector of known length, as 0-d int64 variables."""
    if isinstance(shape, Variable) and shape.ndim == 1:
        length = shape.type.shape[0]
        if length is None:
            raise ShapeError(f"a shape vector must have a known length, got {shape.type} from {shape.origin}")
        return tuple(as_dim(shape[i]) for i in range(length))
    if isinstance(shape, (Sequence, np.ndarray)) and not isinstance(shape, str):
        return tuple(as_dim(d) for d in shape)
    return (as_dim(shape),)


def static_dim(dim: Variable) -> int | None:
    """The value of a dimension variable if it is known."""
    return int(dim.data) if isinstance(dim, Constant) else None


def normalize_axis(axis: int, ndim: int, what: str = "axis") -> int:
    if isinstance(axis, (bool, float)) or not isinstance(axis, (int, np.integer)):
        raise ShapeError(f"{what} must be an integer, got {axis!r}")
    if not -ndim <= axis < ndim:
        raise ShapeError(
            f"{what} {axis} is out of range for a tensor with {ndim} dimensions, at {user_line()}"
        )
    return int(axis) % ndim


def normalize_axes(axis: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Sorted, non-negative, distinct axes; None means all."""
    if axis is None:
        return tuple(range(ndim))
    given = list(axis) if isinstance(axis, Sequence) else [axis]
    axes = sorted(normalize_axis(a, ndim) for a in given)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"axis {axis} names a dimension twice")
    return tuple(axes)

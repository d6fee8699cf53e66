"""The one road by which Theano's element-wise functions reach the native ones: casts and checks of
dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symconv.graph import Variable as Native
from symconv.ops.operands import cast
from symconv.theano import dtypes
from symconv.theano.declared import same_dims
from symconv.theano.variable import native_of, wrap

NativeFunction = Callable[..., Native]


def apply(function: NativeFunction, *args: Any, dtype: str | None = None) -> Any:
    """function of the operands, brought to `dtype`, or to their common dtype by Theano's rules."""
    operands = [native_of(a) for a in args]
    common = dtype or dtypes.upcast(*(v.dtype for v in operands))
    return wrap(function(*same_dims([cast(v, common) for v in operands])))


def apply_float(function: NativeFunction, *args: Any) -> Any:
    """function of the operands as floats: exp, tanh and the like."""
    operands = [native_of(a) for a in args]
    return apply(function, *operands, dtype=dtypes.upcast(*(dtypes.floating(v.dtype) for v in operands)))


def apply_number(function: NativeFunction, *args: Any) -> Any:
    """function of the operands as numbers: bools become int8, as comparisons were in Theano before 1.0."""
    operands = [native_of(a) for a in args]
    common = dtypes.upcast(*(v.dtype for v in operands))
    return apply(function, *operands, dtype="int8" if common == "bool" else common)


def compare(function: NativeFunction, a: Any, b: Any) -> Any:
    """A comparison: its result refuses to be used as a Python bool."""
    out = apply(function, a, b)
    out._undecided = True
    return out

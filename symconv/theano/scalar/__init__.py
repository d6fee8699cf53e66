"""theano.scalar: the dtype rules by their names, scalars, which are tensors without dimensions, and
operations on them."""

from __future__ import annotations

import importlib
from typing import Any

from symconv.theano.dtypes import COMPLEX, DISCRETE, FLOATS, INEXACT, INTEGERS, INTS, UINTS, upcast
from symconv.theano.errors import ComplexError as ComplexError

discrete_dtypes, int_dtypes, uint_dtypes, integer_dtypes = DISCRETE, INTS, UINTS, INTEGERS
float_dtypes, complex_dtypes, continuous_dtypes = FLOATS, COMPLEX, INEXACT

_TYPES = (*DISCRETE, *INEXACT)
_LISTS = {
    "all_types": _TYPES, "complex_types": COMPLEX, "continuous_types": INEXACT, "discrete_types": DISCRETE,
    "float_types": FLOATS, "int_types": INTS, "integer_types": INTEGERS, "uint_types": UINTS,
}  # fmt: skip


def constant(x: Any, name: str | None = None, dtype: str | None = None) -> Any:
    """A number as a constant, in the dtype that Theano gives to the literal. Raises ShapeError."""
    from symconv.theano.variable import constant as tensor_constant

    return tensor_constant(x, name=name, ndim=0, dtype=dtype)


def as_scalar(x: Any, name: str | None = None) -> Any:
    """x, a number or a tensor without dimensions, as a variable. Raises ShapeError."""
    from symconv.theano.variable import as_tensor_variable

    return as_tensor_variable(x, name=name, ndim=0)


def get_scalar_type(dtype: str) -> Any:
    """The type of scalars of that dtype; calling it makes an input."""
    from symconv.theano.variable import TensorType

    return TensorType(dtype, ())


Scalar = get_scalar_type

__all__ = [
    "Scalar", "as_scalar", "complex_dtypes", "constant", "continuous_dtypes", "discrete_dtypes",
    "float_dtypes", "get_scalar_type", "int_dtypes", "integer_dtypes", "uint_dtypes", "upcast", *_TYPES,
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _TYPES:  # theano.scalar.float64 is the type of such scalars
        globals()[name] = made = get_scalar_type(name)
        return made
    if name in _LISTS:  # theano.scalar.float_types and the like
        globals()[name] = types = tuple(get_scalar_type(d) for d in _LISTS[name])
        return types
    if name in ("basic", "basic_scipy", "sharedvar"):
        return importlib.import_module(f"{__name__}.{name}")
    from symconv.theano.absent import refusing
    from symconv.theano.scalar.operations import operation

    if (found := operation(name)) is not None:
        return found
    if not name.startswith("_"):
        own = importlib.import_module(f"{__name__}.own")
        if name in own.NAMES:
            return getattr(own, name)
    return refusing("scalar", "operations are on tensors; scalars are tensors without dimensions")(name)

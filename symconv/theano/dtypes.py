"""Theano's dtype rules: how operands promote, and the dtype of a Python literal.

They differ from symconv's own: float32 beside int32 gives float64, a Python integer is the smallest
int that holds it, a Python float is floatX. Nothing else in symconv.theano decides about dtypes.
"""

from __future__ import annotations

import difflib
from functools import cache
from typing import Any

import numpy as np

from symconv.errors import DTypeError
from symconv.graph.types import COMPLEX, DTYPES, FLOATS, INEXACT
from symconv.theano.configuration import config

INTS = ("int8", "int16", "int32", "int64")
UINTS = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = (*INTS, *UINTS)
DISCRETE = ("bool", *INTEGERS)


@cache
def _joined(*dtypes: str) -> str:
    return str(np.result_type(*dtypes))


def upcast(*dtypes: str) -> str:
    """The common dtype as NumPy joins arrays; with cast_policy 'numpy+floatX' float32 stays float32."""
    joined = _joined(*dtypes)
    if joined == "float64" and "float64" not in dtypes:
        if config.cast_policy == "numpy+floatX" and config.floatX == "float32":
            return "float32"
    return joined


def floating(dtype: str) -> str:
    """The dtype of a function such as exp of an operand: floats stay, small ints float32, others float64.

    Theano's upgrade_to_float: bools and integers of 8 and 16 bits become float32, wider ones float64;
    complex numbers stay.
    """
    if dtype in INEXACT:
        return dtype
    return "float32" if np.dtype(dtype).itemsize <= 2 else "float64"


def real(dtype: str) -> str:
    """The dtype of the parts of a complex number; others stay."""
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


def checked(dtype: Any, what: str) -> str:
    """`dtype` as a name that symconv has; 'floatX' is the configured one. Raises DTypeError."""
    if dtype == "floatX":
        return config.floatX
    try:
        name = str(np.dtype(dtype))
    except TypeError:
        near = difflib.get_close_matches(str(dtype), DTYPES, 1) or DTYPES
        raise DTypeError(f"{what}: {dtype!r} is no dtype\n  hint: {', '.join(near)}, or 'floatX'") from None
    if name not in DTYPES:
        raise DTypeError(
            f"{what}: dtype {name} is not supported; symconv has {', '.join(DTYPES)}\n"
            "  hint: convert it to one of these"
        )
    return name


def literal(value: Any) -> np.ndarray:
    """A Python value as the array that Theano makes of it. Raises DTypeError.

    An int is the smallest of int8 to int64 that holds it, uint64 beyond these; a float is of floatX, or where
    that is float64 float32 if it holds it exactly; NumPy's scalars and arrays keep their dtype.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value)
    if isinstance(value, int):
        for dtype in INTS:
            if np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
                return np.asarray(int(value), dtype)
        if 0 <= value < 2**64:
            return np.asarray(int(value), "uint64")
        raise DTypeError(f"the integer {value} does not fit into int64, nor into uint64")
    if isinstance(value, float):
        if config.floatX != "float64":
            return np.asarray(value, config.floatX)
        exact = value != value or float(np.float32(value)) == value if abs(value) < 3e38 else value in _INFS
        return np.asarray(value, "float32" if exact else "float64")
    array = np.asarray(value)
    if array.size == 0 and not hasattr(value, "dtype"):
        array = array.astype(config.floatX)
    return array


__all__ = [
    "COMPLEX", "DISCRETE", "DTYPES", "FLOATS", "INEXACT", "INTEGERS", "INTS", "UINTS", "checked", "floating",
    "literal", "real", "upcast",
]  # fmt: skip

_INFS = (float("inf"), float("-inf"))

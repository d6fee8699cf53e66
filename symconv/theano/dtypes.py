"""Theano's dtype rules: how operands promote, and the dtype of a Python literal.

They differ from symconv's own: float32 beside int32 gives float64, a Python integer is the smallest
int that holds it, a Python float is floatX. Nothing else in symconv.theano decides about dtypes.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from symconv.errors import DTypeError
from symconv.graph.types import DTYPES, FLOATS
from symconv.theano.configuration import config

INTS = ("int8", "int16", "int32", "int64")
DISCRETE = ("bool", "uint8", *INTS)


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

    Theano's upgrade_to_float: int8, uint8, bool and int16 become float32, wider ones float64.
    """
    if dtype in FLOATS:
        return dtype
    return "float32" if dtype in ("bool", "int8", "uint8", "int16") else "float64"


def checked(dtype: Any, what: str) -> str:
    """`dtype` as a name that symconv has; 'floatX' is the configured one. Raises DTypeError."""
    if dtype == "floatX":
        return config.floatX
    try:
        name = str(np.dtype(dtype))
    except TypeError:
        raise DTypeError(f"{what}: {dtype!r} is no dtype") from None
    if name not in DTYPES:
        hint = "float32" if name == "float16" else "int64" if name.startswith("uint") else "a real dtype"
        raise DTypeError(
            f"{what}: dtype {name} is not supported; symconv has {', '.join(DTYPES)}\n  hint: use {hint}"
        )
    return name


def literal(value: Any) -> np.ndarray:
    """A Python value as the array that Theano makes of it. Raises DTypeError.

    An int is the smallest of int8 to int64 that holds it; a float is float32 where floatX is, else the
    smallest float that holds it exactly; NumPy's scalars and arrays keep their dtype.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value)
    if isinstance(value, int):
        for dtype in INTS:
            if np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
                return np.asarray(int(value), dtype)
        raise DTypeError(f"the integer {value} does not fit into int64")
    if isinstance(value, float):
        exact = value != value or float(np.float32(value)) == value if abs(value) < 3e38 else value in _INFS
        return np.asarray(value, "float32" if config.floatX == "float32" or exact else "float64")
    array = np.asarray(value)
    if array.size == 0 and not hasattr(value, "dtype"):
        array = array.astype(config.floatX)
    return array


_INFS = (float("inf"), float("-inf"))

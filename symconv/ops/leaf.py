"""The leaves of a graph: typed inputs and shared variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.config import config
from symconv.errors import DTypeError, ShapeError
from symconv.graph import DTYPES, SharedVariable, TensorType, Variable


def tensor(dtype: str | None = None, shape: Sequence[int | None] = (), name: str | None = None) -> Variable:
    """A symbolic input of the dtype (floatX by default) and shape; None is an unknown dimension."""
    dims = tuple(None if d is None else int(d) for d in shape)
    return Variable(TensorType(str(np.dtype(dtype)) if dtype else config.floatX, dims), name=name)


_RANKS: dict[str, tuple[int | None, ...]] = {
    "scalar": (),
    "vector": (None,),
    "row": (1, None),
    "col": (None, 1),
    "matrix": (None, None),
    "tensor3": (None,) * 3,
    "tensor4": (None,) * 4,
}
_PREFIXES: dict[str, str | None] = {
    "": None, "b": "int8", "w": "int16", "i": "int32", "l": "int64", "f": "float32", "d": "float64"
}  # fmt: skip


def _constructor(rank: str, prefix: str) -> Any:
    fixed, shape = _PREFIXES[prefix], _RANKS[rank]

    def make(name: str | None = None, dtype: str | None = None) -> Variable:
        return tensor(dtype or fixed, shape, name)

    make.__name__ = make.__qualname__ = prefix + rank
    shown = ", ".join("?" if d is None else str(d) for d in shape)
    make.__doc__ = f"A symbolic {fixed or 'floatX'}[{shown}]; `dtype` overrides the dtype."
    return make


CONSTRUCTORS: dict[str, Any] = {p + r: _constructor(r, p) for r in _RANKS for p in _PREFIXES}


def shared(
    value: Any,
    name: str | None = None,
    shape: Sequence[int | None] | None = None,
    dtype: str | None = None,
    borrow: bool = False,
) -> SharedVariable:
    """A variable that keeps `value` between calls of compiled functions.

    Its shape is fixed to the value's unless `shape` leaves dimensions open (None). Python floats
    become floatX. With borrow=True a C-contiguous, writable array is used itself, not a copy.
    """
    if isinstance(value, Variable):
        raise DTypeError(
            f"shared: {value!r} is symbolic, a shared variable holds an array\n  hint: pass value.eval()"
        )
    if dtype is None and isinstance(value, float):
        dtype = config.floatX
    array = np.asarray(value, dtype=dtype)
    if str(array.dtype) not in DTYPES:
        raise DTypeError(f"shared: dtype {array.dtype} is not supported; symconv has {', '.join(DTYPES)}")
    if not (borrow and array.flags.c_contiguous and array.flags.writeable):
        array = np.array(array, order="C")
    dims = array.shape if shape is None else tuple(shape)
    if not TensorType(str(array.dtype), tuple(dims)).accepts(TensorType(str(array.dtype), array.shape)):
        raise ShapeError(f"shared: value has shape {list(array.shape)}, which is not shape={list(dims)}")
    return SharedVariable(array, TensorType(str(array.dtype), tuple(dims)), name)

"""Shapes as Theano's programs write them: x.shape is an int64 vector, and vectors may stand for shapes."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.errors import ShapeError
from symconv.graph import Constant as NativeConstant
from symconv.graph import Variable as Native
from symconv.graph import constant as native_constant
from symconv.ops.join import stack
from symconv.ops.operands import as_dim
from symconv.ops.shape import dims_of
from symconv.theano import dtypes, traces
from symconv.theano.declared import declare
from symconv.theano.variable import Variable, native_of, wrap

# The dimensions that a vector was stacked from, so that x.shape[0] is the dimension itself.
_entries: weakref.WeakKeyDictionary[Native, tuple[Native, ...]] = weakref.WeakKeyDictionary()


def vector_of(dims: Sequence[Native]) -> Native:
    """The vector of these scalars of one dtype, int64 where there are none."""
    vector = stack(list(dims)) if dims else native_constant(np.zeros(0, "int64"))
    _entries[vector] = tuple(dims)
    return vector


def shape_of(x: Any) -> Any:
    """x.shape as an int64 vector."""
    native = native_of(x)
    traces.asked_for_shape(native)
    return wrap(vector_of(dims_of(native)))


def entries(vector: Native) -> tuple[Native, ...] | None:
    """The scalars that an integer vector is made of, where that is known."""
    if vector.dtype not in dtypes.DISCRETE or vector.dtype == "bool":
        return None
    found = _entries.get(vector)
    if found is None and isinstance(vector, NativeConstant) and vector.ndim == 1:
        found = tuple(native_constant(int(d), "int64") for d in vector.data)
    return found


def pick(vector: Native, index: Any) -> Any | None:
    """vector[index] without indexing at run time, where the entries and the index are known."""
    dims = _entries.get(vector)
    if dims is None:
        return None
    if (
        isinstance(index, (int, np.integer))
        and not isinstance(index, bool)
        and -len(dims) <= index < len(dims)
    ):
        return wrap(dims[index])
    if isinstance(index, slice) and all(
        b is None or isinstance(b, (int, np.integer)) for b in (index.start, index.stop, index.step)
    ):
        return wrap(vector_of(dims[index]))
    return None


def as_dims(shape: Any, what: str, ndim: int | None = None) -> list[Native]:
    """A shape as native dimensions: a number, a sequence of numbers and scalars, or an integer vector.

    The length of a symbolic vector must be known, or given as ndim. Whole floats count as ints.
    """
    if isinstance(shape, (Variable, Native)):
        v = native_of(shape)
        if v.ndim == 0:
            return [_dim(v)]
        if v.ndim != 1:
            raise ShapeError(f"{what}: a shape must be a vector, got {v.type} from {v.origin}")
        known = entries(v)
        if known is not None:
            return [as_dim(d) for d in known]
        length = v.type.shape[0] if v.type.shape[0] is not None else ndim
        if length is None:
            raise ShapeError(
                f"{what}: the length of the shape {v!r} from {v.origin} is not known\n"
                "  hint: pass ndim=, or a tuple of its elements"
            )
        if v.type.shape[0] is None:
            v = declare(v, (length,), f"{what}, whose shape has {length} elements")
        return [_dim(v[i]) for i in range(length)]
    if isinstance(shape, np.ndarray):
        shape = shape.ravel().tolist()
    if isinstance(shape, (list, tuple)):
        return [_dim(d) for d in shape]
    return [_dim(shape)]


def _dim(value: Any) -> Native:
    if isinstance(value, Variable):
        value = value.native
    if isinstance(value, Native) and isinstance(value, NativeConstant) and value.ndim == 0:
        value = value.data.item()
    return as_dim(value)

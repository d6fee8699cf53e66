"""What is known of a tensor while the graph is built: its value, the length of a vector, flatness."""

from __future__ import annotations

from typing import Any

import numpy as np

from symconv.backends.reference import evaluate
from symconv.errors import DTypeError, ShapeError, SymconvError
from symconv.graph import Constant as NativeConstant
from symconv.graph import Variable as Native
from symconv.graph.traversal import leaves
from symconv.rewrite.pattern import filled_value
from symconv.theano import shapes
from symconv.theano.variable import as_tensor_variable, native_of


class NotScalarConstantError(DTypeError):
    """A value is not known while the graph is built."""


class EmptyConstantError(NotScalarConstantError):
    """A constant has no element that could be its value."""


def get_scalar_constant_value(
    v: Any, elemwise: bool = True, only_process_constants: bool = False, *_: Any
) -> Any:
    """The number that every element of v is known to be: that of a constant, whatever shape it is stretched
    to, or what is computed of constants alone (elemwise=False leaves this out; only_process_constants takes
    constants only). Raises NotScalarConstantError.
    """
    if v is None:
        raise NotScalarConstantError("None is no number")
    x = native_of(v)
    if isinstance(x, NativeConstant) and x.data.size == 0:
        raise EmptyConstantError(f"{v!r} is a constant without elements")
    found = None if only_process_constants and x.owner is not None else filled_value(x)
    if found is None and elemwise and not only_process_constants:
        found = _computed(x)
    if found is None:
        raise NotScalarConstantError(f"{v!r} is not known to be a constant")
    return np.asarray(found, x.dtype)


def _computed(x: Native) -> Any | None:
    """The value of a scalar, stretched or not, that is computed of constants only."""
    while x.owner is not None and x.owner.op.name == "broadcast_to":
        x = x.owner.inputs[0]
    if x.ndim or x.owner is None or not all(isinstance(v, NativeConstant) for v in leaves([x])):
        return None
    try:
        return evaluate([x], {})[0]
    except (SymconvError, AssertionError):  # an Assert that does not hold
        return None


def extract_constant(x: Any, *_: Any, **__: Any) -> Any:
    """The number that x is known to be, or x."""
    try:
        return get_scalar_constant_value(x)
    except NotScalarConstantError:
        return x


def get_vector_length(v: Any) -> int:
    """How many elements the vector v has. Raises ShapeError where that depends on values."""
    x = as_tensor_variable(v)
    if x.ndim != 1:
        raise ShapeError(f"get_vector_length: {x!r} has {x.ndim} dimensions, a vector was expected")
    known = shapes.entries(x.native)
    length = x.native.type.shape[0] if known is None else len(known)
    if length is None:
        raise ShapeError(f"get_vector_length: the length of {x!r} from {x.native.origin} is not known")
    return int(length)


def is_flat(var: Any, ndim: int | None = None, outdim: int | None = None) -> bool:
    """Whether var already has the number of dimensions that flatten(ndim) would give it."""
    wanted = ndim if ndim is not None else outdim if outdim is not None else 1
    return bool(as_tensor_variable(var).ndim == wanted)


def default(x: Any, default: Any) -> Any:
    """x, or `default` where x is None."""
    return as_tensor_variable(default if x is None else x)


def tensor_from_scalar(x: Any) -> Any:
    """x: scalars are tensors without dimensions here."""
    x = as_tensor_variable(x)
    if x.ndim:
        raise ShapeError(f"tensor_from_scalar: {x!r} has {x.ndim} dimensions")
    return x


def scalar_from_tensor(x: Any) -> Any:
    """x, a tensor without dimensions."""
    return tensor_from_scalar(x)


__all__ = [
    "EmptyConstantError", "NotScalarConstantError", "default", "extract_constant",
    "get_scalar_constant_value", "get_vector_length", "is_flat", "scalar_from_tensor", "tensor_from_scalar",
]  # fmt: skip

"""theano.shared: variables with a value that functions read and update."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np

from symconv.errors import DTypeError
from symconv.graph import SharedVariable as NativeShared
from symconv.graph import TensorType as NativeType
from symconv.graph import Variable as Native
from symconv.theano import dtypes
from symconv.theano.twin import Twin
from symconv.theano.variable import TensorOperators, Variable, native_of, wrap


class SharedVariable(Variable):
    """What Theano's programs test for by isinstance."""


class _Container:
    """shared.container: its `data` and `value` are the value itself."""

    def __init__(self, owner: TensorSharedVariable) -> None:
        self._owner = owner

    @property
    def data(self) -> np.ndarray:
        return self._owner.get_value(borrow=True)

    @data.setter
    def data(self, value: Any) -> None:
        self._owner.set_value(value)

    value = data
    storage = property(lambda self: [self.data])


class TensorSharedVariable(TensorOperators, SharedVariable):
    """A tensor with a value. Its dtype and rank never change, its dimensions may unless flagged
    broadcastable."""

    native: NativeShared
    strict = False
    allow_downcast: bool | None = None

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> np.ndarray:
        """The value: a copy, or with borrow=True the array itself."""
        return self.native.get_value(borrow=borrow)

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Replace the value; it is converted as an argument of a function would be."""
        array = self.type.filter(new_value, strict=self.strict, allow_downcast=self.allow_downcast)
        self.native.set_value(array, borrow=borrow)

    def zero(self, borrow: bool = False) -> None:
        self.set_value(np.zeros_like(self.get_value(borrow=True)))

    @property
    def default_update(self) -> Any:
        """The new value in every function that uses the variable, unless it says otherwise; or None."""
        new = self.native.default_update
        return None if new is None else wrap(new)

    @default_update.setter
    def default_update(self, new: Any) -> None:
        self.native.default_update = None if new is None else native_of(new)

    @default_update.deleter
    def default_update(self) -> None:
        self.native.default_update = None

    @property
    def container(self) -> _Container:
        return _Container(self)

    def clone(self) -> TensorSharedVariable:  # type: ignore[override]
        """A shared variable with the same value, now and later, and without a default update."""
        made = self._twin(Twin(self.native, self.name))
        made.strict, made.allow_downcast, made.tag = self.strict, self.allow_downcast, copy(self.tag)
        return made

    def _twin(self, native: Twin) -> TensorSharedVariable:
        made: TensorSharedVariable = wrap(native)
        return made


def shared(
    value: Any,
    name: str | None = None,
    strict: bool = False,
    allow_downcast: bool | None = None,
    borrow: bool = False,
    broadcastable: Sequence[bool] | None = None,
    target: str | None = None,
    **_: Any,
) -> Any:
    """A variable that keeps `value` (an array or a number) between calls.

    A numpy.random.RandomState gives the variable of a random state. The dtype is NumPy's (a Python float
    gives float64, an int int64, as in Theano). No dimension is broadcastable unless `broadcastable` says so.
    With borrow=True the array itself is used.
    """
    if isinstance(value, (Variable, Native)):
        raise DTypeError(
            f"shared: {value!r} is symbolic, a shared variable holds a value\n  hint: pass value.eval()"
        )
    if isinstance(value, (list, tuple, dict, str)) or value is None:
        raise DTypeError(
            f"shared: a {type(value).__name__} is no array\n  hint: pass np.asarray(value, "
            f"dtype=theano.config.floatX)"
        )
    if isinstance(value, np.random.RandomState):
        from symconv.theano.tensor.raw_random import random_state_shared

        return random_state_shared(value, name)
    array = np.asarray(value)
    dtypes.checked(array.dtype, "shared")
    if not (borrow and isinstance(value, np.ndarray) and array.flags.c_contiguous and array.flags.writeable):
        array = np.array(array, order="C")
    flags = [False] * array.ndim if broadcastable is None else list(broadcastable)
    if len(flags) != array.ndim:
        raise DTypeError(f"shared: {len(flags)} broadcastable flags for a value with {array.ndim} dimensions")
    if any(b and n != 1 for b, n in zip(flags, array.shape)):
        raise DTypeError(f"shared: a value of shape {list(array.shape)} does not fit broadcastable={flags}")
    kind = NativeType(str(array.dtype), tuple(1 if b else None for b in flags))
    made: TensorSharedVariable = wrap(NativeShared(array, kind, name))
    made.strict, made.allow_downcast = strict, allow_downcast
    return made


__all__ = [
    "SharedVariable",
    "TensorSharedVariable",
    "shared",
]

"""theano.shared: variables with a value that functions read and update."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np

from symconv.errors import DTypeError, ShapeError
from symconv.graph import SharedVariable as NativeShared
from symconv.graph import TensorType as NativeType
from symconv.graph import Variable as Native
from symconv.theano import dtypes
from symconv.theano.generic import GenericType, GenericValue, generic
from symconv.theano.twin import Twin
from symconv.theano.variable import TensorOperators, TensorType, Variable, native_of, wrap


class SharedVariable(Variable):
    """What Theano's programs test for by isinstance. shared() makes them; so does
    SharedVariable(name, type, value, strict), where `type` is a TensorType, or generic for any value."""

    def __new__(cls, name: Any = None, type: Any = None, *args: Any, **kwargs: Any) -> Any:
        if cls is SharedVariable and type is not None:
            cls = GenericSharedVariable if isinstance(type, GenericType) else TensorSharedVariable
        return object.__new__(cls)


class GenericSharedVariable(GenericValue, SharedVariable):
    """A shared variable with a value that is no tensor."""


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
    _lent = False  # whether somebody else may hold the array that is the value

    def __init__(
        self, name: str | NativeShared | None = None, type: TensorType | None = None, value: Any = None,
        strict: bool = False, allow_downcast: bool | None = None,
    ) -> None:  # fmt: skip
        """The variable of that type with a copy of `value`; or, as wrap() does, of a native one."""
        if type is None:
            super().__init__(name)  # type: ignore[arg-type]
            return
        array = np.array(type.filter(value, strict=strict, allow_downcast=allow_downcast), order="C")
        super().__init__(NativeShared(array, type.native, name))  # type: ignore[arg-type]
        self.native.front, self.strict, self.allow_downcast = self, strict, allow_downcast

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> np.ndarray:
        """The value: a copy, or with borrow=True the array itself, which functions read and update."""
        if borrow:
            self._holder._lent = True
        return self.native.get_value(borrow=borrow)

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Replace the value; it is converted as an argument of a function would be.

        With borrow=True the array itself becomes the value, else a copy. An array that was lent stays as it
        is: the new value does not overwrite it.
        """
        try:
            array = self.type.filter(new_value, strict=self.strict, allow_downcast=self.allow_downcast)
        except (DTypeError, ShapeError) as error:
            raise type(error)(
                f"set_value of the shared variable {self!r} from {self.native.origin}: {error}"
            ) from None
        holder = self._holder
        fresh = np.array(array, order="C") if holder._lent and not borrow else array
        self.native.set_value(fresh, borrow=borrow or holder._lent)
        holder._lent = borrow

    def zero(self, borrow: bool = False) -> None:
        """Set every element to 0: in the array that is the value with borrow=True, else in a new one."""
        if borrow:
            self.native.get_storage()[...] = 0
        else:
            self.set_value(np.zeros_like(self.native.get_value(borrow=True)))

    @property
    def _holder(self) -> TensorSharedVariable:
        """This variable, or of a clone that with the value."""
        holder: TensorSharedVariable = wrap(self.native.source) if isinstance(self.native, Twin) else self
        return holder

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
) -> Any:
    """A variable that keeps `value` (an array or a number) between calls.

    A numpy.random.RandomState gives the variable of a random state. The dtype is NumPy's (a Python float
    gives float64, an int int64, as in Theano). No dimension is broadcastable unless `broadcastable` says so.
    With borrow=True the array itself is used. A list, a string or anything else that is no array gives a
    variable that no graph can hold, as in Theano.
    """
    if isinstance(value, (Variable, Native)):
        raise DTypeError(
            f"shared: {value!r} is symbolic, a shared variable holds a value\n  hint: pass value.eval()"
        )
    if isinstance(value, np.random.RandomState):
        from symconv.theano.tensor.raw_random import random_state_shared

        return random_state_shared(value, name)
    other = value is None or isinstance(value, (list, tuple, dict, set, str, bytes))
    array = np.empty(0, object) if other else np.asarray(value)
    if array.dtype.kind in "OSU":
        if borrow or broadcastable is not None or target is not None:
            raise DTypeError(
                f"shared {name or ''}: a {type(value).__name__} is no array of numbers and no tensor\n"
                "  hint: pass np.asarray(value, dtype=theano.config.floatX)"
            )
        return GenericSharedVariable(name, generic, value)
    dtypes.checked(array.dtype, "shared")
    lent = borrow and isinstance(value, np.ndarray) and array.flags.c_contiguous and array.flags.writeable
    if not lent:
        array = np.array(array, order="C")
    flags = [False] * array.ndim if broadcastable is None else list(broadcastable)
    if len(flags) != array.ndim:
        raise DTypeError(f"shared: {len(flags)} broadcastable flags for a value with {array.ndim} dimensions")
    if any(b and n != 1 for b, n in zip(flags, array.shape)):
        raise DTypeError(f"shared: a value of shape {list(array.shape)} does not fit broadcastable={flags}")
    kind = NativeType(str(array.dtype), tuple(1 if b else None for b in flags))
    made: TensorSharedVariable = wrap(NativeShared(array, kind, name))
    made.strict, made.allow_downcast, made._lent = strict, allow_downcast, lent
    return made


__all__ = [
    "SharedVariable",
    "TensorSharedVariable",
    "shared",
]

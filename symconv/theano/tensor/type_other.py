"""theano.tensor.type_other: None as an operand, and slices as inputs of functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from symconv.errors import DTypeError
from symconv.graph import TensorType as NativeType
from symconv.graph import Variable as Native
from symconv.theano.absent import absent
from symconv.theano.stand_in import StandInType
from symconv.theano.variable import TensorType, TensorVariable

NoneTypeT = absent("theano.tensor.type_other.NoneTypeT", "None itself")
NoneConst = None

_FAR = 2**62  # beyond every dimension: where a bound is None


class SliceType(StandInType):
    """The type of slices. Calling it makes an input s, for x[s] and x[i, s]; calls give a slice for it.

    In a graph a slice is the vector (start, stop, step) of int64.
    """

    vector = NativeType("int64", (3,))

    def wrap(self, native: Native) -> Any:
        return _variable(native)

    def filter(self, data: Any, strict: bool = False, allow_downcast: bool | None = None) -> np.ndarray:
        """The vector that stands for a slice of integers. Raises DTypeError."""
        if not isinstance(data, slice):
            raise DTypeError(f"a slice is asked for, got {type(data).__name__}\n  hint: slice(start, stop)")
        step = 1 if data.step is None else data.step
        ends = (0, _FAR) if step > 0 else (_FAR, -_FAR)
        bounds = [end if b is None else b for b, end in zip((data.start, data.stop), ends)]
        return np.asarray([*bounds, step], "int64")

    def __repr__(self) -> str:
        return "slice"


slicetype = SliceType()


class SliceVariable(TensorVariable):
    """A symbolic slice."""

    @property
    def type(self) -> TensorType:
        return slicetype

    def bounds(self) -> slice:
        """The slice of its symbolic start, stop and step."""
        return slice(*(self.native[k] for k in range(3)))

    def __reduce__(self) -> Any:
        return _variable, (self.native,), self._kept()


def _variable(native: Native) -> Any:
    if not isinstance(getattr(native, "front", None), SliceVariable):
        native.front = SliceVariable(native)
    return native.front  # type: ignore[attr-defined]


__all__ = ["NoneConst", "NoneTypeT", "SliceType", "SliceVariable", "slicetype"]

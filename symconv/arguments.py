"""The arguments of a call: matched with the inputs, converted to their types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symconv.backends.gpu.interop import DeviceArray, is_on_device, take
from symconv.config import config
from symconv.declared import In
from symconv.errors import DTypeError, GraphError, NonFiniteError, ShapeError
from symconv.graph import Variable

KINDS = {"c": 3, "f": 2, "i": 1, "u": 1, "b": 0}  # of dtypes; a value may become one of a higher number


class Arguments:
    """The inputs of a function, and what becomes of the values for them.

    function: named in messages. downcast: allow_input_downcast of function().
    """

    def __init__(self, function: object, inputs: list[In], downcast: bool | None, device: str) -> None:
        self.function = function
        self.inputs = inputs
        self.variables = [i.variable for i in inputs]
        self.device = device
        self._downcast = downcast

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[np.ndarray]:
        """The arguments of a call in the order of the inputs."""
        if len(args) > len(self.inputs):
            raise GraphError(f"{self.function!r}: {len(self.inputs)} arguments expected, got {len(args)}")
        values = list(args)
        kwargs = dict(kwargs)
        for i in self.inputs[len(args) :]:
            name = i.name or i.variable.name
            if name is not None and name in kwargs:
                values.append(kwargs.pop(name))
            elif i.value is not None:
                values.append(i.value)
            else:
                raise GraphError(f"{self.function!r}: no value for the argument {i.variable!r}")
        if kwargs:
            raise GraphError(f"{self.function!r}: unknown arguments {', '.join(kwargs)}")
        return [self.convert(v, a) for v, a in zip(self.variables, values)]

    def convert(self, variable: Variable, value: Any, lead: int = 0) -> np.ndarray:
        """`value` as a C-contiguous array of the variable's dtype; `lead` extra axes come first."""
        type_ = variable.type
        if self.device in ("cuda", "emulated") and is_on_device(value):
            array: Any = take(value, self._runtime(), f"argument {variable!r}", type_.dtype)
        else:
            array = self._as_numpy(variable, value)
        shape = array.shape[lead:]
        if array.ndim - lead != type_.ndim or any(
            d is not None and d != s for d, s in zip(type_.shape, shape)
        ):
            raise ShapeError(
                f"argument {variable!r} from {variable.origin}: expected {type_}, "
                f"got {array.dtype}{list(shape)}"
            )
        if isinstance(array, DeviceArray):
            return array  # type: ignore[return-value]
        if config.check_data and type_.is_float and not np.isfinite(array).all():
            at = np.unravel_index(int(np.argmax(~np.isfinite(array))), array.shape)
            raise NonFiniteError(
                f"argument {variable!r}: {array[at]} at index {[int(i) for i in at]} (check_data is on)"
            )
        return array if array.flags.c_contiguous else np.ascontiguousarray(array).reshape(array.shape)

    def _runtime(self) -> Any:
        from symconv.backends.gpu.executable import runtime_of  # needs the device

        return runtime_of(self.device)

    def _as_numpy(self, variable: Variable, value: Any) -> np.ndarray:
        try:
            array = np.asarray(value)
        except (ValueError, TypeError) as error:
            raise ShapeError(f"argument {variable!r}: {error}") from None
        return array if array.dtype == variable.dtype else self._cast_argument(variable, value, array)

    def _cast_argument(self, variable: Variable, value: Any, array: np.ndarray) -> np.ndarray:
        target = np.dtype(variable.dtype)
        literal = not isinstance(value, (np.ndarray, np.generic))
        kind = KINDS.get(array.dtype.kind, 9)
        wanted = KINDS[target.kind]
        fits = kind <= wanted or (bool(self._downcast) and kind < KINDS["c"])
        if fits and self._downcast is False and not literal:
            fits = np.can_cast(array.dtype, target, "safe")
        if fits and kind == wanted == 1 and array.size and not np.can_cast(array.dtype, target, "safe"):
            limits = np.iinfo(target)
            fits = bool(array.min() >= limits.min and array.max() <= limits.max)
        if not fits:
            raise DTypeError(
                f"argument {variable!r} from {variable.origin}: cannot take {array.dtype} for {target}\n"
                f"  hint: convert it with astype({str(target)!r}), or declare the input with its dtype"
            )
        return array.astype(target)

"""Shared variables whose value is no tensor: a list, a string, None, an array of objects.

They keep their value for the program, as in Theano; graphs hold tensors only.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from symconv.errors import DTypeError, UnsupportedError
from symconv.graph.origin import user_line
from symconv.theano.variable import Variable, scratchpad


class GenericType:
    """The type of any value at all."""

    def filter(self, data: Any, strict: bool = False, allow_downcast: bool | None = None) -> Any:
        return data

    def is_valid_value(self, data: Any) -> bool:
        return True

    def __call__(self, name: str | None = None) -> Any:
        raise UnsupportedError(
            f"inputs of type generic are not supported, at {user_line()}\n"
            "  hint: values are tensors: T.matrix, theano.tensor.TensorType"
        )

    make_variable = __call__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GenericType)

    def __hash__(self) -> int:
        return hash(GenericType)

    def __repr__(self) -> str:
        return "<theano.gof.type.Generic>"


generic = GenericType()


class GenericValue(Variable):
    """What a shared variable of type generic is: a value under a name, for no graph."""

    name = None
    owner = index = None
    type: Any = generic

    def __init__(self, name: str | None = None, type: Any = None, value: Any = None, *_: Any) -> None:
        """The arguments are those of every SharedVariable."""
        self.name = name  # type: ignore[misc]
        self.tag = scratchpad()
        self._value, self._origin = value, user_line()

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        """The value: a deep copy, or with borrow=True the object itself."""
        return self._value if borrow else copy.deepcopy(self._value)

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        self._value = new_value if borrow else copy.deepcopy(new_value)

    def clone(self) -> GenericValue:
        made = type(self)(self.name, generic, self._value)
        made.tag = copy.copy(self.tag)
        return made

    def __getitem__(self, item: Any) -> Any:
        raise self.misused("it has no elements in a graph")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "native":
            raise AttributeError(name)
        raise AttributeError(f"{self!r} has no {name!r}: {self._what()}")

    def misused(self, why: str) -> DTypeError:
        """The error of one who takes this for a tensor."""
        return DTypeError(
            f"{self!r} from {self._origin}: {why}, {self._what()}\n"
            "  hint: theano.shared(np.asarray(value, dtype=theano.config.floatX)) is a tensor"
        )

    def _what(self) -> str:
        value = self._value
        kind = f"array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
        return f"the shared variable holds a {kind}, which is no tensor"

    def __reduce__(self) -> Any:
        return type(self), (self.name, generic, self._value), {"tag": self.tag}

    def __str__(self) -> str:
        return self.name or "<generic>"


__all__ = ["GenericType", "GenericValue", "generic"]

"""Types of values that are no arrays: in a graph a vector stands for each."""

from __future__ import annotations

from typing import Any, ClassVar

from symconv.graph import TensorType as NativeType
from symconv.graph import Variable as Native
from symconv.theano.variable import TensorType


class StandInType(TensorType):
    """A type that calls `wrap` on a variable of `vector` to make an input; all its instances are equal."""

    vector: ClassVar[NativeType]

    def __init__(self) -> None:
        super().__init__(self.vector.dtype, (False,))

    def wrap(self, native: Native) -> Any:
        """The Theano variable that stands for the vector."""
        raise NotImplementedError

    @property
    def native(self) -> NativeType:
        return self.vector

    def __call__(self, name: str | None = None, dtype: str | None = None) -> Any:
        return self.wrap(Native(self.vector, name=name))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))

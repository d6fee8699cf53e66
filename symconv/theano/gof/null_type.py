"""theano.gof.null_type: the type of a gradient that is not defined."""

from __future__ import annotations

from typing import Any

from symconv.graph import Variable as Native
from symconv.graph import constant
from symconv.theano.null_gradient import null_gradient, reason
from symconv.theano.variable import TensorVariable


class NullType:
    """NullType(why)() in a custom Op's grad is a gradient that does not exist."""

    def __init__(self, why_null: str = "the gradient is not defined") -> None:
        self.why_null = why_null

    def __call__(self, name: str | None = None) -> Any:
        return null_variable(null_gradient(constant(0.0), self.why_null))


class NullVariable(TensorVariable):
    """A gradient that does not exist, as grad(null_gradients="return") returns it."""

    @property
    def type(self) -> Any:
        return NullType(reason(self.native) or "")


def null_variable(native: Native) -> Any:
    """The Theano variable for a null gradient."""
    if not isinstance(getattr(native, "front", None), NullVariable):
        native.front = NullVariable(native)  # type: ignore[attr-defined]
    return native.front  # type: ignore[attr-defined]


null_type = NullType()

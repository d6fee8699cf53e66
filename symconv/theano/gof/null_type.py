"""theano.gof.null_type: the type of a gradient that is not defined."""

from __future__ import annotations

from typing import Any

from symconv.graph import constant
from symconv.theano.null_gradient import null_gradient
from symconv.theano.variable import wrap


class NullType:
    """NullType(why)() in a custom Op's grad is a gradient that does not exist."""

    def __init__(self, why_null: str = "the gradient is not defined") -> None:
        self.why_null = why_null

    def __call__(self, name: str | None = None) -> Any:
        return wrap(null_gradient(constant(0.0), self.why_null))


null_type = NullType()

"""theano.tensor.xlogx: products with logarithms that are 0 where the factor is 0."""

from __future__ import annotations

from typing import Any

from symconv.theano.tensor import elementwise
from symconv.theano.variable import as_tensor_variable


def xlogy0(x: Any, y: Any) -> Any:
    """x log(y), and 0 where x is 0 whatever y is."""
    x, y = as_tensor_variable(x), as_tensor_variable(y)
    none = elementwise.eq(x, 0)
    return elementwise.switch(none, 0, x * elementwise.log(elementwise.switch(none, 1, y)))


def xlogx(x: Any) -> Any:
    """x log(x), and 0 where x is 0."""
    return xlogy0(x, x)


__all__ = ["xlogx", "xlogy0"]

"""Errors that Theano's programs know under another built-in class than symconv has for them.

A type in Theano is a dtype with a number of dimensions: a wrong rank was a TypeError. Those of arguments of
theano.function are in inputs.py.
"""

from __future__ import annotations

from symconv.errors import DTypeError as DTypeError
from symconv.errors import GradientError, GraphError, ShapeError


class RankError(ShapeError, TypeError):
    """Cause: a tensor with the wrong number of dimensions. Cure: the text names it and its line."""


class AxisError(ShapeError, IndexError):
    """Cause: an axis that a tensor does not have. Cure: the text names both."""


class CostError(GradientError, TypeError):
    """Cause: the gradient of what is no scalar float. Cure: sum it, or cast it."""


class ComplexError(DTypeError, NotImplementedError):
    """Cause: an operation that complex numbers do not have. Cure: take real(z), imag(z) or abs(z)."""


class NoNumberError(DTypeError, ValueError):
    """Cause: a string or an object where numbers belong. Cure: the text names what was given."""


class NoGradientError(GradientError, AttributeError, NotImplementedError):
    """Cause: a gradient through an op that defines no grad. Cure: define it, or keep the op out of the path.

    An AttributeError, as in Theano, for programs that go on without a gradient then.
    """


class OutputIndexError(GraphError, AttributeError):
    """Cause: a node of several outputs where one variable is needed. Cure: choose one of its outputs."""


__all__ = [
    "AxisError",
    "ComplexError",
    "CostError",
    "NoGradientError",
    "NoNumberError",
    "OutputIndexError",
    "RankError",
]

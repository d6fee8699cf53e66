"""Element-wise rounding, sign, extremes and clipping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import DTypeError
from symconv.graph import Apply, Variable
from symconv.ops.arithmetic import mul
from symconv.ops.elementwise_base import Array, Elementwise, Partials
from symconv.ops.logic import ge, gt, where
from symconv.ops.operands import as_operands, as_variable


def _rounded(op: Elementwise, x: Any) -> Variable:
    x = as_variable(x)
    return (
        op(x) if x.type.is_inexact else x
    )  # integers and bools are whole already; complex numbers are refused


def floor(x: Any) -> Variable:
    """The largest whole number <= x, in x's dtype; the gradient is 0."""
    return _rounded(Floor(), x)


@dataclass(frozen=True)
class Floor(Elementwise):
    name = "floor"
    opcode = "floor"
    takes = "float"

    def compute(self, x: Array) -> Array:
        return np.floor(x)


def ceil(x: Any) -> Variable:
    """The smallest whole number >= x, in x's dtype; the gradient is 0."""
    return _rounded(Ceil(), x)


@dataclass(frozen=True)
class Ceil(Elementwise):
    name = "ceil"
    opcode = "ceil"
    takes = "float"

    def compute(self, x: Array) -> Array:
        return np.ceil(x)


def trunc(x: Any) -> Variable:
    """x without its fraction, in x's dtype; the gradient is 0."""
    return _rounded(Trunc(), x)


@dataclass(frozen=True)
class Trunc(Elementwise):
    name = "trunc"
    opcode = "trunc"
    takes = "float"

    def compute(self, x: Array) -> Array:
        return np.trunc(x)


def round(x: Any) -> Variable:
    """The nearest whole number, halves to the even one, in x's dtype; the gradient is 0."""
    return _rounded(Round(), x)


@dataclass(frozen=True)
class Round(Elementwise):
    name = "round"
    opcode = "round"
    takes = "float"

    def compute(self, x: Array) -> Array:
        return np.rint(x)


def abs(x: Any) -> Variable:
    """|x|, element by element, a float of complex numbers; the derivative at 0 is 0.

    |min| of a signed integer wraps to min.
    """
    x = as_variable(x)
    if x.type.is_complex:
        from symconv.ops.complex_numbers import Modulus

        return Modulus()(x)
    return Abs()(x)


@dataclass(frozen=True)
class Abs(Elementwise):
    name = "abs"
    opcode = "abs"

    def compute(self, x: Array) -> Array:
        return np.abs(x)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (mul(dy, sign(node.inputs[0])),)


def sign(x: Any) -> Variable:
    """-1, 0 or 1 in x's dtype; NaN stays. The gradient is 0."""
    return Sign()(as_variable(x))


@dataclass(frozen=True)
class Sign(Elementwise):
    name = "sign"
    opcode = "sign"

    def compute(self, x: Array) -> Array:
        return np.sign(x)


def maximum(a: Any, b: Any) -> Variable:
    """The larger of a and b, element by element; a NaN in either stays. At ties the gradient goes to a."""
    return Maximum()(*as_operands(a, b))


@dataclass(frozen=True)
class Maximum(Elementwise):
    name = "maximum"
    takes_complex = True
    opcode = "maximum"
    takes = "any"

    def compute(self, a: Array, b: Array) -> Array:
        return np.maximum(a, b)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        first = ge(*node.inputs)
        return where(first, dy, 0), where(first, 0, dy)


def minimum(a: Any, b: Any) -> Variable:
    """The smaller of a and b, element by element; a NaN in either stays. At ties the gradient goes to a."""
    return Minimum()(*as_operands(a, b))


@dataclass(frozen=True)
class Minimum(Elementwise):
    name = "minimum"
    takes_complex = True
    opcode = "minimum"
    takes = "any"

    def compute(self, a: Array, b: Array) -> Array:
        return np.minimum(a, b)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        second = gt(*node.inputs)
        return where(second, 0, dy), where(second, dy, 0)


def clip(x: Any, low: Any = None, high: Any = None) -> Variable:
    """min(max(x, low), high), element by element; None leaves a side open.

    On the bounds the gradient goes to x, beyond them to the bound.
    """
    if low is None and high is None:
        raise DTypeError("clip: give low, high or both")
    x = as_variable(x)
    if low is not None:
        x = maximum(x, low)
    return x if high is None else minimum(x, high)

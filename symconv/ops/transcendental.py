"""Element-wise exponentials, logarithms, trigonometric and error functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from symconv.graph import Apply, Variable
from symconv.ops.arithmetic import add, mul, neg, square, sub, true_div
from symconv.ops.elementwise_base import Array, Elementwise, Partials
from symconv.ops.operands import as_operands


@dataclass(frozen=True)
class _OfFloats(Elementwise):
    takes = "float"


def exp(x: Any) -> Variable:
    """e^x, element by element."""
    return Exp()(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class Exp(_OfFloats):
    name = "exp"
    takes_complex = True
    opcode = "exp"

    def compute(self, x: Array) -> Array:
        return np.exp(x)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (mul(dy, node.out),)


def expm1(x: Any) -> Variable:
    """e^x - 1 without cancellation near 0, element by element."""
    return Expm1()(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class Expm1(_OfFloats):
    name = "expm1"
    takes_complex = True
    opcode = "expm1"

    def compute(self, x: Array) -> Array:
        return np.expm1(x)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (mul(dy, exp(node.inputs[0])),)


def log(x: Any) -> Variable:
    """The natural logarithm, element by element; -inf at 0, NaN below."""
    return Log()(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class Log(_OfFloats):
    name = "log"
    takes_complex = True
    opcode = "log"

    def compute(self, x: Array) -> Array:
        return np.log(x)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (true_div(dy, node.inputs[0]),)


def log1p(x: Any) -> Variable:
    """log(1 + x) without cancellation near 0, element by element."""
    return Log1p()(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class Log1p(_OfFloats):
    name = "log1p"
    takes_complex = True
    opcode = "log1p"

    def compute(self, x: Array) -> Array:
        return np.log1p(x)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (true_div(dy, add(node.inputs[0], 1)),)


def tanh(x: Any) -> Variable:
    """The hyperbolic tangent, element by element."""
    return Tanh()(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class Tanh(_OfFloats):
    name = "tanh"
    takes_complex = True
    opcode = "tanh"

    def compute(self, x: Array) -> Array:
        return np.tanh(x)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (mul(dy, sub(1, square(node.out))),)


def sin(x: Any) -> Variable:
    """The sine of x in radians, element by element."""
    return Sin()(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class Sin(_OfFloats):
    name = "sin"
    takes_complex = True
    opcode = "sin"

    def compute(self, x: Array) -> Array:
        return np.sin(x)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (mul(dy, cos(node.inputs[0])),)


def cos(x: Any) -> Variable:
    """The cosine of x in radians, element by element."""
    return Cos()(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class Cos(_OfFloats):
    name = "cos"
    takes_complex = True
    opcode = "cos"

    def compute(self, x: Array) -> Array:
        return np.cos(x)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (neg(mul(dy, sin(node.inputs[0]))),)


def tan(x: Any) -> Variable:
    """The tangent of x in radians, element by element."""
    return Tan()(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class Tan(_OfFloats):
    name = "tan"
    takes_complex = True
    opcode = "tan"

    def compute(self, x: Array) -> Array:
        return np.tan(x)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (mul(dy, add(square(node.out), 1)),)


def erf(x: Any) -> Variable:
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x, element by element."""
    return Erf()(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class _ErrorFunction(_OfFloats):
    """The error function or its complement: the derivative is slope e^(-x^2)."""

    slope: ClassVar[float]

    def compute(self, x: Array) -> Array:
        function = getattr(math, self.name)
        return np.array([function(v) for v in x.ravel()], dtype=x.dtype).reshape(x.shape)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (mul(dy, mul(exp(neg(square(node.inputs[0]))), self.slope)),)


@dataclass(frozen=True)
class Erf(_ErrorFunction):
    name = "erf"
    opcode = "erf"
    slope = 2 / math.sqrt(math.pi)


def erfc(x: Any) -> Variable:
    """1 - erf(x) with all its digits where it is small, element by element."""
    return Erfc()(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class Erfc(_ErrorFunction):
    name = "erfc"
    opcode = "erfc"
    slope = -Erf.slope

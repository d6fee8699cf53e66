"""Element-wise activations of networks. At 0, relu and leaky_relu take the derivative from the left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.graph import Apply, Variable
from symconv.ops.arithmetic import add, mul, sub
from symconv.ops.elementwise_base import Array, Elementwise, Partials
from symconv.ops.logic import gt, where
from symconv.ops.operands import as_operands, as_variable
from symconv.ops.transcendental import erf, tanh


def sigmoid(x: Any) -> Variable:
    """1 / (1 + e^-x), element by element; no intermediate overflows."""
    return Sigmoid()(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class Sigmoid(Elementwise):
    name = "sigmoid"
    opcode = "sigmoid"
    takes = "float"

    def compute(self, x: Array) -> Array:
        t = np.exp(-np.abs(x))
        return np.where(x >= 0, 1 / (1 + t), t / (1 + t))

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (mul(dy, mul(node.out, sub(1, node.out))),)


def softplus(x: Any) -> Variable:
    """log(1 + e^x), element by element, as max(x, 0) + log1p(e^-|x|); its derivative is sigmoid(x)."""
    return Softplus()(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class Softplus(Elementwise):
    name = "softplus"
    opcode = "softplus"
    takes = "float"

    def compute(self, x: Array) -> Array:
        return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (mul(dy, sigmoid(node.inputs[0])),)


def relu(x: Any) -> Variable:
    """max(x, 0), element by element; the derivative at 0 is 0."""
    return Relu()(as_variable(x))


@dataclass(frozen=True)
class Relu(Elementwise):
    name = "relu"
    opcode = "relu"

    def compute(self, x: Array) -> Array:
        return np.maximum(x, 0)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (where(gt(node.inputs[0], 0), dy, 0),)


def leaky_relu(x: Any, slope: float = 0.01) -> Variable:
    """x where x > 0, slope * x elsewhere; the derivative at 0 is `slope`."""
    return LeakyRelu(float(slope))(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class LeakyRelu(Elementwise):
    slope: float = 0.01
    name = "leaky_relu"
    opcode = "leaky_relu"
    takes = "float"

    @property
    def immediate(self) -> float:
        return self.slope

    def compute(self, x: Array) -> Array:
        return np.where(x > 0, x, x * x.dtype.type(self.slope))

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (where(gt(node.inputs[0], 0), dy, mul(dy, self.slope)),)


def elu(x: Any, alpha: float = 1.0) -> Variable:
    """x where x > 0, alpha (e^x - 1) elsewhere."""
    return Elu(float(alpha))(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class Elu(Elementwise):
    alpha: float = 1.0
    name = "elu"
    opcode = "elu"
    takes = "float"

    @property
    def immediate(self) -> float:
        return self.alpha

    def compute(self, x: Array) -> Array:
        return np.where(x > 0, x, x.dtype.type(self.alpha) * np.expm1(np.minimum(x, 0)))

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (where(gt(node.inputs[0], 0), dy, mul(dy, add(node.out, self.alpha))),)


def gelu(x: Any, approximate: bool = False) -> Variable:
    """x Phi(x), Phi the normal distribution function: x/2 (1 + erf(x / sqrt 2)), element by element.

    With approximate=True: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
    """
    (x,) = as_operands(x, to_float=True)
    if approximate:
        cubic = mul(x, add(mul(mul(x, x), 0.044715), 1))
        return mul(mul(x, 0.5), add(tanh(mul(cubic, math.sqrt(2 / math.pi))), 1))
    return mul(mul(x, 0.5), add(erf(mul(x, math.sqrt(0.5))), 1))

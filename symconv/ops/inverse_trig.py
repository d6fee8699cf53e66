"""Inverse trigonometric functions, element by element. NaN outside of where they are defined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.graph import Apply, Variable
from symconv.ops.arithmetic import add, mul, neg, sqrt, square, sub, true_div
from symconv.ops.elementwise_base import Array, Elementwise, Partials
from symconv.ops.operands import as_operands


@dataclass(frozen=True)
class _OfFloats(Elementwise):
    takes = "float"


def arcsin(x: Any) -> Variable:
    """The angle in [-pi/2, pi/2] whose sine is x; NaN outside -1..1."""
    return ArcSin()(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class ArcSin(_OfFloats):
    name = "arcsin"
    takes_complex = True
    opcode = "arcsin"

    def compute(self, x: Array) -> Array:
        return np.arcsin(x)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (true_div(dy, sqrt(sub(1, square(node.inputs[0])))),)


def arccos(x: Any) -> Variable:
    """The angle in [0, pi] whose cosine is x; NaN outside -1..1."""
    return ArcCos()(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class ArcCos(_OfFloats):
    name = "arccos"
    takes_complex = True
    opcode = "arccos"

    def compute(self, x: Array) -> Array:
        return np.arccos(x)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (neg(true_div(dy, sqrt(sub(1, square(node.inputs[0]))))),)


def arctan(x: Any) -> Variable:
    """The angle in (-pi/2, pi/2) whose tangent is x."""
    return ArcTan()(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class ArcTan(_OfFloats):
    name = "arctan"
    takes_complex = True
    opcode = "arctan"

    def compute(self, x: Array) -> Array:
        return np.arctan(x)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (true_div(dy, add(1, square(node.inputs[0]))),)


def arctan2(y: Any, x: Any) -> Variable:
    """The angle in [-pi, pi] of the point (x, y)."""
    return ArcTan2()(*as_operands(y, x, to_float=True))


@dataclass(frozen=True)
class ArcTan2(_OfFloats):
    name = "arctan2"
    opcode = "arctan2"
    operands = ("y", "x")

    def compute(self, y: Array, x: Array) -> Array:
        return np.arctan2(y, x)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        y, x = node.inputs
        share = true_div(dy, add(square(x), square(y)))
        return mul(share, x), neg(mul(share, y))

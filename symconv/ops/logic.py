"""Element-wise comparisons, logic on bools, tests for NaN and inf, and selection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import DTypeError
from symconv.graph import Apply, Variable, op_error
from symconv.ops.elementwise_base import Array, Elementwise, Partials
from symconv.ops.operands import as_operands, as_variable


@dataclass(frozen=True)
class _Comparison(Elementwise):
    """Complex numbers are in NumPy's order: by their real, then by their imaginary parts."""

    takes = "any"
    takes_complex = True
    out_dtype = "bool"


def eq(a: Any, b: Any) -> Variable:
    """a == b, element by element, as bool; False where either is NaN."""
    return Eq()(*as_operands(a, b))


@dataclass(frozen=True)
class Eq(_Comparison):
    name = "eq"
    opcode = "eq"

    def compute(self, a: Array, b: Array) -> Array:
        return a == b


def neq(a: Any, b: Any) -> Variable:
    """a != b, element by element, as bool; True where either is NaN."""
    return Neq()(*as_operands(a, b))


@dataclass(frozen=True)
class Neq(_Comparison):
    name = "neq"
    opcode = "neq"

    def compute(self, a: Array, b: Array) -> Array:
        return a != b


def lt(a: Any, b: Any) -> Variable:
    """a < b, element by element, as bool."""
    return Lt()(*as_operands(a, b))


@dataclass(frozen=True)
class Lt(_Comparison):
    name = "lt"
    opcode = "lt"

    def compute(self, a: Array, b: Array) -> Array:
        return a < b


def le(a: Any, b: Any) -> Variable:
    """a <= b, element by element, as bool."""
    return Le()(*as_operands(a, b))


@dataclass(frozen=True)
class Le(_Comparison):
    name = "le"
    opcode = "le"

    def compute(self, a: Array, b: Array) -> Array:
        return a <= b


def gt(a: Any, b: Any) -> Variable:
    """a > b, element by element, as bool."""
    return Gt()(*as_operands(a, b))


@dataclass(frozen=True)
class Gt(_Comparison):
    name = "gt"
    opcode = "gt"

    def compute(self, a: Array, b: Array) -> Array:
        return a > b


def ge(a: Any, b: Any) -> Variable:
    """a >= b, element by element, as bool."""
    return Ge()(*as_operands(a, b))


@dataclass(frozen=True)
class Ge(_Comparison):
    name = "ge"
    opcode = "ge"

    def compute(self, a: Array, b: Array) -> Array:
        return a >= b


equal, not_equal, less, less_equal, greater, greater_equal = eq, neq, lt, le, gt, ge


def as_bool(x: Any) -> Variable:
    """x != 0 as bool; NaN counts as true."""
    x = as_variable(x)
    return x if x.dtype == "bool" else neq(x, 0)


@dataclass(frozen=True)
class _Logical(Elementwise):
    takes = "bool"


def logical_and(a: Any, b: Any) -> Variable:
    """Both are non-zero, element by element, as bool."""
    return LogicalAnd()(as_bool(a), as_bool(b))


@dataclass(frozen=True)
class LogicalAnd(_Logical):
    name = "logical_and"
    opcode = "and"

    def compute(self, a: Array, b: Array) -> Array:
        return np.logical_and(a, b)


def logical_or(a: Any, b: Any) -> Variable:
    """At least one is non-zero, element by element, as bool."""
    return LogicalOr()(as_bool(a), as_bool(b))


@dataclass(frozen=True)
class LogicalOr(_Logical):
    name = "logical_or"
    opcode = "or"

    def compute(self, a: Array, b: Array) -> Array:
        return np.logical_or(a, b)


def logical_xor(a: Any, b: Any) -> Variable:
    """Exactly one is non-zero, element by element, as bool."""
    return LogicalXor()(as_bool(a), as_bool(b))


@dataclass(frozen=True)
class LogicalXor(_Logical):
    name = "logical_xor"
    opcode = "xor"

    def compute(self, a: Array, b: Array) -> Array:
        return np.logical_xor(a, b)


def logical_not(a: Any) -> Variable:
    """a is zero, element by element, as bool."""
    return LogicalNot()(as_bool(a))


@dataclass(frozen=True)
class LogicalNot(_Logical):
    name = "logical_not"
    opcode = "not"

    def compute(self, a: Array) -> Array:
        return np.logical_not(a)


@dataclass(frozen=True)
class _FloatTest(Elementwise):
    takes = "float"
    out_dtype = "bool"


def isnan(x: Any) -> Variable:
    """x is NaN, element by element, as bool."""
    return IsNan()(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class IsNan(_FloatTest):
    name = "isnan"
    takes_complex = True
    opcode = "isnan"

    def compute(self, x: Array) -> Array:
        return np.isnan(x)


def isinf(x: Any) -> Variable:
    """x is +inf or -inf, element by element, as bool."""
    return IsInf()(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class IsInf(_FloatTest):
    name = "isinf"
    takes_complex = True
    opcode = "isinf"

    def compute(self, x: Array) -> Array:
        return np.isinf(x)


def isfinite(x: Any) -> Variable:
    """x is neither NaN nor infinite, element by element, as bool."""
    return IsFinite()(*as_operands(x, to_float=True))


@dataclass(frozen=True)
class IsFinite(_FloatTest):
    name = "isfinite"
    takes_complex = True
    opcode = "isfinite"

    def compute(self, x: Array) -> Array:
        return np.isfinite(x)


def where(condition: Any, a: Any, b: Any) -> Variable:
    """a where the condition is non-zero, b elsewhere.

    Gradients are selected, not multiplied by 0, so a NaN on the side not taken does not pass. (A NaN
    that arises further down, as in where(x > 0, log(x), 0), is kept out by a second where inside.)
    """
    return Where()(as_bool(condition), *as_operands(a, b))


switch = where


@dataclass(frozen=True)
class Where(Elementwise):
    name = "where"
    takes_complex = True
    opcode = "where"
    takes = "any"
    operands = ("condition", "a", "b")

    def check_dtypes(self, inputs: Sequence[Variable]) -> None:
        if inputs[0].dtype != "bool":
            raise op_error(self, inputs, "the condition must be bool", "compare it with 0", kind=DTypeError)
        super().check_dtypes(inputs[1:])

    def result_dtype(self, *dtypes: str) -> str:
        return dtypes[1]

    def compute(self, condition: Array, a: Array, b: Array) -> Array:
        return np.where(condition, a, b)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        condition = node.inputs[0]
        return None, where(condition, dy, 0), where(condition, 0, dy)

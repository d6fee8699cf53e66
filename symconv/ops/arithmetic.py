"""Element-wise arithmetic and casts.

Integers follow NumPy: they wrap on overflow, and division or remainder by zero gives 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import DTypeError
from symconv.graph import Apply, Constant, Variable
from symconv.graph.types import DTYPES
from symconv.ops.elementwise_base import Array, Elementwise, Partials
from symconv.ops.operands import as_operands, as_variable
from symconv.ops.operands import cast as _cast


def add(a: Any, b: Any) -> Variable:
    """a + b, element by element; bools give their disjunction."""
    return Add()(*as_operands(a, b))


@dataclass(frozen=True)
class Add(Elementwise):
    name = "add"
    takes_complex = True
    opcode = "add"
    takes = "any"

    def compute(self, a: Array, b: Array) -> Array:
        return a + b

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return dy, dy


def sub(a: Any, b: Any) -> Variable:
    """a - b, element by element. Raises DTypeError on bools."""
    return Sub()(*as_operands(a, b))


@dataclass(frozen=True)
class Sub(Elementwise):
    name = "sub"
    takes_complex = True
    opcode = "sub"

    def compute(self, a: Array, b: Array) -> Array:
        return a - b

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return dy, neg(dy)


def mul(a: Any, b: Any) -> Variable:
    """a * b, element by element; bools give their conjunction."""
    return Mul()(*as_operands(a, b))


@dataclass(frozen=True)
class Mul(Elementwise):
    name = "mul"
    takes_complex = True
    opcode = "mul"
    takes = "any"

    def compute(self, a: Array, b: Array) -> Array:
        return a * b

    def partials(self, node: Apply, dy: Variable) -> Partials:
        a, b = node.inputs
        return mul(dy, b), mul(dy, a)


def true_div(a: Any, b: Any) -> Variable:
    """a / b, element by element; integers give floatX."""
    return TrueDiv()(*as_operands(a, b, to_float=True))


@dataclass(frozen=True)
class TrueDiv(Elementwise):
    name = "true_div"
    takes_complex = True
    opcode = "div"
    takes = "float"

    def compute(self, a: Array, b: Array) -> Array:
        return a / b

    def partials(self, node: Apply, dy: Variable) -> Partials:
        a, b = node.inputs
        return true_div(dy, b), neg(true_div(mul(dy, node.out), b))


def floor_div(a: Any, b: Any) -> Variable:
    """floor(a / b), element by element, in the operands' dtype; the gradient is 0."""
    return FloorDiv()(*as_operands(a, b))


@dataclass(frozen=True)
class FloorDiv(Elementwise):
    name = "floor_div"
    opcode = "floor_div"

    def compute(self, a: Array, b: Array) -> Array:
        return np.floor_divide(a, b)


def mod(a: Any, b: Any) -> Variable:
    """a - b floor(a / b), element by element: the remainder with the sign of b."""
    return Mod()(*as_operands(a, b))


@dataclass(frozen=True)
class Mod(Elementwise):
    name = "mod"
    opcode = "mod"

    def compute(self, a: Array, b: Array) -> Array:
        return np.mod(a, b)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return dy, neg(mul(dy, floor_div(*node.inputs)))


def neg(a: Any) -> Variable:
    """-a, element by element. Raises DTypeError on bools."""
    return Neg()(as_variable(a))


@dataclass(frozen=True)
class Neg(Elementwise):
    name = "neg"
    takes_complex = True
    opcode = "neg"

    def compute(self, a: Array) -> Array:
        return -a

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (neg(dy),)


def power(a: Any, b: Any) -> Variable:
    """a ** b, element by element.

    A negative power of an integer is truncated as integer division truncates: 1 ** -n = 1,
    (-1) ** -n = +-1, all others (0 too) give 0; a known negative exponent raises DTypeError.
    The gradient by b is 0 where a is 0, that by a is 0 where b is 0.
    """
    x, n = as_operands(a, b)
    if isinstance(n, Constant) and n.ndim == 0:
        known = n.data.item()
        if not isinstance(known, complex) and known < 0 and not x.type.is_inexact:
            raise DTypeError(
                f"power: {x.type} from {x.origin} to the power {known} is no integer\n"
                "  hint: cast the base to a float first"
            )
        if x.type.is_inexact and known in (0.5, -0.5):
            return sqrt(x) if known == 0.5 else reciprocal(sqrt(x))
        if isinstance(known, complex):
            known = known.real if known.imag == 0 else 0
        if known == int(known) and 1 <= abs(known) <= 4:  # short products beat exp(n log x) in every way
            y = _whole_power(x, abs(int(known)))
            return y if known > 0 else reciprocal(y)
    return Power()(x, n)


def _whole_power(x: Variable, n: int) -> Variable:
    half = x if n < 4 else _whole_power(x, n // 2)
    y = x if n == 1 else square(half)
    return mul(y, x) if n % 2 and n > 1 else y


pow = power


@dataclass(frozen=True)
class Power(Elementwise):
    name = "power"
    takes_complex = True
    opcode = "pow"

    def compute(self, a: Array, b: Array) -> Array:
        if a.dtype.kind in "fc":
            return np.power(a, b)
        a, b = np.broadcast_arrays(a, b)
        truncated = np.where(a == 1, 1, np.where(a == -1, np.where(b % 2 == 0, 1, -1), 0))
        return np.where(b >= 0, np.power(a, np.maximum(b, 0)), truncated)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        from symconv.ops.logic import eq, where
        from symconv.ops.transcendental import log

        a, b = node.inputs
        if isinstance(b, Constant) and b.ndim == 0:
            exponent = b.data.item()
            da = mul(dy, mul(power(a, exponent - 1), exponent)) if exponent else mul(dy, 0)
        else:
            da = where(eq(b, 0), 0, mul(dy, mul(b, power(a, sub(b, 1)))))
        # the inner where keeps log(0) * 0 out of higher derivatives
        zero = eq(a, 0)
        db = where(zero, 0, mul(dy, mul(node.out, log(where(zero, 1, a)))))
        return da, db


def square(a: Any) -> Variable:
    """a * a, element by element."""
    return Square()(as_variable(a))


sqr = square


@dataclass(frozen=True)
class Square(Elementwise):
    name = "square"
    takes_complex = True
    opcode = "square"
    takes = "any"

    def compute(self, a: Array) -> Array:
        return a * a

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (mul(dy, mul(node.inputs[0], 2)),)


def sqrt(a: Any) -> Variable:
    """The square root, element by element; NaN below 0."""
    return Sqrt()(*as_operands(a, to_float=True))


@dataclass(frozen=True)
class Sqrt(Elementwise):
    name = "sqrt"
    takes_complex = True
    opcode = "sqrt"
    takes = "float"

    def compute(self, a: Array) -> Array:
        return np.sqrt(a)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (true_div(mul(dy, 0.5), node.out),)


def reciprocal(a: Any) -> Variable:
    """1 / a, element by element; integers give floatX."""
    return Reciprocal()(*as_operands(a, to_float=True))


@dataclass(frozen=True)
class Reciprocal(Elementwise):
    name = "reciprocal"
    takes_complex = True
    opcode = "reciprocal"
    takes = "float"

    def compute(self, a: Array) -> Array:
        return 1 / a

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (neg(mul(dy, square(node.out))),)


def cast(x: Any, dtype: str) -> Variable:
    """x converted to `dtype`; floats go to integers by truncation. Raises DTypeError.

    A float that is NaN or out of the integer's range gives an unspecified integer, as in C.
    """
    if str(dtype) not in DTYPES:
        raise DTypeError(f"cast: unknown dtype {dtype!r}; symconv has {', '.join(DTYPES)}")
    return _cast(as_variable(x), str(dtype))


@dataclass(frozen=True)
class Cast(Elementwise):
    dtype: str = "float32"
    name = "cast"
    takes_complex = True
    opcode = "cast"
    takes = "any"

    def result_dtype(self, *dtypes: str) -> str:
        return self.dtype

    def compute(self, a: Array) -> Array:
        return a.astype(self.dtype)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        x = node.inputs[0]
        if dy.type.is_complex and not x.type.is_complex:
            from symconv.ops.complex_numbers import real

            dy = real(dy)
        return (_cast(dy, x.dtype),)


def stop_gradient(x: Any) -> Variable:
    """x itself, but no gradient passes."""
    return StopGradient()(as_variable(x))


@dataclass(frozen=True)
class StopGradient(Elementwise):
    name = "stop_gradient"
    for_gradient = True
    takes_complex = True
    opcode = "copy"
    takes = "any"

    def compute(self, a: Array) -> Array:
        return a

    def simplify(self, x: Variable) -> Sequence[Variable] | None:
        return [x]  # asked for when gradients have been taken

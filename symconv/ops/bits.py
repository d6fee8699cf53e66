"""Element-wise operations on the bits of integers; on bools they are those of logic.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import DTypeError
from symconv.graph import Variable
from symconv.graph.types import INEXACT
from symconv.ops.elementwise_base import Array, Elementwise
from symconv.ops.logic import logical_and, logical_not, logical_or, logical_xor
from symconv.ops.operands import as_operands, as_variable


def _whole(name: str, *operands: Any) -> list[Variable]:
    """The operands in their common dtype. Raises DTypeError for floats."""
    given = list(as_operands(*operands)) if len(operands) > 1 else [as_variable(operands[0])]
    for v in given:
        if v.dtype in INEXACT:
            raise DTypeError(
                f"{name}: takes bools or integers, got {v.type} from {v.origin}\n"
                "  hint: logical_and() and its kin take any dtype; sc.cast(x, 'int64') for the bits"
            )
    return given


def bitwise_and(a: Any, b: Any) -> Variable:
    """a & b: the bits that both have; of bools, both are true."""
    x, y = _whole("bitwise_and", a, b)
    return logical_and(x, y) if x.dtype == "bool" else BitAnd()(x, y)


def bitwise_or(a: Any, b: Any) -> Variable:
    """a | b: the bits that at least one has; of bools, at least one is true."""
    x, y = _whole("bitwise_or", a, b)
    return logical_or(x, y) if x.dtype == "bool" else BitOr()(x, y)


def bitwise_xor(a: Any, b: Any) -> Variable:
    """a ^ b: the bits that exactly one has; of bools, exactly one is true."""
    x, y = _whole("bitwise_xor", a, b)
    return logical_xor(x, y) if x.dtype == "bool" else BitXor()(x, y)


def bitwise_not(a: Any) -> Variable:
    """~a: every bit turned over, -a - 1 of signed integers; of bools, not a."""
    (x,) = _whole("bitwise_not", a)
    if x.dtype == "bool":
        return logical_not(x)
    ones = np.asarray(-1).astype(x.dtype)
    return BitXor()(x, as_variable(ones))  # type: ignore[no-any-return]


def left_shift(a: Any, b: Any) -> Variable:
    """a << b, in the dtype of both; 0 for shifts by all bits or more, and by negative numbers."""
    return _shift(ShiftLeft(), a, b)


def right_shift(a: Any, b: Any) -> Variable:
    """a >> b: floor(a / 2^b); what left_shift's odd shifts leave is 0, of negative numbers -1."""
    return _shift(ShiftRight(), a, b)


def _shift(op: Elementwise, a: Any, b: Any) -> Variable:
    x, y = _whole(op.name, a, b)
    if x.dtype == "bool":
        raise DTypeError(f"{op.name}: takes integers, got bools\n  hint: sc.cast(x, 'int64')")
    return op(x, y)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class BitAnd(Elementwise):
    name = "bitwise_and"
    opcode = "and"

    def compute(self, a: Array, b: Array) -> Array:
        return np.bitwise_and(a, b)


@dataclass(frozen=True)
class BitOr(Elementwise):
    name = "bitwise_or"
    opcode = "or"

    def compute(self, a: Array, b: Array) -> Array:
        return np.bitwise_or(a, b)


@dataclass(frozen=True)
class BitXor(Elementwise):
    name = "bitwise_xor"
    opcode = "xor"

    def compute(self, a: Array, b: Array) -> Array:
        return np.bitwise_xor(a, b)


@dataclass(frozen=True)
class ShiftLeft(Elementwise):
    name = "left_shift"
    opcode = "shift_left"

    def compute(self, a: Array, b: Array) -> Array:
        bits = 8 * np.dtype(a.dtype).itemsize
        inside = (b >= 0) & (b < bits)
        return np.where(inside, np.left_shift(a, np.where(inside, b, 0).astype(a.dtype)), 0)


@dataclass(frozen=True)
class ShiftRight(Elementwise):
    name = "right_shift"
    opcode = "shift_right"

    def compute(self, a: Array, b: Array) -> Array:
        bits = 8 * np.dtype(a.dtype).itemsize
        inside = (b >= 0) & (b < bits)
        return np.where(
            inside, np.right_shift(a, np.where(inside, b, 0).astype(a.dtype)), np.where(a < 0, -1, 0)
        )

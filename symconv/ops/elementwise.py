"""Element-wise operations: the base class, arithmetic and casts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from symconv.graph import Apply, Op, TensorType, Variable, broadcast_shapes, op_error
from symconv.graph.types import DTYPES
from symconv.ops.operands import as_operands, as_variable
from symconv.ops.operands import cast as _cast
from symconv.errors import DTypeError
from symconv.ops.shape import sum_to


@dataclass(frozen=True)
class Elementwise(Op):
    """out[i] = f(a[i], b[i], ...) with NumPy's broadcasting; operands share one dtype.

    A subclass gives `compute` (NumPy) and `partials` (gradients before they are summed down to the
    operands' shapes). `out_dtype` is the dtype of the result where it differs from the operands'.
    `opcode` names the instruction of the element-wise kernel.
    """

    opcode: ClassVar[str] = ""
    out_dtype: ClassVar[str | None] = None

    def infer(self, *inputs: Variable) -> TensorType:
        try:
            shape = broadcast_shapes(*(v.type.shape for v in inputs))
        except ValueError as error:
            raise op_error(self, inputs, str(error), "shapes align from the right; a 1 stretches") from None
        return TensorType(self.result_dtype(*(v.dtype for v in inputs)), shape)

    def result_dtype(self, *dtypes: str) -> str:
        return self.out_dtype or dtypes[0]

    def compute(self, *arrays: np.ndarray) -> np.ndarray:
        raise NotImplementedError(type(self).__name__)

    def partials(self, node: Apply, dy: Variable) -> Sequence[Variable | None]:
        """dy times the derivative by each operand; None for an operand without gradient."""
        return [None] * len(node.inputs)

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        dtype = self.result_dtype(*(str(a.dtype) for a in arrays))
        with np.errstate(all="ignore"):
            return np.asarray(self.compute(*arrays), dtype=dtype)

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        if dy is None or not node.out.type.is_float:
            return [None] * len(node.inputs)
        return [
            None if g is None or not x.type.is_float else sum_to(g, like=x)
            for g, x in zip(self.partials(node, dy), node.inputs)
        ]


@dataclass(frozen=True)
class Add(Elementwise):
    name = "add"
    opcode = "add"

    def compute(self, a, b):
        return np.logical_or(a, b) if a.dtype == bool else a + b

    def partials(self, node, dy):
        return dy, dy


@dataclass(frozen=True)
class Sub(Elementwise):
    name = "sub"
    opcode = "sub"

    def compute(self, a, b):
        return a - b

    def partials(self, node, dy):
        return dy, neg(dy)


@dataclass(frozen=True)
class Mul(Elementwise):
    name = "mul"
    opcode = "mul"

    def compute(self, a, b):
        return a * b

    def partials(self, node, dy):
        a, b = node.inputs
        return mul(dy, b), mul(dy, a)


@dataclass(frozen=True)
class TrueDiv(Elementwise):
    name = "true_div"
    opcode = "div"

    def compute(self, a, b):
        return a / b

    def partials(self, node, dy):
        a, b = node.inputs
        return true_div(dy, b), neg(true_div(mul(dy, node.out), b))


@dataclass(frozen=True)
class Neg(Elementwise):
    name = "neg"
    opcode = "neg"

    def compute(self, a):
        return -a

    def partials(self, node, dy):
        return (neg(dy),)


@dataclass(frozen=True)
class Cast(Elementwise):
    dtype: str = "float32"
    name = "cast"
    opcode = "cast"

    def result_dtype(self, *dtypes: str) -> str:
        return self.dtype

    def compute(self, a):
        return a.astype(self.dtype)

    def partials(self, node, dy):
        return (_cast(dy, node.inputs[0].dtype),)


def add(a: Any, b: Any) -> Variable:
    """a + b, element by element."""
    return Add()(*as_operands(a, b))


def sub(a: Any, b: Any) -> Variable:
    """a - b, element by element."""
    return Sub()(*as_operands(a, b))


def mul(a: Any, b: Any) -> Variable:
    """a * b, element by element."""
    return Mul()(*as_operands(a, b))


def true_div(a: Any, b: Any) -> Variable:
    """a / b, element by element; integers give floatX."""
    return TrueDiv()(*as_operands(a, b, to_float=True))


def neg(a: Any) -> Variable:
    """-a, element by element."""
    return Neg()(as_variable(a))


def cast(x: Any, dtype: str) -> Variable:
    """x converted to `dtype`; floats go to integers by truncation. Raises DTypeError."""
    if str(dtype) not in DTYPES:
        raise DTypeError(f"cast: unknown dtype {dtype!r}; symconv has {', '.join(DTYPES)}")
    return _cast(as_variable(x), str(dtype))

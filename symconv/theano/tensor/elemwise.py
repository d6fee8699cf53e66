"""theano.tensor.elemwise: the classes of ops, made with options and called with tensors.

Programs look for them among the nodes of a graph, too: the native ops that stand there count as instances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from symconv.errors import UnsupportedError
from symconv.graph.origin import user_line
from symconv.ops.elementwise_base import Elementwise
from symconv.ops.reduce import Prod as _Prod
from symconv.ops.reduce import Reduce as _Reduce
from symconv.ops.reduce import Sum as _Sum
from symconv.theano import dtypes
from symconv.theano.scalar.operations import ScalarOperation
from symconv.theano.scalar.own import ScalarOp
from symconv.theano.tensor import elementwise, reductions
from symconv.theano.tensor.bits import reduce_bits
from symconv.theano.tensor.op_classes import _OpClass
from symconv.theano.tensor.shape_ops import dimshuffle
from symconv.theano.variable import as_tensor_variable


class DimShuffle:
    """DimShuffle(flags of the input, order)(x) is x.dimshuffle(order)."""

    def __init__(
        self, input_broadcastable: Sequence[bool], new_order: Sequence[Any], inplace: bool = True
    ) -> None:
        self.input_broadcastable, self.new_order = tuple(input_broadcastable), tuple(new_order)

    def __call__(self, x: Any) -> Any:
        return dimshuffle(x, *self.new_order)


def _checked(scalar_op: Any, what: str, known: Any = None) -> Any:
    if known is None and isinstance(scalar_op, ScalarOp):
        return scalar_op
    if not isinstance(scalar_op, ScalarOperation) or (known is not None and scalar_op.name not in known):
        names = ", ".join(f"scalar.{n}" for n in known) if known is not None else "theano.scalar's operations"
        raise UnsupportedError(
            f"{what} of {scalar_op!r} is not supported, at {user_line()}\n"
            f"  hint: it takes {names}; a custom Op (theano.gof.Op) runs NumPy in a graph"
        )
    return scalar_op


@dataclass(frozen=True)
class Elemwise(metaclass=_OpClass):
    """Elemwise(scalar.add)(x, y) is T.add(x, y); with inplace_pattern {0: 0}, T.inplace.add_inplace(x, y)."""

    scalar_op: Any
    inplace_pattern: Any = None
    name: str | None = None
    nfunc_spec: Any = None
    openmp: Any = None
    native = (Elementwise,)

    def __post_init__(self) -> None:
        _checked(self.scalar_op, "Elemwise")
        if self.inplace_pattern not in (None, {}, {0: 0}) and not isinstance(self.scalar_op, ScalarOp):
            raise UnsupportedError(
                f"Elemwise with inplace_pattern={self.inplace_pattern} is not supported, at {user_line()}\n"
                "  hint: {0: 0}, the first operand, is"
            )

    def __hash__(self) -> int:
        return hash((self.scalar_op, bool(self.inplace_pattern)))

    def __call__(self, *operands: Any) -> Any:
        if not self.inplace_pattern or isinstance(self.scalar_op, ScalarOp):
            return self.scalar_op.on_tensors(*operands)
        from symconv.theano.tensor import inplace

        return getattr(inplace, f"{self.scalar_op.name}_inplace")(*operands)


# the scalar operations that reduce, and what reduces by them
_REDUCTIONS: dict[str, Any] = {
    "add": reductions.sum,
    "mul": reductions.prod,
    "maximum": reductions.max,
    "minimum": reductions.min,
    "and_": reductions.all,
    "or_": reductions.any,
    "xor": None,
}
_BITS = ("and_", "or_", "xor")


@dataclass(frozen=True)
class CAReduce(metaclass=_OpClass):
    """CAReduce(scalar.add, axis)(x): the elements along `axis`, or all, joined in the dtype of x."""

    scalar_op: Any
    axis: Any = None
    native = (_Reduce,)

    def __post_init__(self) -> None:
        _checked(self.scalar_op, "CAReduce", _REDUCTIONS)

    def __call__(self, x: Any) -> Any:
        x, name = as_tensor_variable(x), self.scalar_op.name
        if name in _BITS and x.dtype not in dtypes.DISCRETE:
            raise UnsupportedError(
                f"CAReduce of scalar.{name} over {x.dtype} is not supported, at {user_line()}\n"
                "  hint: bits are those of bools and integers; T.neq(x, 0) makes bools"
            )
        if self.axis is not None and not isinstance(self.axis, int) and not len(self.axis):
            return x  # no axis
        if name == "xor" or (name in _BITS and x.dtype != "bool"):
            return reduce_bits(x, name, self.axis)
        dtype = {"dtype": x.dtype} if name in ("add", "mul") else {}
        return _REDUCTIONS[name](x, self.axis, **dtype)


@dataclass(frozen=True)
class CAReduceDtype(metaclass=_OpClass):
    """CAReduceDtype(scalar.add, axis, dtype)(x): T.sum or T.prod with its dtypes."""

    scalar_op: Any
    axis: Any = None
    dtype: str | None = None
    acc_dtype: str | None = None
    native = (_Reduce,)

    def __post_init__(self) -> None:
        _checked(self.scalar_op, "CAReduceDtype", ("add", "mul"))

    def __call__(self, x: Any) -> Any:
        return _REDUCTIONS[self.scalar_op.name](x, self.axis, dtype=self.dtype, acc_dtype=self.acc_dtype)


@dataclass(frozen=True)
class Sum(metaclass=_OpClass):
    """Sum(axis, dtype)(x) is T.sum(x, axis, dtype)."""

    axis: Any = None
    dtype: str | None = None
    acc_dtype: str | None = None
    native = (_Sum,)

    def __call__(self, x: Any) -> Any:
        return reductions.sum(x, self.axis, self.dtype, acc_dtype=self.acc_dtype)


@dataclass(frozen=True)
class Prod(metaclass=_OpClass):
    """Prod(axis, dtype)(x) is T.prod(x, axis, dtype)."""

    axis: Any = None
    dtype: str | None = None
    acc_dtype: str | None = None
    no_zeros_in_input: bool = False
    native = (_Prod,)

    def __call__(self, x: Any) -> Any:
        return reductions.prod(x, self.axis, self.dtype, acc_dtype=self.acc_dtype)


@dataclass(frozen=True)
class ProdWithoutZeros(metaclass=_OpClass):
    """ProdWithoutZeros(axis, dtype)(x): the product of the elements that are not 0; 1 of none."""

    axis: Any = None
    dtype: str | None = None
    acc_dtype: str | None = None

    def __call__(self, x: Any) -> Any:
        x = as_tensor_variable(x)
        kept = elementwise.switch(elementwise.eq(x, 0), elementwise.cast(1, x.dtype), x)
        return reductions.prod(kept, self.axis, self.dtype, acc_dtype=self.acc_dtype)


__all__ = ["CAReduce", "CAReduceDtype", "DimShuffle", "Elemwise", "Prod", "ProdWithoutZeros", "Sum"]

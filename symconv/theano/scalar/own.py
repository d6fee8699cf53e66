"""Scalar ops that programs define: classes derived from UnaryScalarOp, taken to tensors by Elemwise.

The value is that of `impl`, called for each element, or of `c_code` where that is one assignment which
c_expressions reads, and then a step of NumPy; the gradient is that of `grad` or `L_op`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import GraphError, UnsupportedError
from symconv.graph import Apply, TensorType, Variable
from symconv.graph.origin import user_line
from symconv.graph.traversal import rebuild
from symconv.ops.elementwise_base import Elementwise
from symconv.ops.operands import cast
from symconv.ops.shape import broadcast_like
from symconv.theano import dtypes
from symconv.theano.errors import ComplexError
from symconv.theano.null_gradient import null_gradient, reason
from symconv.theano.scalar.c_expressions import Function, function_of


class ScalarOp:
    """An op on single numbers. A subclass defines impl(self, *numbers) and grad(self, inputs, gradients).

    output_types_preference(*types) gives the types of the results: same_out, upgrade_to_float and the like.
    """

    nin = -1
    nout = 1
    name: str | None = None

    def __init__(self, output_types_preference: Any = None, name: str | None = None) -> None:
        self.name = name
        if output_types_preference is not None:
            self.output_types_preference = output_types_preference

    def output_types(self, types: Sequence[Any]) -> Sequence[Any]:
        preference = getattr(self, "output_types_preference", upcast_out)
        return preference(*types)  # type: ignore[no-any-return]

    def impl(self, *numbers: Any) -> Any:
        raise NotImplementedError

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> Sequence[Any]:
        raise UnsupportedError(f"the scalar op {self!r} has no grad\n  hint: define grad(inputs, gradients)")

    def L_op(self, inputs: Any, outputs: Any, output_gradients: Any) -> Sequence[Any]:  # noqa: N802
        return self.grad(inputs, output_gradients)

    def __call__(self, *numbers: Any) -> Any:
        from symconv.theano.scalar import as_scalar

        return self.on_tensors(*map(as_scalar, numbers))

    def on_tensors(self, *operands: Any) -> Any:
        """The op on each element. Raises GraphError, UnsupportedError."""
        from symconv.theano.declared import same_dims
        from symconv.theano.variable import TensorType as Type
        from symconv.theano.variable import native_of, wrap

        if self.nin not in (-1, len(operands)) or self.nout != 1:
            raise GraphError(
                f"the scalar op {self!r} takes {self.nin} operands and gives {self.nout} results, got "
                f"{len(operands)} operands\n  hint: one result is supported"
            )
        natives = [native_of(v) for v in operands]
        (kind,) = self.output_types([Type(v.dtype, ()) for v in natives])
        return wrap(OwnScalar(self, kind.dtype, self.function(natives))(*same_dims(natives)))

    def function(self, operands: Sequence[Variable]) -> Function | None:
        """What computes the result from arrays; None where it is impl. Raises UnsupportedError."""
        names = [f"x{k}" for k in range(len(operands))]
        if all(v.type.is_float for v in operands):
            try:
                code = self.c_code(None, "node", names, ["z0"], {"fail": ""})  # type: ignore[attr-defined]
            except Exception:  # none, or one that asks the node for its types
                code = ""
            read = function_of(code, names, "z0")
            if read is not None:
                return read
        if type(self).impl is ScalarOp.impl:
            raise UnsupportedError(
                f"the scalar op {self!r} has C code alone, which is not compiled, at {user_line()}\n"
                "  hint: define impl(self, x), in Python"
            )
        return None

    def __repr__(self) -> str:
        return self.name or type(self).__name__


class UnaryScalarOp(ScalarOp):
    nin = 1


class BinaryScalarOp(ScalarOp):
    nin = 2


@dataclass(frozen=True)
class OwnScalar(Elementwise):
    """A program's scalar op on each element."""

    op: ScalarOp
    dtype: str
    name = "own_scalar"
    no_kernel = "a scalar op in Python"

    def __init__(self, op: ScalarOp, dtype: str, function: Function | None = None) -> None:
        object.__setattr__(self, "op", op)
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "_function", function)

    def __reduce__(self) -> Any:
        return _remade, (self.op, self.dtype, self._function is not None)  # type: ignore[attr-defined]

    def check_dtypes(self, inputs: Sequence[Variable]) -> None:
        """Any."""

    def result_dtype(self, *dtypes: str) -> str:
        return self.dtype

    def compute(self, *arrays: np.ndarray, **_: Any) -> np.ndarray:
        read = self._function  # type: ignore[attr-defined]
        if read is not None:
            return np.asarray(read(*arrays))
        return np.asarray(np.vectorize(self.op.impl, otypes=[self.dtype])(*arrays))

    def partials(self, node: Apply, dy: Variable) -> Sequence[Variable | None]:
        """The op's own gradient of single numbers, taken to the elements."""
        from symconv.theano.variable import TensorOperators, native_of, wrap

        numbers = [Variable(TensorType(v.dtype, ())) for v in (*node.inputs, dy)]
        *xs, g = map(wrap, numbers)
        y = wrap(OwnScalar(self.op, self.dtype, self._function)(*numbers[:-1]))  # type: ignore[attr-defined]
        given = self.op.L_op(xs, [y], [g])
        found = [native_of(v) if isinstance(v, (TensorOperators, int, float)) else None for v in given]
        held = [cast(v, x.dtype) for v, x in zip(found, node.inputs) if v is not None]
        taken = iter(rebuild(held, dict(zip(numbers, (*node.inputs, dy)))))
        gradients = [None if v is None else broadcast_like(next(taken), node.out) for v in found]
        lacking = [reason(v) for v in found]  # why there is none, as grad_undefined has it
        return [g if why is None else null_gradient(node.out, why) for g, why in zip(gradients, lacking)]


def _remade(op: ScalarOp, dtype: str, read: bool) -> OwnScalar:
    floats = [Variable(TensorType("float64", ()))] * max(op.nin, 1)
    return OwnScalar(op, dtype, op.function(floats) if read else None)


# ---- the types of results


def _typed(dtype: str) -> Any:
    from symconv.theano.variable import TensorType as Type

    return Type(dtype, ())


def upcast_out(*types: Any) -> list[Any]:
    return [_typed(dtypes.upcast(*(t.dtype for t in types)))]


def same_out(type: Any) -> list[Any]:
    return [type]


def same_out_nocomplex(type: Any) -> list[Any]:
    if type.dtype in dtypes.COMPLEX:
        raise ComplexError("this scalar op takes real numbers\n  hint: T.real(z), T.imag(z) or abs(z)")
    return [type]


def upgrade_to_float(*types: Any) -> list[Any]:
    return [_typed(dtypes.upcast(*(dtypes.floating(t.dtype) for t in types)))]


def upgrade_to_float64(*types: Any) -> list[Any]:
    return [_typed(dtypes.upcast("float64", *(t.dtype for t in types)))]


def float_out(*_: Any) -> list[Any]:
    return [_typed("float64")]


def float_out_nocomplex(*types: Any) -> list[Any]:
    for t in types:
        same_out_nocomplex(t)
    return float_out()


def int_out(*_: Any) -> list[Any]:
    return [_typed("int64")]


upgrade_to_float_no_complex = upgrade_to_float
same_out_float_only = same_out_min8 = same_out_nobool = same_out
upcast_out_no_complex = upcast_out_min8 = upcast_out_nobool = upcast_out


@dataclass(frozen=True)
class specific_out:  # noqa: N801 - Theano's name
    """Results of given types, whatever the operands are."""

    spec: tuple[Any, ...]

    def __init__(self, *spec: Any) -> None:
        object.__setattr__(self, "spec", spec)

    def __call__(self, *types: Any) -> list[Any]:
        return list(self.spec)


@dataclass(frozen=True)
class transfer_type:  # noqa: N801 - Theano's name
    """Results of the types of the operands at these places; None is the common type."""

    transfer: tuple[int | None, ...]

    def __init__(self, *transfer: int | None) -> None:
        object.__setattr__(self, "transfer", transfer)

    def __call__(self, *types: Any) -> list[Any]:
        return [upcast_out(*types)[0] if k is None else types[k] for k in self.transfer]


NAMES = (
    "BinaryScalarOp", "ScalarOp", "UnaryScalarOp", "float_out", "float_out_nocomplex", "int_out", "same_out",
    "same_out_float_only", "same_out_min8", "same_out_nobool", "same_out_nocomplex", "specific_out",
    "transfer_type", "upcast_out", "upcast_out_min8", "upcast_out_no_complex", "upcast_out_nobool",
    "upgrade_to_float", "upgrade_to_float64", "upgrade_to_float_no_complex",
)  # fmt: skip

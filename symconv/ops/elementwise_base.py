"""The base class of the element-wise operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np

from symconv.errors import DTypeError, ProtocolError
from symconv.graph import Apply, Op, TensorType, Variable, broadcast_shapes, op_error
from symconv.graph.types import COMPLEX, DTYPES, FLOATS
from symconv.ops.elementwise_cuda import ELEMENTWISE_CUDA
from symconv.ops.elementwise_kernel import ELEMENTWISE
from symconv.ops.shape import broadcast_like, sum_to

Array = np.ndarray
Partials = Sequence[Variable | None]

_REAL = tuple(d for d in DTYPES if d not in COMPLEX)
_TAKES = {
    "any": _REAL,
    "number": tuple(d for d in _REAL if d != "bool"),
    "float": FLOATS,
    "bool": ("bool",),
}


_name = cache(str)  # of a NumPy dtype, which takes longer to say its name than to add some thousand numbers


@dataclass(frozen=True)
class Elementwise(Op):
    """out[i] = f(a[i], b[i], ...) with NumPy's broadcasting; operands share one dtype.

    A subclass gives `compute` (NumPy) and `partials` (gradients before they are summed down to the
    operands' shapes). `takes` is the class of dtypes it accepts, beside complex ones where `takes_complex`
    says so; `out_dtype` is the dtype of the result where it differs from the operands'. `opcode` names its
    instruction in kernels/elementwise_ops.h, `immediate` that instruction's constant; without an opcode the
    op has no kernel and runs NumPy.
    """

    opcode: ClassVar[str] = ""
    takes: ClassVar[str] = "number"
    takes_complex: ClassVar[bool] = False
    holomorphic: ClassVar[bool] = True  # of complex numbers: `partials` multiplies by a complex derivative
    out_dtype: ClassVar[str | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.opcode:
            cls.kernels = [ELEMENTWISE, ELEMENTWISE_CUDA]

    @property
    def immediate(self) -> float:
        return 0.0

    def infer(self, *inputs: Variable) -> TensorType:
        self.check_dtypes(inputs)
        try:
            shape = broadcast_shapes(*[v.type.shape for v in inputs])
        except ValueError as error:
            raise op_error(self, inputs, str(error), "shapes align from the right; a 1 stretches") from None
        return TensorType(self.result_dtype(*[v.type.dtype for v in inputs]), shape)

    def check_dtypes(self, inputs: Sequence[Variable]) -> None:
        dtype = inputs[0].type.dtype
        allowed = (*_TAKES[self.takes], *(COMPLEX if self.takes_complex else ()))
        for v in inputs:
            if v.type.dtype != dtype:
                message = f"operands differ in dtype: {', '.join(sorted({v.dtype for v in inputs}))}"
                raise op_error(self, inputs, message, "cast them to one dtype", kind=DTypeError)
        if dtype not in allowed:
            real = "real(x), imag(x) or abs(x), cast" if dtype in COMPLEX else "cast()"
            hint = f"{real} to one of {', '.join(allowed)}"
            raise op_error(self, inputs, f"does not take {dtype}", hint, kind=DTypeError)

    def result_dtype(self, *dtypes: str) -> str:
        return self.out_dtype or dtypes[0]

    def compute(self, *arrays: Any, **_: Any) -> Array:
        raise ProtocolError(f"{type(self).__name__} defines no compute(); docs/adding_an_op.md tells how")

    def partials(self, node: Apply, dy: Variable) -> Partials:
        """dy times the derivative by each operand; None for an operand without gradient."""
        return [None] * len(node.inputs)

    def reference(self, *arrays: Array) -> Array:
        dtype = self.result_dtype(*(_name(a.dtype) for a in arrays))
        with np.errstate(all="ignore"):
            return np.asarray(self.compute(*arrays), dtype=dtype)

    def grad(self, node: Apply, *dys: Variable | None) -> Partials:
        (dy,) = dys
        if dy is None or not node.out.type.is_inexact:
            return [None] * len(node.inputs)
        if node.out.type.is_complex and self.holomorphic:
            from symconv.ops.complex_numbers import conj

            partials: Partials = [None if g is None else conj(g) for g in self.partials(node, conj(dy))]
        else:
            partials = self.partials(node, dy)
        return [
            None if g is None or not x.type.is_inexact else sum_to(g, like=x)
            for g, x in zip(partials, node.inputs)
        ]

    def rop(self, node: Apply, *dxs: Variable | None) -> Partials:
        """sum_i dx_i * df/dx_i: `partials` is linear in its second argument."""
        from symconv.ops.arithmetic import add

        total: Variable | None = None
        for i, dx in enumerate(dxs):
            term = None if dx is None or not node.out.type.is_float else self.partials(node, dx)[i]
            if term is not None:
                total = term if total is None else add(total, term)
        return [None if total is None else broadcast_like(total, node.out)]

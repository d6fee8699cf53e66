"""Matrix products with an epilogue. Rewrites make these ops, after gradients have been derived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from symconv.errors import DTypeError
from symconv.graph import Apply, Op, TensorType, Variable, op_error
from symconv.ops.dense import check_same_dtype, contraction, transposed
from symconv.ops.epilogue import ACTIVATIONS
from symconv.ops.gemm_cuda import cuda_product_kernels
from symconv.ops.gemm_kernels import product_kernels

Array = np.ndarray


# What DotMulActGrad may multiply with: a derivative from y, or y itself (a dropout mask, say).
FACTORS: dict[str, Callable[[Array], Array]] = {
    **{name: derivative for name, (_, derivative) in ACTIVATIONS.items()},
    "mul": lambda y: y,
}


@dataclass(frozen=True)
class _Fused(Op):
    """Two of the inputs, those of `matrices`, are multiplied; the others join in as the product is stored."""

    trans_a: bool = False
    trans_b: bool = False

    def matrices(self, inputs: tuple[Variable, ...]) -> tuple[Variable, Variable]:
        return inputs[0], inputs[1]

    def product_shape(self, *inputs: Variable) -> tuple[int | None, int | None]:
        check_same_dtype(self, *inputs)
        a, b = self.matrices(inputs)
        if not inputs[0].type.is_float:
            raise op_error(self, inputs, f"expected floats, got {inputs[0].dtype}", "use dot()", DTypeError)
        if a.ndim != 2 or b.ndim != 2:
            raise op_error(self, inputs, f"expected two matrices, got {a.ndim} and {b.ndim} dimensions")
        left, right = transposed(a.type.shape, self.trans_a), transposed(b.type.shape, self.trans_b)
        return contraction(self, inputs, left, right)

    def check(
        self, inputs: tuple[Variable, ...], v: Variable, what: str, shape: tuple[int | None, ...]
    ) -> None:
        if not v.type.accepts(TensorType(v.dtype, shape)):
            wanted = ", ".join("?" if d is None else str(d) for d in shape)
            raise op_error(self, inputs, f"{what} is {v.type}, expected shape [{wanted}]")

    def multiply(self, a: Array, b: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.matmul(a.T if self.trans_a else a, b.T if self.trans_b else b)

    def flops(self, node: Apply) -> int:
        a, _ = self.matrices(node.inputs)
        return node.out.type.size * (2 * (a.type.shape[0 if self.trans_a else 1] or 0) + 2)


@dataclass(frozen=True)
class Gemm(_Fused):
    """out[M, N] = beta c[M, N] + alpha op(a) op(b); inputs c, a, b, alpha, beta, the last two scalars.

    beta = 0 ignores c: its NaNs and infinities do not reach the result. The kernels run in place on c.
    """

    name = "gemm"
    operands = ("c", "a", "b", "alpha", "beta")
    kernels = product_kernels(True, True) + cuda_product_kernels(True, True)

    def matrices(self, inputs: tuple[Variable, ...]) -> tuple[Variable, Variable]:
        return inputs[1], inputs[2]

    def infer(self, *inputs: Variable) -> TensorType:
        c, _, _, alpha, beta = inputs
        shape = self.product_shape(*inputs)
        self.check(inputs, c, "c", shape)
        self.check(inputs, alpha, "alpha", ())
        self.check(inputs, beta, "beta", ())
        merged = tuple(s if d is None else d for s, d in zip(shape, c.type.shape))
        return TensorType(c.dtype, merged)

    def reference(self, c: Array, a: Array, b: Array, alpha: Array, beta: Array) -> Array:
        y = np.asarray(alpha * self.multiply(a, b), dtype=c.dtype)
        return y if beta == 0 else np.asarray(beta * c + y, dtype=c.dtype)


@dataclass(frozen=True)
class DenseAct(_Fused):
    """out[M, N] = act(op(x) op(w) + b[N]); inputs x, w, b."""

    activation: str = "linear"
    name = "dense_act"
    operands = ("x", "w", "b")
    kernels = product_kernels(True) + cuda_product_kernels(True)

    def infer(self, x: Variable, w: Variable, b: Variable) -> TensorType:
        check_activation(self, (x, w, b), ACTIVATIONS)
        m, n = self.product_shape(x, w, b)
        self.check((x, w, b), b, "b", (n,))
        return TensorType(x.dtype, (m, b.type.shape[0] if n is None else n))

    def reference(self, x: Array, w: Array, b: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(ACTIVATIONS[self.activation][0](self.multiply(x, w) + b), dtype=x.dtype)


@dataclass(frozen=True)
class DotMulActGrad(_Fused):
    """out[M, N] = (op(dy) op(w)) * f(y[M, N]); inputs dy, w, y.

    f is act'(x) written in the activation's output y: 1, y > 0, y (1 - y), 1 - y^2; "mul" takes y itself.
    Where f(y) is exactly 0 the kernels may leave the product out: the result is then 0 even if the
    product would be infinite or NaN.
    """

    activation: str = "linear"
    name = "dot_mul_act_grad"
    operands = ("dy", "w", "y")
    kernels = product_kernels(True) + cuda_product_kernels(True)

    def infer(self, dy: Variable, w: Variable, y: Variable) -> TensorType:
        check_activation(self, (dy, w, y), FACTORS)
        shape = self.product_shape(dy, w, y)
        self.check((dy, w, y), y, "y", shape)
        return TensorType(y.dtype, tuple(s if d is None else d for s, d in zip(shape, y.type.shape)))

    def reference(self, dy: Array, w: Array, y: Array) -> Array:
        factor = FACTORS[self.activation](y)
        with np.errstate(all="ignore"):
            return np.where(factor == 0, np.zeros_like(y), np.asarray(self.multiply(dy, w) * factor, y.dtype))


def check_activation(op: DenseAct | DotMulActGrad, inputs: tuple[Variable, ...], allowed: object) -> None:
    names = list(allowed)  # type: ignore[call-overload]
    if op.activation not in names:
        raise op_error(op, inputs, f"unknown activation {op.activation!r}", f"one of {', '.join(names)}")

"""Jacobians and Hessians: one gradient per element of the expression, unrolled once shapes are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.autodiff import grad
from symconv.errors import GradientError
from symconv.graph import Apply, Constant, Op, TensorType, Variable
from symconv.graph.simplify import apply_simplified, before_gradients
from symconv.graph.traversal import leaves, rebuild
from symconv.ops import reshape, stack, zeros_like


@dataclass(frozen=True)
class Jacobian(Op):
    """d expression / d wrt for shapes that are known later; the inputs are the leaves of the expression.

    wrt is one of the leaves. As soon as all shapes are known the node simplifies to the stacked
    gradients of the expression's elements.
    """

    expression: Variable
    leaves: tuple[Variable, ...]
    wrt: int
    disconnected_inputs: str
    name = "jacobian"

    def label(self) -> str:
        return f"jacobian{{{self.expression}, {self.leaves[self.wrt]}}}"

    def _rebuilt(self, inputs: Sequence[Variable]) -> Variable:
        with before_gradients():
            return rebuild([self.expression], dict(zip(self.leaves, inputs)), apply_simplified)[0]

    def infer(self, *inputs: Variable) -> TensorType:
        y = self._rebuilt(inputs)
        return TensorType(y.dtype, (*y.type.shape, *inputs[self.wrt].type.shape))

    def shape_operands(self, n_inputs: int) -> Sequence[int]:
        """The integers: numbers of steps and bounds of slices within the expression must be known, too."""
        return [k for k, v in enumerate(self.leaves) if v.ndim == 0 and not v.type.is_float]

    def simplify(self, *inputs: Variable) -> Sequence[Variable] | None:
        y, x = self._rebuilt(inputs), inputs[self.wrt]
        if not (y.type.is_concrete and x.type.is_concrete):
            return None
        return rebuild([unrolled(y, x, self.disconnected_inputs)], {v: v for v in inputs}, apply_simplified)

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        raise GradientError(
            f"jacobian from {node.origin}: the gradient of a Jacobian needs its shape when it is built\n"
            "  hint: declare the inputs with their sizes, sc.tensor('float32', (n,))"
        )

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        inputs = [Variable(TensorType(str(a.dtype), a.shape)) for a in arrays]
        y = unrolled(self._rebuilt(inputs), inputs[self.wrt], self.disconnected_inputs)
        memo: dict[Variable, Any] = dict(zip(inputs, arrays))
        from symconv.graph.traversal import toposort

        for n in toposort([y]):
            values = n.op.reference(*(v.data if isinstance(v, Constant) else memo[v] for v in n.inputs))
            memo.update(zip(n.outputs, values if isinstance(values, tuple) else (values,)))
        return y.data if isinstance(y, Constant) else np.asarray(memo[y])


def unrolled(y: Variable, x: Variable, disconnected_inputs: str) -> Variable:
    """[*y.shape, *x.shape] from one gradient per element of y."""
    flat = reshape(y, (-1,)) if y.ndim != 1 else y
    rows = [grad(flat[i], x, disconnected_inputs=disconnected_inputs) for i in range(y.type.size)]
    if not rows:
        return reshape(zeros_like(y), (*y.type.dims, *([0] * x.ndim)))
    return reshape(stack(rows), (*y.type.dims, *x.type.dims))


def jacobian(
    expression: Variable, wrt: Variable | Sequence[Variable], disconnected_inputs: str = "raise"
) -> Any:
    """d expression[i...] / d wrt[j...] with shape [*expression.shape, *wrt.shape], for each variable in wrt.

    One reverse pass per element of the expression, so meant for small ones.
    """
    if not isinstance(wrt, Variable):
        return [jacobian(expression, w, disconnected_inputs) for w in wrt]
    if not expression.type.is_float or not wrt.type.is_float:
        raise GradientError(f"jacobian: needs floats, got {expression.type} by {wrt.type} from {wrt.origin}")
    if expression.ndim == 0:
        return grad(expression, wrt, disconnected_inputs=disconnected_inputs)
    if expression.type.is_concrete and wrt.type.is_concrete:
        return unrolled(expression, wrt, disconnected_inputs)
    below = [v for v in leaves([expression], stop=[wrt]) if not isinstance(v, Constant)]
    if wrt not in below:
        grad(expression.sum(), wrt, disconnected_inputs=disconnected_inputs)  # raises or warns
        below.append(wrt)
        disconnected_inputs = "ignore"
    return Jacobian(expression, tuple(below), below.index(wrt), disconnected_inputs)(*below)


def hessian(cost: Variable, wrt: Variable | Sequence[Variable], disconnected_inputs: str = "raise") -> Any:
    """d2 cost / d wrt d wrt with shape [*wrt.shape, *wrt.shape], for each variable in wrt."""
    if not isinstance(wrt, Variable):
        return [hessian(cost, w, disconnected_inputs) for w in wrt]
    gradient = grad(cost, wrt, disconnected_inputs=disconnected_inputs)
    return jacobian(gradient, wrt, "ignore")

"""Expressions whose attributes are variables: the window of a pooling that is an argument of the function.

The values of such variables are guards of a plan, as sizes of slices are: they are computed before each call,
and every combination of them has a plan of its own, in which the expression is the one of known numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.autodiff import accumulate
from symconv.backends.reference import evaluate
from symconv.graph import Apply, Constant, Op, TensorType, Variable, constant
from symconv.graph.simplify import apply_simplified
from symconv.graph.traversal import rebuild
from symconv.ops.create import zeros_like
from symconv.ops.operands import cast

Build = Callable[[Sequence[Variable], Sequence[int]], Variable]


@dataclass(frozen=True)
class Pinned(Op):
    """build(tensors, numbers); inputs: `tensors` tensors, then int64 scalars, whose values a plan knows.

    like: the tensor that has the result's dtype. dims: the result's dimensions where they are known, None
    for all those of `like`. build must be hashable: a frozen dataclass with __call__.
    """

    build: Build
    tensors: int
    like: int
    dims: tuple[int | None, ...] | None = None
    dtype: str | None = None
    name = "pinned"

    def infer(self, *inputs: Variable) -> TensorType:
        like = inputs[self.like].type
        return TensorType(self.dtype or like.dtype, like.shape if self.dims is None else self.dims)

    def shape_operands(self, n_inputs: int) -> Sequence[int]:
        return range(self.tensors, n_inputs)

    def simplify(self, *inputs: Variable) -> Sequence[Variable] | None:
        numbers = inputs[self.tensors :]
        if not all(isinstance(n, Constant) for n in numbers):
            return None
        # built on leaves: a gradient in it must not flow on through one tensor into another
        own = {Variable(v.type, name=v.name): v for v in inputs[: self.tensors]}
        made = self.build(list(own), [int(n.data) for n in numbers])  # type: ignore[attr-defined]
        return rebuild([made], own, apply_simplified)

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        given = [Variable(TensorType(str(a.dtype), a.shape)) for a in arrays[: self.tensors]]
        made = self.build(given, [int(n) for n in arrays[self.tensors :]])
        return evaluate([made], dict(zip(given, arrays)))[0]

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        given, numbers = node.inputs[: self.tensors], node.inputs[self.tensors :]
        if dy is None:
            return [None] * len(node.inputs)
        found = [
            Pinned(GradientOf(self.build, k), self.tensors + 1, k)(*given, dy, *numbers)
            if v.type.is_inexact
            else None
            for k, v in enumerate(given)
        ]
        return [*found, *[None] * len(numbers)]


@dataclass(frozen=True)
class GradientOf:
    """The gradient of build's result by tensor k; the last tensor is that of the result."""

    build: Build
    k: int

    def __call__(self, tensors: Sequence[Variable], numbers: Sequence[int]) -> Variable:
        *given, dy = tensors
        x = given[self.k]
        found = accumulate({self.build(given, numbers): dy}, [x])
        return found[x] if x in found else zeros_like(x)


def pinned(v: Any) -> Variable:
    """An int or an integer variable without dimensions as an operand that a plan knows."""
    return cast(v, "int64") if isinstance(v, Variable) else constant(int(v), "int64")


__all__ = ["Pinned", "pinned"]

"""The order of the elements reversed along axes; its own inverse and its own adjoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.graph import Apply, Op, TensorType, Variable
from symconv.ops.index_kernels import Piece, dense_strides, sizes
from symconv.ops.move_cuda import pieces_kernels
from symconv.ops.operands import as_variable, normalize_axes


def _reversed(node: Apply) -> list[Piece]:
    shape = sizes(node.out)
    strides = dense_strides(shape)
    axes = node.op.attributes()["axes"]
    back = [-s if a in axes else s for a, s in enumerate(strides)]
    last = sum((shape[a] - 1) * strides[a] for a in axes)
    return [Piece(0, shape, back, strides, in_offset=last if node.out.type.size else 0)]


@dataclass(frozen=True)
class Reverse(Op):
    """y[.., i, ..] = x[.., n - 1 - i, ..] for each of `axes`."""

    axes: tuple[int, ...]
    name = "reverse"
    operands = ("x",)
    kernels = pieces_kernels("reverse", _reversed)

    def infer(self, x: Variable) -> TensorType:
        return x.type

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        return [None if dy is None else self(dy)]

    def rop(self, node: Apply, *dxs: Variable | None) -> Sequence[Variable | None]:
        return self.grad(node, *dxs)

    def reference(self, x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.flip(x, self.axes))

    def simplify(self, x: Variable) -> Sequence[Variable] | None:
        moving = tuple(a for a in self.axes if x.type.shape[a] != 1)
        if not moving:
            return [x]
        if moving != self.axes:
            return [Reverse(moving)(x)]
        if x.owner is not None and isinstance(x.owner.op, Reverse):
            both = set(self.axes) ^ set(x.owner.op.axes)
            return [Reverse(tuple(sorted(both)))(x.owner.inputs[0])] if both else [x.owner.inputs[0]]
        return None

    def flops(self, node: Apply) -> int:
        return 0


def flip(x: Any, axis: int | Sequence[int] | None = None) -> Variable:
    """x with the order of its elements reversed along `axis` (all by default)."""
    x = as_variable(x)
    axes = normalize_axes(axis, x.ndim)
    out: Variable = Reverse(axes)(x) if axes else x
    return out

"""Max-pooling whose gradient goes to every maximum of a window, as Theano's on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.graph import Apply, Kernel, Launch, TensorType, Variable
from symconv.graph.params import pack
from symconv.ops.pool import MaxPool2d, _Pool
from symconv.ops.pool_kernels import sizes


def _kernels(entry: str) -> list[Kernel]:
    def supports(node: Apply) -> str | None:
        x = node.inputs[0]
        return None if x.type.is_float else f"dtype {x.dtype}, needs float32 or float64"

    def launch(node: Apply) -> Launch:
        fields: dict[str, Any] = sizes(node, 0)
        return Launch(pack("PoolParams", itemsize=node.out.type.itemsize, exponent=0.0, **fields))

    return [Kernel(entry, "cpu", "csrc/kernels/pool_ties.cpp", entry, supports, launch)]


@dataclass(frozen=True)
class EveryTie(MaxPool2d):
    """Max-pooling whose gradient goes in full to every maximum of a window."""

    kernels = MaxPool2d.kernels

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,), (x,) = dys, node.inputs
        return [None if dy is None else EveryTieGrad(**self.attributes())(x, node.out, dy)]


@dataclass(frozen=True)
class EveryTieGrad(_Pool):
    """dx = sum of dy over the windows in which x equals their maximum y; inputs x, y, dy."""

    name = "every_tie_grad"
    operands = ("x", "y", "dy")
    kernels = _kernels("every_tie_grad")

    def infer(self, *inputs: Variable) -> TensorType:
        return inputs[0].type

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (g,), (x, y, _) = dys, node.inputs
        if g is None:
            return [None, None, None]
        return [None, None, EveryTiePick(**self.attributes())(x, y, g)]

    def hits(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """[N, C, P, Q, window]: where the window's elements equal its maximum."""
        view = self.windows(x, -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min)
        inside = self.windows(np.ones((1, 1, *x.shape[2:]), bool), False)
        return (view == y[..., None, None]) & inside

    def reference(self, x: np.ndarray, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
        hits = self.hits(x, y)
        (top, _, left, _), (sh, sw) = self.padding, self.stride
        p, q, r, s = hits.shape[2:]
        dx = np.zeros((*x.shape[:2], (p - 1) * sh + r + x.shape[2], (q - 1) * sw + s + x.shape[3]), dy.dtype)
        for i in range(r):
            for j in range(s):
                dx[:, :, i : i + (p - 1) * sh + 1 : sh, j : j + (q - 1) * sw + 1 : sw] += hits[..., i, j] * dy
        return np.ascontiguousarray(dx[:, :, top : top + x.shape[2], left : left + x.shape[3]])


@dataclass(frozen=True)
class EveryTiePick(EveryTieGrad):
    """The sum of v over the maxima of each window of x: the adjoint of EveryTieGrad; inputs x, y, v."""

    name = "every_tie_pick"
    operands = ("x", "y", "v")
    kernels = _kernels("every_tie_pick")

    def infer(self, *inputs: Variable) -> Any:
        return inputs[1].type

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (g,), (x, y, _) = dys, node.inputs
        return [None, None, None if g is None else EveryTieGrad(**self.attributes())(x, y, g)]

    def reference(self, x: np.ndarray, y: np.ndarray, v: np.ndarray) -> np.ndarray:
        return (self.hits(x, y) * self.windows(v, 0)).sum((4, 5)).astype(v.dtype)

"""Gradients that do not exist: an expression that stands for one, and taints all that is made of it."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import GradientError
from symconv.graph import Apply, Op, TensorType, Variable
from symconv.graph.traversal import toposort
from symconv.theano.declared import Unchanged


class NullTypeGradError(GradientError, TypeError):
    """A gradient that is undefined was asked for."""


@dataclass(frozen=True)
class NullGradient(Op):
    """In the place of a gradient by x, of its type; computing it raises NullTypeGradError."""

    why: str
    name = "null_gradient"

    def infer(self, x: Variable) -> TensorType:
        return x.type

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        return [None]

    def reference(self, x: np.ndarray) -> np.ndarray:
        raise NullTypeGradError(self.why)


@dataclass(frozen=True)
class UndefinedGrad(Unchanged):
    """x, by which nothing has a gradient: what computes with x has one by other variables alone."""

    name = "undefined_grad"

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        return [None if dys[0] is None else null_gradient(node.inputs[0], f"{node.origin}: undefined_grad")]


_made: weakref.WeakSet[Variable] = weakref.WeakSet()


def null_gradient(x: Variable, why: str) -> Variable:
    """The gradient by x that does not exist, for the reason `why`."""
    out: Variable = NullGradient(why)(x)
    _made.add(out)
    return out


def reason(v: Any) -> str | None:
    """Why the gradient v does not exist, if it is a null gradient itself."""
    owner = getattr(v, "owner", None)
    return owner.op.why if owner is not None and isinstance(owner.op, NullGradient) else None


def check(gradients: Sequence[Variable]) -> None:
    """Raise NullTypeGradError if one of the gradients is made of what does not exist."""
    if not _made:
        return
    for node in toposort(gradients):
        if isinstance(node.op, NullGradient):
            raise NullTypeGradError(node.op.why)

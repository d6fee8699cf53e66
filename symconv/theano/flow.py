"""Variables that change how gradients flow: stopped, zero, clipped, scaled, undefined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from symconv.graph import Apply as NativeApply
from symconv.graph import Variable as Native
from symconv.ops import elementwise as ew
from symconv.ops.create import zeros_like
from symconv.theano.declared import Unchanged, _Identity
from symconv.theano.null_gradient import UndefinedGrad
from symconv.theano.variable import native_of, wrap


def disconnected_grad(x: Any) -> Any:
    """x, through which no gradient flows: what only depends on it this way counts as disconnected."""
    return wrap(ew.stop_gradient(native_of(x)))


@dataclass(frozen=True)
class ZeroGrad(Unchanged, _Identity):
    """x, whose gradient is 0."""

    name = "zero_grad"

    def grad(self, node: NativeApply, *dys: Native | None) -> list[Native | None]:
        return [None if dys[0] is None else zeros_like(dys[0])]


@dataclass(frozen=True)
class GradClip(Unchanged, _Identity):
    """x, whose gradient is clipped to [low, high]."""

    low: float = -1.0
    high: float = 1.0
    name = "grad_clip"

    def grad(self, node: NativeApply, *dys: Native | None) -> list[Native | None]:
        return [None if dys[0] is None else ew.clip(dys[0], self.low, self.high)]


@dataclass(frozen=True)
class GradScale(Unchanged, _Identity):
    """x, whose gradient is multiplied by a factor."""

    factor: float = 1.0
    name = "grad_scale"

    def grad(self, node: NativeApply, *dys: Native | None) -> list[Native | None]:
        return [None if dys[0] is None else ew.mul(dys[0], self.factor)]


def undefined_grad(x: Any) -> Any:
    """x; a gradient by what it is made of raises NullTypeGradError."""
    return wrap(UndefinedGrad()(native_of(x)))


def zero_grad(x: Any) -> Any:
    """x; its gradient is 0, and it still counts as connected."""
    return wrap(ZeroGrad()(native_of(x)))


def consider_constant(x: Any) -> Any:
    """x as if it were a constant: gradients by what it is made of are 0, and count as connected."""
    return zero_grad(x)


disconnected_grad_, zero_grad_, consider_constant_ = disconnected_grad, zero_grad, consider_constant


def grad_clip(x: Any, lower_bound: float, upper_bound: float) -> Any:
    """x; its gradient is clipped."""
    return wrap(GradClip(float(lower_bound), float(upper_bound))(native_of(x)))


def grad_scale(x: Any, multiplier: float) -> Any:
    """x; its gradient is multiplied."""
    return wrap(GradScale(float(multiplier))(native_of(x)))

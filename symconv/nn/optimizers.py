"""Optimisers: from parameters and gradients to the updates of one step.

The formulas are PyTorch's, so that trainings can be compared step by step. The learning rate is a 0-d
shared variable, and a number or a schedule eta(t), t in epochs: no change of it compiles anything anew.
Weight decay touches only the variables that are named as decayed: weights, not biases.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.config import config
from symconv.errors import ConfigError, GradientError, ProtocolError
from symconv.graph import SharedVariable, Variable
from symconv.graph.origin import origin
from symconv.nn.schedules import Schedule, as_schedule, is_number
from symconv.ops.elementwise import add, cast, mul, power, sqrt, square, sub, true_div
from symconv.ops.leaf import shared

Updates = list[tuple[SharedVariable, Variable]]


@dataclass(eq=False)
class Optimizer:
    """Common to all: `updates(params, grads, decayed)` gives pairs (shared variable, new value)."""

    learning_rate: float | Schedule

    def __post_init__(self) -> None:
        self.schedule = as_schedule(self.learning_rate)
        self.states: dict[tuple[SharedVariable, str], SharedVariable] = {}
        self.rate = shared(np.asarray(self.schedule(0.0), config.floatX), "learning_rate")

    @property
    def scheduled(self) -> bool:
        """Whether the rate changes during a training."""
        return callable(self.learning_rate)

    def updates(
        self, params: Sequence[SharedVariable], grads: Sequence[Variable], decayed: Collection[Variable] = ()
    ) -> Updates:
        """One step for every parameter; those in `decayed` also shrink by the weight decay."""
        if len(params) != len(grads):
            raise GradientError(f"{type(self).__name__}: {len(params)} parameters, {len(grads)} gradients")
        shrinking = set(decayed)
        found: Updates = []
        for p, g in zip(params, grads):
            with origin(f"update of {p.name or 'a parameter'}"):
                found += self.step(p, g, p in shrinking)
        return found

    def step(self, p: SharedVariable, g: Variable, decayed: bool) -> Updates:
        raise ProtocolError(f"{type(self).__name__} defines no step(p, g, decayed)")

    def state(self, p: SharedVariable, what: str) -> SharedVariable:
        """A tensor that belongs to p, zeros at first; a second training goes on with it."""
        if (p, what) not in self.states:
            zeros = np.zeros_like(p.get_value(borrow=True))
            self.states[p, what] = shared(zeros, f"{p.name}.{what}")
        return self.states[p, what]


def check(owner: object, **values: float) -> None:
    """ConfigError unless every value is a finite number >= 0, and those of moving averages below 1."""
    for name, value in values.items():
        limit = 1.0 if name in ("momentum", "beta1", "beta2", "decay") else np.inf
        if not is_number(value) or value < 0 or value >= limit:
            bounds = "in [0, 1)" if limit == 1.0 else "a finite number >= 0"
            raise ConfigError(f"{type(owner).__name__}: {name} must be {bounds}, not {value!r}")


@dataclass(eq=False)
class SGD(Optimizer):
    """g += weight_decay * w; v = momentum * v + g; w -= eta * v, or eta (g + momentum v) with nesterov."""

    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, momentum=self.momentum, weight_decay=self.weight_decay)
        if self.nesterov and not self.momentum:
            raise ConfigError("SGD: nesterov needs a momentum above 0")

    def step(self, p: SharedVariable, g: Variable, decayed: bool) -> Updates:
        if decayed and self.weight_decay:
            g = add(g, mul(p, self.weight_decay))
        if not self.momentum:
            return [(p, sub(p, mul(self.rate, g)))]
        v = self.state(p, "velocity")
        new = add(mul(v, self.momentum), g)
        move = add(g, mul(new, self.momentum)) if self.nesterov else new
        return [(v, new), (p, sub(p, mul(self.rate, move)))]


@dataclass(eq=False)
class RMSProp(Optimizer):
    """s = decay * s + (1 - decay) * g^2; w -= eta * g / (sqrt(s) + eps).

    G. Hinton, lecture 6e of "Neural networks for machine learning", 2012.
    """

    decay: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, decay=self.decay, eps=self.eps, weight_decay=self.weight_decay)

    def step(self, p: SharedVariable, g: Variable, decayed: bool) -> Updates:
        if decayed and self.weight_decay:
            g = add(g, mul(p, self.weight_decay))
        s = self.state(p, "square")
        new = add(mul(s, self.decay), mul(square(g), 1 - self.decay))
        move = true_div(g, add(sqrt(new), self.eps))
        return [(s, new), (p, sub(p, mul(self.rate, move)))]


@dataclass(eq=False)
class Adam(Optimizer):
    """m, v = moving averages of g and g^2; w -= eta * m' / (sqrt(v') + eps), m' = m / (1 - beta1^t), ...

    With decoupled=True weight decay is AdamW's, w -= eta * weight_decay * w, else it is added to g.
    D. Kingma, J. Ba, "Adam", 2015; I. Loshchilov, F. Hutter, "Decoupled weight decay", 2019.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    decoupled: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, beta1=self.beta1, beta2=self.beta2, eps=self.eps, weight_decay=self.weight_decay)
        self.counts: dict[tuple[SharedVariable, ...], SharedVariable] = {}

    def updates(
        self, params: Sequence[SharedVariable], grads: Sequence[Variable], decayed: Collection[Variable] = ()
    ) -> Updates:
        # The corrections are taken in float64: 1 - 0.999 has four digits in float32.
        count = self.counts.setdefault(tuple(params), shared(np.zeros((), "float64"), "steps"))
        self.t = add(count, 1.0)
        return [(count, self.t), *super().updates(params, grads, decayed)]

    def correction(self, beta: float, dtype: str) -> Variable:
        """1 - beta^t."""
        return cast(sub(1.0, power(beta, self.t)), dtype)

    def step(self, p: SharedVariable, g: Variable, decayed: bool) -> Updates:
        old: Any = p
        if decayed and self.weight_decay:
            if self.decoupled:
                old = mul(p, sub(1.0, mul(self.rate, self.weight_decay)))
            else:
                g = add(g, mul(p, self.weight_decay))
        m, v = self.state(p, "mean"), self.state(p, "square")
        new_m = add(mul(m, self.beta1), mul(g, 1 - self.beta1))
        new_v = add(mul(v, self.beta2), mul(square(g), 1 - self.beta2))
        root = sqrt(self.correction(self.beta2, p.dtype))
        size = true_div(self.rate, self.correction(self.beta1, p.dtype))
        move = true_div(new_m, add(true_div(sqrt(new_v), root), self.eps))
        return [(m, new_m), (v, new_v), (p, sub(old, mul(size, move)))]

"""Layers that infer their shapes: convolution, pooling, dense, dropout, batch norm, residual."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.graph import Variable
from symconv.nn.initial import initial
from symconv.nn.layer import Activation, Layer, Pass, activate, activation_name, known_shape, show, through
from symconv.ops.conv import conv2d
from symconv.ops.dense import dense
from symconv.ops.elementwise import add, mul
from symconv.ops.norm import batch_norm, batch_norm_inference, running_average
from symconv.ops.pool import avg_pool2d, global_avg_pool2d, global_max_pool2d, l2_pool2d, max_pool2d
from symconv.ops.random import dropout
from symconv.ops.shape import reshape, shape_of
from symconv.ops.window import pair

Ints = int | Sequence[int]
POOLS: dict[str, Callable[..., Variable]] = {"max": max_pool2d, "avg": avg_pool2d, "l2": l2_pool2d}


def per_channel(v: Variable, channels: int) -> Variable:
    """v [C] as [1, C, 1, 1], to stretch over [N, C, H, W]."""
    return reshape(v, (1, channels, 1, 1))


def flat(x: Variable, features: int) -> Variable:
    """x [N, ...] as [N, features]."""
    return x if x.ndim == 2 else reshape(x, (shape_of(x, 0), features))


@dataclass(eq=False)
class Conv(Layer):
    """y = activation(conv2d(x, w) + b): [N, C, H, W] -> [N, filters, P, Q].

    w [filters, C / groups, R, S]; stride, padding, dilation, groups as for sc.conv2d. `initial` names
    the initial weights (symconv.nn.initial); biases start at 0.
    """

    filters: int
    kernel: Ints
    activation: Activation = "linear"
    stride: Ints = 1
    padding: int | str | Sequence[int] = 0
    dilation: Ints = 1
    groups: int = 1
    bias: bool = True
    initial: str = "auto"

    kind = "conv"

    def build(self, shape: tuple[int, ...], rng: np.random.RandomState) -> None:
        if len(shape) != 3:
            raise self.error(f"takes images [N, C, H, W], is given {show(shape)}")
        positive(self, filters=self.filters, groups=self.groups)
        r, s = pair(self.kernel, f"{self}: kernel")
        if shape[0] % self.groups or self.filters % self.groups:
            raise self.error(
                f"groups={self.groups} must divide {shape[0]} channels and {self.filters} filters"
            )
        size = (self.filters, shape[0] // self.groups, r, s)
        fan_in, fan_out = math.prod(size[1:]), self.filters * r * s // self.groups
        draw = initial(self.initial, activation_name(self.activation))
        self.w = self.parameter("w", draw(rng, size, fan_in, fan_out), decayed=True)
        if self.bias:
            self.b = self.parameter("b", np.zeros(self.filters))

    def apply(self, x: Variable, walk: Pass) -> Variable:
        y = conv2d(
            x, self.w, stride=self.stride, padding=self.padding, dilation=self.dilation, groups=self.groups
        )
        if self.bias:
            y = add(y, per_channel(self.b, self.filters))
        return activate(self.activation, y)


@dataclass(eq=False)
class Pool(Layer):
    """Pooling by windows: mode "max", "avg" or "l2"; stride is the window unless given."""

    window: Ints = 2
    mode: str = "max"
    stride: Ints | None = None
    padding: int | str | Sequence[int] = 0
    ceil_mode: bool = False

    kind = "pool"

    def apply(self, x: Variable, walk: Pass) -> Variable:
        if self.mode not in POOLS:
            raise self.error(f"mode is one of {', '.join(POOLS)}")
        return POOLS[self.mode](
            x, self.window, stride=self.stride, padding=self.padding, ceil_mode=self.ceil_mode
        )


@dataclass(eq=False)
class GlobalPool(Layer):
    """The maximum or mean of every channel: [N, C, H, W] -> [N, C]."""

    mode: str = "avg"

    kind = "global_pool"

    def apply(self, x: Variable, walk: Pass) -> Variable:
        if self.mode not in ("max", "avg"):
            raise self.error("mode is one of max, avg")
        y = global_max_pool2d(x) if self.mode == "max" else global_avg_pool2d(x)
        return flat(y, known_shape(self, y)[0])


@dataclass(eq=False)
class Flatten(Layer):
    """[N, ...] -> [N, features]."""

    kind = "flatten"

    def apply(self, x: Variable, walk: Pass) -> Variable:
        return flat(x, math.prod(known_shape(self, x)))


@dataclass(eq=False)
class Dense(Layer):
    """y = activation(x w + b): [N, n_in] -> [N, units]."""

    units: int
    activation: Activation = "linear"
    bias: bool = True
    initial: str = "auto"

    kind = "dense"

    def build(self, shape: tuple[int, ...], rng: np.random.RandomState) -> None:
        if len(shape) != 1:
            raise self.error(
                f"takes vectors [N, features], is given {show(shape)}", "put Flatten() before it"
            )
        positive(self, units=self.units)
        draw = initial(self.initial, activation_name(self.activation))
        self.w = self.parameter("w", draw(rng, (shape[0], self.units), shape[0], self.units), decayed=True)
        if self.bias:
            self.b = self.parameter("b", np.zeros(self.units))

    def apply(self, x: Variable, walk: Pass) -> Variable:
        return activate(self.activation, dense(x, self.w, self.b if self.bias else None))


@dataclass(eq=False)
class Activate(Layer):
    """activation(x), element by element."""

    activation: Activation

    kind = "activation"

    def apply(self, x: Variable, walk: Pass) -> Variable:
        return activate(self.activation, x)


@dataclass(eq=False)
class Dropout(Layer):
    """In training each element is 0 with probability p, else x / (1 - p); afterwards x itself."""

    p: float = 0.5

    kind = "dropout"

    def apply(self, x: Variable, walk: Pass) -> Variable:
        dropped = dropout(x, self.p, rng=walk.stream)  # also when it is not used: it checks p
        return dropped if walk.training else x


@dataclass(eq=False)
class BatchNorm(Layer):
    """gamma (x - mean) / sqrt(var + eps) + beta per channel: [N, C, ...] -> the same.

    mean and var are those of the mini-batch in training; afterwards their running averages,
    momentum * old + (1 - momentum) * new, with the unbiased variance.
    """

    momentum: float = 0.9
    eps: float = 1e-5

    kind = "batch_norm"

    def build(self, shape: tuple[int, ...], rng: np.random.RandomState) -> None:
        self.gamma = self.parameter("gamma", np.ones(shape[0]))
        self.beta = self.parameter("beta", np.zeros(shape[0]))
        self.mean = self.parameter("mean", np.zeros(shape[0]), trained=False)
        self.var = self.parameter("var", np.ones(shape[0]), trained=False)

    def apply(self, x: Variable, walk: Pass) -> Variable:
        if not walk.training:
            return batch_norm_inference(x, self.gamma, self.beta, self.mean, self.var, eps=self.eps)
        y, mean, var = batch_norm(x, self.gamma, self.beta, eps=self.eps)
        count: Any = shape_of(x, 0)
        for axis in range(2, x.ndim):
            count = mul(count, shape_of(x, axis))
        walk.updates += [
            (self.mean, running_average(self.mean, mean, self.momentum)),
            (self.var, running_average(self.var, var, self.momentum, count=count)),
        ]
        return y


@dataclass(eq=False)
class Residual(Layer):
    """y = activation(x + f(x)), f the layers inside, which must keep the shape.

    Where f changes the shape of [N, C, H, W], give `shortcut`, a layer such as Conv(64, 1, stride=2), and
    y = activation(shortcut(x) + f(x)).
    """

    layers: Sequence[Layer]
    shortcut: Layer | None = None
    activation: Activation = "linear"

    kind = "residual"

    def children(self) -> list[Layer]:
        return [*self.layers, *([] if self.shortcut is None else [self.shortcut])]

    def build(self, shape: tuple[int, ...], rng: np.random.RandomState) -> None:
        self.rng = rng  # the layers inside are built as their inputs' shapes become known

    def apply(self, x: Variable, walk: Pass) -> Variable:
        y = through(self.layers, x, walk, self.rng)
        short = x if self.shortcut is None else through([self.shortcut], x, walk, self.rng)
        if short.type.shape[1:] != y.type.shape[1:]:
            raise self.error(
                f"the layers inside make {show(y.type.shape[1:])} of {show(x.type.shape[1:])}, and the "
                f"shortcut {show(short.type.shape[1:])}: they cannot be added",
                'padding="same" keeps the size, shortcut=Conv(filters, 1, stride=...) changes it',
            )
        return activate(self.activation, add(short, y))


def positive(layer: Layer, **values: int) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise layer.error(f"{name} must be a whole number above 0")

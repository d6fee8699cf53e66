"""Layers and network as in the book's network3.py, with its names, arguments and initial weights.

M. Nielsen, "Neural Networks and Deep Learning", Determination Press, 2015, chapter 6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import ArgumentError
from symconv.graph import Variable
from symconv.nn.history import History
from symconv.nn.initial import book
from symconv.nn.layer import Activation, Layer, Pass, activate, sigmoid
from symconv.nn.model import Model
from symconv.nn.modules import flat, per_channel
from symconv.nn.optimizers import SGD
from symconv.nn.trainer import Trainer
from symconv.ops.conv import conv2d
from symconv.ops.dense import dense
from symconv.ops.elementwise import add, mul
from symconv.ops.pool import max_pool2d
from symconv.ops.random import dropout
from symconv.ops.shape import reshape, shape_of


@dataclass(eq=False)
class ConvPoolLayer(Layer):
    """y = activation_fn(max_pool2d(conv2d(x, w), poolsize) + b).

    filter_shape [filters, channels, R, S]; image_shape [mini-batch, channels, H, W], of which the first
    entry is not used: any number of images may come. w ~ N(0, 1/n_out) with n_out = filters * R * S /
    (poolsize[0] * poolsize[1]); b ~ N(0, 1). The filters are not flipped, as in equation (125).
    """

    filter_shape: Sequence[int]
    image_shape: Sequence[int]
    poolsize: Sequence[int] = (2, 2)
    activation_fn: Activation = sigmoid

    kind = "conv"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.filter_shape = sizes(self, "filter_shape", self.filter_shape, 4)
        self.image_shape = sizes(self, "image_shape", self.image_shape, 4)
        self.poolsize = sizes(self, "poolsize", self.poolsize, 2)
        if self.filter_shape[1] != self.image_shape[1]:
            raise self.error(
                f"the images have {self.image_shape[1]} channels, the filters expect {self.filter_shape[1]}",
                "filter_shape is (filters, channels, height, width), image_shape (mini-batch, channels, "
                "height, width)",
            )

    def build(self, shape: tuple[int, ...], rng: np.random.RandomState) -> None:
        if math.prod(shape) != math.prod(self.image_shape[1:]):
            raise self.error(
                f"image_shape holds {math.prod(self.image_shape[1:])} values an image, the layer before "
                f"gives {math.prod(shape)}, {list(shape)}"
            )
        k, c, r, s = self.filter_shape
        n_out = k * r * s / math.prod(self.poolsize)
        self.w = self.parameter("w", book(rng, (k, c, r, s), c * r * s, n_out), decayed=True)
        self.b = self.parameter("b", rng.normal(size=k))

    def apply(self, x: Variable, walk: Pass) -> Variable:
        if x.type.shape[1:] != tuple(self.image_shape[1:]):
            x = reshape(x, (shape_of(x, 0), *self.image_shape[1:]))
        pooled = max_pool2d(conv2d(x, self.w), self.poolsize)
        return activate(self.activation_fn, add(pooled, per_channel(self.b, self.filter_shape[0])))


@dataclass(eq=False)
class _Product(Layer):
    """x w + b with dropout on x: what the dense layers share."""

    n_in: int
    n_out: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self.n_in, self.n_out = sizes(self, "n_in, n_out", (self.n_in, self.n_out), 2)

    def make(self, shape: tuple[int, ...], w: np.ndarray, b: np.ndarray) -> None:
        if math.prod(shape) != self.n_in:
            raise self.error(
                f"n_in is {self.n_in}, the layer before gives {math.prod(shape)} values, {list(shape)}"
            )
        self.w = self.parameter("w", w, decayed=True)
        self.b = self.parameter("b", b)

    def product(self, x: Variable, walk: Pass, p_dropout: float) -> Variable:
        x = flat(x, self.n_in)
        if walk.training and p_dropout:
            x = dropout(x, p_dropout, rng=walk.stream, scale=False)
        if walk.training or not p_dropout:
            return dense(x, self.w, self.b)
        return add(mul(dense(x, self.w), 1 - p_dropout), self.b)


@dataclass(eq=False)
class FullyConnectedLayer(_Product):
    """y = activation_fn(x w + b): [N, n_in] -> [N, n_out].

    In training every input is 0 with probability p_dropout; afterwards x w is scaled by 1 - p_dropout.
    w ~ N(0, 1/n_out), b ~ N(0, 1).
    """

    activation_fn: Activation = sigmoid
    p_dropout: float = 0.0

    kind = "fc"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_dropout(self, self.p_dropout)

    def build(self, shape: tuple[int, ...], rng: np.random.RandomState) -> None:
        w = book(rng, (self.n_in, self.n_out), self.n_in, self.n_out)
        self.make(shape, w, rng.normal(size=self.n_out))

    def apply(self, x: Variable, walk: Pass) -> Variable:
        return activate(self.activation_fn, self.product(x, walk, self.p_dropout))


@dataclass(eq=False)
class SoftmaxLayer(_Product):
    """softmax(x w + b): [N, n_in] -> [N, n_out], dropout as in FullyConnectedLayer; w = b = 0 at first.

    The layer itself gives the scores x w + b; the model's output and cost apply the softmax to them.
    """

    p_dropout: float = 0.0

    kind = "softmax"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_dropout(self, self.p_dropout)

    def build(self, shape: tuple[int, ...], rng: np.random.RandomState) -> None:
        self.make(shape, np.zeros((self.n_in, self.n_out)), np.zeros(self.n_out))

    def apply(self, x: Variable, walk: Pass) -> Variable:
        return self.product(x, walk, self.p_dropout)


class Network(Model):
    """A list of layers, trained by SGD() as in network3.py.

    The first layer says how large an image is. `seed` (default: config.seed) fixes the initial weights
    and the dropout masks. Has x, y, output, params and layers, as there.
    """

    def __init__(
        self, layers: Sequence[Layer], mini_batch_size: int = 10, *, seed: int | None = None
    ) -> None:
        layers = list(layers)
        first = layers[0] if layers else None
        if isinstance(first, ConvPoolLayer):
            shape: tuple[int, ...] = tuple(first.image_shape[1:])
        elif isinstance(first, _Product):
            shape = (first.n_in,)
        else:
            raise ArgumentError(
                "Network: the first layer must be a ConvPoolLayer or a FullyConnectedLayer, which know "
                f"their inputs' shape, not {first}\n  hint: use symconv.nn.Sequential(layers, input_shape)"
            )
        super().__init__(layers, shape, seed=seed)
        self.mini_batch_size = mini_batch_size

    def SGD(
        self,
        training_data: Any,
        epochs: int,
        mini_batch_size: int | None,
        eta: float,
        validation_data: Any = None,
        test_data: Any = None,
        lmbda: float = 0.0,
        **options: Any,
    ) -> History:
        """Train by stochastic gradient descent: w <- w - eta * d cost / d w, once a mini-batch.

        cost = mean of -log(probability of the right class) + lmbda / (2 * mini-batches) * sum of w^2. The
        data, (images, labels) each, are not shuffled. Reports the validation accuracy after every epoch,
        and the test accuracy where that was the best; leaves the best weights in the network. Further
        `options` are those of Trainer: shuffle, patience, callbacks, progress, device.
        """
        trainer = Trainer(
            self, SGD(eta), mini_batch_size=mini_batch_size or self.mini_batch_size, lmbda=lmbda, **options
        )
        return trainer.fit(training_data, epochs, validation_data, test_data)


def check_dropout(layer: Layer, p: Any) -> None:
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p < 1:
        raise ArgumentError(f"{layer}: p_dropout must be a number in [0, 1)\n  at {layer.origin}")


def sizes(layer: Layer, what: str, value: Any, n: int) -> Any:
    """`value` as n ints above 0; whole floats are taken, as old programs have them."""
    try:
        given = tuple(int(v) for v in value)
        good = len(given) == n and all(g >= 1 and g == v for g, v in zip(given, value))
    except (TypeError, ValueError):
        good = False
    if not good:
        raise layer.error(f"{what} must be {n} whole numbers above 0, not {value!r}")
    return given


__all__ = ["ConvPoolLayer", "FullyConnectedLayer", "Network", "SoftmaxLayer"]

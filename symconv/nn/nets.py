"""The networks of the book's chapter 6, with their hyper-parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from symconv.errors import ConfigError
from symconv.graph.origin import origin
from symconv.nn.book import ConvPoolLayer, FullyConnectedLayer, Network, SoftmaxLayer
from symconv.nn.layer import Activation, Layer

Shape = tuple[int, int, int]  # channels, height, width


@dataclass(frozen=True)
class Net:
    """A network by name: its layers for images of a shape, and how the book trains it."""

    name: str
    about: str
    layers: Callable[[Shape, int], list[Layer]]
    epochs: int
    eta: float
    lmbda: float = 0.0
    mini_batch_size: int = 10

    def build(
        self, image_shape: Shape = (1, 28, 28), n_classes: int = 10, seed: int | None = None
    ) -> Network:
        with origin(f"net {self.name}"):
            return Network(self.layers(image_shape, n_classes), self.mini_batch_size, seed=seed)


def conv_pool(shape: Shape, filters: int, activation: Activation, size: int = 5) -> tuple[Layer, Shape]:
    """A ConvPoolLayer of size x size filters with 2 x 2 pooling, and the shape of its output."""
    c, h, w = shape
    layer = ConvPoolLayer((filters, c, size, size), (1, c, h, w), (2, 2), activation)
    return layer, (filters, (h - size + 1) // 2, (w - size + 1) // 2)


def features(shape: Shape) -> int:
    return shape[0] * shape[1] * shape[2]


def shallow(shape: Shape, n_classes: int) -> list[Layer]:
    return [FullyConnectedLayer(features(shape), 100, "sigmoid"), SoftmaxLayer(100, n_classes)]


def conv(shape: Shape, n_classes: int) -> list[Layer]:
    first, shape = conv_pool(shape, 20, "sigmoid")
    return [first, FullyConnectedLayer(features(shape), 100, "sigmoid"), SoftmaxLayer(100, n_classes)]


def double(shape: Shape, activation: Activation) -> tuple[list[Layer], int]:
    """Two convolutions of 20 and 40 filters, and how many values they give."""
    first, shape = conv_pool(shape, 20, activation)
    second, shape = conv_pool(shape, 40, activation)
    return [first, second], features(shape)


def dbl_conv(shape: Shape, n_classes: int) -> list[Layer]:
    layers, n = double(shape, "sigmoid")
    return [*layers, FullyConnectedLayer(n, 100, "sigmoid"), SoftmaxLayer(100, n_classes)]


def dbl_conv_relu(shape: Shape, n_classes: int) -> list[Layer]:
    layers, n = double(shape, "relu")
    return [*layers, FullyConnectedLayer(n, 100, "relu"), SoftmaxLayer(100, n_classes)]


def dropout(shape: Shape, n_classes: int) -> list[Layer]:
    layers, n = double(shape, "relu")
    return [
        *layers,
        FullyConnectedLayer(n, 1000, "relu", p_dropout=0.5),
        FullyConnectedLayer(1000, 1000, "relu", p_dropout=0.5),
        SoftmaxLayer(1000, n_classes, p_dropout=0.5),
    ]


NETS = {
    net.name: net
    for net in (
        Net("shallow", "one hidden layer of 100 sigmoid neurons", shallow, 60, 0.1),
        Net("conv", "20 5x5 filters, pooling, 100 sigmoid neurons", conv, 60, 0.1),
        Net("dbl_conv", "20 and 40 5x5 filters, each with pooling, 100 sigmoid neurons", dbl_conv, 60, 0.1),
        Net("dbl_conv_relu", "the same with rectified linear units", dbl_conv_relu, 60, 0.03, 0.1),
        Net("dropout", "the same convolutions, 1000 and 1000 neurons, half dropped", dropout, 40, 0.03),
    )
}


def net(name: str) -> Net:
    """The network of that name. Raises ConfigError."""
    if name not in NETS:
        raise ConfigError(f"unknown network {name!r}\n  allowed: {', '.join(NETS)}")
    return NETS[name]

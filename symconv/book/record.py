"""Beyond the book: its own net on images bent anew in every epoch, and deeper nets with batch norm.

`deep`, with residual links, is for a GPU, after T. Doucet's mnist (github.com/ttdoucet/mnist), who chose it
without looking at the test images; `four_convolutions` is for a CPU. What was chosen here was chosen on the
validation images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from symconv.graph.origin import origin
from symconv.nn.augment import Augmentation
from symconv.nn.layer import Layer
from symconv.nn.model import Model, Sequential
from symconv.nn.modules import Activate, BatchNorm, Conv, Dense, GlobalPool, Pool, Residual
from symconv.nn.nets import NETS, Net, Shape
from symconv.nn.optimizers import SGD, Adam, Optimizer
from symconv.nn.schedules import Cosine, OneCycle, Schedule, Then
from symconv.nn.views import Views

# Mild bends: a digit stays what it is. Doucet crops to 25 x 25 pixels and stretches to 28, so that digits are
# larger than those to be read: a net had 99.36 % of the validation images as they are, 99.51 % stretched.
BENDS = Augmentation(rotation=10, translation=1.5, elastic=14, sigma=4)
RATE, LAST_RATE = 4e-4, 4e-5
WIDER_BENDS = Augmentation(translation=2, rotation=12, scale=0.1, shear=6, elastic=14, sigma=4)
# The trained nets see images bent by half as much as in training.
MILD_VIEWS = Views(Augmentation(rotation=5, translation=0.75, elastic=7, sigma=4), 16)
VIEWS = Views(Augmentation(translation=1, rotation=5, scale=0.05, shear=3, elastic=7, sigma=4), 16)
PEAK = 0.01


@dataclass(frozen=True)
class Recipe:
    """How a net is trained that is not the book's: `optimizer` is made for a number of epochs.

    holds_out: validation images are kept apart, and the epoch with the best accuracy on them counts.
    Otherwise they are trained on too, and the last epoch counts. views: how the trained net sees the test
    images; None: as they are.
    """

    optimizer: Callable[[int], Optimizer]
    augment: Augmentation
    shuffle: bool = True
    holds_out: bool = True
    views: Views | None = None

    def build(self, net: Net, image_shape: Shape, n_classes: int, seed: int) -> Model:
        with origin(f"net {net.name}"):
            return Sequential(net.layers(image_shape, n_classes), image_shape, seed=seed)


def falling(epochs: int) -> Schedule:
    """Along a cosine from RATE to LAST_RATE in all epochs but the last, and along one to 0 in that."""
    if epochs == 1:
        return Cosine(RATE, 1)
    return Then(Cosine(RATE, epochs - 1, LAST_RATE), epochs - 1, Cosine(LAST_RATE, 1))


def adam(epochs: int) -> Optimizer:
    return Adam(falling(epochs), beta1=0.9, beta2=0.99)


def residual(filters: int) -> Layer:
    """x + relu(conv(batch_norm(x)))."""
    return Residual([BatchNorm(), Conv(filters, 3, "relu", padding="same")])


def deep(widths: tuple[int, int, int], shape: Shape, n_classes: int) -> list[Layer]:
    """28 x 28 and 14 x 14 pixels in widths[0] maps, 7 x 7 in widths[1], 4 x 4 in widths[2], their means."""
    first, second, third = widths
    return [
        Conv(first, 5, padding="same"),
        residual(first),
        Pool(2),
        residual(first),
        BatchNorm(),
        Conv(second, 3, padding="same"),
        Pool(2),
        residual(second),
        Conv(third, 3, padding="same"),
        Pool(2, ceil_mode=True),
        residual(third),
        BatchNorm(),
        GlobalPool("avg"),
        Dense(n_classes),
    ]


def one_cycle(epochs: int, peak: float = PEAK) -> Optimizer:
    return Adam(OneCycle(peak, epochs, rise=0.25, start_div=10, end_div=50), beta2=0.99)


FOUR_CONVOLUTIONS = "32 5x5, 64, 64 and 128 3x3 filters, batch norm, augmentation"


def four_convolutions(n_classes: int = 10) -> list[Layer]:
    """24 x 24 pixels to 12, 10, 8, 4 and 2, each map's greatest value, and a dense layer."""

    def block(filters: int, size: int, pool: bool) -> list[Layer]:
        return [Conv(filters, size), *([Pool(2)] if pool else []), BatchNorm(), Activate("relu")]

    layers = [*block(32, 5, True), *block(64, 3, False), *block(64, 3, True), *block(128, 3, False)]
    return [*layers, GlobalPool("max"), Dense(n_classes)]


def falling_sgd(epochs: int, eta: float) -> Optimizer:
    """The book's gradient descent, its rate along a cosine from `eta` to 0."""
    return SGD(Cosine(eta, epochs))


ELASTIC_RECIPE = Recipe(
    partial(falling_sgd, eta=NETS["dropout"].eta), BENDS, holds_out=False, views=MILD_VIEWS
)
RECIPE = Recipe(adam, BENDS)
SMALL_RECIPE = Recipe(one_cycle, WIDER_BENDS, holds_out=False, views=VIEWS)

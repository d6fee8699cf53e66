"""Beyond the book: a deeper net with batch norm and residual links, augmentation, a falling learning rate.

After T. Doucet's mnist (github.com/ttdoucet/mnist), who chose it without looking at the test images. What was
chosen here was chosen on the validation images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from symconv.graph.origin import origin
from symconv.nn.augment import Augmentation
from symconv.nn.layer import Layer
from symconv.nn.model import Model, Sequential
from symconv.nn.modules import BatchNorm, Conv, Dense, GlobalPool, Pool, Residual
from symconv.nn.nets import Net, Shape
from symconv.nn.optimizers import Adam, Optimizer
from symconv.nn.schedules import Cosine, Schedule, Then

# Mild bends: a digit stays what it is.
BENDS = Augmentation(rotation=10, crop=25, elastic=14, sigma=4)
RATE, LAST_RATE = 4e-4, 4e-5


@dataclass(frozen=True)
class Recipe:
    """How a net is trained that is not the book's: `optimizer` is made for a number of epochs."""

    optimizer: Callable[[int], Optimizer]
    augment: Augmentation
    shuffle: bool = True

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


RECIPE = Recipe(adam, BENDS)

"""The rows of the chapter's table: each a network with the book's hyper-parameters, and the book's figure.

Protocol of the book: mini-batches of 10 in the order of the file, plain SGD, w ~ N(0, 1/n_out), b ~ N(0, 1),
softmax layer at zero; test accuracy at the best validation epoch; the best of three runs. Below them stand
those beyond the book (record.py), with a recipe of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from symconv.book.record import (
    ELASTIC_RECIPE,
    FOUR_CONVOLUTIONS,
    PEAK,
    RATE,
    RECIPE,
    SMALL_RECIPE,
    Recipe,
    deep,
    four_convolutions,
)
from symconv.errors import ConfigError
from symconv.nn.book import FullyConnectedLayer, SoftmaxLayer
from symconv.nn.layer import Activation, Layer
from symconv.nn.nets import NETS, Net, Shape, conv_pool, double, features

DOUBLE = "20 and 40 5x5 filters, each with pooling"
COUNT = {5: "five", 10: "ten"}
# conv.py of the book, dbl_conv_relu().
SWEEP = (0.0, 0.00001, 0.0001, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0)


@dataclass(frozen=True)
class Experiment:
    """A row: `book` is the book's test accuracy in percent, None where it gives none.

    expanded: train on the images and their copies moved by a pixel, 250,000 in all. sweep: the values of
    lambda to train with, each `runs` times. members: the experiment whose runs form a committee; the
    ensemble has none of its own. recipe: how it is trained where that is not the book's way.
    """

    net: Net
    book: float | None
    runs: int = 3
    expanded: bool = False
    sweep: tuple[float, ...] = ()
    members: str | None = None
    recipe: Recipe | None = None

    @property
    def name(self) -> str:
        return self.net.name

    def variants(self) -> dict[str, Net]:
        """{directory below the experiment's own: the network to train}; '' where there is one."""
        if not self.sweep:
            return {"": self.net}
        return {f"lmbda-{value:g}": replace(self.net, lmbda=value) for value in self.sweep}


def conv_no_fc(shape: Shape, n_classes: int) -> list[Layer]:
    first, shape = conv_pool(shape, 20, "sigmoid")
    return [first, SoftmaxLayer(features(shape), n_classes)]


def double_conv(
    shape: Shape, n_classes: int, *, activation: Activation = "relu", hidden: tuple[int, ...] = (100,)
) -> list[Layer]:
    """Convolutions of 20 and 40 filters, dense layers of `hidden` neurons, softmax."""
    layers, n = double(shape, activation)
    for size in hidden:
        layers.append(FullyConnectedLayer(n, size, activation))
        n = size
    return [*layers, SoftmaxLayer(n, n_classes)]


def of_relu(name: str, about: str, hidden: tuple[int, ...]) -> Net:
    return Net(name, about, partial(double_conv, hidden=hidden), 60, 0.03, 0.1)


def renamed(net: str, name: str, about: str) -> Net:
    return replace(NETS[net], name=name, about=about)


def rows() -> list[Experiment]:
    tanh: Callable[[Shape, int], list[Layer]] = partial(double_conv, activation="tanh")
    found = [
        Experiment(NETS["shallow"], 97.80),
        Experiment(Net("conv_no_fc", "20 5x5 filters, pooling, softmax", conv_no_fc, 60, 0.1), None),
        Experiment(NETS["conv"], 98.78),
        Experiment(NETS["dbl_conv"], 99.06),
        Experiment(Net("tanh", f"{DOUBLE}, 100 tanh neurons", tanh, 60, 0.1), None),
        Experiment(renamed("dbl_conv_relu", "relu", f"{DOUBLE}, 100 rectified linear neurons"), 99.23),
        Experiment(
            renamed("dbl_conv_relu", "relu_sweep", "relu with each lambda from 0 to 100"), 99.23, sweep=SWEEP
        ),
    ]
    for n, accuracy in ((100, 99.37), (300, 99.46), (1000, 99.43)):
        net = of_relu(f"expanded_{n}", f"relu with {n} neurons, expanded data", (n,))
        found.append(Experiment(net, accuracy, expanded=True))
    for n, accuracy in ((100, 99.43), (300, 99.48), (1000, 99.47)):
        net = of_relu(f"double_fc_{n}", f"relu with {n} and {n} neurons, expanded data", (n, n))
        found.append(Experiment(net, accuracy, expanded=True))
    net = renamed("dropout", "dropout", "relu with 1000 and 1000 neurons, half dropped, expanded data")
    dropout = Experiment(net, 99.60, expanded=True)
    ensemble = replace(committee(dropout, "ensemble", 5), book=99.67)
    return [*found, dropout, ensemble, *beyond_rows()]


def committee(e: Experiment, name: str, n: int) -> Experiment:
    """The first n nets of a row, who vote."""
    net = replace(e.net, name=name, about=f"{COUNT[n]} nets of the row {e.name}, plurality vote")
    return replace(e, net=net, runs=n, members=e.name)


def beyond_rows() -> list[Experiment]:
    """The row dropout with bent images, a deep net, for a GPU, a smaller one, for a CPU; committees."""
    elastic = replace(
        renamed("dropout", "elastic", "the net of the row dropout, images bent anew"), epochs=200
    )
    about = "residual net of 128 to 512 maps, batch norm, augmentation"
    large = Net("record", about, partial(deep, (128, 256, 512)), 11, RATE, mini_batch_size=100)
    small = Net(
        "record_small",
        FOUR_CONVOLUTIONS,
        lambda shape, n: four_convolutions(n),
        30,
        PEAK,
        mini_batch_size=128,
    )
    found = []
    for net, recipe, runs in ((elastic, ELASTIC_RECIPE, 5), (large, RECIPE, 10), (small, SMALL_RECIPE, 10)):
        one = Experiment(net, None, runs=runs, recipe=recipe)
        found += [one, committee(one, f"{one.name}_committee", runs)]
    return [*found, committee(one, "record_small_five", 5)]


EXPERIMENTS = {e.name: e for e in rows()}


def experiment(name: str) -> Experiment:
    """The experiment of that name. Raises ConfigError."""
    if name not in EXPERIMENTS:
        raise ConfigError(f"unknown experiment {name!r}\n  allowed: {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]

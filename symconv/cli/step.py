"""The function that `explain` and `profile` look at: a network's training step, or its prediction."""

from __future__ import annotations

import argparse
from typing import Any

from symconv.cli.bench import images_and_labels
from symconv.cli.options import add_device, add_net, whole
from symconv.device import resolve_device
from symconv.function import Function, function
from symconv.nn import SGD, net
from symconv.nn.model import Model
from symconv.nn.nets import Net
from symconv.nn.trainer import training_step


def add_step(parser: argparse.ArgumentParser) -> None:
    """The options that say which function, on what device."""
    add_net(parser)
    parser.add_argument("--batch", type=whole(1), metavar="B", help="images in a batch (default: the book's)")
    parser.add_argument("--inference", action="store_true", help="a prediction instead of a training step")
    add_device(parser)


def make_step(arguments: argparse.Namespace) -> tuple[Net, Model, Function, tuple[Any, ...]]:
    """The network, its model, the compiled function, and what to call that with: on images mostly zero."""
    recipe = net(arguments.net)
    batch = arguments.batch or recipe.mini_batch_size
    model = recipe.build(seed=0)
    images, labels = images_and_labels(batch)
    device = resolve_device()
    if arguments.inference:
        f = function([model.x], model.output, device=device, no_default_updates=True)
        f.name = f"{recipe.name}, prediction"
        return recipe, model, f, (images,)
    f = training_step(model, SGD(recipe.eta), (images, labels), batch, recipe.lmbda, device=device)
    f.name = f"{recipe.name}, training step"
    return recipe, model, f, (0,)

"""symconv explain: what the compiler makes of a network's training step, or of its prediction."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from symconv.cli.options import add_device, add_net, whole
from symconv.config import config
from symconv.device import resolve_device
from symconv.function import function
from symconv.nn import SGD, net
from symconv.nn.trainer import training_step


def add_parser(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "explain",
        help="print a network's graph, the rewrites applied to it, and the plan that runs",
        description="Compile one step of a network and print what happened on the way: the graph, the "
        "rewrites that were applied, the kernels in their order, the memory, and why a kernel was refused.",
    )
    add_net(parser)
    parser.add_argument("--batch", type=whole(1), metavar="B", help="images in a batch (default: the book's)")
    parser.add_argument("--inference", action="store_true", help="a prediction instead of a training step")
    add_device(parser)
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace) -> int:
    recipe = net(arguments.net)
    batch = arguments.batch or recipe.mini_batch_size
    with config(device=arguments.device or config.device):
        device = resolve_device()
        model = recipe.build()
        print(f"{recipe.name}: {recipe.about}\n{model.summary()}\n")
        images = np.zeros((batch, model.features), model.dtype)
        if arguments.inference:
            f = function([model.x], model.output, name="prediction", device=device, no_default_updates=True)
            f.prepare(images)
        else:
            labels = np.zeros(batch, np.int32)
            f = training_step(model, SGD(recipe.eta), (images, labels), batch, recipe.lmbda, device=device)
            f.prepare(0)
        print(f.explain())
    return 0

"""symconv tune: measure the kernels that a network's steps could use; show and merge measurements."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from symconv.cli.options import add_device, add_net, whole
from symconv.config import config
from symconv.device import resolve_device
from symconv.errors import DataError
from symconv.function import function
from symconv.nn import SGD, net
from symconv.nn.trainer import training_step
from symconv.plan import tuning
from symconv.workbench.tune import tune


def add_parser(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "tune",
        help="measure which kernels are the fastest here, for later use with SYMCONV_AUTOTUNE=cached",
        description="Times the kernels that can run each node of a network's training step and prediction, "
        "and keeps the fastest in the tuning file. With --merge or --show no network is run.",
    )
    add_net(parser)
    parser.add_argument("--batch", type=whole(1), metavar="B", help="images in a batch (default: the book's)")
    parser.add_argument("--again", action="store_true", help="measure also what is in the file already")
    parser.add_argument(
        "--merge", type=Path, action="append", default=[], metavar="FILE", help="add a file's records to ours"
    )
    parser.add_argument("--show", action="store_true", help="print the tuning file")
    add_device(parser)
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace) -> int:
    if arguments.merge or arguments.show:
        for path in arguments.merge:
            if not path.is_file():
                raise DataError(f"there is no file {path}")
            records = tuning.read(path)
            tuning.add(records)
            print(f"{path}: {sum(map(len, records.values()))} records merged into {tuning.tuning_file()}")
        if arguments.show:
            show()
        return 0
    recipe = net(arguments.net)
    batch = arguments.batch or recipe.mini_batch_size
    with config(device=arguments.device or config.device):
        device = resolve_device()
        model = recipe.build()
        images = np.zeros((batch, model.features), model.dtype)
        predict = function([model.x], model.output, device=device, no_default_updates=True)
        data = (images, np.zeros(batch, np.int32))
        step = training_step(model, SGD(recipe.eta), data, batch, recipe.lmbda, device=device)
        for what, f, argument in (("training step", step, 0), ("prediction", predict, images)):
            print(f"{recipe.name}, batch {batch}, {what} on {device}")
            print(tune(f, argument, again=arguments.again))
    print(f"kept in {tuning.tuning_file()}; used with SYMCONV_AUTOTUNE=cached")
    return 0


def show() -> None:
    path = tuning.tuning_file()
    records = tuning.read(path)
    print(f"{path}: {sum(map(len, records.values()))} records")
    for machine, nodes in sorted(records.items()):
        print(machine)
        for node, record in sorted(nodes.items()):
            times = ", ".join(
                f"{name} {us:.1f}" for name, us in sorted(record["us"].items(), key=lambda x: x[1])
            )
            print(f"  {node}\n    {record['kernel']}   us: {times}")

"""symconv bisect: what first changes a result of a network's step, or of a function of the user's."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from symconv.cli.options import add_device, add_net, whole
from symconv.config import config
from symconv.device import resolve_device
from symconv.errors import ArgumentError
from symconv.function import Function
from symconv.graph.origin import origin
from symconv.nn import SGD, net
from symconv.nn.trainer import training_step

FOUND = 1  # the exit code where something is wrong


def add_parser(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "bisect",
        help="find the simplification, rewrite or kernel that changes a result",
        description="Compute one step of a network, or a function of yours, by the graph as it was written, "
        "with its shapes, after the passes, kernel by kernel and as a whole, and name what first changes a "
        "result. The exit code is 1 if something does. Nothing is updated.",
    )
    parser.add_argument(
        "target",
        nargs="?",
        metavar="FILE.py:NAME",
        help="a function NAME() in a file that returns (compiled function, its arguments); else a network",
    )
    add_net(parser)
    parser.add_argument("--batch", type=whole(1), metavar="B", help="images in a batch (default: the book's)")
    add_device(parser)
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace) -> int:
    with config(device=arguments.device or config.device):
        if arguments.target:
            what = arguments.target
            function, values = load(what)
        else:
            what = f"a training step of {arguments.net}"
            function, values = step_of(arguments.net, arguments.batch)
        found = function.bisect(*values)
        if found is None:
            print(f"{what} on {function.device}: every stage gives the same results")
            return 0
        print(f"{what} on {function.device}: {found.stage}\n{found}")
        return FOUND


def step_of(name: str, batch: int | None) -> tuple[Function, tuple[Any, ...]]:
    """A training step of a network of the book's on random images, a third of whose pixels are not 0."""
    recipe = net(name)
    batch = batch or recipe.mini_batch_size
    model = recipe.build()
    rng = np.random.default_rng(config.seed)
    shape = (batch, model.features)
    images = np.where(rng.random(shape) < 0.3, rng.random(shape), 0).astype(model.dtype)
    labels = rng.integers(0, 10, batch).astype(np.int32)
    device = resolve_device()
    return training_step(model, SGD(recipe.eta), (images, labels), batch, recipe.lmbda, device=device), (0,)


def load(target: str) -> tuple[Function, tuple[Any, ...]]:
    """What NAME() of FILE.py:NAME returns. Raises ArgumentError."""
    path, _, name = target.rpartition(":")
    if not path or not Path(path).is_file():
        hint = "FILE.py:NAME, with a function NAME()"
        raise ArgumentError(f"bisect: there is no file {path or name!r}\n  hint: {hint}")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with origin(None):
        spec.loader.exec_module(module)
    maker = getattr(module, name, None)
    if not callable(maker):
        raise ArgumentError(f"bisect: {path} defines no function {name!r}")
    with origin(None):  # nodes have the user's lines, not this command's name
        made = maker()
    if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], Function)):
        raise ArgumentError(f"bisect: {name}() returns (compiled function, its arguments), not {made!r}")
    values = made[1]
    return made[0], tuple(values) if isinstance(values, (tuple, list)) else (values,)

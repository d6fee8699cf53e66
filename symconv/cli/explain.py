"""symconv explain: what the compiler makes of a network's training step, or of its prediction."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from symconv.backends.executable import Executable
from symconv.cli.options import add_device, add_net, whole
from symconv.config import config
from symconv.device import resolve_device
from symconv.function import Function, function
from symconv.graph.printing import debugprint
from symconv.nn import SGD, net
from symconv.nn.trainer import training_step
from symconv.plan.explain import explain_rewrites


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
    parser.add_argument(
        "--show",
        choices=["all", "graph", "rewrites", "rewritten", "plan"],
        default="all",
        help="the graph as written, the rewrites, the graph after them, the plan (default: all)",
    )
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
            executable = f.prepare(images)
        else:
            labels = np.zeros(batch, np.int32)
            f = training_step(model, SGD(recipe.eta), (images, labels), batch, recipe.lmbda, device=device)
            executable = f.prepare(0)
        parts = sections(f, executable)
        print("\n\n".join(parts.values()) if arguments.show == "all" else parts[arguments.show])
    return 0


def sections(f: Function, executable: Executable) -> dict[str, str]:
    """The parts of the explanation by name."""
    plan = executable.plan
    plain = "the reference executor runs the rewritten graph node by node, in NumPy: there is no plan"
    return {
        "graph": "GRAPH AS WRITTEN\n" + debugprint(f.written()),
        "rewrites": "REWRITES BY PASS\n" + (plain if plan is None else explain_rewrites(plan)),
        "rewritten": "GRAPH AS REWRITTEN\n" + debugprint(executable.graph),
        "plan": "PLAN\n" + (plain if plan is None else executable.explain()),
    }

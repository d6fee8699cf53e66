"""symconv explain: what the compiler makes of a network's training step, or of its prediction."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from symconv.backends.executable import Executable
from symconv.cli.profile import measure
from symconv.cli.step import add_step, make_step
from symconv.config import config
from symconv.function import Function
from symconv.graph.printing import debugprint
from symconv.nn import Net, net
from symconv.nn.counts import count_parameters
from symconv.plan.explain import explain_rewrites
from symconv.see.equations import explain as derive


def add_parser(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "explain",
        help="print a network's graph, the rewrites applied to it, and the plan that runs",
        description="Compile one step of a network and print what happened on the way: the graph, the "
        "rewrites that were applied, the kernels in their order, the memory, and why a kernel was refused.",
    )
    add_step(parser)
    parser.add_argument(
        "--show",
        choices=["all", "graph", "rewrites", "rewritten", "plan"],
        default="all",
        help="the graph as written, the rewrites, the graph after them, the plan (default: all)",
    )
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="write all of it with pictures to one HTML page, and print where",
    )
    parser.add_argument(
        "--profile", action="store_true", help="run it for half a second and show the times on the page"
    )
    parser.add_argument(
        "--equations",
        nargs="?",
        const="text",
        choices=["text", "latex"],
        help="the gradient as numbered equations in the book's notation, and nothing else",
    )
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace) -> int:
    if arguments.equations:
        print(equations(net(arguments.net), arguments.equations))
        return 0
    with config(device=arguments.device or config.device):
        recipe, model, f, values = make_step(arguments)
        executable = f.prepare(*values)
        print(f"{recipe.name}: {recipe.about}\n{model.summary()}\n")
        if arguments.html is not None:
            profile = measure(f, values, None, 0.5) if arguments.profile else None
            f.explain(html=arguments.html, profile=profile)
            print(f"{arguments.html}: {arguments.html.stat().st_size:,} bytes; open it with a browser")
            return 0
        parts = sections(f, executable)
        print("\n\n".join(parts.values()) if arguments.show == "all" else parts[arguments.show])
    return 0


def equations(recipe: Net, form: str = "text") -> str:
    """The network's cost and gradient as equations, and how many parameters its layers have."""
    model = recipe.build()
    found = derive(model.cost(), model.params)
    if form == "latex":
        return found.latex()
    return f"{recipe.name}: {recipe.about}\n\n{found}\n\nParameters\n{count_parameters(model)}"


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

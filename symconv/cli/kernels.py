"""symconv kernels: every kernel there is, and which one a node of a given size gets."""

from __future__ import annotations

import argparse
import ast
import re
from typing import Any

from symconv.errors import ArgumentError
from symconv.graph import DTYPES, Kernel, TensorType, Variable, constant
from symconv.graph.params import kernel_dir
from symconv.graph.registry import all_ops, kernels_of
from symconv.plan.gpu import Source
from symconv.plan.select import select

DESCRIPTION = (
    "Without OP: every kernel, its file and its ops. With OP and the types of operands, as in "
    "`symconv kernels conv2d float32[10,1,28,28] float32[20,1,5,5] --set padding=(2,2,2,2)`: each kernel, "
    "and whether it accepts them. A whole number stands for an operand that fixes a shape."
)


def add_parser(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "kernels",
        help="list the kernels, or say which one an op gets for given sizes",
        description=DESCRIPTION,
    )
    add_arguments(parser)
    return parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("op", nargs="?", metavar="OP", help="the name of an op")
    parser.add_argument("operands", nargs="*", metavar="TYPE", help="like float32[10,784], or a whole number")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="an attribute of the op"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], help="only this device's (default: both)")
    parser.add_argument(
        "--resources", action="store_true", help="compile all CUDA kernels: registers, shared memory, spills"
    )
    parser.set_defaults(run=run)


def catalogue(device: str | None = None) -> dict[tuple[str, str, str], list[str]]:
    """{(device, kernel, file): names of the ops that have it}, sorted."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for op in all_ops():
        for k in kernels_of(op):
            if device in (None, k.device):
                found.setdefault((k.device, k.name, k.source), set()).add(op.name)
    return {key: sorted(found[key]) for key in sorted(found)}


def run(arguments: argparse.Namespace) -> int:
    if arguments.resources:
        print("\n".join(resource_table()))
        return 0
    if arguments.op is None:
        rows = catalogue(arguments.device)
        width = max(len(name) for _, name, _ in rows)
        for (device, name, source), ops in rows.items():
            print(f"{device:<5} {name:<{width}}  {source:<36} {', '.join(ops)}")
        return 0
    node = make_node(arguments.op, arguments.operands, arguments.set)
    print(node)
    for device in [arguments.device] if arguments.device else ["cpu", "cuda"]:
        choice = select(node.owner, device)  # type: ignore[arg-type]
        for name, reason in choice.refusals:
            print(f"  {device:<5} {name}: refused, {reason}")
        print(f"  {device:<5} {_chosen(choice.kernel, node)}")
    return 0


def resource_table() -> list[str]:
    """A Markdown table of what every CUDA kernel takes, for each architecture that we compile for."""
    from symconv.backends.gpu.nvrtc import ARCHITECTURES, compile_source, resources

    heads = " | ".join(f"sm_{a}" for a in ARCHITECTURES)
    lines = [f"| kernel | file | {heads} |", "|---|---|" + "---|" * len(ARCHITECTURES)]
    for path in sorted(kernel_dir().glob("*.cu")):
        logs = [resources(compile_source(Source(path.name), a)[1]) for a in ARCHITECTURES]
        for entry in sorted(logs[-1]):
            cells = [str(log[entry]) if entry in log else "-" for log in logs]
            lines.append(f"| {entry} | {path.name} | {' | '.join(cells)} |")
    return lines


def _chosen(kernel: Kernel | None, node: Variable) -> str:
    if kernel is None:
        return "the NumPy reference runs it"
    launch = kernel.launch(node.owner)  # type: ignore[arg-type]
    tiles = f", {launch.tiles} tiles, {launch.shared} bytes shared" if kernel.device == "cuda" else ""
    return f"{kernel.name} ({kernel.source}) runs it{tiles}"


def make_node(name: str, operands: list[str], settings: list[str]) -> Variable:
    """The first output of op `name` on variables of these types. Raises ArgumentError."""
    ops = {op.name: op for op in all_ops() if kernels_of(op)}
    if name not in ops:
        raise ArgumentError(f"no op {name!r} has kernels\n  ops: {', '.join(sorted(ops))}")
    attributes: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        try:
            attributes[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            attributes[key] = value
        if not equals:
            raise ArgumentError(f"--set takes NAME=VALUE, got {setting!r}")
    try:
        op = ops[name](**attributes)
    except TypeError as error:
        raise ArgumentError(f"{name}: {error}\n  hint: give its attributes by --set NAME=VALUE") from None
    out = op(*map(_operand, operands))
    return out[0] if isinstance(out, tuple) else out


def _operand(text: str) -> Variable:
    if re.fullmatch(r"-?\d+", text):
        return constant(int(text), "int64")
    match = re.fullmatch(r"(\w+)\[([\d,\s]*)\]", text)
    if match is None or match[1] not in DTYPES:
        raise ArgumentError(f"{text!r} is no type\n  hint: like float32[10,784]; dtypes: {', '.join(DTYPES)}")
    return Variable(TensorType(match[1], tuple(int(d) for d in match[2].split(",") if d.strip())))

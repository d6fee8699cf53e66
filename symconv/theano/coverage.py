"""python -m symconv.theano.coverage: the table of docs/theano.md, made from the modules themselves."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

from symconv.graph import Op
from symconv.theano.tensor.type import PREFIXES, RANKS

BEGIN, END = "<!-- covered: begin -->", "<!-- covered: end -->"

MODULES = (
    "tensor.elementwise",
    "tensor.complex_numbers",
    "tensor.fft",
    "tensor.reductions",
    "tensor.shape_ops",
    "tensor.joining",
    "tensor.known",
    "tensor.linear",
    "tensor.permutations",
    "tensor.sort",
    "tensor.special",
    "tensor.counting",
    "tensor.subtensor",
    "tensor.nlinalg",
    "tensor.slinalg",
    "tensor.matrix_functions",
    "tensor.opt",
    "tensor.xlogx",
    "tensor.nnet.nnet",
    "tensor.nnet.conv",
    "tensor.nnet.conv_ops",
    "tensor.nnet.conv_shapes",
    "tensor.nnet.conv3d",
    "tensor.nnet.separable",
    "tensor.nnet.upsampling",
    "tensor.nnet.conv_classes",
    "tensor.nnet.bn",
    "tensor.nnet.neighbours",
    "tensor.signal.pool",
    "tensor.signal.pool_classes",
    "tensor.signal.downsample",
    "tensor.signal.conv",
    "tensor.shared_randomstreams",
    "tensor.raw_random",
    "sandbox.rng_mrg",
    "sandbox.linalg",
    "scan_module",
    "ifelse",
    "gof",
    "gof.graph",
    "compile.ops",
    "gradient",
    "printing",
    "d3viz",
    "tests.breakpoint",
    "sharedvar",
    "functions",
    "modes",
    "updates",
    "cloning",
    "casting",
)
# where programs find the names of a module that exists here only
SHOWN_AS = {
    "tensor.elementwise": "tensor: element-wise",
    "tensor.complex_numbers": "tensor: complex numbers",
    "tensor.reductions": "tensor: reductions",
    "tensor.shape_ops": "tensor: shapes, constructors",
    "tensor.joining": "tensor: joins",
    "tensor.known": "tensor: what is known while the graph is built",
    "tensor.linear": "tensor: products",
    "tensor.permutations": "tensor: permutations",
    "tensor.sort": "tensor, tensor.extra_ops: sorting",
    "tensor.special": "tensor: special functions",
    "tensor.counting": "tensor, tensor.extra_ops: counting",
    "tensor.subtensor": "tensor: indexing",
    "tensor.nnet.nnet": "tensor.nnet",
    "tensor.nnet.conv_ops": "tensor.nnet, tensor.nnet.abstract_conv",
    "tensor.nnet.conv_shapes": "tensor.nnet.abstract_conv: shapes",
    "tensor.nnet.conv3d": "tensor.nnet: three axes",
    "tensor.nnet.separable": "tensor.nnet: made of convolutions",
    "tensor.nnet.upsampling": "tensor.nnet, tensor.nnet.abstract_conv: upsampling",
    "tensor.nnet.conv_classes": "tensor.nnet.abstract_conv: op classes",
    "tensor.signal.pool_classes": "tensor.signal.pool: op classes",
    "scan_module": "theano, scan_module",
    "gof": "theano, gof",
    "compile.ops": "theano, compile.ops",
    "sharedvar": "theano, compile: shared variables",
    "functions": "theano, compile: functions",
    "modes": "compile: modes",
    "updates": "theano",
    "cloning": "theano: clone",
    "casting": "theano: helpers",
}


def names(module: Any) -> list[str]:
    """What a module offers: its __all__, or the functions and classes made there and second names of them."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__, key=str.lower)
    borrowed = _borrowed(module)
    found = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and name not in borrowed and _is_offered(value)
    ]
    return sorted(found, key=str.lower)


def _is_offered(value: Any) -> bool:
    """True for functions and classes but those of this front's own machinery, and those that only refuse."""
    if (
        value is Any
        or inspect.ismodule(value)
        or not callable(value)
        and type(value).__name__ != "_GridIndexer"
    ):
        return False
    if inspect.isclass(value) and issubclass(value, Op):
        return False
    return not (inspect.getdoc(value) or "").startswith("Not supported")


def _borrowed(module: Any) -> set[str]:
    """Names that a module imports."""
    tree = ast.parse(inspect.getsource(module))
    imports = [n for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom))]
    return {a.asname or a.name for n in imports for a in n.names}


def _inputs() -> str:
    """The constructors of inputs, which are a product of prefixes and ranks."""
    prefixes = ", ".join(f"`{p}` {dtype}" for p, dtype in PREFIXES.items() if p)
    return f"{', '.join(f'`{r}`' for r in RANKS)}; with prefixes {prefixes}; plurals of all; `tensor`"


def table() -> str:
    """The table in Markdown."""
    rows = ["| where | names |", "|---|---|", f"| tensor: inputs | {_inputs()} |"]
    for name in MODULES:
        module = importlib.import_module(f"symconv.theano.{name}")
        listed = names(module)
        rows.append(f"| {SHOWN_AS.get(name, name)} | {', '.join(f'`{n}`' for n in listed)} |")
    return "\n".join(rows)


def written(text: str) -> str:
    """A page whose table between the markers is that of now."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main(argv: list[str]) -> int:
    """Print the table, or write it into the page that is named."""
    if not argv:
        print(table())
        return 0
    page = Path(argv[0])
    page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

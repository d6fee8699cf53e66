"""The files that `symconv kernel new NAME` writes: an op, its kernels, the rows of its case table."""

from __future__ import annotations

import keyword
from pathlib import Path

from symconv.errors import ArgumentError, OutputError
from symconv.files import atomic_path

PYTHON = '''"""{title}: y = factor * x. An op with a CUDA kernel, a CPU kernel and a case table.

    symconv kernel check {name}.py      every row, in the emulator, natively, and on a GPU where there is one
    symconv kernel bench {name}.py      the rows of BENCH beside the kernel that would run otherwise

How to go on: docs/adding_an_op.md, docs/adding_a_kernel.md.
"""

from dataclasses import dataclass

import symconv as sc
from symconv.testing import OpCase, Spec


def supports(node):
    """None accepts the node; a text is the reason of a refusal, which explain() prints."""
    return None if node.out.dtype == "float32" else f"dtype {{node.out.dtype}}, float32 only"


def launch(node):
    """A tile is a block of 256 threads; the rest are the fields of the params struct in {name}.cu."""
    n = node.out.type.size
    return sc.launch(sc.blocks(n), n=n, factor=node.op.factor)


def launch_cpu(node):
    """An item is one element, of which a thread takes at least 4096."""
    return sc.launch(node.out.type.size, grain=4096, factor=node.op.factor)


@dataclass(frozen=True)
class {title}(sc.Op):
    """y = factor * x, element by element."""

    factor: float = 2.0
    name = "{name}"
    operands = ("x",)
    kernels = [
        sc.cuda_kernel("{name}_cuda", file="{name}.cu", supports=supports, launch=launch),
        sc.cpu_kernel("{name}_cpu", file="{name}.cpp", supports=supports, launch=launch_cpu),
    ]

    def infer(self, x):
        return x.type

    def grad(self, node, dy):
        return [{name}(dy, self.factor)]

    def reference(self, x):
        return x * x.dtype.type(self.factor)


def {name}(x, factor=2.0):
    """factor * x."""
    return {title}(float(factor))(sc.as_variable(x))


# exact: on small integers nothing is rounded, so results must equal the reference's.
CASES = [
    OpCase("{name}", {name}, (Spec((3, 7, 11)),), exact=True),
    OpCase("{name}_one", {name}, (Spec((1,)),), exact=True),
    OpCase("{name}_block", {name}, (Spec((2, 256)),), exact=True),
    OpCase("{name}_empty", {name}, (Spec((0, 5)),), grad=False),
    OpCase("{name}_factor", lambda x: {name}(x, -0.5), (Spec((5, 13)),)),
]
BENCH = [OpCase("{name}_4M", {name}, (Spec((1024, 4096)),))]
'''

CUDA = """// y[i] = factor * x[i]
//   x, y [n]; thread t of tile b takes element 256 b + t
struct {title}Params {{
  long long n;
  float factor;
}};

DEVICE void {name}_tile(const {title}Params& p, const Args& args, int tile, Shared) {{
  auto x = args.get<const float>(0);
  auto y = args.get<float>(1);
  ll i = tile * 256LL + threadIdx.x;
  if (i < p.n) y[i] = p.factor * x[i];
}}
KERNEL({name}, {title}Params, {name}_tile)
"""

CPU = """// y[i] = factor * x[i] for begin <= i < end
struct {title}Params {{
  float factor;
}};

void {name}_range(const {title}Params& p, const Args& args, ll begin, ll end) {{
  auto x = args.get<const float>(0);
  auto y = args.get<float>(1);
  for (ll i = begin; i < end; i++) y[i] = p.factor * x[i];
}}
CPU_KERNEL({name}, {title}Params, {name}_range)
"""


def write_skeleton(name: str, folder: Path) -> list[Path]:
    """The files written. Raises ArgumentError for a bad name, OutputError for files that are there."""
    if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii() or name != name.lower():
        raise ArgumentError(
            f"{name!r} cannot name an op\n  hint: lower-case letters, digits and _, as in gated_linear"
        )
    title = "".join(part.capitalize() for part in name.split("_")) or "Op"
    paths = [folder / f"{name}.{ending}" for ending in ("py", "cu", "cpp")]
    for path in paths:
        if path.exists():
            raise OutputError(f"{path} is there already\n  hint: choose another name, or move it away")
    for path, text in zip(paths, (PYTHON, CUDA, CPU)):
        with atomic_path(path) as temporary:
            temporary.write_text(text.format(name=name, title=title))
    return paths

"""CUDA kernels of the matrix products, shared by the ops of dense.py and gemm.py.

By size, fastest first: gemm_outer for few terms; gemm_dots_1x1 and 1x8 for vectors; gemm_tf32 where
config.tf32 (read when a function compiles) allows it; the largest of the tiles whose blocks fill the GPU;
for smaller outputs gemm_dots, whose threads share the terms; gemm_plain for integers and bools. Every
kernel takes every size and does the epilogue of every op.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from symconv.config import config
from symconv.graph import Apply, Kernel, Launch, blocks
from symconv.graph.kernel import Slower
from symconv.ops.float_kernels import SUFFIX
from symconv.ops.gemm_kernels import Problem, launch, problem

MULTIPROCESSORS = 132  # of an H100: fewer blocks than this leave some idle
FEW_TERMS = 32  # up to which memory, not arithmetic, is what a product waits for
MANY_TERMS = 256  # beyond which a warp alone would walk too long
LIMIT = 2**31  # of extents and of blocks

PART = 4096  # terms of one block where blocks share them: kPart of gemm_dots.cu
Form = Literal["tile", "tf32", "outer", "warp", "block", "parts"]


@dataclass(frozen=True, slots=True)
class Variant:
    """One entry: `rows` x `columns` elements for each block, warp (warp) or thread (outer)."""

    name: str
    form: Form
    rows: int
    columns: int
    shared: int = 0
    dtype: str = "float32"

    @property
    def source(self) -> str:
        files = {"tile": "gemm_tiled", "tf32": "gemm_tf32", "outer": "gemm_outer"}
        return files.get(self.form, "gemm_dots")

    def blocks(self, p: Problem) -> int:
        p = p.as_bound()
        units = blocks(p.m, self.rows) * blocks(p.n, self.columns) * p.batch
        return blocks(units, {"outer": 256, "warp": 8}.get(self.form, 1))

    def launch(self, node: Apply) -> Launch:
        p, params = problem(node), launch(node).params
        if self.form != "parts":
            return Launch(params, self.blocks(p), self.shared)
        size, parts = p.m * p.n * p.batch, blocks(p.k, PART)
        then = Launch(params, blocks(size, 8), 0, f"gemm_dots_sum_{SUFFIX[self.dtype]}")
        tiles, workspace = self.blocks(p) * parts, 4 * size * parts
        return Launch(params, tiles if parts else 0, self.shared, workspace=max(workspace, 4), then=then)


def _tile(rows: int, columns: int, terms: int, dtype: str = "float32") -> Variant:
    """kBuffer of gemm_tiled.cu, twice."""
    shared = 2 * terms * (rows + columns + 8) * (4 if dtype == "float32" else 8)
    return Variant(f"gemm_{rows}x{columns}", "tile", rows, columns, shared, dtype)


def _tf32(rows: int, columns: int, terms: int) -> Variant:
    """kBuffer of gemm_tf32.cu, twice."""
    shared = 2 * terms * (rows + columns + 16) * 4
    return Variant(f"gemm_tf32_{rows}x{columns}", "tf32", rows, columns, shared)


def _dots(rows: int, columns: int, form: Form) -> Variant:
    shared = 0 if form == "warp" else 8 * rows * columns * 4
    return Variant(f"gemm_dots_{rows}x{columns}_{form}", form, rows, columns, shared)


def _outer(rows: int) -> Variant:
    return Variant(f"gemm_outer_{rows}x4", "outer", rows, 4)


def _wide(v: Variant) -> Variant:
    return replace(v, dtype="float64", shared=2 * v.shared)


VARIANTS = [
    _outer(4), _outer(1),
    _dots(1, 1, "parts"), _dots(1, 8, "parts"),
    _dots(1, 1, "block"), _dots(1, 8, "block"), _dots(1, 8, "warp"),
    _tf32(128, 128, 16), _tf32(64, 64, 32),
    _tile(128, 128, 8), _tile(64, 64, 16), _tile(32, 32, 32), _tile(16, 32, 64),
    _dots(4, 4, "parts"),
    _dots(8, 8, "block"), _dots(8, 8, "warp"), _dots(4, 4, "block"), _dots(4, 4, "warp"),
    _wide(_outer(1)),
    _wide(_dots(1, 8, "block")),
    _tile(64, 64, 16, "float64"), _tile(32, 32, 32, "float64"),
    _wide(_dots(4, 4, "block")), _wide(_dots(4, 4, "warp")),
]  # fmt: skip


def _refuse_size(v: Variant, p: Problem) -> str | None:
    """Why another variant suits the size better."""
    p = p.as_bound()
    count = v.blocks(p)
    fills = count >= MULTIPROCESSORS
    if v.form == "outer":
        if p.k > FEW_TERMS:
            return f"{p.k} terms, more than {FEW_TERMS}: reads of the operands would be repeated"
        return f"{count} blocks do not fill a GPU" if v.rows > 1 and not fills else None
    if v.form in ("tile", "tf32"):
        return None if fills else f"{count} blocks do not fill a GPU"
    if v.rows == 1 and p.m > 1:
        return "is for vectors, the product has several rows and columns"
    if v.columns == 1 and p.n > 1:
        return "is for one element, the product has several"
    if v.form == "parts":
        if p.k < 4 * PART:
            return f"{p.k} terms, fewer than {4 * PART}: a second launch would cost more"
        return f"{count} blocks fill a GPU without sharing terms" if fills else None
    if v.form == "block" and p.k <= MANY_TERMS and count > 2 * MULTIPROCESSORS:
        return f"{count} blocks with {p.k} terms each: a warp is enough for one"
    return f"{count} blocks do not fill a GPU" if v.rows == 8 and not fills else None


def _refuse(node: Apply, dtypes: tuple[str, ...]) -> str | None:
    p = problem(node)
    if p.dtype not in dtypes:
        return f"the operands are {p.dtype}, this kernel is for {', '.join(dtypes)}"
    if (rank := node.out.type.ndim - 2) > 6:
        return f"{rank} batch axes, at most 6"
    if max(p.m, p.n, p.k, p.batch) >= LIMIT or p.m * p.n * p.batch >= 256 * LIMIT:
        return "an extent is beyond 2^31"
    return None


def _descriptor(v: Variant, in_place: bool) -> Kernel:
    def refuse(node: Apply) -> str | None:
        if reason := _refuse(node, (v.dtype,)):
            return reason
        p = problem(node)
        if v.blocks(p) >= LIMIT:
            return "more than 2^31 blocks"
        if v.form == "tf32" and not config.tf32:
            return "rounds the operands to TF32: config.tf32 is off"
        why = _refuse_size(v, p)
        return None if why is None else Slower(why)

    entry, pairs = f"{v.name}_{SUFFIX[v.dtype]}", ((0, 0),) if in_place else ()
    return Kernel(v.name, "cuda", f"kernels/{v.source}.cu", entry, refuse, v.launch, pairs)


def _plain() -> Kernel:
    integers = ("bool", "int8", "uint8", "int16", "int32", "int64")

    def tiled(node: Apply) -> Launch:
        p = problem(node)
        return Launch(launch(node).params, blocks(p.m * p.n * p.batch))

    def refuse(node: Apply) -> str | None:
        return _refuse(node, integers)

    return Kernel("gemm_plain", "cuda", "kernels/gemm_plain.cu", "gemm_plain", refuse, tiled)


def cuda_product_kernels(floats_only: bool = False, in_place: bool = False) -> list[Kernel]:
    """Fastest first; each refuses the sizes where a later one wins."""
    kernels = [_descriptor(v, in_place) for v in VARIANTS]
    return kernels if floats_only else [*kernels, _plain()]

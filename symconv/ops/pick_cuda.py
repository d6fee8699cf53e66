"""The CUDA kernels of gather, scatter and the creation of arrays, beside those of the CPU."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from symconv.graph import Apply, Kernel, Launch, Variable, blocks, on_cuda
from symconv.graph.params import pack, unpack
from symconv.ops.index_kernels import (
    ARANGE,
    EYE,
    GATHER,
    ONE_HOT,
    SCATTER,
    sizes,
    slice_bound_kernel,
)
from symconv.ops.move_cuda import ADDS, FILLS_THE_GPU, THREADS

CHUNK = 2048  # places of a chunk: CHUNK of kernels/gather.cu
SOURCE = "kernels/gather.cu"


# ---- creation
def _by_type(kernel: Kernel, entry: Callable[[Apply], str]) -> list[Kernel]:
    """The kernel of the CPU, and the entry of create.cu for the node's type, an element a thread."""

    def launch(node: Apply) -> Launch:
        return Launch(kernel.launch(node).params, blocks(node.out.type.size), entry=entry(node))

    return [
        kernel,
        Kernel(kernel.name, "cuda", "kernels/create.cu", kernel.entry, kernel.supports, launch),
    ]


def _arange_entry(node: Apply) -> str:
    return f"arange_{ADDS.get(node.out.dtype, f'b{node.out.type.itemsize}')}"


ONE_HOTS = _by_type(ONE_HOT, lambda node: f"one_hot_b{node.out.type.itemsize}")
EYES = _by_type(EYE, lambda node: f"eye_b{node.out.type.itemsize}")
ARANGES = _by_type(ARANGE, _arange_entry)


def slice_bound_kernels(name: str, kind: int) -> list[Kernel]:
    """The kernels of the scalar ops of slicing.py."""
    cpu = slice_bound_kernel(name, kind)
    return [cpu, on_cuda(cpu, "create", lambda node: 1)]


# ---- integer arrays
def _params(
    node: Apply, cpu: Kernel, first_index: int, unit: int, *, per: int = 1,
    copy_tiles: int = 0, copy_bytes: int = 0, first: int = 0, last: int = 0,
) -> bytes:  # fmt: skip
    """PickParams in units of `unit` bytes, from the GatherParams of the CPU."""
    given: dict[str, Any] = unpack("GatherParams", cpu.launch(node).params)
    indices = node.inputs[first_index:]
    shape = tuple(given["picked"][: given["ndim"]])
    return pack(
        "PickParams", first_index=first_index, n_index=given["n_index"], ndim=given["ndim"],
        dense=all(sizes(v) == shape for v in indices), itemsize=given["itemsize"], per=per,
        output=len(node.inputs), outer=given["outer"], size=_size(given),
        inner=given["inner"] * given["itemsize"] // unit, picked=math.prod(shape), shape=shape,
        extent=given["extent"], index_dtype=given["index_dtype"], index_stride=given["index_stride"],
        copy_tiles=copy_tiles, copy_bytes=copy_bytes, first=first, last=last,
    )  # fmt: skip


def _size(given: dict[str, Any]) -> int:
    return math.prod(given["extent"][: given["n_index"]])


def _run(node: Apply, x: Variable, n_index: int) -> int:
    """Elements of x that lie behind the indexed axes: each picked place has them side by side."""
    return math.prod(sizes(x)[node.op.attributes()["axis"] + n_index :])


def _gather_launch(node: Apply) -> Launch:
    x = node.inputs[0]
    itemsize, run = x.type.itemsize, _run(node, x, len(node.inputs) - 1)
    unit = next(u for u in (16, 8, 4, 2, 1) if u <= itemsize or run * itemsize % u == 0)
    count = node.out.type.size * itemsize // unit
    per = 4 if count >= FILLS_THE_GPU else 1
    params = _params(node, GATHER, 1, unit, per=per)
    return Launch(params, blocks(count, THREADS * per), entry=f"gather_b{unit}")


def _scatter_launch(node: Apply) -> Launch:
    """The places and the copy of x, then a launch for each chunk of places."""
    x, y = node.inputs[:2]
    itemsize = x.type.itemsize
    picked = math.prod(np.broadcast_shapes(*(sizes(v) for v in node.inputs[2:])))
    kind = f"add_{ADDS.get(x.dtype, f'b{itemsize}')}" if node.op.attributes()["add"] else f"b{itemsize}"
    launch: Launch | None = None
    for first in reversed(range(0, picked if y.type.size else 0, CHUNK)):
        last = min(first + CHUNK, picked)
        params = _params(node, SCATTER, 2, itemsize, first=first, last=last)
        count = y.type.size // picked * (last - first)
        launch = Launch(params, blocks(count), 0, f"scatter_{kind}", then=launch)
    copy_tiles = blocks(x.type.nbytes, 16 * THREADS)
    params = _params(node, SCATTER, 2, itemsize, copy_tiles=copy_tiles, copy_bytes=x.type.nbytes)
    tiles = copy_tiles + blocks(picked)
    return Launch(params, tiles, 8 * CHUNK, "scatter_places", workspace=16 * max(picked, 1), then=launch)


GATHERS = [GATHER, Kernel("gather", "cuda", SOURCE, "gather", GATHER.supports, _gather_launch)]
SCATTERS = [
    SCATTER,
    Kernel("scatter", "cuda", SOURCE, "scatter", SCATTER.supports, _scatter_launch, SCATTER.inplace),
]

"""The kernels of running sums and products: csrc/kernels/cumulative.cpp and kernels/cumulative.cu."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from symconv.graph import Apply, Kernel, Launch, blocks
from symconv.graph.kernel import InplacePairs
from symconv.graph.params import pack
from symconv.ops.elementwise_kernel import dtype_code
from symconv.ops.extents import extents

THREADS, WARPS = 256, 8
ENOUGH_TILES = 264  # two for each multiprocessor of an H100
GROUP_TERMS = 16  # of a thread, at least, where a row is cut into groups
LEAST_GROUPS = 4  # below this a second pass over x costs more than it gains
PER_THREAD = 4  # neighbours: PER_THREAD of kernels/cumulative.cu
BLOCK_TERMS = 1024  # elements from which a row gets a whole block
ACCUMULATOR_BYTES = 8

OPS = {"cumsum": 0, "cumprod": 1}


@dataclass(frozen=True)
class Geometry:
    """2^lane_bits threads a row, `groups` groups of per_group elements each, `tiles` in all."""

    lane_bits: int
    groups: int
    per_group: int
    tiles: int


def geometry(outer: int, n: int, inner: int) -> Geometry:
    """How [outer, n, inner] is shared along n: rows get lanes where inner is 1, else a thread a column."""
    if inner > 1:
        # a thread adds up the totals of the groups before its own: no more of them than a group has elements
        lane_bits, tiles = 0, blocks(outer * inner)
        groups = min(ENOUGH_TILES * THREADS // (outer * inner), n // GROUP_TERMS, math.isqrt(n))
    else:
        lane_bits = min((-(-n // PER_THREAD) - 1).bit_length(), 5)
        if n >= BLOCK_TERMS and outer < WARPS * ENOUGH_TILES:
            lane_bits = 8
        tiles = blocks(outer, THREADS >> lane_bits)
        groups = min(ENOUGH_TILES // tiles, n // (GROUP_TERMS * THREADS)) if lane_bits == 8 else 1
    if groups < LEAST_GROUPS:
        return Geometry(lane_bits, 1, n, tiles)
    per_group = -(-n // groups)
    groups = -(-n // per_group)
    tiles = blocks(outer * groups * inner) if inner > 1 else outer * groups
    return Geometry(lane_bits, groups, per_group, tiles)


def _launch(node: Apply) -> Launch:
    op: Any = node.op
    outer, n, inner = extents(node)
    code, dtype = OPS[op.name], dtype_code(node.inputs[0].dtype)
    return Launch(
        pack(
            "CumulativeParams", op=code, dtype=dtype, reverse=op.reverse, unused=0, outer=outer, n=n,
            inner=inner,
        )
    )  # fmt: skip


def _cuda_launch(node: Apply) -> Launch:
    op: Any = node.op
    outer, n, inner = extents(node)
    if outer * n * inner == 0:
        return Launch(tiles=0)
    g = geometry(outer, n, inner)
    dtype = node.inputs[0].dtype
    entry = f"{op.name}_{'columns' if inner > 1 else 'rows'}_{'uint8' if dtype == 'bool' else dtype}"
    shared = 2 * WARPS * ACCUMULATOR_BYTES if g.lane_bits == 8 else 0

    def stage(number: int, workspace: int = 0, then: Launch | None = None) -> Launch:
        params = pack(
            "CumulativeTileParams", reverse=op.reverse, lane_bits=g.lane_bits, stage=number, unused=0,
            outer=outer, n=n, inner=inner, groups=g.groups, per_group=g.per_group,
        )  # fmt: skip
        return Launch(params, g.tiles, shared, entry, workspace=workspace, then=then)

    if g.groups == 1:
        return stage(0)
    return stage(1, ACCUMULATOR_BYTES * outer * inner * g.groups, stage(2))


def _inplace(node: Apply) -> InplacePairs:
    return ((0, 0),) if node.inputs[0].type == node.out.type else ()


def _supports(node: Apply) -> str | None:
    return None


CUMULATIVE: Sequence[Kernel] = (
    Kernel("cumulative", "cpu", "csrc/kernels/cumulative.cpp", "cumulative", _supports, _launch, _inplace),
    Kernel("cumulative", "cuda", "kernels/cumulative.cu", "cumulative", _supports, _cuda_launch, _inplace),
)

"""CUDA kernels of batch normalisation: how channels and their elements are shared among blocks."""

from __future__ import annotations

import math
from typing import Any

from symconv.graph import Apply, Kernel, Launch, blocks
from symconv.graph.kernel import InplacePairs
from symconv.graph.params import pack
from symconv.ops.float_kernels import SUFFIX

Layout = tuple[int, int, int]  # outer, channels, inner
MULTIPROCESSORS = 132  # of an H100
BLOCK_ELEMENTS = 8192  # up to which one block does a group of channels by itself
SLICE_ELEMENTS = 2048  # of a slice, at least
WARP = 32


def width_of(layout: Layout) -> int:
    """Channels of a block: enough that a warp reads 32 neighbouring elements."""
    _, c, inner = layout
    width = 1
    while width < WARP and width < c and width * inner < WARP:
        width *= 2
    return width


def slices_of(layout: Layout) -> int:
    """Blocks that share a group of channels: more than one where groups are few and long."""
    outer, c, inner = layout
    width = width_of(layout)
    groups, elements = blocks(c, width), outer * inner * width
    if groups >= MULTIPROCESSORS or elements <= BLOCK_ELEMENTS:
        return 1
    return min(blocks(2 * MULTIPROCESSORS, groups), elements // SLICE_ELEMENTS)


def merged(node: Apply) -> list[tuple[int, bool]]:
    """The axes of x as (length, kept) without ones, neighbours of a kind taken together."""
    op: Any = node.op
    shape: Any = node.out.type.shape
    axes: list[tuple[int, bool]] = []
    for i, d in enumerate(shape):
        if d == 1:
            continue
        kept = i not in op.axes
        if axes and axes[-1][1] == kept:
            axes[-1] = (axes[-1][0] * d, kept)
        else:
            axes.append((d, kept))
    return axes


def layout_of(node: Apply) -> tuple[Layout, list[tuple[int, bool]]]:
    """Outer, channels, inner; and the axes, where those of the channels do not lie side by side, else []."""
    axes = merged(node)
    kept = [i for i, (_, k) in enumerate(axes) if k]
    c = math.prod(d for d, k in axes if k)
    places = math.prod(d for d, k in axes if not k)
    if len(kept) > 1:
        return (1, c, places), axes
    outer = math.prod(d for d, _ in axes[: kept[0]]) if kept else 1
    return (outer, c, places // outer), []


def batch_norm_on_cuda(name: str, inplace: InplacePairs) -> list[Kernel]:
    """One launch of NAME; where slices share the channels NAME_parts, then NAME_apply. For each dtype."""

    def kernel(dtype: str) -> Kernel:
        suffix = SUFFIX[dtype]

        def supports(node: Apply) -> str | None:
            if node.out.dtype != dtype:
                return f"the output is {node.out.dtype}, this kernel is for {dtype}"
            if len(merged(node)) > 8:
                return "the axes that are kept lie in more than 8 pieces"
            return "an empty batch: the statistics are NaN" if node.out.type.size == 0 else None

        def launch(node: Apply) -> Launch:
            op: Any = node.op
            layout, axes = layout_of(node)
            outer, c, inner = layout
            width, slices = 1 if axes else width_of(layout), slices_of(layout)
            params = pack(
                "BatchNormSliceParams", outer=outer, c=c, inner=inner, eps=op.eps, width=width, slices=slices,
                ndim=len(axes), kept=sum(1 << i for i, (_, k) in enumerate(axes) if k),
                shape=[d for d, _ in axes],
            )  # fmt: skip
            itemsize = node.out.type.itemsize
            tiles, shared = blocks(c, width) * slices, 8 * WARP * itemsize
            if slices == 1:
                return Launch(params, tiles, shared)
            then = Launch(params, tiles, 0, f"{name}_apply_{suffix}")
            workspace = 2 * slices * c * itemsize
            return Launch(params, tiles, shared, f"{name}_parts_{suffix}", workspace=workspace, then=then)

        entry = f"{name}_{suffix}"
        return Kernel(entry, "cuda", "kernels/norm.cu", entry, supports, launch, inplace)

    return [kernel(dtype) for dtype in SUFFIX]

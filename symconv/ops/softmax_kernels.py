"""Kernel descriptors of the ops in softmax.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symconv.graph import Apply, Kernel, Launch, blocks
from symconv.graph.kernel import InplacePairs
from symconv.graph.params import pack
from symconv.ops.extents import extents
from symconv.ops.float_kernels import both_dtypes

ROWS = 8  # rows of a tile in which every warp does one


def along_axis(name: str, operands: int = 1) -> list[Kernel]:
    """Kernels for an op with an `axis`, whose operands and output have one shape."""

    def launch(node: Apply) -> Launch:
        outer, k, inner = extents(node)
        return Launch(pack("SoftmaxParams", outer=outer, k=k, inner=inner))

    def tiles(node: Apply) -> int:
        outer, _, inner = extents(node)
        return blocks(outer, ROWS) if inner == 1 else blocks(outer * inner)

    return both_dtypes(name, "softmax", launch, tuple((0, i) for i in range(operands)), tiles=tiles)


def by_label(
    name: str, rows: Callable[[Apply], Any], labels: int, inplace: InplacePairs = (), per_tile: int = ROWS
) -> list[Kernel]:
    """Kernels for an op with one label a row; `rows` finds the variable [N, K], `labels` is an input.

    per_tile: rows that a tile of the CUDA kernel does.
    """

    def launch(node: Apply) -> Launch:
        n, k = rows(node).type.shape
        label = node.inputs[labels].type
        unsigned = int(label.dtype.startswith("u"))
        return Launch(pack("LabelParams", n=n, k=k, label_bytes=label.itemsize, label_unsigned=unsigned))

    def tiles(node: Apply) -> int:
        return blocks(rows(node).type.shape[0], per_tile)

    return both_dtypes(name, "cross_entropy", launch, inplace, tiles=tiles, cuda="softmax")

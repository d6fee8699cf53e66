"""CUDA kernel descriptors of the ops in conv.py, and the sizes that all kernels of these ops are given.

Which kernel: each has a rough model of its time; the quickest accepts, the others say which it is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from symconv.graph import Apply, Kernel, Launch, blocks
from symconv.graph.kernel import Slower
from symconv.graph.params import pack
from symconv.ops.float_kernels import SUFFIX

KINDS = {"conv2d": "fprop", "conv2d_dgrad": "dgrad", "conv2d_wgrad": "wgrad"}
MULTIPROCESSORS = 132  # of an H100
RATE = 128  # multiply-adds per cycle of each
DEPTH = 16  # IMPLICIT_DEPTH of kernels/conv_implicit.cu
SMALL_DW, LONG_DW = 4096, 512  # elements of dw, at most, and positions, at least, for a block to add up each
WARP_DW = 4  # elements that a warp adds up otherwise
# (rows, columns) of a tile: the share of the multiply-add rate it reaches at best
TILES = {(128, 64): 0.75, (64, 64): 0.6, (32, 128): 0.6}


def geometry(node: Apply) -> dict[str, int]:
    """The fields of ConvParams but for itemsize, whichever of the three ops the node is.

    A flipped window is walked backwards: its dilations are negative, and element (0, 0) comes last.
    """
    op: Any = node.op
    out: Any = node.out.type.dims
    first, second = (v.type.dims for v in node.inputs[:2])
    x, w, y = {"fprop": (first, second, out), "dgrad": (out, second, first), "wgrad": (first, out, second)}[
        KINDS[op.name]
    ]
    top, _, left, _ = op.padding
    dilation = op.dilation
    if op.flip:
        top, left = (before - (n - 1) * d for before, n, d in zip((top, left), w[2:], dilation))
        dilation = tuple(-d for d in dilation)
    return dict(
        n=x[0], c=x[1], h=x[2], w=x[3], k=w[0], r=w[2], s=w[3], p=y[2], q=y[3],
        stride_h=op.stride[0], stride_w=op.stride[1], top=top, left=left,
        dilation_h=dilation[0], dilation_w=dilation[1], groups=op.groups,
    )  # fmt: skip


class Product:
    """The convolution as matrix products [rows, depth] x [depth, columns], one a group and phase."""

    def __init__(self, kind: str, g: dict[str, int]) -> None:
        channels, maps, window = g["c"] // g["groups"], g["k"] // g["groups"], g["r"] * g["s"]
        self.groups = g["groups"]
        self.phases = g["stride_h"] * g["stride_w"] if kind == "dgrad" else 1
        positions = g["n"] * g["p"] * g["q"]
        if kind == "fprop":
            self.rows, self.columns, self.depth = maps, positions, channels * window
        elif kind == "dgrad":
            self.rows, self.depth = channels, blocks(maps * window, self.phases)
            self.columns = g["n"] * blocks(g["h"], g["stride_h"]) * blocks(g["w"], g["stride_w"])
        else:
            self.rows, self.columns, self.depth = maps, channels * window, positions

    @property
    def outputs(self) -> int:
        return self.rows * self.columns * self.groups * self.phases

    def tiles(self, tile: tuple[int, int]) -> int:
        return blocks(self.rows, tile[0]) * self.groups * self.phases * blocks(self.columns, tile[1])

    def parts(self, tile: tuple[int, int]) -> int:
        """Into how many parts to cut a long sum, so that there are tiles for the whole GPU."""
        wanted = blocks(2 * MULTIPROCESSORS, max(self.tiles(tile), 1))
        return max(1, min(wanted, self.depth // (8 * DEPTH)))

    def implicit_cycles(self, tile: tuple[int, int], parts: int) -> float:
        rounds = blocks(self.tiles(tile) * parts, MULTIPROCESSORS)
        own = tile[0] * tile[1] * (self.depth / parts + 2 * DEPTH) / (RATE * TILES[tile])
        return 1500 + max(rounds, 1.5) * own + (1500 if parts > 1 else 0)

    def sharers(self) -> int:
        """Threads that add up an element of dw together."""
        return 256 if self.outputs <= SMALL_DW and self.depth >= LONG_DW else 32

    def direct_cycles(self, kind: str) -> float:
        per_tap = 10  # instructions for each multiply-add
        share = self.sharers() if kind == "wgrad" else 1
        ends = share * 40 if share > 1 else 0  # instructions of all of them before and after
        issue = self.outputs * (self.depth * per_tap + ends) / (RATE * MULTIPROCESSORS)
        return 1000 + max(issue, self.depth / share * 40)


@lru_cache(maxsize=1024)
def _quickest(kind: str, dtype: str, sizes: tuple[tuple[str, int], ...]) -> str:
    product = Product(kind, dict(sizes))
    costs = {f"direct_{kind}": product.direct_cycles(kind)}
    for tile in TILES if dtype == "float32" else [(64, 64)]:
        parts = product.parts(tile) if kind == "wgrad" else 1
        costs[f"implicit_{kind}_{tile[0]}x{tile[1]}"] = product.implicit_cycles(tile, parts)
    return min(costs, key=lambda name: costs[name])


def _refusal(node: Apply, kind: str, dtype: str, name: str) -> str | None:
    if node.out.dtype != dtype:
        return f"the output is {node.out.dtype}, this kernel is for {dtype}"
    quickest = _quickest(kind, dtype, tuple(geometry(node).items()))
    return None if quickest == name else Slower(f"{quickest} is estimated faster")


def _params(node: Apply, parts: int = 1, threads: int = 1) -> bytes:
    fields: dict[str, Any] = geometry(node)
    return pack("ConvTileParams", parts=parts, threads=threads, **fields)


def _direct(kind: str, dtype: str) -> Kernel:
    name = f"direct_{kind}"

    def launch(node: Apply) -> Launch:
        size = node.out.type.size
        if kind != "wgrad":
            return Launch(_params(node), blocks(size))
        threads = Product(kind, geometry(node)).sharers()
        per_tile = 1 if threads == 256 else 256 // threads * WARP_DW
        return Launch(_params(node, threads=threads), blocks(size, per_tile), 64)

    return Kernel(
        f"{name}_{SUFFIX[dtype]}", "cuda", "kernels/conv_direct.cu", f"{name}_{SUFFIX[dtype]}",
        lambda node: _refusal(node, kind, dtype, name), launch,
    )  # fmt: skip


def _implicit(kind: str, dtype: str, tile: tuple[int, int]) -> Kernel:
    name = f"implicit_{kind}_{tile[0]}x{tile[1]}"
    itemsize = 4 if dtype == "float32" else 8
    shared = 2 * DEPTH * ((tile[0] + 4 + tile[1]) * itemsize + 24)

    def launch(node: Apply) -> Launch:
        product = Product(kind, geometry(node))
        parts = product.parts(tile) if kind == "wgrad" else 1
        params, tiles = _params(node, parts), product.tiles(tile) * parts
        if parts == 1:
            return Launch(params, tiles, shared)
        size = node.out.type.size
        add = Launch(params, blocks(size), entry=f"implicit_wgrad_add_{SUFFIX[dtype]}")
        return Launch(params, tiles, shared, workspace=parts * size * itemsize, then=add)

    return Kernel(
        f"{name}_{SUFFIX[dtype]}", "cuda", "kernels/conv_implicit.cu", f"{name}_{SUFFIX[dtype]}",
        lambda node: _refusal(node, kind, dtype, name), launch,
    )  # fmt: skip


def on_cuda_kernels(kind: str) -> list[Kernel]:
    """The CUDA kernels of one of KINDS' values."""
    tiled = [_implicit(kind, "float32", tile) for tile in TILES]
    return [*tiled, _implicit(kind, "float64", (64, 64)), *(_direct(kind, dtype) for dtype in SUFFIX)]

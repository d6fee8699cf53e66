"""CUDA kernel descriptors of the ops in conv_pool.py: how the work is cut into tiles.

A tile of the convolution does `rows` pooled rows of `images` images for `groups` groups of channels, and
shares the input channels among `splits` threads. _tilings() lists what fits, cost() says how long each takes.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np

from symconv.graph import Apply, Kernel, Launch, blocks
from symconv.graph.kernel import Slower
from symconv.graph.params import pack
from symconv.ops.epilogue import ACTIVATIONS
from symconv.ops.float_kernels import SUFFIX

THREADS = 256
MULTIPROCESSORS = 132  # of an H100; fewer make less of a difference than the wrong tile
SHARED = 46 << 10  # bytes of a tile, so that two or more fit
LATENCY = 800  # cycles until the first loads of a tile have arrived
TUNED = 8  # tilings that tuning tries, those of least estimated cost
COUNTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20)


@dataclass(frozen=True)
class Sizes:
    """The layer; `top` to `right` are the padding, `activation` its number, `flip` 0 or 1."""

    n: int
    c: int
    h: int
    w: int
    k: int
    r: int
    s: int
    pool_h: int
    pool_w: int
    top: int
    bottom: int
    left: int
    right: int
    activation: int
    flip: int

    @cached_property
    def rows(self) -> int:
        return (self.h + self.top + self.bottom - self.r + 1) // self.pool_h

    @cached_property
    def cols(self) -> int:
        return (self.w + self.left + self.right - self.s + 1) // self.pool_w


Count = Any  # a whole number, or an array of them: one formula for one tiling and for all candidates


@dataclass(frozen=True)
class Tiling:
    """One way to cut a layer into tiles, or many, as arrays; `k` output channels a thread."""

    sizes: Sizes
    k: int
    rows: Count
    images: Count
    groups: Count
    splits: Count
    channels: Count

    @property
    def pitch(self) -> int:
        return (2 * self.sizes.cols + self.sizes.s) // 2 * 2

    @property
    def plane(self) -> Count:
        """Floats of a patch's channel: half way round the 32 banks."""
        size = (2 * self.rows + self.sizes.r - 1) * self.pitch
        return size + (16 - size) % 32

    @property
    def threads(self) -> Count:
        return self.images * self.rows * self.sizes.cols * self.groups * self.splits

    @property
    def channel_blocks(self) -> Count:
        return blocks(self.sizes.k, self.groups * self.k)

    @property
    def bands(self) -> Count:
        return blocks(self.sizes.rows, self.rows)

    @property
    def tiles(self) -> Count:
        return blocks(self.sizes.n, self.images) * self.bands * self.channel_blocks

    @property
    def shared(self) -> Count:
        weights = self.channels * self.sizes.r * self.sizes.s * self.groups * self.k
        staged = self.images * self.channels * self.plane + weights
        sums = (self.splits > 1) * self.threads * 4 * self.k
        return 4 * np.maximum(staged, sums)

    def cost(self) -> Count:
        """Cycles that the whole launch takes, roughly: the most of issue slots and of latencies."""
        s = self.sizes
        taps = s.r * s.s
        shared, threads, tiles = self.shared, self.threads, self.tiles
        per_channel = 4 * taps * self.k + taps * blocks(self.k, 4) + (s.r + 1) * (s.s + 1) // 2 + 12
        chunks = blocks(s.c, self.channels)
        channels = chunks * blocks(np.minimum(self.channels, s.c), self.splits)
        staged = chunks * shared / 4 / THREADS * 10
        sums = (self.splits > 1) * (40 + 16 * self.k * threads / THREADS)
        own = channels * per_channel + 60 * self.k
        latency = chunks * LATENCY + 1.3 * own + staged + sums
        issue = blocks(threads, 32) * own / 4 + 2 * (staged + sums)
        per_sm = blocks(tiles, MULTIPROCESSORS)
        resident = np.minimum(2, (200 << 10) // shared)
        idle = np.where(tiles < MULTIPROCESSORS, 1.1, 1.0)
        return idle * np.maximum(blocks(per_sm, resident) * latency, per_sm * issue) + latency * 0.1


def _tilings(s: Sizes, k: int) -> Tiling:
    """All tilings whose threads and shared memory fit, possibly none."""
    windows = [(rows, 1) for rows in sorted({min(r, s.rows) for r in COUNTS})]
    windows += [(s.rows, images) for images in COUNTS if images <= max(s.n, 1)]
    windows = list(dict.fromkeys(windows))
    shares = [(g, split) for g in sorted({min(g, blocks(s.k, k)) for g in COUNTS}) for split in COUNTS]
    found = [
        (*w, *share)
        for w in windows
        for share in shares
        if math.prod((*w, *share)) * s.cols <= THREADS and share[1] <= s.c
    ]
    rows, images, groups, splits = np.array(found, np.int64).reshape(-1, 4).T
    whole = Tiling(s, k, rows, images, groups, splits, s.c)
    per_channel = 4 * (images * whole.plane + s.r * s.s * groups * k)
    channels = np.minimum(s.c, SHARED // per_channel // splits * splits)
    fits = (channels > 0) & (replace(whole, channels=channels).shared <= SHARED)
    return Tiling(s, k, rows[fits], images[fits], groups[fits], splits[fits], channels[fits])


@lru_cache(maxsize=1024)
def best_tilings(s: Sizes, k: int) -> tuple[tuple[Tiling, float], ...]:
    """The TUNED tilings of least cost, best first, with their costs."""
    every = _tilings(s, k)
    cost = every.cost()
    fields = (every.rows, every.images, every.groups, every.splits, every.channels)
    return tuple(
        (Tiling(s, k, *(int(a[i]) for a in fields)), float(cost[i]))
        for i in np.lexsort((every.threads, every.tiles, cost))[:TUNED]
    )


def best_tiling(s: Sizes, k: int) -> tuple[Tiling, float] | None:
    """The tiling of least cost, and its cost."""
    return next(iter(best_tilings(s, k)), None)


def sizes_of(node: Apply) -> Sizes:
    op: Any = node.op
    (n, c, h, w), (k, _, r, s) = node.inputs[0].type.dims, node.inputs[1].type.dims
    activation = list(ACTIVATIONS).index(op.activation)
    ph, pw = op.window
    top, bottom, left, right = op.padding
    return Sizes(n, c, h, w, k, r, s, ph, pw, top, bottom, left, right, activation, int(op.flip))


# ---- forward


def channels_refusal(node: Apply) -> str | None:
    return None if node.inputs[0].type.shape[1] and node.inputs[1].type.shape[0] else "no channels"


def _tile_params(s: Sizes, **tiling: int) -> bytes:
    fields: dict[str, Any] = {**asdict(s), **tiling}
    return pack("ConvPoolTileParams", **fields)


def _direct(window: int, k: int) -> Kernel:
    """2 x 2 pooling, k channels a thread, a window x window kernel (0: any)."""

    def supports(node: Apply) -> str | None:
        s = sizes_of(node)
        if refusal := channels_refusal(node):
            return refusal
        if node.out.dtype != "float32":
            return f"the output is {node.out.dtype}, this kernel is for float32"
        if (s.pool_h, s.pool_w) != (2, 2):
            return f"for pooling by 2 x 2, not {s.pool_h} x {s.pool_w}"
        if window and (s.r, s.s) != (window, window):
            return f"for {window} x {window} weights, not {s.r} x {s.s}"
        mine = best_tiling(s, k)
        if mine is None:
            return "no tile fits into shared memory"
        if window:
            for other in CHANNELS:
                rival = best_tiling(s, other)
                if rival is not None and (rival[1], other) < (mine[1], k):
                    return Slower(f"{other} channels a thread are estimated faster")
        return None

    def launch(node: Apply, rank: int = 0) -> Launch:
        t, _ = best_tilings(sizes_of(node), k)[rank]
        params = _tile_params(
            t.sizes, rows=t.rows, images=t.images, groups=t.groups, splits=t.splits, channels=t.channels,
            plane=t.plane, blocks=t.channel_blocks, bands=t.bands,
        )  # fmt: skip
        return Launch(params, t.tiles, int(t.shared))

    name = f"direct_conv_pool_2x2_k{k}" + (f"_{window}x{window}" if window else "")

    def variants(node: Apply) -> tuple[Kernel, ...]:
        found = []
        for rank, (t, _) in enumerate(best_tilings(sizes_of(node), k)[1:], 1):
            label = f"rows={t.rows},images={t.images},groups={t.groups},splits={t.splits}"
            of_rank = partial(launch, rank=rank)
            found.append(replace(kernel, name=f"{name}[{label}]", launch=of_rank, variants=()))
        return tuple(found)

    kernel = Kernel(name, "cuda", "kernels/conv_pool.cu", name, supports, launch, variants=variants)
    return kernel


def _naive(dtype: str) -> Kernel:
    def supports(node: Apply) -> str | None:
        if node.out.dtype != dtype:
            return f"the output is {node.out.dtype}, this kernel is for {dtype}"
        return channels_refusal(node)

    def launch(node: Apply) -> Launch:
        params = _tile_params(
            sizes_of(node), rows=0, images=0, groups=0, splits=0, channels=0, plane=0, blocks=0, bands=0
        )
        return Launch(params, blocks(node.out.type.size))

    name = f"conv_pool_naive_{SUFFIX[dtype]}"
    return Kernel(name, "cuda", "kernels/conv_pool.cu", name, supports, launch)


CHANNELS = (2, 4, 8)  # a thread's, of the variants for known R x S
FORWARD = [
    *(_direct(window, k) for window in (5, 3) for k in CHANNELS),
    _direct(0, 4),
    *map(_naive, SUFFIX),
]


# ---- backward

WARPS = THREADS // 32
VALUES = 128  # of a patch that a warp holds
STAGED = 12 << 10  # bytes of pooled gradients in a dx tile
STAGED_WEIGHTS = 24 << 10  # bytes of weights in a dx tile
ENTRIES = 4096  # maxima that a dw tile should have at least


@dataclass(frozen=True)
class GradTiling:
    """A tile of dx: `rows` rows of `groups` x `channels` channels. Of dw: `values` values of a channel."""

    sizes: Sizes
    itemsize: int
    rows: int
    groups: int
    channels: int
    windows: int
    maps: int
    values: int
    parts: int

    @cached_property
    def dx_tiles(self) -> int:
        s = self.sizes
        return s.n * blocks(s.h, self.rows) * blocks(s.c, self.groups * self.channels)

    @cached_property
    def dw_tiles(self) -> int:
        s = self.sizes
        return s.k * blocks(s.c * s.r * s.s, self.values) * self.parts

    def shared(self, need_dx: bool) -> int:
        s = self.sizes
        sums = WARPS * ((32 if self.values <= 32 else VALUES) + 1) * self.itemsize
        staged = self.windows * (self.maps | 1) * (self.itemsize + 4)
        copies = WARPS * self.channels * self.rows * (s.w + s.left + s.right) * self.itemsize
        weights = self.weights if self.stage else 0
        return max(sums, copies + weights + staged if need_dx else 0)

    @cached_property
    def weights(self) -> int:
        """Bytes of the weights that a tile of dx needs."""
        s = self.sizes
        return s.k * self.groups * self.channels * s.r * s.s * self.itemsize

    @cached_property
    def stage(self) -> bool:
        """A tile that finds nothing in L1 brings all its weights at once, if they fit."""
        few = self.dx_tiles <= 2 * MULTIPROCESSORS
        return few and self.maps == self.sizes.k and self.weights <= STAGED_WEIGHTS


def grad_tiling(s: Sizes, itemsize: int) -> GradTiling:
    """rows is 0 if not even one row of one channel fits into shared memory."""
    maps = min(s.k, 1024)
    windows = max(1, min(s.rows * s.cols, STAGED // ((maps | 1) * (itemsize + 4))))
    row = WARPS * (s.w + s.left + s.right) * itemsize  # bytes of one row of a channel, in every warp's copy
    channels = min(s.c, max(1, VALUES // (s.r * s.s)))
    while channels > 1 and (SHARED - STAGED) // (row * channels) < min(s.h, 3 * s.r):
        channels = (channels + 1) // 2
    rows = min(s.h, (SHARED - STAGED) // (row * channels))
    groups = 1
    while groups < WARPS and groups * channels < s.c:
        if s.n * blocks(s.h, max(rows, 1)) * blocks(s.c, 2 * groups * channels) < 4 * MULTIPROCESSORS:
            break
        groups *= 2
    kernel = s.c * s.r * s.s
    chunks = blocks(kernel, VALUES)
    most = min(s.n, s.n * s.rows * s.cols // ENTRIES, blocks(4 * MULTIPROCESSORS, s.k * chunks))
    return GradTiling(
        s, itemsize, rows, groups, channels, windows, maps, blocks(kernel, chunks), max(1, most)
    )


def _grad_params(s: Sizes, need_dx: bool, **tiling: int) -> bytes:
    fields: dict[str, Any] = {**asdict(s), "need_dx": int(need_dx), **tiling}
    return pack("ConvPoolGradTileParams", **fields)


def _of_dtype(dtype: str, node: Apply) -> str | None:
    if node.inputs[0].dtype != dtype:
        return f"the operands are {node.inputs[0].dtype}, this kernel is for {dtype}"
    return channels_refusal(node)


def _walk(dtype: str) -> Kernel:
    def tiling(node: Apply) -> GradTiling:
        return grad_tiling(sizes_of(node), node.inputs[0].type.itemsize)

    def supports(node: Apply) -> str | None:
        if refusal := _of_dtype(dtype, node):
            return refusal
        op: Any = node.op
        if op.need_dx and not tiling(node).rows:
            return "a row of dx does not fit into shared memory"
        return None

    def launch(node: Apply) -> Launch:
        op: Any = node.op
        t = tiling(node)
        dx_tiles = t.dx_tiles if op.need_dx else 0
        params = _grad_params(
            t.sizes, op.need_dx, dw_tiles=t.dw_tiles, dx_rows=t.rows, dx_groups=t.groups,
            dx_channels=t.channels, dx_stage=int(t.stage), windows=t.windows, maps=t.maps,
            dw_values=t.values, parts=t.parts,
        )  # fmt: skip
        tiles, shared = dx_tiles + t.dw_tiles, t.shared(op.need_dx)
        if t.parts == 1:
            return Launch(params, tiles, shared)
        size = t.sizes.k * (t.sizes.c * t.sizes.r * t.sizes.s + 1)
        add = Launch(params, blocks(size), entry=f"conv_pool_grad_add_{SUFFIX[dtype]}")
        return Launch(params, tiles, shared, workspace=t.parts * size * t.itemsize, then=add)

    name = f"argmax_walk_{SUFFIX[dtype]}"
    return Kernel(name, "cuda", "kernels/conv_pool_grad.cu", name, supports, launch)


def _grad_naive(dtype: str) -> Kernel:
    def launch(node: Apply) -> Launch:
        op: Any = node.op
        params = _grad_params(
            sizes_of(node), op.need_dx, dw_tiles=0, dx_rows=0, dx_groups=0, dx_channels=0, dx_stage=0,
            windows=0, maps=0, dw_values=0, parts=0,
        )  # fmt: skip
        return Launch(params, blocks(sum(v.type.size for v in node.outputs)))

    name = f"argmax_naive_{SUFFIX[dtype]}"
    return Kernel(
        name, "cuda", "kernels/conv_pool_grad_naive.cu", name, lambda node: _of_dtype(dtype, node), launch
    )


BACKWARD = [*map(_walk, SUFFIX), *map(_grad_naive, SUFFIX)]

"""Which of the CPU's kernels is taken for conv_pool: the one whose estimate is the least.

Estimates are of one image, in fused multiply-adds of a vector. The constants were fitted to the times of 198
shapes, of dense inputs, one thread on one processor; the kernel that is taken was 1 to 2 % slower there than
the fastest one, in the mean. They need not be exact.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import NamedTuple

from symconv.graph import Apply
from symconv.graph.kernel import Slower
from symconv.ops.conv_cpu_rates import by_width, rates
from symconv.ops.conv_cpu_winograd import SIDE, Columns, tiles_time, transforms_refusal
from symconv.ops.conv_pool_kernels import Sizes, channels_refusal, sizes_of

WINDOWS = ((3, 3), (5, 5))


class Costs(NamedTuple):
    """Of one instruction set."""

    pool: float  # the maxima of a vector of winograd_columns_conv_pool
    # direct_conv_pool; output: of the convolution; weights: to lay out a vector of them, once for all images
    product: float
    output: float
    weights: float


NARROW, WIDE = Costs(43, 0.97, 4.5, 18), Costs(20, 0.9, 9.4, 32)


def forward_refusal(name: str, node: Apply) -> str | None:
    """Why not the CPU kernel `name`, one of KERNELS."""
    dtype, s = node.inputs[0].dtype, sizes_of(node)
    if refusal := channels_refusal(node) or KERNELS[name].limits(dtype, s):
        return refusal
    estimates = {other: each.estimate(s) for other, each in KERNELS.items() if not each.limits(dtype, s)}
    best = min(estimates, key=lambda kernel: estimates[kernel])
    if name == best:
        return None
    outputs = f"{s.rows * s.pool_h}x{s.cols * s.pool_w} outputs"
    return Slower(f"{s.c} channels to {s.k} with {s.r}x{s.s}, {outputs}: {best} is faster")


def _tiles_limits(dtype: str, s: Sizes) -> str | None:
    if refusal := transforms_refusal(dtype):
        return refusal
    if (s.r, s.s) not in WINDOWS:
        return f"windows of {s.r}x{s.s}, needs 3x3 or 5x5"
    if SIDE % s.pool_h or SIDE % s.pool_w:
        return f"pooling windows of {(s.pool_h, s.pool_w)} do not divide tiles of 4x4"
    return None


def _columns_limits(dtype: str, s: Sizes) -> str | None:
    if refusal := transforms_refusal(dtype):
        return refusal
    if (s.pool_h, s.pool_w) != (2, 2):
        return f"pooling windows of {(s.pool_h, s.pool_w)}, needs (2, 2)"
    return None


def _no_limits(dtype: str, s: Sizes) -> str | None:
    return None


def _direct(s: Sizes) -> float:
    costs, lanes, window = by_width(NARROW, WIDE), rates().lanes, s.c * s.r * s.s
    blocks = ceil(2 * s.k / lanes) / 2 if s.k > lanes else 1  # the last half vectors of two outputs share one
    outputs = s.rows * s.pool_h * s.cols * s.pool_w * blocks
    weights = costs.weights * window * ceil(s.k / lanes) / max(1, s.n)
    return outputs * (costs.product * window + costs.output) + weights


def _tiles(s: Sizes) -> float:
    return tiles_time(s.c, s.k, s.r, s.rows * s.pool_h, s.cols * s.pool_w, s.n)


def _columns(s: Sizes) -> float:
    form = Columns(s.c, s.k, s.r, s.s, s.h + s.top + s.bottom - s.r + 1, s.w + s.left + s.right - s.s + 1)
    vectors, _, _ = form.tiles()
    return form.time(s.n) + by_width(NARROW, WIDE).pool * s.k * vectors


class Form(NamedTuple):
    """A kernel: why it cannot do it, of dtype and sizes, and its estimate."""

    limits: Callable[[str, Sizes], str | None]
    estimate: Callable[[Sizes], float]


KERNELS = {
    "winograd_conv_pool": Form(_tiles_limits, _tiles),
    "winograd_columns_conv_pool": Form(_columns_limits, _columns),
    "direct_conv_pool": Form(_no_limits, _direct),
}

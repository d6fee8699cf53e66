"""Which of the CPU's kernels is taken for conv_pool: the one whose estimate is the least.

Estimates are of one image, in fused multiply-adds of a vector. The constants were fitted to the times of 198
shapes, of dense inputs, one thread on one processor; the kernel that is taken was 1 to 2 % slower there than
the fastest one, in the mean. They need not be exact.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from symconv.graph import Apply
from symconv.graph.kernel import Slower
from symconv.ops.conv_cpu_rates import rates
from symconv.ops.conv_cpu_winograd import SIDE, Columns, tiles_time, transforms_refusal
from symconv.ops.conv_pool_kernels import Sizes, sizes_of

WINDOWS = ((3, 3), (5, 5))


class Costs(NamedTuple):
    """Of one instruction set."""

    pool: float  # the maxima of a vector of winograd_columns_conv_pool
    # direct_conv_pool; output: of the convolution; weights: to lay out a vector of them, once for all images
    product: float
    output: float
    weights: float


NARROW, WIDE = Costs(43, 0.97, 4.5, 18), Costs(20, 0.9, 9.4, 32)


def winograd_refusal(node: Apply) -> str | None:
    """Why not winograd_conv_pool."""
    s = sizes_of(node)
    if refusal := _refusal(node, s):
        return refusal
    if (s.r, s.s) not in WINDOWS:
        return f"windows of {s.r}x{s.s}, needs 3x3 or 5x5"
    if SIDE % s.pool_h or SIDE % s.pool_w:
        return f"pooling windows of {(s.pool_h, s.pool_w)} do not divide tiles of 4x4"
    return _slower("winograd_conv_pool", s)


def columns_refusal(node: Apply) -> str | None:
    """Why not winograd_columns_conv_pool."""
    s = sizes_of(node)
    if refusal := _refusal(node, s):
        return refusal
    if (s.pool_h, s.pool_w) != (2, 2):
        return f"pooling windows of {(s.pool_h, s.pool_w)}, needs (2, 2)"
    return _slower("winograd_columns_conv_pool", s)


def _refusal(node: Apply, s: Sizes) -> str | None:
    if refusal := transforms_refusal(node.inputs[0].dtype):
        return refusal
    return None if s.c and s.k else "no channels"


def _slower(name: str, s: Sizes) -> str | None:
    estimates = estimates_of(s)
    best = min(estimates, key=lambda kernel: estimates[kernel])
    if name == best:
        return None
    outputs = f"{s.rows * s.pool_h}x{s.cols * s.pool_w} outputs"
    return Slower(f"{s.c} channels to {s.k} with {s.r}x{s.s}, {outputs}: {best} is faster")


def estimates_of(s: Sizes) -> dict[str, float]:
    """Of those kernels that can do it."""
    found = {"direct_conv_pool": _direct(s)}
    if (s.r, s.s) in WINDOWS and SIDE % s.pool_h == SIDE % s.pool_w == 0:
        found["winograd_conv_pool"] = _winograd(s)
    if (s.pool_h, s.pool_w) == (2, 2):
        found["winograd_columns_conv_pool"] = _columns(s)
    return found


def _costs() -> Costs:
    return WIDE if rates().lanes == 16 else NARROW


def _direct(s: Sizes) -> float:
    costs, lanes, window = _costs(), rates().lanes, s.c * s.r * s.s
    blocks = ceil(2 * s.k / lanes) / 2 if s.k > lanes else 1  # the last half vectors of two outputs share one
    outputs = s.rows * s.pool_h * s.cols * s.pool_w * blocks
    weights = costs.weights * window * ceil(s.k / lanes) / max(1, s.n)
    return outputs * (costs.product * window + costs.output) + weights


def _winograd(s: Sizes) -> float:
    return tiles_time(s.c, s.k, s.r, s.rows * s.pool_h, s.cols * s.pool_w, s.n)


def _columns(s: Sizes) -> float:
    form = Columns(s.c, s.k, s.r, s.s, s.h + s.top + s.bottom - s.r + 1, s.w + s.left + s.right - s.s + 1)
    vectors, _, _ = form.tiles()
    return form.time(s.n) + _costs().pool * s.k * vectors

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
from symconv.ops.conv_cpu_columns import ROWS, tiles_of, transform_of, transforms_refusal
from symconv.ops.conv_cpu_rates import rates
from symconv.ops.conv_pool_kernels import Sizes, sizes_of

SIDE = 4  # of a tile of outputs, kOutputs in csrc/kernels/conv_pool_winograd.cpp
WINDOWS = ((3, 3), (5, 5))


class Costs(NamedTuple):
    """Of one instruction set. `product`: of a vector; `weights`: to lay out a vector of them, or to transform
    it to one point, once for all images."""

    # winograd_conv_pool; input and output: the transforms of a vector, of each point
    product: float
    input: float
    output: float
    weights: float
    # winograd_columns_conv_pool; load: of a point's vector, for a tile's channels; put: to transform, pool
    # and store one
    columns_product: float
    columns_load: float
    columns_input: float
    columns_put: float
    columns_weights: float
    # direct_conv_pool; pool: of an output of the convolution
    direct_product: float
    direct_pool: float
    direct_weights: float


NARROW = Costs(0.73, 9.3, 4.9, 14.6, 0.43, 4.2, 8.2, 97, 52, 0.97, 4.5, 18)
WIDE = Costs(0.85, 11.7, 6.4, 22.6, 0.55, 5.1, 12, 81, 42, 0.9, 9.4, 32)


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
    weights = costs.direct_weights * window * ceil(s.k / lanes) / max(1, s.n)
    return outputs * (costs.direct_product * window + costs.direct_pool) + weights


def _winograd(s: Sizes) -> float:
    costs, lanes, points = _costs(), rates().lanes, (s.r + SIDE - 1) * (s.s + SIDE - 1)
    tiles = ceil(s.rows * s.pool_h / SIDE) * ceil(s.cols * s.pool_w / SIDE)
    inputs, outputs = ceil(s.c / lanes), ceil(s.k / lanes)
    each = costs.product * s.c * outputs + costs.input * inputs + costs.output * outputs
    return points * (tiles * each + costs.weights * s.c * outputs / max(1, s.n))


def _columns(s: Sizes) -> float:
    costs, lanes = _costs(), rates().lanes
    points, pieces = transform_of(s.r, 1)
    height, width = s.h + s.top + s.bottom, s.w + s.left + s.right
    rows, cols = height - s.r + 1, width - s.s + 1
    vectors, block, busy = tiles_of(rows, cols, s.k)
    lines = points * pieces * s.c  # of a band's inputs
    each = lines * (costs.columns_product * s.s / busy + costs.columns_load / block) + costs.columns_put
    inputs = costs.columns_input * ceil(rows / ROWS) * lines * ceil(width / lanes)
    return (
        s.k * vectors * each + inputs + costs.columns_weights * lines * s.s * ceil(s.k / lanes) / max(1, s.n)
    )

"""When a convolution runs by Winograd's transforms along columns alone (csrc/kernels/winograd_columns.h).

Times are in products of the direct kernels: fused multiply-adds of a vector. The constants were measured, one
thread on one processor with AVX2 and with AVX-512; they need not be exact.
"""

from __future__ import annotations

from math import ceil

from symconv.config import config
from symconv.graph import Apply
from symconv.graph.kernel import Slower
from symconv.ops.conv_cpu_rates import lanes_of, rates, terms_of
from symconv.ops.conv_kernels import KINDS, geometry

ROWS = 4  # kBandRows in csrc/kernels/winograd_columns.h
WINDOWS = (3, 4, 5)  # rows of a window that a transform takes
CHANNELS, VECTORS = 8, 3  # of a tile of the convolution
# Of a vector of a band: one product; of a point, piece of the window and input channel, to fetch and to
# transform it; the transform of a point of the outputs. What the direct kernels do besides.
PRODUCT, FETCH, INPUT, OUTPUT, DIRECT_OUTPUT = 1.2, 2, 4, 6.5, 16
GAIN, GAIN_IN_MEMORY = 0.95, 0.7  # at most, of the others' time; where a side is larger than caches
CACHE = 12 << 20  # bytes, kCachedBytes in csrc/kernels/conv_common.h
# The weight gradient: output channels and bytes of points in work at once; what a task's sums may take.
BLOCK, CHUNK, SUMS = 24, 192 << 10, 512 << 10
# A product; to add up the sums of a tile, by vector of its columns; the transforms of a vector of dy and of a
# line of x; the end of a sum.
GRAD_PRODUCT, GRAD_ADD, GRAD_OUTPUT, GRAD_INPUT, GRAD_END = 1.05, 5, 50, 40, 40
GRAD_GAIN = 0.85


def transform_of(r: int, stride: int) -> tuple[int, int]:
    """Points of the transform with the fewest products for windows of r rows, and the number of pieces into
    which it cuts them (make_columns in csrc/kernels/winograd_columns.h)."""
    sets = [ceil((r - first) / stride) for first in range(min(stride, r))]  # rows of the window in each
    found = [(ROWS + n - 1, sum(ceil(rows / n) for rows in sets)) for n in WINDOWS]
    return min(found, key=lambda form: form[0] * form[1])


def transforms_refusal(dtype: str) -> str | None:
    """Why no kernel with Winograd's transforms, of one axis or of both."""
    if not config.winograd:
        return "config.winograd is off"
    return None if dtype == "float32" else f"dtype {dtype}, needs float32"


def supports_columns(node: Apply) -> str | None:
    """Why not winograd_columns, of any of the three kinds."""
    g, kind = geometry(node), KINDS[node.op.name]
    stride, dilation = (g["stride_h"], g["stride_w"]), (abs(g["dilation_h"]), abs(g["dilation_w"]))
    if refusal := transforms_refusal(node.out.dtype):
        return refusal
    if dilation != (1, 1) or (kind == "dgrad" and stride != (1, 1)):
        needed = "dilation 1 and in the input gradient stride 1"
        return f"stride {stride}, dilation {dilation}, needs {needed}"
    if not g["c"] or not g["k"]:
        return "no channels"
    if kind == "wgrad":
        return _supports_gradient(g)
    columns, others = _time(kind, g), _time_of_others(kind, g)
    in_memory = 4 * g["n"] * max(g["c"] * g["h"] * g["w"], g["k"] * g["p"] * g["q"]) > CACHE
    if columns > (GAIN_IN_MEMORY if in_memory else GAIN) * others:
        channels, row = lanes_of(kind, g)
        outputs = f"{g['h'] if kind == 'dgrad' else g['p']}x{row} outputs"
        terms = terms_of(kind, g)
        return Slower(f"{terms} terms of {channels} channels, {outputs}: too few for the transforms")
    return None


def tiles_of(rows: int, row: int, channels: int) -> tuple[float, int, float]:
    """Of `rows` rows of outputs: the vectors of their bands, the channels of a tile, and the share of its
    time that products keep it busy."""
    lanes = rates().lanes
    bands, rest, alone = ceil(rows / ROWS), row % lanes, ceil(row / lanes)
    joined = 0 < rest <= lanes // 2 and bands > 1  # with that of the next band
    in_unit = 2 * (row // lanes) + 1 if joined else alone
    vectors = bands // 2 * in_unit + bands % 2 * alone if joined else bands * alone
    in_tile, block = in_unit / ceil(in_unit / VECTORS), min(channels, CHANNELS)
    return vectors, block, min(1, in_tile * block / 8) * (1 if in_tile > 1 else 0.6)


def _time(kind: str, g: dict[str, int]) -> float:
    """Of an image and an output channel."""
    channels, row = lanes_of(kind, g)
    points, pieces = transform_of(g["r"], g["stride_h"])
    inputs = pieces * terms_of(kind, g) // (g["r"] * g["s"])
    vectors, block, busy = tiles_of(g["h"] if kind == "dgrad" else g["p"], row, channels)
    each = PRODUCT / busy * g["s"] + FETCH / block + INPUT / channels
    return vectors * points * (inputs * each + OUTPUT)


def _time_of_others(kind: str, g: dict[str, int]) -> float:
    row, height = lanes_of(kind, g)[1], g["h"] if kind == "dgrad" else g["p"]
    plain = terms_of(kind, g)
    by_rows = (plain + DIRECT_OUTPUT / ROWS) * ceil(row / rates().lanes)
    rate = max(rates().gather(kind, g), rates().direct(kind, g)[0] * rates().turned(kind, g))
    if kind == "dgrad":
        rate = max(rate, rates().scatter(g))
    return height * (min(by_rows, plain / rate * row / rates().lanes) if rate else by_rows)


def _supports_gradient(g: dict[str, int]) -> str | None:
    points, pieces = transform_of(g["r"], g["stride_h"])
    channels, of_group, lanes = g["k"] // g["groups"], g["c"] // g["groups"], rates().lanes
    lines, terms, block = pieces * of_group * g["stride_w"], pieces * of_group * g["s"], min(channels, BLOCK)
    if 4 * lanes * points * block * terms > SUMS:
        return Slower(f"sums of {block} x {terms} terms at {points} points do not stay in the cache")
    bands, vectors = ceil(g["p"] / ROWS), ceil(g["q"] / lanes)
    row = ceil(max((g["w"] + g["s"]) / g["stride_w"], vectors * lanes + 1) / lanes) * lanes
    chunk = min(bands, max(1, CHUNK // (4 * points * (lines * row + 4 * vectors * lanes))))
    products = points * terms * (GRAD_PRODUCT + GRAD_ADD / (chunk * vectors))
    each = bands * vectors * (products + GRAD_OUTPUT + GRAD_INPUT * lines / block)
    columns = g["n"] * g["k"] * each + g["k"] * points * terms * GRAD_END
    rate = max(rates().gather("wgrad", g), *rates().direct("wgrad", g))
    plain = g["n"] * g["k"] * g["p"] * g["q"] * of_group * g["r"] * g["s"]
    if columns * rate > GRAD_GAIN * plain / lanes:
        return Slower(f"{terms} terms of {channels} channels, {g['n']} x {g['p']}x{g['q']} outputs: too few")
    return None

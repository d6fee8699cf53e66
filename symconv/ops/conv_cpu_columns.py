"""When a convolution runs by Winograd's transforms along columns alone (csrc/kernels/winograd_columns.h).

Times are in products of the direct kernels: fused multiply-adds of a vector. The constants were measured, one
thread on one processor with AVX2 and with AVX-512; they need not be exact.
"""

from __future__ import annotations

from math import ceil

from symconv.graph import Apply
from symconv.graph.kernel import Slower
from symconv.ops.conv_cpu_rates import inputs_of, lanes_of, rates, terms_of
from symconv.ops.conv_cpu_winograd import SIDE, Columns, transform_of, transforms_refusal
from symconv.ops.conv_kernels import KINDS, geometry

# direct_rows, with less than 4, less than 8, or more output channels: what a product costs; so much more
# where a row fills one vector at most, and where it steps; what an output costs besides, in products.
ROWS_PRODUCT, ONE_VECTOR, STEPS = (1.75, 0.95, 0.82), (1.85, 2.5, 1.35), (1.6, 1.45, 1.2)
ROWS_OUTPUT = 16
GAIN, GAIN_IN_MEMORY = 0.95, 0.7  # at most, of the others' time; where a side is larger than caches
CACHE = 12 << 20  # bytes, kCachedBytes in csrc/kernels/conv_common.h
# The weight gradient: output channels and bytes of points in work at once; what a task's sums may take.
BLOCK, CHUNK, SUMS = 24, 192 << 10, 512 << 10
# A product; to add up the sums of a tile, by vector of its columns; the transforms of a vector of dy and of a
# line of x; the end of a sum.
GRAD_PRODUCT, GRAD_ADD, GRAD_OUTPUT, GRAD_INPUT, GRAD_END = 1.05, 5, 50, 40, 40
GRAD_GAIN = 0.85


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
    columns, others = columns_time(kind, g), _time_of_others(kind, g)
    in_memory = 4 * g["n"] * max(g["c"] * g["h"] * g["w"], g["k"] * g["p"] * g["q"]) > CACHE
    if columns > (GAIN_IN_MEMORY if in_memory else GAIN) * others:
        channels, row = lanes_of(kind, g)
        outputs = f"{g['h'] if kind == 'dgrad' else g['p']}x{row} outputs"
        terms = terms_of(kind, g)
        return Slower(f"{terms} terms of {channels} channels, {outputs}: too few for the transforms")
    return None


def columns_time(kind: str, g: dict[str, int]) -> float:
    """Of a group of an image; kind: fprop, or dgrad at stride 1."""
    (channels, row), height = lanes_of(kind, g), g["h"] if kind == "dgrad" else g["p"]
    inputs = inputs_of(kind, g)
    return Columns(inputs, channels, g["r"], g["s"], height, row, g["stride_h"], g["stride_w"]).time(g["n"])


def _time_of_others(kind: str, g: dict[str, int]) -> float:
    """The same, of the fastest kernel without transforms."""
    (channels, row), height = lanes_of(kind, g), g["h"] if kind == "dgrad" else g["p"]
    plain, vectors = terms_of(kind, g), ceil(row / rates().lanes)
    few = 0 if channels < 4 else 1 if channels < 8 else 2
    product = ROWS_PRODUCT[few] * (ONE_VECTOR[few] if vectors == 1 else 1)
    by_rows = (plain + ROWS_OUTPUT) * vectors * product * (STEPS[few] if g["stride_w"] > 1 else 1)
    rate = max(rates().gather(kind, g), rates().direct(kind, g)[0] * rates().turned(kind, g))
    if kind == "dgrad":
        rate = max(rate, rates().scatter(g))
    fastest = min(by_rows, plain / rate * row / rates().lanes) if rate else by_rows
    return channels * height * fastest


def _supports_gradient(g: dict[str, int]) -> str | None:
    points, pieces = transform_of(g["r"], g["stride_h"])
    channels, of_group, lanes = g["k"] // g["groups"], g["c"] // g["groups"], rates().lanes
    lines, terms, block = pieces * of_group * g["stride_w"], pieces * of_group * g["s"], min(channels, BLOCK)
    if 4 * lanes * points * block * terms > SUMS:
        return Slower(f"sums of {block} x {terms} terms at {points} points do not stay in the cache")
    bands, vectors = ceil(g["p"] / SIDE), ceil(g["q"] / lanes)
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

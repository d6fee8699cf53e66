"""CPU kernel descriptors of the ops in conv.py.

direct_channels and direct_rows hold output channels, or the outputs of a row, in the lanes and read the input
as it lies, as depthwise does; depthwise_channels turns it to have channels in the lanes; gemm_gather packs
patches of it for the micro-kernel of the matrix products; winograd transforms tiles of it, winograd_columns
its columns alone.
"""

from __future__ import annotations

from typing import Any

from symconv.graph import Apply, Kernel, Launch
from symconv.graph.kernel import Slower
from symconv.graph.params import pack
from symconv.ops.conv_cpu_columns import columns_time, supports_columns
from symconv.ops.conv_cpu_rates import lanes_of, rates
from symconv.ops.conv_cpu_winograd import tiles_time, transforms_refusal
from symconv.ops.conv_kernels import KINDS, geometry

LANES = 8  # of an AVX2 vector; what asks for it need not be exact for others
WINOGRAD_OUTPUTS = 4  # along each side of a tile
WINOGRAD_STRIDED = 81  # products of a tile at stride 2
# Time of a tile's transforms by channel, and of the weights' by pair of channels, in products of a tile.
WINOGRAD_TRANSFORM, WINOGRAD_WEIGHTS = 11, 3
STRIDED_TRANSFORM = {"fprop": 5, "dgrad": 3.5, "wgrad": 13}
WINOGRAD_LEAST = 4  # input channels: with fewer the direct kernels are at their best
WIDE_ROW = 16  # from which on a depthwise convolution of stride 1 has its lanes along rows
MOST_TAPS = 256  # kMostTaps in csrc/kernels/conv_depthwise_channels.cpp
WINOGRAD_SUMS = 20_000_000  # of all points of a weight gradient
# Terms of a weight gradient for 5x5, whose transforms lose as much as plain sums of some 150 terms.
WINOGRAD_TERMS = 512


def _launch(node: Apply) -> Launch:
    fields: dict[str, Any] = geometry(node)
    return Launch(pack("ConvParams", itemsize=node.out.type.itemsize, **fields))


def _filled(n: int) -> float:
    """The share of the lanes that n values fill."""
    return n / (-(-n // LANES) * LANES)


def _direct_rate(kind: str, g: dict[str, int]) -> float:
    """What the better of the direct kernels reaches."""
    return max(rates().direct(kind, g))


def _supports_gather(node: Apply) -> str | None:
    g = geometry(node)
    if not g["c"] or not g["k"]:
        return "no channels"
    kind = KINDS[node.op.name]
    if rates().gather(kind, g) < _direct_rate(kind, g):
        return Slower("packing patches for few channels costs more than the faster products save")
    return None


def _supports_scatter(node: Apply) -> str | None:
    g = geometry(node)
    if not g["c"] or not g["k"]:
        return "no channels"
    if g["r"] == g["s"] == g["stride_h"] == g["stride_w"] == 1:
        return "windows of 1x1 and no stride: there is nothing to add up"
    if rates().scatter(g) < max(_direct_rate("dgrad", g), rates().gather("dgrad", g)):
        return Slower("adding products into dx costs more than gathering them")
    return None


def _supports_channels(node: Apply) -> str | None:
    g = geometry(node)
    if not g["c"] or not g["k"]:
        return "no channels"
    kind = KINDS[node.op.name]
    by_channels, by_rows = rates().direct(kind, g)
    if by_channels * rates().turned(kind, g) < by_rows:
        channels, row = lanes_of(kind, g)
        return Slower(f"rows of {row} outputs fill the lanes better than {channels} channels per group")
    return None


def _supports_rows(node: Apply) -> str | None:
    g = geometry(node)
    return None if g["c"] and g["k"] else "no channels"


def too_many_sums(c: int, k: int, r: int) -> str | None:
    """Why a weight gradient by Winograd's transforms cannot be for windows of r x r."""
    points = (WINOGRAD_OUTPUTS + r - 1) ** 2
    if points * c * k > WINOGRAD_SUMS:
        return f"{c} channels to {k}: sums of {points} points take too much memory"
    return None


def _supports_winograd(node: Apply) -> str | None:
    g = geometry(node)
    stride, dilation = (g["stride_h"], g["stride_w"]), (abs(g["dilation_h"]), abs(g["dilation_w"]))
    if refusal := transforms_refusal(node.out.dtype):
        return refusal
    if stride not in ((1, 1), (2, 2)) or dilation != (1, 1) or g["groups"] != 1:
        needed = "needs stride 1 or 2, dilation 1, one group"
        return f"stride {stride}, dilation {dilation}, groups {g['groups']}: {needed}"
    strided = stride == (2, 2)
    if (g["r"], g["s"]) != (3, 3) and (strided or (g["r"], g["s"]) != (5, 5)):
        return f"windows of {g['r']}x{g['s']}, needs 3x3{'' if strided else ' or 5x5'}"
    if not g["c"] or not g["k"]:
        return "no channels"
    kind = KINDS[node.op.name]
    dgrad = kind == "dgrad"
    if (channels := g["k"] if dgrad else g["c"]) < WINOGRAD_LEAST:
        return Slower(f"{channels} input channels, needs {WINOGRAD_LEAST}")
    rows, cols = (g["h"], g["w"]) if dgrad and not strided else (g["p"], g["q"])
    # Of a tile, for each pair of channels.
    products = WINOGRAD_STRIDED if strided else (WINOGRAD_OUTPUTS + g["r"] - 1) ** 2
    if kind == "wgrad" and (refusal := too_many_sums(g["c"], g["k"], g["r"])):
        return refusal
    if kind == "wgrad" and g["r"] == 5 and (terms := g["n"] * rows * cols) < WINOGRAD_TERMS:
        return f"sums of {terms} terms, needs {WINOGRAD_TERMS}: the transforms' rounding would show"
    tiles = g["n"] * -(-rows // WINOGRAD_OUTPUTS) * -(-cols // WINOGRAD_OUTPUTS)
    transform = STRIDED_TRANSFORM[kind] if strided else WINOGRAD_TRANSFORM
    transforms = transform * (1 / g["c"] / _filled(g["k"]) + 1 / g["k"] / _filled(g["c"]))
    if products * (tiles * (1 + transforms) + WINOGRAD_WEIGHTS) > g["n"] * rows * cols * g["r"] * g["s"]:
        return Slower(
            f"{g['c']} channels to {g['k']}, {g['n']} x {rows}x{cols} outputs: too few for the transforms"
        )
    if kind != "wgrad" and not strided:
        inputs, outputs = (g["k"], g["c"]) if dgrad else (g["c"], g["k"])
        if columns_time(kind, g) < tiles_time(inputs, outputs, g["r"], rows, cols, g["n"]):
            return Slower(f"{g['c']} channels to {g['k']}, {rows}x{cols} outputs: winograd_columns is faster")
    return None


def _supports_depthwise(node: Apply) -> str | None:
    g = geometry(node)
    stride, dilation = (g["stride_h"], g["stride_w"]), (abs(g["dilation_h"]), abs(g["dilation_w"]))
    if not g["c"] or not g["k"]:
        return "no channels"
    if g["groups"] != g["c"] or g["groups"] == 1 or (KINDS[node.op.name] == "dgrad" and g["k"] != g["c"]):
        return f"{g['c']} channels to {g['k']} in {g['groups']} groups, needs one channel each"
    if (g["r"], g["s"]) not in ((3, 3), (5, 5), (7, 7)):
        return f"windows of {g['r']}x{g['s']}, needs 3x3, 5x5 or 7x7"
    if stride not in ((1, 1), (2, 2)) or dilation != (1, 1):
        return f"stride {stride}, dilation {dilation}, needs stride 1 or 2 and dilation 1"
    if KINDS[node.op.name] == "wgrad":
        if (g["r"], g["s"], *stride) != (3, 3, 1, 1) or g["k"] != g["c"]:
            channels = f"{g['c']} channels to {g['k']}"
            return f"weight gradient of {channels}, windows of {g['r']}x{g['s']}, stride {stride}"
        if node.out.dtype != "float32":
            return f"weight gradient of dtype {node.out.dtype}, needs float32"
    return None


def _supports_depthwise_channels(node: Apply) -> str | None:
    g = geometry(node)
    if not g["c"] or not g["k"]:
        return "no channels"
    if not g["groups"] == g["c"] == g["k"] or g["groups"] == 1:
        return f"{g['c']} channels to {g['k']} in {g['groups']} groups, needs one channel each"
    if g["r"] * g["s"] > MOST_TAPS:
        return f"windows of {g['r']}x{g['s']}, needs {MOST_TAPS} elements at most"
    if _filled(g["c"]) < 0.5:
        return Slower(f"{g['c']} channels fill the lanes too little")
    kind = KINDS[node.op.name]
    row = g["w"] if kind == "dgrad" else g["q"]
    if row >= WIDE_ROW and g["stride_w"] == 1 and _supports_depthwise(node) is None:
        return Slower(f"rows of {row} outputs need not be turned to have full lanes")
    return None


def on_cpu_kernels(kind: str) -> list[Kernel]:
    """The CPU kernels of one of KINDS' values, fastest first; each refuses the sizes where another wins."""
    wgrad = kind == "wgrad"
    forms = [
        ("winograd", "conv2d_winograd_wgrad" if wgrad else "conv2d_winograd", _supports_winograd),
        ("depthwise_channels", "conv_depthwise_channels", _supports_depthwise_channels),
        ("depthwise", "conv_depthwise_wgrad" if wgrad else "conv_depthwise", _supports_depthwise),
        ("winograd_columns", f"conv2d_winograd_columns{'_wgrad' if wgrad else ''}", supports_columns),
        ("gemm_scatter", "conv_gemm_scatter", _supports_scatter),
        ("gemm_gather", "conv_gemm_wgrad" if wgrad else "conv_gemm", _supports_gather),
        ("direct_channels", "conv_wgrad" if wgrad else "conv_channels", _supports_channels),
        ("direct_rows", "conv_wgrad" if wgrad else "conv_rows", _supports_rows),
    ]
    return [
        Kernel(f"{form}_{kind}", "cpu", f"csrc/kernels/{file}.cpp", f"{form}_{kind}", supports, _launch)
        for form, file, supports in forms
        if form != "gemm_scatter" or kind == "dgrad"
    ]

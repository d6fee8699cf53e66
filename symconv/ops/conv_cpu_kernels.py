"""CPU kernel descriptors of the ops in conv.py.

direct_channels and direct_rows hold output channels, or the outputs of a row, in the lanes and read the input
as it lies, as depthwise does; depthwise_channels turns it to have channels in the lanes; gemm_gather packs
patches of it for the micro-kernel of the matrix products; winograd transforms tiles of it, winograd_columns
its columns alone. Of those that can do a convolution the one with the least estimate is taken
(conv_cpu_costs.py); the depthwise ones come before all others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from symconv.config import config
from symconv.graph import Apply, Kernel, Launch
from symconv.graph.kernel import Slower
from symconv.graph.params import pack
from symconv.ops.conv_cpu_costs import quickest, vectors
from symconv.ops.conv_cpu_work import BLOCK, SIDE, Sizes, transform_of
from symconv.ops.conv_kernels import KINDS, geometry

WIDE_ROW = 16  # from which on a depthwise convolution of stride 1 has its lanes along rows
LANES, FILLED = 8, 0.5  # of which so many by channels, at least, for depthwise_channels; not of AVX2 alone
MOST_TAPS = 256  # kMostTaps in csrc/kernels/conv_depthwise_channels.cpp
WINOGRAD_SUMS = 20_000_000  # of all points of a weight gradient
# Terms of a weight gradient for 5x5, whose transforms lose as much as plain sums of some 150 terms.
WINOGRAD_TERMS = 512
COLUMNS_SUMS = 512 << 10  # bytes of the sums that a task of a weight gradient along columns has at once


def _launch(node: Apply) -> Launch:
    fields: dict[str, Any] = geometry(node)
    return Launch(pack("ConvParams", itemsize=node.out.type.itemsize, **fields))


def transforms_refusal(dtype: str) -> str | None:
    """Why no kernel with Winograd's transforms, of one axis or of both."""
    if not config.winograd:
        return "config.winograd is off"
    return None if dtype == "float32" else f"dtype {dtype}, needs float32"


def too_many_sums(c: int, k: int, r: int) -> str | None:
    """Why a weight gradient by Winograd's transforms cannot be for windows of r x r."""
    points = (SIDE + r - 1) ** 2
    if points * c * k > WINOGRAD_SUMS:
        return f"{c} channels to {k}: sums of {points} points take too much memory"
    return None


def _steps(g: Sizes) -> tuple[tuple[int, int], tuple[int, int]]:
    """Stride and dilation."""
    return (g["stride_h"], g["stride_w"]), (abs(g["dilation_h"]), abs(g["dilation_w"]))


def _no_limits(kind: str, dtype: str, g: Sizes) -> str | None:
    return None


def _scatter_limits(kind: str, dtype: str, g: Sizes) -> str | None:
    if g["r"] == g["s"] == g["stride_h"] == g["stride_w"] == 1:
        return "windows of 1x1 and no stride: there is nothing to add up"
    return None


def _winograd_limits(kind: str, dtype: str, g: Sizes) -> str | None:
    if refusal := transforms_refusal(dtype):
        return refusal
    stride, dilation = _steps(g)
    if stride not in ((1, 1), (2, 2)) or dilation != (1, 1) or g["groups"] != 1:
        needed = "needs stride 1 or 2, dilation 1, one group"
        return f"stride {stride}, dilation {dilation}, groups {g['groups']}: {needed}"
    strided = stride == (2, 2)
    if (g["r"], g["s"]) != (3, 3) and (strided or (g["r"], g["s"]) != (5, 5)):
        return f"windows of {g['r']}x{g['s']}, needs 3x3{'' if strided else ' or 5x5'}"
    if kind != "wgrad":
        return None
    if g["r"] == 5 and (terms := g["n"] * g["p"] * g["q"]) < WINOGRAD_TERMS:
        return f"sums of {terms} terms, needs {WINOGRAD_TERMS}: the transforms' rounding would show"
    return too_many_sums(g["c"], g["k"], g["r"])


def _columns_limits(kind: str, dtype: str, g: Sizes) -> str | None:
    if refusal := transforms_refusal(dtype):
        return refusal
    stride, dilation = _steps(g)
    if dilation != (1, 1) or (kind == "dgrad" and stride != (1, 1)):
        needed = "dilation 1 and in the input gradient stride 1"
        return f"stride {stride}, dilation {dilation}, needs {needed}"
    if kind != "wgrad":
        return None
    points, pieces = transform_of(g["r"], g["stride_h"])
    block, terms = min(g["k"] // g["groups"], BLOCK), pieces * g["c"] // g["groups"] * g["s"]
    if 4 * vectors().lanes * points * block * terms > COLUMNS_SUMS:
        return f"sums of {block} x {terms} terms at {points} points do not stay in the cache"
    return None


LIMITS: dict[str, Callable[[str, str, Sizes], str | None]] = {
    "winograd": _winograd_limits,
    "winograd_columns": _columns_limits,
    "gemm_scatter": _scatter_limits,
    "gemm_gather": _no_limits,
    "direct_channels": _no_limits,
    "direct_rows": _no_limits,
}


def _refusal(form: str, node: Apply) -> str | None:
    """Why not this one of LIMITS."""
    kind, dtype, g = KINDS[node.op.name], node.out.dtype, geometry(node)
    if not g["c"] or not g["k"]:
        return "no channels"
    if refusal := LIMITS[form](kind, dtype, g):
        return refusal
    others = [f for f in _forms(kind) if not LIMITS[f](kind, dtype, g)]
    best = quickest([(f, g) for f in others], kind)
    return None if best == form else Slower(f"{best}_{kind} is estimated faster")


def _forms(kind: str) -> list[str]:
    return [form for form in LIMITS if form != "gemm_scatter" or kind == "dgrad"]


def _supports_depthwise(node: Apply) -> str | None:
    g = geometry(node)
    stride, dilation = _steps(g)
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
    if g["c"] < FILLED * LANES * -(-g["c"] // LANES):
        return Slower(f"{g['c']} channels fill the lanes too little")
    row = g["w"] if KINDS[node.op.name] == "dgrad" else g["q"]
    if row >= WIDE_ROW and g["stride_w"] == 1 and _supports_depthwise(node) is None:
        return Slower(f"rows of {row} outputs need not be turned to have full lanes")
    return None


def _file(form: str, kind: str) -> str:
    """Of csrc/kernels."""
    wgrad = kind == "wgrad"
    return {
        "winograd": "conv2d_winograd_wgrad" if wgrad else "conv2d_winograd",
        "winograd_columns": f"conv2d_winograd_columns{'_wgrad' if wgrad else ''}",
        "gemm_scatter": "conv_gemm_scatter",
        "gemm_gather": "conv_gemm_wgrad" if wgrad else "conv_gemm",
        "direct_channels": "conv_wgrad" if wgrad else "conv_channels",
        "direct_rows": "conv_wgrad" if wgrad else "conv_rows",
        "depthwise_channels": "conv_depthwise_channels",
        "depthwise": "conv_depthwise_wgrad" if wgrad else "conv_depthwise",
    }[form]


def on_cpu_kernels(kind: str) -> list[Kernel]:
    """The CPU kernels of one of KINDS' values."""
    supports: dict[str, Callable[[Apply], str | None]] = {
        "depthwise_channels": _supports_depthwise_channels,
        "depthwise": _supports_depthwise,
    }
    supports |= {form: partial(_refusal, form) for form in _forms(kind)}
    names = {form: f"{form}_{kind}" for form in supports}
    return [
        Kernel(name, "cpu", f"csrc/kernels/{_file(form, kind)}.cpp", name, supports[form], _launch)
        for form, name in names.items()
    ]

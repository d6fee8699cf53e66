"""What each CPU kernel of conv.py and conv_pool.py has to do: how often it does which kind of work.

`g` is what geometry() gives: the fields of ConvParams. Counts are of vectors where not told otherwise; what
one of each costs stands in conv_cpu_costs.py. They need not be exact: they choose between kernels.

`products` are multiply-adds; `loads` and `steps` those of a tile's operands, and of its innermost loop;
`copies` go into padded planes; `outputs` are stored, `apart` with a stride; `weights` laid out or changed,
once for all images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from symconv.graph import blocks

Sizes = dict[str, int]
Work = dict[str, float]

SIDE = 4  # outputs of a tile of Winograd's transforms along each side, rows of a band
STRIDED_POINTS = 81  # of the transforms of both axes of a 3x3 window at stride 2
VECTORS = 3  # of a tile of the direct kernels and of the products along columns
OWN_CACHE, CACHE = 1 << 20, 12 << 20  # bytes; the latter is kCachedBytes in csrc/kernels/conv_common.h
PAGE, PAGES = 4096, 64  # bytes; pages whose places the first level of the translation holds
TAPS = 12  # kMaxTaps in csrc/kernels/conv_wgrad.cpp
BAND = 128  # outputs that direct_channels_wgrad adds up before it comes back to its sums
BLOCK, CHUNK = 24, 192 << 10  # output channels, and bytes of points, of winograd_columns_wgrad at once


@dataclass(frozen=True)
class Vectors:
    """Values of a vector; channels of a tile of direct_rows; rows of the matrix products' micro-kernel."""

    lanes: int
    channels: int
    panel: int


class Ends(NamedTuple):
    """A convolution or its input gradient as sums over `inputs` channels of `groups` groups of all images."""

    groups: int
    inputs: int
    outputs: int
    rows_in: int
    cols_in: int
    rows: int
    cols: int
    apart: int  # columns of the output between neighbours in a phase
    stride: int  # columns of the input between those that neighbours read


def _ends(kind: str, g: Sizes) -> Ends:
    c, k, groups = g["c"] // g["groups"], g["k"] // g["groups"], g["n"] * g["groups"]
    if kind == "dgrad":
        return Ends(groups, k, c, g["p"], g["q"], g["h"], g["w"], g["stride_w"], 1)
    return Ends(groups, c, k, g["h"], g["w"], g["p"], g["q"], 1, g["stride_w"])


def _lines(g: Sizes) -> Work:
    """Of 64 bytes, of the tensors, where they lie in a cache that cores share, or in memory."""
    size = 4 * g["n"] * (g["c"] * g["h"] * g["w"] + g["k"] * g["p"] * g["q"])
    lines = size / 64
    return {"shared": lines if OWN_CACHE < size <= CACHE else 0, "memory": lines if size > CACHE else 0}


def _spilled(count: float, vectors: float, v: Vectors) -> float:
    """`count`, if so many vectors of weights do not fit into a core's own cache."""
    return count if 4 * vectors * v.lanes > OWN_CACHE else 0


def _fetched(e: Ends, count: float) -> float:
    """`count`, if the planes of an image do not fit into a core's own cache."""
    return count if 4 * e.inputs * e.rows_in * e.cols_in > OWN_CACHE else 0


def _pages(e: Ends, g: Sizes, tiles: float) -> float:
    """Pages that the tiles read, where there are more of them than a processor keeps the places of."""
    many = e.inputs >= PAGES and 4 * e.rows_in * e.cols_in >= PAGE
    return tiles * e.inputs * g["r"] if many else 0


def _pairs(g: Sizes) -> int:
    """Weights of an output channel."""
    return g["c"] // g["groups"] * g["r"] * g["s"]


def _taps(e: Ends, g: Sizes) -> float:
    """Weights that are met by rows of outputs, those that meet rows of padding alone left out."""
    rows = min(g["p"] * g["r"], g["h"] * g["r"] / g["stride_h"])
    return e.groups * rows * g["s"] * e.inputs


def direct_rows(kind: str, g: Sizes, v: Vectors) -> Work:
    e = _ends(kind, g)
    copies = e.groups * e.inputs * e.rows_in * blocks(e.cols_in, v.lanes)
    if kind == "wgrad":
        across, lines, pairs = blocks(g["q"], v.lanes), e.groups * g["p"], _pairs(g)
        products = lines * across * e.outputs * pairs
        return {
            "products": products,
            "strided": products * (e.stride > 1),
            "ragged": products * (g["q"] % v.lanes > 0),
            "loads": lines * across * pairs * blocks(e.outputs, 4),
            "lines": lines * pairs * blocks(e.outputs, 4),
            "ends": e.groups * e.outputs * pairs,
            "copies": copies,
            "weights": g["k"] * pairs,
        }
    across, rows, channels = blocks(blocks(e.cols, e.apart), v.lanes), e.groups * e.rows * e.apart, e.outputs
    taps, tiles = _taps(e, g), blocks(channels, v.channels)
    return {
        "products": taps * across * channels,
        "loads": taps * across * tiles,
        "fetched": _fetched(e, taps * across * tiles),
        "steps": taps * blocks(across, VECTORS) * tiles,
        "strided": taps * across * channels * (e.stride > 1),
        "far": taps * across * tiles * (e.stride > 2),
        "outputs": rows * across * channels,
        "apart": rows * across * channels * (e.apart > 1),
        "ragged": rows * channels * (blocks(e.cols, e.apart) % v.lanes > 0),
        "tiles": rows * blocks(across, VECTORS) * tiles,
        "pages": _pages(e, g, rows * blocks(across, VECTORS) * tiles),
        "spilled": _spilled(taps * across * channels, g["k"] * _pairs(g) / g["groups"] / v.lanes, v),
        "copies": copies,
        "lines": e.groups * e.inputs * e.rows_in,
        "weights": g["k"] * _pairs(g),
    }


def direct_channels(kind: str, g: Sizes, v: Vectors) -> Work:
    e = _ends(kind, g)
    across = blocks(e.outputs, v.lanes)
    tiles, copies = blocks(across, VECTORS), e.groups * e.inputs * e.rows_in * blocks(e.cols_in, v.lanes)
    if kind == "wgrad":
        positions, pairs = e.groups * g["p"] * g["q"], _pairs(g)
        return {
            "products": positions * across * pairs,
            "steps": positions * tiles * pairs,
            "loads": positions * across * blocks(pairs, TAPS),
            "sums": e.groups * blocks(g["p"] * g["q"], BAND) * pairs * across,
            "lines": e.groups * g["p"] * pairs * tiles,
            "turned": e.groups * e.outputs * blocks(g["p"] * g["q"], v.lanes),
            "spilled": _spilled(positions * across * pairs, across * pairs, v),
            "copies": copies,
            "weights": g["k"] * pairs,
        }
    cols, taps, outputs = blocks(e.cols, e.apart), _taps(e, g), e.groups * e.rows * e.cols * across
    return {
        "products": taps * cols * across,
        "loads": taps * cols * tiles,
        "fetched": _fetched(e, taps * cols * tiles),
        "steps": taps * blocks(cols, 8) * tiles,
        "outputs": outputs,
        "apart": outputs * (e.apart > 1),
        "spilled": _spilled(taps * cols * across, across * e.inputs * g["r"] * g["s"], v),
        "tiles": e.groups * e.rows * e.apart * blocks(cols, 8) * tiles,
        "pages": _pages(e, g, e.groups * e.rows * e.apart * blocks(cols, 8) * tiles),
        "copies": copies,
        "weights": g["groups"] * across * e.inputs * g["r"] * g["s"],
    }


def gemm_gather(kind: str, g: Sizes, v: Vectors) -> Work:
    e, plain = _ends(kind, g), g["r"] == g["s"] == g["stride_h"] == g["stride_w"] == 1
    panels = blocks(e.outputs, v.panel)
    if kind == "wgrad":
        pairs, depth = _pairs(g), e.groups * g["p"] * g["q"]
        packed = depth * pairs / v.lanes
        return {
            "products": depth * panels * blocks(pairs, 2 * v.lanes) * 2,
            "packed": packed,
            "windows": packed * (not plain),
            "strided": packed * (e.stride > 1),
            "far": packed * (e.stride > 2),
            "lines": e.groups * g["p"] * pairs,
            "panels": depth * panels,
            "spilled": _spilled(depth * panels * pairs / v.lanes, e.outputs * pairs / v.lanes, v),
            "weights": g["k"] * blocks(pairs, v.lanes),
        }
    phases = g["stride_h"] * g["stride_w"] if kind == "dgrad" else 1
    terms, columns = e.inputs * g["r"] * g["s"] / phases, e.groups * e.rows * e.cols / v.lanes
    lines = e.groups * e.rows * e.apart * terms * (not plain)
    return {
        "products": columns * panels * terms,
        "packed": columns * terms,
        "lines": lines,
        "pieces": lines * blocks(blocks(e.cols, e.apart), v.lanes),
        "strided": columns * terms * (e.stride > 1),
        "far": columns * terms * (e.stride > 2),
        "outputs": columns * panels,
        "spilled": _spilled(columns * panels * terms, g["k"] * _pairs(g) / g["groups"] / v.lanes, v),
        "apart": columns * e.outputs * (e.apart > 1),
        "weights": g["k"] * _pairs(g),
        "images": e.groups,
        "phases": phases,
    }


def gemm_scatter(kind: str, g: Sizes, v: Vectors) -> Work:
    groups, pairs, maps = g["n"] * g["groups"], _pairs(g), g["k"] // g["groups"]
    columns = groups * blocks(g["p"] * g["q"], v.lanes)
    return {
        "products": columns * blocks(pairs, v.panel) * maps,
        "tiles": columns * blocks(pairs, v.panel),
        "added": groups * g["p"] * pairs * blocks(g["q"], v.lanes),
        "strided": groups * g["p"] * g["q"] / v.lanes * pairs * (g["stride_w"] > 1),
        "lines": groups * g["p"] * pairs,
        "cleared": g["n"] * g["c"] * g["h"] * blocks(g["w"], v.lanes),
        "weights": g["k"] * pairs,
        "images": groups,
    }


def winograd(kind: str, g: Sizes, v: Vectors) -> Work:
    """Transforms of both axes; of one group."""
    strided, e = g["stride_h"] > 1, _ends(kind, g)
    rows, cols = (g["p"], g["q"]) if strided else (e.rows, e.cols)
    points = STRIDED_POINTS if strided else (g["r"] + SIDE - 1) ** 2
    bands, inputs = g["n"] * blocks(rows, SIDE), blocks(e.inputs, v.lanes)
    outputs = blocks(e.outputs, v.lanes)
    tiles, products = bands * blocks(cols, SIDE), e.inputs * outputs
    weights = points * e.inputs * outputs
    if kind == "wgrad":
        products = min(products, e.outputs * inputs)
    return {
        "products": points * tiles * products,
        "inputs": points * tiles * inputs,
        "outputs": points * tiles * outputs,
        "weights": weights,
        "spilled": _spilled(weights, weights, v),
        "heavy": weights * (4 * weights * v.lanes > CACHE),
        "bands": bands * points,
    }


def winograd_columns(kind: str, g: Sizes, v: Vectors) -> Work:
    """Transforms of columns alone."""
    e = _ends(kind, g)
    points, pieces = transform_of(g["r"], g["stride_h"])
    bands = blocks(e.rows, SIDE)
    if kind == "wgrad":
        bands, across = blocks(g["p"], SIDE), blocks(g["q"], v.lanes)
        lines, terms = pieces * e.inputs * e.stride, pieces * e.inputs * g["s"]
        row = blocks(max(blocks(g["w"] + g["s"], e.stride), across * v.lanes + 1), v.lanes) * v.lanes
        chunk = CHUNK // (4 * points * (lines * row + BLOCK * across * v.lanes))  # bands at once
        sums = e.groups * e.outputs * bands * points
        return {
            "products": sums * across * terms,
            "idle": sums * across * terms * (e.outputs < 4),  # too few sums to hide latency
            "added": sums * terms / min(bands, max(1, chunk)),
            "outputs": sums * across,
            "inputs": e.groups * bands * points * lines * blocks(e.outputs, BLOCK) * across,
            "ends": g["k"] * points * terms,
        }
    lanes, rest = v.lanes, e.cols % v.lanes
    alone = blocks(e.cols, lanes)
    joined = 0 < rest <= lanes // 2 and bands > 1  # with those of the next band
    in_unit = 2 * (e.cols // lanes) + 1 if joined else alone
    across = bands // 2 * in_unit + bands % 2 * alone if joined else bands * alone
    in_tile, block = in_unit / ceil(in_unit / VECTORS), min(e.outputs, 8)
    lines, stride = points * pieces * e.inputs, e.stride
    sums = e.groups * e.outputs * across
    products = sums * lines * g["s"]
    width = e.cols + (g["s"] - 1) // stride
    return {
        "products": products,
        "idle": products * (1 / min(1, in_tile * block / 8) - 1),
        "single": products * (in_tile <= 1),
        "strided": products * (stride > 1),
        "loads": sums * lines / block,
        "outputs": sums * points,
        "ragged": sums * (rest > 0),
        "units": e.groups * blocks(bands, 2) * blocks(e.outputs, 8),
        "inputs": e.groups * bands * lines * stride * blocks(width, lanes),
        "weights": g["groups"] * lines * g["s"] * blocks(e.outputs, lanes),
        "lines": e.groups * e.inputs * e.rows_in,
    }


def transform_of(window: int, stride: int) -> tuple[int, int]:
    """Points of the transform with the fewest products for so many rows of a window, and the number of pieces
    into which it cuts them (make_columns in csrc/kernels/winograd_columns.h)."""
    sets = [blocks(window - first, stride) for first in range(min(stride, window))]  # rows in each
    found = [(SIDE + n - 1, sum(blocks(rows, n) for rows in sets)) for n in (3, 4, 5)]
    return min(found, key=lambda form: form[0] * form[1])


def direct_conv_pool(kind: str, g: Sizes, v: Vectors) -> Work:
    terms = _pairs(g)
    # The last half vectors of two outputs share one.
    across = blocks(2 * g["k"], v.lanes) / 2 if g["k"] > v.lanes else 1
    outputs = g["n"] * g["p"] * g["q"] * across
    return {
        "products": outputs * terms,
        "outputs": outputs,
        "turned": g["n"] * g["c"] * g["h"] * blocks(g["w"], v.lanes),
        "lines": g["n"] * g["p"] * g["r"] * blocks(g["k"], v.lanes),
        "weights": terms * blocks(g["k"], v.lanes),
        "spilled": _spilled(outputs * terms, terms * blocks(g["k"], v.lanes), v),
        "images": g["n"],
    }


_FORMS: dict[str, Callable[[str, Sizes, Vectors], Work]] = {
    "direct_rows": direct_rows,
    "direct_channels": direct_channels,
    "gemm_gather": gemm_gather,
    "gemm_scatter": gemm_scatter,
    "winograd": winograd,
    "winograd_columns": winograd_columns,
    "direct_conv_pool": direct_conv_pool,
    "winograd_conv_pool": winograd,
    "winograd_columns_conv_pool": winograd_columns,
}


def work_of(form: str, kind: str, g: Sizes, vectors: Vectors) -> Work:
    """Of the kernel `form`, without the kind of convolution in its name."""
    return {**_FORMS[form](kind, g, vectors), **_lines(g), "calls": 1}

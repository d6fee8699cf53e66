"""What Winograd's transforms cost on a CPU: of both axes, in tiles of 4 x 4 outputs
(csrc/kernels/conv_winograd.h), and of columns alone, in bands of 4 rows (csrc/kernels/winograd_columns.h).

Times are of an image, in fused multiply-adds of a vector. The constants were fitted to the times of some 450
shapes, of convolutions at stride 1 and of conv_pool, one thread on one processor; they are 6 to 7 % off in
the mean.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from symconv.config import config
from symconv.ops.conv_cpu_rates import by_width, rates

SIDE = 4  # outputs of a tile along each side, rows of a band
WINDOWS = (3, 4, 5)  # rows of a window that a transform of columns takes
CHANNELS, VECTORS = 8, 3  # of a tile of the products along columns
STRIDED = 1.2  # what strides cost besides


class Costs(NamedTuple):
    """Of one instruction set. `weights`: to lay out or to transform a vector of them, of each point, once for
    all images."""

    product: float  # of both axes
    input: float  # the transform of a vector, of each point
    output: float
    weights: float
    columns_product: float
    columns_load: float  # of a point's vector, for the channels of a tile
    columns_input: float
    columns_output: float
    columns_weights: float


NARROW = Costs(0.75, 9.2, 4.7, 10.7, 0.87, 0, 10, 5.5, 45)
WIDE = Costs(0.93, 12.4, 6.4, 15, 0.57, 8.6, 11.9, 7.6, 37)


def transforms_refusal(dtype: str) -> str | None:
    """Why no kernel with Winograd's transforms, of one axis or of both."""
    if not config.winograd:
        return "config.winograd is off"
    return None if dtype == "float32" else f"dtype {dtype}, needs float32"


def costs() -> Costs:
    return by_width(NARROW, WIDE)


def tiles_time(inputs: int, outputs: int, window: int, rows: int, cols: int, images: int) -> float:
    """By the transforms of both axes; inputs, outputs: channels."""
    lanes, each = rates().lanes, costs()
    tiles, points = ceil(rows / SIDE) * ceil(cols / SIDE), (window + SIDE - 1) ** 2
    of_tile = each.product * inputs * ceil(outputs / lanes)
    of_tile += each.input * ceil(inputs / lanes) + each.output * ceil(outputs / lanes)
    return points * (tiles * of_tile + each.weights * inputs * ceil(outputs / lanes) / max(1, images))


class Columns(NamedTuple):
    """A convolution along columns: `window` rows by `across` columns, at its strides."""

    inputs: int
    outputs: int
    window: int
    across: int
    rows: int
    cols: int
    stride_h: int = 1
    stride_w: int = 1

    def time(self, images: int) -> float:
        lanes, each = rates().lanes, costs()
        points, pieces = transform_of(self.window, self.stride_h)
        vectors, block, busy = self.tiles()
        lines = points * pieces * self.inputs  # of a band's inputs
        width = self.cols + (self.across - 1) // self.stride_w  # of every stride_w-th column
        products = lines * (each.columns_product * self.across / busy + each.columns_load / block)
        line = self.stride_w * ceil(width / lanes)
        inputs = each.columns_input * ceil(self.rows / SIDE) * lines * line
        weights = each.columns_weights * lines * self.across * ceil(self.outputs / lanes) / max(1, images)
        found = self.outputs * vectors * (products + points * each.columns_output) + inputs + weights
        return found * (STRIDED if max(self.stride_h, self.stride_w) > 1 else 1)

    def tiles(self) -> tuple[float, int, float]:
        """The vectors of the bands, the channels of a tile, the share of the time with products to do."""
        lanes = rates().lanes
        bands, rest, alone = ceil(self.rows / SIDE), self.cols % lanes, ceil(self.cols / lanes)
        joined = 0 < rest <= lanes // 2 and bands > 1  # with that of the next band
        in_unit = 2 * (self.cols // lanes) + 1 if joined else alone
        vectors = bands // 2 * in_unit + bands % 2 * alone if joined else bands * alone
        in_tile, block = in_unit / ceil(in_unit / VECTORS), min(self.outputs, CHANNELS)
        return vectors, block, min(1, in_tile * block / 8) * (1 if in_tile > 1 else 0.6)


def transform_of(window: int, stride: int) -> tuple[int, int]:
    """Points of the transform with the fewest products for so many rows of a window, and the number of pieces
    into which it cuts them (make_columns in csrc/kernels/winograd_columns.h)."""
    sets = [ceil((window - first) / stride) for first in range(min(stride, window))]  # rows in each
    found = [(SIDE + n - 1, sum(ceil(rows / n) for rows in sets)) for n in WINDOWS]
    return min(found, key=lambda form: form[0] * form[1])

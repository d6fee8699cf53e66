"""How fast the CPU kernels of conv.py are expected to be, on each instruction set.

Rates are shares of what the micro-kernel of the matrix products reaches with full panels and long sums; the
kernel with the best is taken. The constants were measured, one thread on one processor of each kind; they
need not be exact.
"""

from __future__ import annotations

from typing import TypeVar

from symconv.ops.instruction_set import instruction_set

T = TypeVar("T")


class Rates:
    """AVX2, and what has no model of its own."""

    lanes = 8  # float32 values of a vector
    panel = 6  # rows of the micro-kernel
    windows, pointwise, weights = 0.62, 0.42, 0.66  # of the direct kernels

    def filled(self, n: int) -> float:
        """The share of the lanes that n values fill."""
        return n / (-(-n // self.lanes) * self.lanes)

    def fill(self, rows: int) -> float:
        """What whole panels leave of the micro-kernel's speed for so many rows."""
        return rows / (-(-rows // self.panel) * self.panel)

    def direct(self, kind: str, g: dict[str, int]) -> tuple[float, float]:
        """What direct_channels and direct_rows reach."""
        channels, row = lanes_of(kind, g)
        # The factors: what the kernels reach of their best with one vector, or with fewer than four channels
        # at a time: too few sums to hide latency.
        by_channels = self.filled(channels) * (0.55 if channels <= self.lanes else 1)
        by_rows = self.filled(row) * (
            0.5 if kind == "wgrad" or row <= self.lanes else 0.85 if channels < 4 else 1
        )
        pointwise = g["r"] == g["s"] == 1
        if g["stride_w"] > 1:
            if kind == "dgrad":  # what few taps reach has too few sums again
                by_channels *= 0.5
            if kind != "wgrad" and (pointwise or kind == "fprop" and g["stride_w"] > 2):
                by_rows *= 0.45  # most of what is loaded is not wanted
        rate = self.weights if kind == "wgrad" else self.pointwise if pointwise else self.windows
        return rate * by_channels, rate * by_rows

    def turned(self, kind: str, g: dict[str, int]) -> float:
        """What is left of direct_channels where sums are turned into rows, which short ones do not hide."""
        terms = terms_of(kind, g)
        return terms / (terms + 14) if kind == "fprop" else 1

    def packing(self, kind: str, g: dict[str, int]) -> float:
        """Steps of a panel of columns in which one of its rows of patches is found and packed."""
        terms = inputs_of(kind, g)
        stride = 1 if kind == "dgrad" else g["stride_w"]
        return 7 + 18 / terms if stride == 1 else (14 if stride == 2 else 20) + 40 / terms

    def gather(self, kind: str, g: dict[str, int]) -> float:
        """What gemm_gather reaches: full panels of rows, less packing and the ends of short sums."""
        (rows, _), packing = lanes_of(kind, g), self.packing(kind, g)
        if kind == "wgrad":
            pairs = g["c"] // g["groups"] * g["r"] * g["s"]
            packing += 8 if g["stride_w"] == 1 else 16  # patches are transposed too
            return self.fill(rows) * rows / (rows + packing) * self.filled(pairs) * pairs / (pairs + 5)
        depth = depth_of(kind, g)
        return self.fill(rows) * rows / (rows + packing) * depth / (depth + 16)

    def scatter(self, g: dict[str, int]) -> float:
        """What gemm_scatter reaches: it has no products with the padding of dy."""
        pairs, maps = g["c"] // g["groups"] * g["r"] * g["s"], g["k"] // g["groups"]
        # Steps of a tile in which its sums are stored and added into dx.
        adding = 20 if g["stride_w"] == 1 else 40
        spared = g["h"] * g["w"] / (g["p"] * g["q"] * g["stride_h"] * g["stride_w"])
        return self.fill(pairs) * pairs / (pairs + 5) * maps / (maps + adding) * spared


class WideRates(Rates):
    """AVX-512: twice the registers, so that the direct kernels reach the micro-kernel's speed."""

    lanes = 16
    plane = 1024  # outputs of a channel, from which on 1x1 windows are bound by memory
    band = 128  # outputs that a weight gradient adds up before it comes back to them

    def direct(self, kind: str, g: dict[str, int]) -> tuple[float, float]:
        channels, row = lanes_of(kind, g)
        by_channels = self.filled(channels) * (0.65 if channels <= self.lanes else 1)
        by_rows = self.filled(row) * (0.22 if kind == "wgrad" else 0.3 if channels < 4 else 1)
        if kind == "wgrad":
            pairs = g["c"] // g["groups"] * g["r"] * g["s"]
            outputs = min(g["p"] * g["q"], self.band)
            sums = 4e-6 * g["k"] * pairs  # MB, which are read and written for every band of outputs
            return by_channels * pairs / (pairs + 11) * outputs / (outputs + 6 * sums), by_rows
        pointwise = g["r"] == g["s"] == 1
        if row <= self.lanes:
            by_rows *= 0.5 if pointwise else 0.8
        terms, strided = depth_of(kind, g), g["stride_w"] > 1
        back = kind == "dgrad" and strided  # outputs lie apart, and each sees a part of the window
        by_channels *= terms / (terms + (110 if back else 23))
        by_rows *= terms / (terms + (45 if back else 12))
        if pointwise:
            by_channels *= 0.85 * (0.6 if g["p"] * g["q"] > self.plane else 1)
            by_rows *= 0.73
        if strided and (pointwise or kind == "fprop" and g["stride_w"] > 2):
            by_channels *= 0.5 if back else 1
            by_rows *= 0.45
        return by_channels, by_rows

    def turned(self, kind: str, g: dict[str, int]) -> float:
        return 1

    def gather(self, kind: str, g: dict[str, int]) -> float:
        (rows, row), packing = lanes_of(kind, g), self.packing(kind, g)
        plain = g["r"] == g["s"] == g["stride_h"] == g["stride_w"] == 1  # nothing to look for
        if kind == "wgrad":
            return super().gather(kind, g) * (1 if plain else 0.88)
        packing *= 0.2 + 22 / row  # short rows are joined, value by value
        depth = depth_of(kind, g)
        in_cache = plain and g["p"] * g["q"] <= self.plane
        ends = 60 if kind == "dgrad" and g["stride_w"] > 1 else 16 if in_cache else 30
        return self.fill(rows) * rows / (rows + packing) * depth / (depth + ends)


def lanes_of(kind: str, g: dict[str, int]) -> tuple[int, int]:
    """What direct_channels and direct_rows have in their lanes: channels of a group, outputs of a row."""
    channels = (g["c"] if kind == "dgrad" else g["k"]) // g["groups"]
    return channels, -(-g["w"] // g["stride_w"]) if kind == "dgrad" else g["q"]


def inputs_of(kind: str, g: dict[str, int]) -> int:
    """Channels of a group that an output is a sum over."""
    return (g["k"] if kind == "dgrad" else g["c"]) // g["groups"]


def terms_of(kind: str, g: dict[str, int]) -> int:
    """Products in an element of the output, all elements of the window counted."""
    return inputs_of(kind, g) * g["r"] * g["s"]


def depth_of(kind: str, g: dict[str, int]) -> float:
    """The same, but in the gradient an input sees a part of the window alone."""
    terms = terms_of(kind, g)
    if kind != "dgrad":
        return terms
    return max(terms / (g["stride_h"] * g["stride_w"]), g["k"] // g["groups"])


_MODELS = {"avx512": WideRates()}
_DEFAULT = Rates()


def rates() -> Rates:
    """The model of the instruction set in use."""
    return _MODELS.get(instruction_set(), _DEFAULT)


def by_width(narrow: T, wide: T) -> T:
    """What holds for the vectors in use: those of AVX-512, or narrower ones."""
    return wide if rates().lanes == WideRates.lanes else narrow

"""Windows that slide over the last two axes: sizes, strides, paddings, and how many positions there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.errors import ShapeError

Pair = tuple[int, int]
Padding = tuple[int, int, int, int]  # top, bottom, left, right

PADDINGS = ("valid", "same", "full", "half")


def conv_output_size(
    size: int | None, window: int | None, stride: int, before: int, after: int,
    dilation: int = 1, ceil_mode: bool = False,
) -> int | None:  # fmt: skip
    """floor((size + before + after - extent) / stride) + 1, extent = dilation (window - 1) + 1.

    None while `size` or `window` is unknown; zero or negative if the window does not fit. With
    ceil_mode the division rounds up, as long as the last window starts on the input or on the
    padding before it: there is one window at least, however far it reaches over the input.
    """
    if size is None or window is None:
        return None
    room = size + before + after - dilation * (window - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = max(-(-room // stride) + 1, 1)
    return count - 1 if (count - 1) * stride >= size + before else count


def pair(value: Any, what: str, least: int = 1) -> Pair:
    """`value` as (vertical, horizontal): one integer for both, or two. Raises ShapeError."""
    several = isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str)
    given = tuple(value) if several else (value,)
    if len(given) == 1:
        given *= 2
    if len(given) != 2 or not all(_is_int(v) and v >= least for v in given):
        least_text = {0: "non-negative", 1: "positive"}[least]
        raise ShapeError(f"{what} must be a {least_text} integer or a pair of them, got {value!r}")
    return int(given[0]), int(given[1])


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def normalize_padding(padding: Any, extent: tuple[int | None, int | None], what: str) -> Padding:
    """Padding as (top, bottom, left, right).

    `padding` is an int, a pair (vertical, horizontal), four ints, or a word, which the window's
    `extent` (its height and width with dilation) turns into numbers: "valid" 0; "full" extent - 1
    on each side; "half" extent // 2 on each side; "same" extent - 1 in all, the odd one after, so
    that the output has ceil(size / stride) positions.
    """
    if isinstance(padding, str):
        if padding not in PADDINGS:
            raise ShapeError(f"{what} must be numbers or one of {', '.join(PADDINGS)}, got {padding!r}")
        if padding == "valid":
            return (0, 0, 0, 0)
        if None in extent:
            raise ShapeError(
                f"{what}={padding!r} needs a window of known height and width, got {list(extent)}\n"
                "  hint: give the weights a static shape, or the padding in numbers"
            )
        sides: list[int] = []
        for e in extent:
            assert e is not None
            if padding == "same":
                sides += [(e - 1) // 2, e - 1 - (e - 1) // 2]
            else:
                sides += [e - 1 if padding == "full" else e // 2] * 2
        return sides[0], sides[1], sides[2], sides[3]
    given = tuple(padding) if isinstance(padding, (Sequence, np.ndarray)) else (padding,)
    if len(given) == 1:
        given *= 4
    elif len(given) == 2:
        given = (given[0], given[0], given[1], given[1])
    if len(given) != 4 or not all(_is_int(v) and v >= 0 for v in given):
        raise ShapeError(
            f"{what} must be a non-negative integer, (vertical, horizontal), (top, bottom, left, right) "
            f"or one of {', '.join(PADDINGS)}, got {padding!r}"
        )
    return tuple(int(v) for v in given)  # type: ignore[return-value]


def windows_of(
    x: np.ndarray, window: Pair, stride: Pair, padding: Padding, dilation: Pair = (1, 1),
    fill: Any = 0, count: Pair | None = None,
) -> np.ndarray:  # fmt: skip
    """A view [N, C, P, Q, R, S] of the padded x[N, C, H, W]; `count` = (P, Q) may overrun the padding."""
    extent = [d * (k - 1) + 1 for k, d in zip(window, dilation)]
    pads = [list(padding[:2]), list(padding[2:])]
    if count is not None:
        for i in (0, 1):
            need = (count[i] - 1) * stride[i] + extent[i] - sum(pads[i]) - x.shape[2 + i]
            pads[i][1] += max(need, 0)
    padded = np.pad(x, [(0, 0), (0, 0), *map(tuple, pads)], constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(padded, extent, axis=(2, 3))
    view = view[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    return view if count is None else view[:, :, : count[0], : count[1]]

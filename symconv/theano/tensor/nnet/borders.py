"""Zeros around images, as many as a border mode says; their number may be known only when a function runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.errors import ShapeError
from symconv.theano.tensor import shape_ops
from symconv.theano.tensor.subtensor import set_subtensor

WORDS = ("valid", "half", "full")


def sides(mode: Any, extents: Sequence[Any], what: str) -> list[tuple[Any, Any]]:
    """(before, after) for each axis; `extents` are the sizes of the window with its dilation.

    mode: 'valid', 'half', 'full', an int of 0 or more, or for each axis such an int or a pair of them. Raises
    ShapeError.
    """
    rank = len(extents)
    if isinstance(mode, str):
        if mode not in WORDS:
            raise ShapeError(refusal(mode, rank, what))
        widths = {"valid": [0] * rank, "half": [e // 2 for e in extents], "full": [e - 1 for e in extents]}
        return [(w, w) for w in widths[mode]]
    given = list(mode) if isinstance(mode, (Sequence, np.ndarray)) else [mode] * rank
    if len(given) != rank:
        raise ShapeError(refusal(mode, rank, what))
    pairs = [tuple(g) if isinstance(g, (Sequence, np.ndarray)) else (g, g) for g in given]
    for pair in pairs:
        if len(pair) != 2 or any(float(w) != int(w) or w < 0 for w in pair):
            raise ShapeError(refusal(mode, rank, what))
    return [(int(a), int(b)) for a, b in pairs]


def refusal(mode: Any, rank: int, what: str) -> str:
    count = {2: "two", 3: "three"}.get(rank, str(rank))
    return (
        f"{what}: border_mode must be 'valid', 'half', 'full', an int of 0 or more, or {count} of them "
        f"or of pairs "
        f"(before, after), got {mode!r}"
    )


def bordered(x: Any, widths: Sequence[tuple[Any, Any]]) -> Any:
    """x within zeros: (before, after) for each of its last axes, ints or scalars."""
    first = x.ndim - len(widths)
    if all(isinstance(w, int) and w == 0 for pair in widths for w in pair):
        return x
    sizes = [x.shape[i] for i in range(x.ndim)]
    index: list[Any] = [slice(None)] * first
    for axis, (before, after) in enumerate(widths, first):
        index.append(slice(before, before + sizes[axis]))
        sizes[axis] = before + sizes[axis] + after
    return set_subtensor(shape_ops.zeros(sizes, dtype=x.dtype)[tuple(index)], x)

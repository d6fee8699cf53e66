"""Indices of patches, whose sizes and number may be known only when a function runs."""

from __future__ import annotations

from typing import Any

from symconv.theano.tensor import shape_ops


def places(count: Any, step: Any, length: Any, dilation: int = 1) -> Any:
    """[count, length]: where element j of patch i lies along an axis, i step + j dilation."""
    starts, offsets = shape_ops.arange(count) * step, shape_ops.arange(length)
    if dilation != 1:
        offsets = offsets * dilation
    return starts.dimshuffle(0, "x") + offsets.dimshuffle("x", 0)


def patches_at(x: Any, rows: Any, columns: Any) -> Any:
    """The patches [N, C, P, Q, R, S] of images [N, C, H, W] at rows [P, R] and columns [Q, S]."""
    return x[:, :, rows.dimshuffle(0, "x", 1, "x"), columns.dimshuffle("x", 0, "x", 1)]

"""Locally connected layers: a convolution whose filters differ from position to position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symconv.errors import ShapeError
from symconv.theano.tensor import shape_ops
from symconv.theano.tensor.linear import batched_dot
from symconv.theano.tensor.nnet.borders import bordered, sides
from symconv.theano.tensor.nnet.patches import patches_at, places


def windows_of(x: Any, window: Sequence[Any], step: Sequence[int], dilation: Sequence[int]) -> Any:
    """The patches [N, C, P, Q, R, S] of images [N, C, H, W]."""
    rows, columns = (
        places((n - d * (w - 1) - 1) // s + 1, s, w, d)
        for n, w, s, d in zip((x.shape[2], x.shape[3]), window, step, dilation)
    )
    return patches_at(x, rows, columns)


def unshared_conv2d(
    x: Any, w: Any, border_mode: Any, step: Sequence[int], dilation: Sequence[int], groups: int, flip: bool
) -> Any:
    """y[n, k, p, q] = sum over c, r, s of x[n, c, ...] w[k, p, q, c, r, s]: a product for each position.

    w is [K, P, Q, C/groups, R, S]. Raises ShapeError.
    """
    if x.ndim != 4 or w.ndim != 6:
        raise ShapeError(
            f"conv2d(unshared=True): needs images of 4 dimensions and filters of 6, [K, P, Q, C/groups, "
            f"R, S], got "
            f"{x.type} from {x.native.origin} and {w.type} from {w.native.origin}"
        )
    window = [w.native.type.shape[i] or w.shape[i] for i in (4, 5)]
    extents = [d * (n - 1) + 1 for d, n in zip(dilation, window)]
    x = bordered(x, sides(border_mode, extents, "conv2d"))
    if flip:
        w = w[:, :, :, :, ::-1, ::-1]
    n, k, p, q, c = x.shape[0], *(w.shape[i] for i in range(4))
    area, size = groups * p * q, c * window[0] * window[1]
    patches = shape_ops.reshape(windows_of(x, window, step, dilation), (n, groups, c, p, q, *window))
    rows = shape_ops.reshape(patches.dimshuffle(1, 3, 4, 0, 2, 5, 6), (area, n, size))
    filters = shape_ops.reshape(w, (groups, k // groups, p, q, c, *window)).dimshuffle(0, 2, 3, 4, 5, 6, 1)
    y = batched_dot(rows, shape_ops.reshape(filters, (area, size, k // groups)))
    y = shape_ops.reshape(y, (groups, p, q, n, k // groups)).dimshuffle(3, 0, 4, 1, 2)
    return shape_ops.reshape(y, (n, k, p, q))

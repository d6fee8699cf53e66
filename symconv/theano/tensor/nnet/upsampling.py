"""Images made larger by linear interpolation between their pixels."""

from __future__ import annotations

from math import gcd
from typing import Any

import numpy as np

from symconv.errors import ArgumentError
from symconv.theano.configuration import config
from symconv.theano.dtypes import FLOATS
from symconv.theano.tensor import shape_ops
from symconv.theano.tensor.elementwise import cast
from symconv.theano.tensor.nnet.conv_ops import conv2d_grad_wrt_inputs
from symconv.theano.variable import as_tensor_variable, constant


def bilinear_kernel_1D(ratio: Any, normalize: bool = True) -> Any:  # noqa: N802
    """The triangle 1, 2, ..., ratio, ..., 2, 1 in floatX; divided by ratio where `normalize`. ratio may be
    symbolic.
    """
    rise = shape_ops.arange(1, ratio + 1, dtype=config.floatX)
    triangle = shape_ops.concatenate([rise, rise[-2::-1]])
    return triangle / cast(ratio, config.floatX) if normalize else triangle


def bilinear_kernel_2D(ratio: Any, normalize: bool = True) -> Any:  # noqa: N802
    """The outer product of two triangles; `ratio` is an int or (rows, columns)."""
    rows, columns = ratio if isinstance(ratio, (tuple, list)) else (ratio, ratio)
    down, along = bilinear_kernel_1D(rows, normalize), bilinear_kernel_1D(columns, normalize)
    return down.dimshuffle(0, "x") * along.dimshuffle("x", 0)


def bilinear_upsampling(
    input: Any, ratio: Any = None, frac_ratio: Any = None, batch_size: Any = None,
    num_input_channels: Any = None, use_1D_kernel: bool = True,
) -> Any:  # fmt: skip
    """Images [N, C, H, W] with `ratio` times as many rows and columns, by linear interpolation; edges are
    repeated.

    frac_ratio is (numerator, denominator), or a pair of those for rows and columns. Raises ArgumentError
    unless one of the two is given.
    """
    if (ratio is None) == (frac_ratio is None):
        raise ArgumentError("bilinear_upsampling: give one of ratio and frac_ratio")
    if frac_ratio is not None:
        if use_1D_kernel:
            raise ArgumentError(
                "bilinear_upsampling: use_1D_kernel is for whole ratios\n  hint: use_1D_kernel=False "
                "with frac_ratio"
            )
        return frac_bilinear_upsampling(input, frac_ratio)
    x = as_tensor_variable(input)
    for axis in (2, 3):
        x = _stretched(x, axis, int(ratio), 1)
    return x


def frac_bilinear_upsampling(input: Any, frac_ratio: Any) -> Any:
    """bilinear_upsampling by (numerator, denominator), or by a pair of those for rows and columns."""
    if not isinstance(frac_ratio, tuple):
        raise ArgumentError(f"frac_bilinear_upsampling: frac_ratio must be a tuple, got {frac_ratio!r}")
    both = frac_ratio if isinstance(frac_ratio[0], tuple) else (frac_ratio, frac_ratio)
    x = as_tensor_variable(input)
    for axis, (up, down) in zip((2, 3), both):
        common = gcd(int(up), int(down))
        x = _stretched(x, axis, int(up) // common, int(down) // common)
    return x


def _stretched(x: Any, axis: int, up: int, down: int) -> Any:
    """Linear interpolation along one axis, `up` times as dense, of which every `down`-th value is kept.

    A transposed convolution with a triangle: output i lies at i / up - (ceil(up / 2) - 1) / up in units of
    the input.
    """
    n, c, h, w = (x.shape[i] for i in range(4))
    first, last = (x[:, :, :1], x[:, :, -1:]) if axis == 2 else (x[:, :, :, :1], x[:, :, :, -1:])
    wide = shape_ops.concatenate([first, x, last], axis=axis)
    sizes = [n * c, 1, h, w]
    images = shape_ops.reshape(wide, (n * c, 1, h + 2, w) if axis == 2 else (n * c, 1, h, w + 2))
    rise = np.arange(1, up + 1) / up
    triangle = np.concatenate([rise, rise[-2::-1]]).astype(x.dtype if x.dtype in FLOATS else config.floatX)
    filters = constant(triangle[None, None, :, None] if axis == 2 else triangle[None, None, None, :])
    pad = 2 * up - (up - 1) // 2 - 1
    sizes[axis] = sizes[axis] * up
    y = conv2d_grad_wrt_inputs(
        images, filters, (None, 1, *sizes[2:]), border_mode=(pad, 0) if axis == 2 else (0, pad),
        subsample=(up, 1) if axis == 2 else (1, up),
    )  # fmt: skip
    if down > 1:
        y = y[:, :, ::down] if axis == 2 else y[:, :, :, ::down]
    return shape_ops.reshape(y, (n, c, y.shape[2], y.shape[3]))


__all__ = ["bilinear_kernel_1D", "bilinear_kernel_2D", "bilinear_upsampling", "frac_bilinear_upsampling"]

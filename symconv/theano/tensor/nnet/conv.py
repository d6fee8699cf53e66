"""theano.tensor.nnet.conv: the older name of conv2d, with image_shape as its third argument."""

from __future__ import annotations

from typing import Any

from symconv.theano.tensor.nnet import conv_ops
from symconv.theano.tensor.nnet.abstract_conv import imported_scipy_signal as imported_scipy_signal


def conv2d(
    input: Any, filters: Any, image_shape: Any = None, filter_shape: Any = None, border_mode: Any = "valid",
    subsample: Any = (1, 1), **kargs: Any,
) -> Any:  # fmt: skip
    """True convolution of images [N, C, H, W] with filters [K, C, R, S]; unroll_* arguments have no
    effect."""
    if border_mode not in ("valid", "full"):
        from symconv.errors import ShapeError

        raise ShapeError(
            f"conv.conv2d: border_mode must be 'valid' or 'full', got {border_mode!r}\n"
            "  hint: theano.tensor.nnet.conv2d has 'half', ints and pairs"
        )
    return conv_ops.conv2d(input, filters, image_shape, filter_shape, border_mode, subsample)

"""theano.tensor.signal.conv: convolution of plain images, without channels."""

from __future__ import annotations

from typing import Any

from symconv.errors import ShapeError
from symconv.theano.tensor.nnet import conv_ops
from symconv.theano.variable import as_tensor_variable


def conv2d(
    input: Any, filters: Any, image_shape: Any = None, filter_shape: Any = None, border_mode: str = "valid",
    subsample: Any = (1, 1), **kargs: Any,
) -> Any:  # fmt: skip
    """True convolution of an image or a stack of images with a filter or a stack of filters.

    The output is [images, filters, P, Q] without the axes that input and filters do not have.
    """
    x, w = as_tensor_variable(input), as_tensor_variable(filters)
    if x.ndim not in (2, 3) or w.ndim not in (2, 3):
        raise ShapeError(f"signal.conv.conv2d: needs matrices or 3-d tensors, got {x.type} and {w.type}")
    images = x.dimshuffle("x", "x", 0, 1) if x.ndim == 2 else x.dimshuffle(0, "x", 1, 2)
    windows = w.dimshuffle("x", "x", 0, 1) if w.ndim == 2 else w.dimshuffle(0, "x", 1, 2)
    hint_x, hint_w = _hint(image_shape, x.ndim), _hint(filter_shape, w.ndim)
    y = conv_ops.conv2d(images, windows, hint_x, hint_w, border_mode, subsample)
    if x.ndim == w.ndim == 3:
        return y
    if x.ndim == w.ndim == 2:
        return y[0, 0]
    return y[:, 0] if x.ndim == 3 else y[0]


def _hint(shape: Any, ndim: int) -> Any:
    """A hint about a plain image or a stack of them, as one about [N, 1, H, W]."""
    if shape is None:
        return None
    return [1 if ndim == 2 else shape[0], 1, *shape[-2:]]

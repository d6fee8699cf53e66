"""Convolutions made of others: depthwise then pointwise, and causal ones over time."""

from __future__ import annotations

from typing import Any

from symconv.errors import ShapeError
from symconv.theano.tensor.nnet.conv3d import conv3d
from symconv.theano.tensor.nnet.conv_ops import conv2d
from symconv.theano.variable import as_tensor_variable


def separable_conv2d(
    input: Any, depthwise_filters: Any, pointwise_filters: Any, num_channels: int, input_shape: Any = None,
    depthwise_filter_shape: Any = None, pointwise_filter_shape: Any = None, border_mode: Any = "valid",
    subsample: Any = (1, 1), filter_flip: bool = True, filter_dilation: Any = (1, 1),
) -> Any:  # fmt: skip
    """A convolution of each channel by its own filters, then one by 1x1 filters over all channels."""
    each = conv2d(
        input, depthwise_filters, input_shape, depthwise_filter_shape, border_mode, subsample, filter_flip,
        filter_dilation=filter_dilation, num_groups=num_channels,
    )  # fmt: skip
    return conv2d(each, pointwise_filters, None, pointwise_filter_shape, filter_flip=filter_flip)


def separable_conv3d(
    input: Any, depthwise_filters: Any, pointwise_filters: Any, num_channels: int, input_shape: Any = None,
    depthwise_filter_shape: Any = None, pointwise_filter_shape: Any = None, border_mode: Any = "valid",
    subsample: Any = (1, 1, 1), filter_flip: bool = True, filter_dilation: Any = (1, 1, 1),
) -> Any:  # fmt: skip
    """separable_conv2d over three axes."""
    each = conv3d(
        input, depthwise_filters, input_shape, depthwise_filter_shape, border_mode, subsample, filter_flip,
        filter_dilation, num_channels,
    )  # fmt: skip
    return conv3d(each, pointwise_filters, None, pointwise_filter_shape, filter_flip=filter_flip)


def causal_conv1d(
    input: Any, filters: Any, filter_shape: Any, input_shape: Any = None, subsample: int = 1,
    filter_flip: bool = True, filter_dilation: int = 1, num_groups: int = 1, unshared: bool = False,
) -> Any:  # fmt: skip
    """True convolution of [N, C, L] with filters [K, C/groups, R]; an output sees no later input.

    The length of the filters must be in filter_shape. Unshared filters are [K, P, C/groups, R].
    """
    x, w = as_tensor_variable(input), as_tensor_variable(filters)
    rank = 4 if unshared else 3
    if x.ndim != 3 or w.ndim != rank:
        raise ShapeError(
            f"causal_conv1d: needs an input of 3 dimensions and filters of {rank}, got {x.type}, {w.type}"
        )
    if len(filter_shape) != rank:
        raise ShapeError(f"causal_conv1d: filter_shape must have {rank} entries, got {filter_shape!r}")
    before = filter_dilation * (filter_shape[-1] - 1)
    size = [*filter_shape[:2], *([1, filter_shape[2]] if unshared else []), filter_shape[-1], 1]
    y = conv2d(
        x.dimshuffle(0, 1, 2, "x"), w.dimshuffle(0, 1, "x", 2, 3, "x") if unshared else w.dimshuffle(0, 1,
        2, "x"),
        None if input_shape is None else [*input_shape, 1], size, ((before, 0), 0), (subsample, 1),
        filter_flip,
        filter_dilation=(filter_dilation, 1), num_groups=num_groups, unshared=unshared,
    )  # fmt: skip
    return y[:, :, :, 0]


__all__ = ["causal_conv1d", "separable_conv2d", "separable_conv3d"]

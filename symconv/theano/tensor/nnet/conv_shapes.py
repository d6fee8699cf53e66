"""Sizes of convolutions without building one; sizes may be ints, scalars of a graph, or None for unknown."""

from __future__ import annotations

from typing import Any

import numpy as np

from symconv.errors import ShapeError
from symconv.theano.tensor.nnet.borders import sides


def _modes(border_mode: Any, rank: int) -> list[Any]:
    several = isinstance(border_mode, (tuple, list, np.ndarray))
    return list(border_mode) if several else [border_mode] * rank


def _around(mode: Any, extent: Any) -> Any:
    """How many zeros a border mode puts on both sides of an axis together."""
    given = mode if isinstance(mode, str) else [mode]
    before, after = sides(given, [extent], "convolution")[0]
    return before + after


def get_conv_shape_1axis(
    image_shape: Any, kernel_shape: Any, border_mode: Any, subsample: Any, dilation: Any = 1
) -> Any:
    """How many positions a window has along an axis."""
    if None in (image_shape, kernel_shape, border_mode, subsample, dilation):
        return None
    extent = dilation * (kernel_shape - 1) + 1
    room = image_shape + _around(border_mode, extent) - extent
    return room // subsample + 1


def get_conv_output_shape(
    image_shape: Any, kernel_shape: Any, border_mode: Any, subsample: Any, filter_dilation: Any = None
) -> tuple[Any, ...]:
    """(N, K, P, ...) for images (N, C, H, ...) and filters (K, C, R, ...) or unshared ones (K, P, Q, C, R,
    S).
    """
    rank = len(image_shape) - 2
    dilation = filter_dilation or (1,) * rank
    axes = zip(image_shape[2:], kernel_shape[-rank:], _modes(border_mode, rank), subsample, dilation)
    return image_shape[0], kernel_shape[0], *(get_conv_shape_1axis(*axis) for axis in axes)


def get_conv_gradweights_shape_1axis(
    image_shape: Any, top_shape: Any, border_mode: Any, subsample: Any, dilation: Any
) -> Any:
    """The size of the filters along an axis, from that of images and output; None where several sizes fit."""
    if None in (image_shape, top_shape, border_mode, subsample, dilation):
        return None
    if subsample != 1 or border_mode == "half":
        return None
    if border_mode == "full":
        return (top_shape - image_shape) // dilation + 1
    return (image_shape + _around(border_mode, 1) - top_shape) // dilation + 1


def get_conv_gradweights_shape(
    image_shape: Any, top_shape: Any, border_mode: Any, subsample: Any, filter_dilation: Any = None,
    num_groups: int = 1, unshared: bool = False,
) -> tuple[Any, ...]:  # fmt: skip
    """The shape of the filters that take images (N, C, H, ...) to outputs (N, K, P, ...).

    As in Theano, which swaps the axes of both for this: element 0 is top_shape[1] / num_groups, the one
    before the window image_shape[1].
    """
    rank = len(image_shape) - 2
    dilation = filter_dilation or (1,) * rank
    axes = zip(image_shape[2:], top_shape[2:], _modes(border_mode, rank), subsample, dilation)
    window = tuple(get_conv_gradweights_shape_1axis(*axis) for axis in axes)
    first = top_shape[1] // num_groups if num_groups > 1 else top_shape[1]
    places = tuple(top_shape[2:]) if unshared else ()
    return first, *places, image_shape[1], *window


def get_conv_gradinputs_shape_1axis(
    kernel_shape: Any, top_shape: Any, border_mode: Any, subsample: Any, dilation: Any
) -> Any:
    """The size of the images along an axis, from that of filters and output; None where several sizes fit."""
    if None in (kernel_shape, top_shape, border_mode, subsample, dilation) or subsample != 1:
        return None
    extent = dilation * (kernel_shape - 1) + 1
    return top_shape + extent - 1 - _around(border_mode, extent)


def get_conv_gradinputs_shape(
    kernel_shape: Any, top_shape: Any, border_mode: Any, subsample: Any, filter_dilation: Any = None,
    num_groups: int = 1,
) -> tuple[Any, ...]:  # fmt: skip
    """The shape of the images that filters (K, C/groups, R, ...) take to outputs (N, K, P, ...)."""
    rank = len(top_shape) - 2
    dilation = filter_dilation or (1,) * rank
    axes = zip(kernel_shape[-rank:], top_shape[2:], _modes(border_mode, rank), subsample, dilation)
    channels = kernel_shape[-rank - 1]
    if channels is not None and num_groups > 1:
        channels = channels * num_groups
    return top_shape[0], channels, *(get_conv_gradinputs_shape_1axis(*axis) for axis in axes)


def check_conv_gradinputs_shape(
    image_shape: Any, kernel_shape: Any, output_shape: Any, border_mode: Any, subsample: Any,
    filter_dilation: Any = None,
) -> bool:  # fmt: skip
    """True where the three shapes may belong to one convolution; None fits anything."""
    rank = len(image_shape) - 2
    computed = get_conv_output_shape(image_shape, kernel_shape, border_mode, subsample, filter_dilation)
    given = tuple(output_shape)
    if len(given) != rank + 2:
        return False
    return all(None in (g, c) or g == c for g, c in zip(given, computed))


def assert_conv_shape(shape: Any) -> tuple[Any, ...]:
    """`shape`, whose window sizes must be positive: ints are checked now, scalars of a graph when it runs."""
    from symconv.theano.printing import Assert
    from symconv.theano.tensor.elementwise import ge
    from symconv.theano.tensor.known import NotScalarConstantError, get_scalar_constant_value

    out = []
    for axis, size in enumerate(shape):
        least = 0 if axis < 2 else 1
        message = f"the shape of a convolution must have at least {least} in dimension {axis}"
        try:
            known = int(get_scalar_constant_value(size))
        except NotScalarConstantError:
            out.append(Assert(message)(size, ge(size, least)))
            continue
        if known < least:
            raise ShapeError(f"{message}, got {known}")
        out.append(size)
    return tuple(out)


def assert_shape(x: Any, expected_shape: Any, msg: str = "Unexpected shape.") -> Any:
    """x, whose dimensions must be the expected ones where these are not None, when
    config.conv.assert_shape is on.
    """
    from symconv.theano.configuration import config
    from symconv.theano.printing import Assert
    from symconv.theano.tensor.elementwise import eq

    if expected_shape is None or not config.conv.assert_shape:
        return x
    tests = [eq(x.shape[i], n) for i, n in enumerate(expected_shape) if n is not None]
    return Assert(msg)(x, *tests) if tests else x


def border_mode_to_pad(mode: Any, convdim: int, kshp: Any) -> tuple[tuple[int, int], ...]:
    """A border mode as pairs (before, after) for windows of size `kshp`."""
    return tuple(sides(mode, kshp, "border_mode_to_pad"))


__all__ = [
    "assert_conv_shape",
    "assert_shape",
    "border_mode_to_pad",
    "check_conv_gradinputs_shape",
    "get_conv_gradinputs_shape",
    "get_conv_gradinputs_shape_1axis",
    "get_conv_gradweights_shape",
    "get_conv_gradweights_shape_1axis",
    "get_conv_output_shape",
    "get_conv_shape_1axis",
]

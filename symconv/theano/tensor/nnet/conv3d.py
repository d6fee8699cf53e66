"""Convolution over three axes, as a sum of convolutions over two: one for each plane of the filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symconv import ops
from symconv.errors import ShapeError
from symconv.graph import Variable as Native
from symconv.ops.shape import dims_of
from symconv.theano.tensor import shape_ops
from symconv.theano.tensor.nnet.borders import bordered, sides
from symconv.theano.tensor.nnet.conv_ops import hinted, last_dims, of_known_size, operands, several
from symconv.theano.tensor.nnet.linear_maps import transposed
from symconv.theano.tensor.nnet.patches import places
from symconv.theano.variable import as_tensor_variable, wrap

AXES = (2, 3, 4)


def conv3d(
    input: Any, filters: Any, input_shape: Any = None, filter_shape: Any = None, border_mode: Any = "valid",
    subsample: Any = (1, 1, 1), filter_flip: bool = True, filter_dilation: Any = (1, 1, 1),
    num_groups: int = 1, **kwargs: Any,
) -> Any:  # fmt: skip
    """True convolution of [N, C, D, H, W] with filters [K, C/groups, T, R, S].

    border_mode: 'valid', 'full', 'half', an int, or three.
    """
    x, w = operands(input, filters)
    x = hinted(x, input_shape, "conv3d: input_shape")
    w = of_known_size(hinted(w, filter_shape, "conv3d: filter_shape"), 5)
    if x.ndim != 5 or w.ndim != 5:
        raise ShapeError(f"conv3d: needs images and filters of 5 dimensions, got {x.type} and {w.type}")
    step = several(subsample, 3, "conv3d: subsample")
    dilation = several(filter_dilation, 3, "conv3d: filter_dilation")
    window = [n or wrap(d) for n, d in zip(w.type.shape[2:], dims_of(w)[2:])]
    around = sides(border_mode, [d * (n - 1) + 1 for d, n in zip(dilation, window)], "conv3d")
    if filter_flip:
        w = ops.flip(w, AXES)
    if None in w.type.shape[2:]:
        return _of_unknown_size(bordered(wrap(x), around), wrap(w), step, dilation, num_groups)
    if around[0] != (0, 0):
        x = ops.pad(x, [(0, 0), (0, 0), around[0], (0, 0), (0, 0)])
    n, c, depth, height, width = dims_of(x)
    planes = int(w.type.shape[2])  # type: ignore[arg-type]
    out_depth = (depth - (dilation[0] * (planes - 1) + 1)) // step[0] + 1
    total: Any = None
    for t in range(planes):
        first = t * dilation[0]
        slab = x[:, :, first : first + (out_depth - 1) * step[0] + 1 : step[0]]
        images = ops.reshape(ops.swapaxes(slab, 1, 2), [n * out_depth, c, height, width])
        part = ops.conv2d(
            images,
            w[:, :, t],
            stride=step[1:],
            padding=(*around[1], *around[2]),
            dilation=dilation[1:],
            groups=num_groups,
        )
        total = part if total is None else total + part
    k, p, q = dims_of(total)[1:]
    return wrap(ops.swapaxes(ops.reshape(total, [n, out_depth, k, p, q]), 1, 2))


def _of_unknown_size(x: Any, w: Any, step: Sequence[int], dilation: Sequence[int], groups: int) -> Any:
    """The valid cross-correlation as one over two axes, with the planes of the filters as further
    channels.
    """
    n, c, depth, height, width = (x.shape[i] for i in range(5))
    k, planes, r, s = (w.shape[i] for i in (0, 2, 3, 4))
    count = (depth - dilation[0] * (planes - 1) - 1) // step[0] + 1
    slabs = x[:, :, places(count, step[0], planes, dilation[0])]
    images = shape_ops.reshape(slabs.dimshuffle(0, 2, 1, 3, 4, 5), (n * count, c * planes, height, width))
    filters = shape_ops.reshape(w, (k, w.shape[1] * planes, r, s))
    y = ops.conv2d(images.native, filters.native, stride=step[1:], dilation=dilation[1:], groups=groups)
    k, p, q = (wrap(d) for d in dims_of(y)[1:])
    return shape_ops.reshape(wrap(y), (n, count, k, p, q)).dimshuffle(0, 2, 1, 3, 4)


def conv3d_grad_wrt_inputs(
    output_grad: Any, filters: Any, input_shape: Any, filter_shape: Any = None, border_mode: Any = "valid",
    subsample: Any = (1, 1, 1), filter_flip: bool = True, filter_dilation: Any = (1, 1, 1), num_groups: int
    = 1,
) -> Any:  # fmt: skip
    """The gradient of conv3d with respect to its input, whose last three dimensions must be given."""
    dy, w = operands(output_grad, filters)
    w = of_known_size(hinted(w, filter_shape, "conv3d_grad_wrt_inputs: filter_shape"), 5)
    dims = [
        dims_of(dy)[0],
        dims_of(w)[1] * int(num_groups),
        *last_dims(input_shape, 3, "conv3d: input_shape"),
    ]
    options = (border_mode, subsample, filter_flip, filter_dilation, num_groups)
    return wrap(transposed(lambda x: conv3d(x, wrap(w), None, None, *options), dims, dy))


def conv3d_grad_wrt_weights(
    input: Any, output_grad: Any, filter_shape: Any, input_shape: Any = None, border_mode: Any = "valid",
    subsample: Any = (1, 1, 1), filter_flip: bool = True, filter_dilation: Any = (1, 1, 1), num_groups: int
    = 1,
) -> Any:  # fmt: skip
    """The gradient of conv3d with respect to its filters, whose last three dimensions must be given."""
    x, dy = operands(input, output_grad)
    x = hinted(x, input_shape, "conv3d_grad_wrt_weights: input_shape")
    size = last_dims(filter_shape, 3, "conv3d: filter_shape")
    dims = [dims_of(dy)[1], dims_of(x)[1] // int(num_groups), *size]
    options = (border_mode, subsample, filter_flip, filter_dilation, num_groups)
    return wrap(transposed(lambda w: conv3d(wrap(x), w, None, None, *options), dims, dy))


def conv3d_of_signals(
    signals: Any,
    filters: Any,
    signals_shape: Any = None,
    filters_shape: Any = None,
    border_mode: Any = "valid",
) -> Any:
    """conv3d2d.conv3d: signals [N, T, C, H, W] with filters [K, T, C, R, S] give [N, T, K, P, Q]."""

    def turned(shape: Any) -> Any:
        return None if shape is None else [shape[i] for i in (0, 2, 1, 3, 4)]

    x, w = as_tensor_variable(signals), as_tensor_variable(filters)
    for v in (x, w):
        if v.ndim != 5:
            raise ShapeError(f"conv3d2d.conv3d: needs tensors of 5 dimensions, got {v.type}")
    y = conv3d(
        x.dimshuffle(0, 2, 1, 3, 4),
        _planes_second(w),
        turned(signals_shape),
        turned(filters_shape),
        border_mode,
    )
    return y.dimshuffle(0, 2, 1, 3, 4)


def _planes_second(w: Any) -> Any:
    """Filters [K, T, C, R, S] as [K, C, T, R, S], their size declared where it is known."""
    native: Native = of_known_size(w.native, 5)
    return wrap(native).dimshuffle(0, 2, 1, 3, 4)


__all__ = ["conv3d", "conv3d_grad_wrt_inputs", "conv3d_grad_wrt_weights"]

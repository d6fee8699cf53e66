"""Convolution over three axes, as a sum of convolutions over two: one for each plane of the filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symconv import ops
from symconv.errors import ShapeError
from symconv.graph import Variable as Native
from symconv.ops.shape import dims_of
from symconv.theano.tensor.nnet.conv_ops import hinted, of_known_size, operands, several
from symconv.theano.variable import as_tensor_variable, wrap

AXES = (2, 3, 4)


def conv3d(
    input: Any, filters: Any, input_shape: Any = None, filter_shape: Any = None, border_mode: Any = "valid",
    subsample: Any = (1, 1, 1), filter_flip: bool = True, filter_dilation: Any = (1, 1, 1),
    num_groups: int = 1, **kwargs: Any,
) -> Any:  # fmt: skip
    """True convolution of [N, C, D, H, W] with filters [K, C/groups, T, R, S], whose T, R, S must be known.

    border_mode: 'valid', 'full', 'half', an int, or three.
    """
    x, w = operands(input, filters)
    x = hinted(x, input_shape, "conv3d: input_shape")
    w = of_known_size(hinted(w, filter_shape, "conv3d: filter_shape"), 5)
    if x.ndim != 5 or w.ndim != 5:
        raise ShapeError(f"conv3d: needs images and filters of 5 dimensions, got {x.type} and {w.type}")
    if None in w.type.shape[2:]:
        raise ShapeError(
            f"conv3d: the size of the filters {w.type} from {w.origin} must be known\n  hint: filter_shape="
        )
    step = several(subsample, 3, "conv3d: subsample")
    dilation = several(filter_dilation, 3, "conv3d: filter_dilation")
    pads = _border(border_mode, [d * (n - 1) + 1 for d, n in zip(dilation, w.type.shape[2:])])  # type: ignore[operator]
    if filter_flip:
        w = ops.flip(w, AXES)
    if pads[0]:
        x = ops.pad(x, [(0, 0), (0, 0), (pads[0], pads[0]), (0, 0), (0, 0)])
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
            padding=tuple(pads[1:]),
            dilation=dilation[1:],
            groups=num_groups,
        )
        total = part if total is None else total + part
    k, p, q = dims_of(total)[1:]
    return wrap(ops.swapaxes(ops.reshape(total, [n, out_depth, k, p, q]), 1, 2))


def _border(mode: Any, extent: Sequence[int]) -> list[int]:
    if isinstance(mode, str):
        if mode not in ("valid", "full", "half"):
            raise ShapeError(
                f"conv3d: border_mode must be 'valid', 'full', 'half', an int or three, got {mode!r}"
            )
        return [{"valid": 0, "full": e - 1, "half": e // 2}[mode] for e in extent]
    return list(several(mode, 3, "conv3d: border_mode"))


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


__all__ = ["conv3d"]

"""Convolution as Theano has it: true convolution, NCHW and OIHW, border modes, shape hints that are checked.

The native op is cross-correlation. A flip of the filters turns one into the other (ops.reverse); two
flips in a row cancel, so the gradient with respect to the filters has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv import ops
from symconv.errors import ShapeError, UnsupportedError
from symconv.graph import Constant as NativeConstant
from symconv.graph import SharedVariable as NativeShared
from symconv.graph import Variable as Native
from symconv.ops.conv import Conv2dDgrad, Conv2dWgrad
from symconv.ops.operands import as_dim
from symconv.ops.operands import cast as native_cast
from symconv.ops.shape import dims_of
from symconv.ops.window import normalize_padding
from symconv.theano import dtypes, shapes
from symconv.theano.declared import declare
from symconv.theano.variable import Variable, native_of, wrap

SPATIAL = (2, 3)


def whole(value: Any, what: str) -> int | None:
    """An int from a shape hint: ints, whole floats, constants; None for what is unknown."""
    if isinstance(value, (Variable, Native)):
        value = native_of(value)
        if not isinstance(value, NativeConstant):
            return None
        value = value.data.item()
    if value is None:
        return None
    if float(value) != int(value):
        raise ShapeError(f"{what} must hold integers, got {value!r}")
    return int(value)


def hinted(x: Native, shape: Any, what: str) -> Native:
    """x with the dimensions that a hint declares; a hint that is not met raises, here or at the call."""
    if shape is None:
        return x
    dims = [whole(d, what) for d in shape]
    if len(dims) != x.ndim:
        raise ShapeError(f"{what} has {len(dims)} entries, {x.type} from {x.origin} has {x.ndim} dimensions")
    return declare(x, dims, what)


def several(value: Any, count: int, what: str) -> tuple[int, ...]:
    """`count` ints from an int or as many ints."""
    given = tuple(value) if isinstance(value, (Sequence, np.ndarray)) else (value,) * count
    known = [whole(v, what) for v in given]
    if len(known) != count or None in known:
        raise ShapeError(
            f"{what} must be an int or {'a pair' if count == 2 else count} of ints, got {value!r}"
        )
    return tuple(known)  # type: ignore[arg-type]


def pair(value: Any, what: str) -> tuple[int, int]:
    """Two ints from an int or a pair."""
    a, b = several(value, 2, what)
    return a, b


def border(mode: Any) -> Any:
    """A border mode as native padding. Raises ShapeError."""
    if isinstance(mode, str):
        if mode not in ("valid", "full", "half"):
            raise ShapeError(
                f"conv2d: border_mode must be 'valid', 'full', 'half', an int or a pair of ints, got {mode!r}"
            )
        return mode
    if isinstance(mode, (Sequence, np.ndarray)):
        sides: list[int] = []
        for side in mode:
            if isinstance(side, (Sequence, np.ndarray)):
                sides += [int(v) for v in side]
            else:
                sides += [int(side)] * 2
        return tuple(sides)
    return int(mode)


def of_known_size(w: Native, ndim: int = 4) -> Native:
    """Filters whose size is known: the spatial one of a shared variable is declared as it is now."""
    if w.ndim != ndim or None not in w.type.shape[1:]:
        return w
    source = w
    while source.owner is not None and source.owner.op.name in ("reverse", "declare", "cast"):
        source = source.owner.inputs[0]
    if isinstance(source, NativeShared):
        shape = source.get_value(borrow=True).shape
        first = [None, None] if ndim == 4 else [None]  # of conv3d2d's filters axis 1 is spatial
        return declare(w, [*first, *shape[len(first) :]], "the filters' size when the graph was built")
    return w


def conv2d(
    input: Any,
    filters: Any,
    input_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    image_shape: Any = None,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
    **kwargs: Any,
) -> Any:
    """True convolution of images [N, C, H, W] with filters [K, C/groups, R, S].

    border_mode: 'valid', 'full', 'half', an int, or a pair. The unroll_* arguments and others of Theano's
    older kernels are accepted. Raises ShapeError for ranks, channels, and shape hints that are not met.
    """
    if unshared:
        raise UnsupportedError(
            "conv2d(unshared=True) is not supported\n  hint: filters are shared by all positions"
        )
    if kwargs.pop("imshp", None) is not None or kwargs.pop("kshp", None) is not None:
        raise ShapeError("conv2d: imshp and kshp are named input_shape and filter_shape")
    x, w = operands(input, filters)
    x = hinted(x, image_shape if input_shape is None else input_shape, "conv2d: input_shape")
    w = hinted(w, filter_shape, "conv2d: filter_shape")
    step, dilation = pair(subsample, "conv2d: subsample"), pair(filter_dilation, "conv2d: filter_dilation")
    mode, groups = border(border_mode), int(num_groups)
    if mode in ("full", "half"):
        w = of_known_size(w)
        if w.ndim == 4 and x.ndim == 4 and None in w.type.shape[2:]:
            return wrap(_bordered(x, w, mode, step, dilation, groups, filter_flip))
    if filter_flip and w.ndim == 4:
        w = ops.flip(w, SPATIAL)
    return wrap(ops.conv2d(x, w, stride=step, padding=mode, dilation=dilation, groups=groups))


def operands(x: Any, w: Any) -> tuple[Native, Native]:
    """Both in their common dtype; images of integers become floats."""
    a, b = native_of(x), native_of(w)
    common = dtypes.floating(dtypes.upcast(a.dtype, b.dtype))
    return native_cast(a, common), native_cast(b, common)


def _bordered(
    x: Native, w: Native, mode: str, step: tuple[int, int], dilation: tuple[int, int], groups: int, flip: bool
) -> Native:
    """Border mode 'full' or 'half' for filters of unknown size, by way of the full convolution.

    That is the transposed convolution with the filters' channel axes exchanged; 'half' is a part of it.
    """
    if groups != 1:
        raise ShapeError(
            f"conv2d: border_mode={mode!r} with num_groups needs filters of known size: filter_shape="
        )
    if not flip:
        w = ops.flip(w, SPATIAL)
    extent = [d * (n - 1) + 1 for d, n in zip(dilation, dims_of(w)[2:])]
    size = [n + e - 1 for n, e in zip(dims_of(x)[2:], extent)]
    full: Native = Conv2dDgrad((1, 1), (0, 0, 0, 0), dilation)(x, ops.swapaxes(w, 0, 1), *map(as_dim, size))
    index: list[Any] = [slice(None), slice(None)]
    for n, e, s in zip(dims_of(x)[2:], extent, step):
        if mode == "full":
            index.append(slice(None, None, s))
        else:
            first = e - 1 - e // 2
            index.append(slice(first, first + n + 2 * (e // 2) - e + 1, s))
    return full[tuple(index)]


def conv2d_grad_wrt_inputs(
    output_grad: Any, filters: Any, input_shape: Any, filter_shape: Any = None, border_mode: Any = "valid",
    subsample: Any = (1, 1), filter_flip: bool = True, filter_dilation: Any = (1, 1), num_groups: int = 1,
    unshared: bool = False,
) -> Any:  # fmt: skip
    """The gradient of conv2d with respect to its input, whose shape must be given at least in height
    and width."""
    dy, w = operands(output_grad, filters)
    w = of_known_size(hinted(w, filter_shape, "conv2d_grad_wrt_inputs: filter_shape"))
    op = _attributes(w, border_mode, subsample, filter_dilation, num_groups)
    if filter_flip:
        w = ops.flip(w, SPATIAL)
    size = _size(input_shape, "conv2d_grad_wrt_inputs: input_shape")
    return wrap(Conv2dDgrad(*op)(dy, w, *size))


def conv2d_grad_wrt_weights(
    input: Any, output_grad: Any, filter_shape: Any, input_shape: Any = None, border_mode: Any = "valid",
    subsample: Any = (1, 1), filter_flip: bool = True, filter_dilation: Any = (1, 1), num_groups: int = 1,
    unshared: bool = False,
) -> Any:  # fmt: skip
    """The gradient of conv2d with respect to its filters, whose shape must be given at least in
    height and width."""
    x, dy = operands(input, output_grad)
    x = hinted(x, input_shape, "conv2d_grad_wrt_weights: input_shape")
    size = _size(filter_shape, "conv2d_grad_wrt_weights: filter_shape")
    dilation = pair(filter_dilation, "filter_dilation")
    known = [int(d.data) if isinstance(d, NativeConstant) else None for d in size]
    extent = tuple(None if n is None else d * (n - 1) + 1 for d, n in zip(dilation, known))
    padding = normalize_padding(border(border_mode), extent, "border_mode")  # type: ignore[arg-type]
    dw = Conv2dWgrad(pair(subsample, "subsample"), padding, dilation, int(num_groups))(x, dy, *size)
    return wrap(ops.flip(dw, SPATIAL) if filter_flip else dw)


def _size(shape: Any, what: str) -> list[Native]:
    """The last two dimensions of a shape."""
    if isinstance(shape, (list, tuple)):
        last = [native_of(d) if isinstance(d, Variable) else whole(d, what) for d in shape[-2:]]
        return [as_dim(d) for d in last]
    return shapes.as_dims(shape, what, 4)[2:]


def _attributes(w: Native, mode: Any, subsample: Any, dilation: Any, groups: int) -> tuple[Any, ...]:
    d = pair(dilation, "filter_dilation")
    extent = tuple(None if n is None else a * (n - 1) + 1 for a, n in zip(d, w.type.shape[2:]))
    padding = normalize_padding(border(mode), extent, "border_mode")  # type: ignore[arg-type]
    return pair(subsample, "subsample"), padding, d, int(groups)


def conv2d_transpose(
    input: Any, filters: Any, output_shape: Any, filter_shape: Any = None, border_mode: Any = "valid",
    input_dilation: Any = (1, 1), filter_flip: bool = True, filter_dilation: Any = (1, 1),
    num_groups: int = 1, unshared: bool = False,
) -> Any:  # fmt: skip
    """The transposed convolution: filters [input channels, output channels, R, S], output of the
    shape given."""
    return conv2d_grad_wrt_inputs(
        input, filters, output_shape, filter_shape, border_mode, input_dilation, filter_flip, filter_dilation,
        num_groups,
    )  # fmt: skip


class _AbstractConv2d:
    """Theano's op classes as Lasagne and Keras call them: the constructor takes what the function takes."""

    def __init__(
        self, imshp: Any = None, kshp: Any = None, border_mode: Any = "valid", subsample: Any = (1, 1),
        filter_flip: bool = True, filter_dilation: Any = (1, 1), num_groups: int = 1, unshared: bool = False,
    ) -> None:  # fmt: skip
        self.imshp, self.kshp = imshp, kshp
        self.options = {
            "border_mode": border_mode, "subsample": subsample, "filter_flip": filter_flip,
            "filter_dilation": filter_dilation, "num_groups": num_groups,
        }  # fmt: skip


class AbstractConv2d(_AbstractConv2d):
    """AbstractConv2d(...)(images, filters)."""

    def __call__(self, img: Any, kern: Any) -> Any:
        return conv2d(img, kern, self.imshp, self.kshp, **self.options)


class AbstractConv2d_gradInputs(_AbstractConv2d):  # noqa: N801
    """AbstractConv2d_gradInputs(...)(filters, output gradient, (height, width))."""

    def __call__(self, kern: Any, topgrad: Any, shape: Any, add_assert_shape: bool = True) -> Any:
        size = list(shape) if isinstance(shape, (list, tuple)) else [shape[-2], shape[-1]]
        return conv2d_grad_wrt_inputs(topgrad, kern, [None, None, *size[-2:]], self.kshp, **self.options)


class AbstractConv2d_gradWeights(_AbstractConv2d):  # noqa: N801
    """AbstractConv2d_gradWeights(...)(images, output gradient, (height, width))."""

    def __call__(self, img: Any, topgrad: Any, shape: Any, add_assert_shape: bool = True) -> Any:
        size = list(shape) if isinstance(shape, (list, tuple)) else [shape[-2], shape[-1]]
        return conv2d_grad_wrt_weights(img, topgrad, [None, None, *size[-2:]], self.imshp, **self.options)


__all__ = [
    "AbstractConv2d",
    "AbstractConv2d_gradInputs",
    "AbstractConv2d_gradWeights",
    "conv2d",
    "conv2d_grad_wrt_inputs",
    "conv2d_grad_wrt_weights",
    "conv2d_transpose",
]

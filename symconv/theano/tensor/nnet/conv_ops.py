"""Convolution as Theano has it: true convolution, NCHW and OIHW, border modes, shape hints that are checked.

The native op is cross-correlation, and convolution with its attribute `flip`, which the kernels read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv import ops
from symconv.errors import ShapeError
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
from symconv.theano.tensor.nnet.borders import WORDS, bordered, sides
from symconv.theano.tensor.nnet.linear_maps import transposed
from symconv.theano.tensor.nnet.unshared import unshared_conv2d
from symconv.theano.variable import Variable, native_of, wrap


def whole(value: Any, what: str) -> int | None:
    """An int from a shape hint: ints, whole floats, constants; None for what is unknown."""
    if isinstance(value, (Variable, Native)):
        value = native_of(value)
        if not isinstance(value, NativeConstant) or value.data.size != 1:
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
    listed = isinstance(value, (Sequence, np.ndarray))
    if isinstance(value, Variable) and value.ndim == 1:  # a vector of constants, or one stacked from them
        entries = shapes.entries(native_of(value))
        value, listed = ([wrap(e) for e in entries], True) if entries else (value, False)
    given = tuple(value) if listed else (value,) * count
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
    """A border mode as native padding: a word or four ints. Raises ShapeError."""
    if isinstance(mode, str) and mode in WORDS:
        return mode
    return tuple(width for pair in sides(mode, (1, 1), "conv2d") for width in pair)


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
    if kwargs.pop("imshp", None) is not None or kwargs.pop("kshp", None) is not None:
        raise ShapeError("conv2d: imshp and kshp are named input_shape and filter_shape")
    x, w = operands(input, filters)
    x = hinted(x, image_shape if input_shape is None else input_shape, "conv2d: input_shape")
    w = hinted(w, filter_shape, "conv2d: filter_shape")
    step, dilation = pair(subsample, "conv2d: subsample"), pair(filter_dilation, "conv2d: filter_dilation")
    mode, groups = border(border_mode), int(num_groups)
    if groups < 1:
        raise ShapeError(f"conv2d: num_groups must be 1 or more, got {num_groups!r}")
    if unshared:
        return unshared_conv2d(wrap(x), wrap(w), border_mode, step, dilation, groups, filter_flip)
    if mode in ("full", "half"):
        w = of_known_size(w)
        if w.ndim == 4 and x.ndim == 4 and None in w.type.shape[2:]:
            return wrap(_bordered(x, w, mode, step, dilation, groups, filter_flip))
    return wrap(
        ops.conv2d(x, w, stride=step, padding=mode, dilation=dilation, groups=groups, flip=bool(filter_flip))
    )


def operands(x: Any, w: Any) -> tuple[Native, Native]:
    """Both in their common dtype; images of integers become floats."""
    a, b = native_of(x), native_of(w)
    common = dtypes.floating(dtypes.upcast(a.dtype, b.dtype))
    return native_cast(a, common), native_cast(b, common)


def _bordered(
    x: Native, w: Native, mode: str, step: tuple[int, int], dilation: tuple[int, int], groups: int, flip: bool
) -> Native:
    """Border mode 'full' or 'half' for filters of unknown size, by way of the full convolution.

    That is the transposed convolution with the filters' channel axes exchanged; 'half' is a part of it. With
    groups the zeros are laid around the images.
    """
    if groups != 1:
        around = [wrap(d * (n - 1) + 1) for d, n in zip(dilation, dims_of(w)[2:])]
        wide = native_of(bordered(wrap(x), sides(mode, around, "conv2d")))
        return ops.conv2d(wide, w, stride=step, dilation=dilation, groups=groups, flip=bool(flip))
    extent = [d * (n - 1) + 1 for d, n in zip(dilation, dims_of(w)[2:])]
    size = [n + e - 1 for n, e in zip(dims_of(x)[2:], extent)]
    op = Conv2dDgrad(dilation=dilation, flip=not flip)
    full: Native = op(x, ops.swapaxes(w, 0, 1), *map(as_dim, size))
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
    size = last_dims(input_shape, 2, "conv2d_grad_wrt_inputs: input_shape")
    if unshared or (border_mode in ("half", "full") and None in w.type.shape[2:]):
        channels = dims_of(w)[3 if unshared else 1] * int(num_groups)
        options = (border_mode, subsample, filter_flip, None, filter_dilation, num_groups, unshared)
        dims = [dims_of(dy)[0], channels, *size]
        return wrap(transposed(lambda x: conv2d(x, wrap(w), None, None, *options), dims, dy))
    op = Conv2dDgrad(*_attributes(w, border_mode, subsample, filter_dilation, num_groups, filter_flip))
    return wrap(op(dy, w, *size))


def conv2d_grad_wrt_weights(
    input: Any, output_grad: Any, filter_shape: Any, input_shape: Any = None, border_mode: Any = "valid",
    subsample: Any = (1, 1), filter_flip: bool = True, filter_dilation: Any = (1, 1), num_groups: int = 1,
    unshared: bool = False,
) -> Any:  # fmt: skip
    """The gradient of conv2d with respect to its filters, whose shape must be given at least in
    height and width."""
    x, dy = operands(input, output_grad)
    x = hinted(x, input_shape, "conv2d_grad_wrt_weights: input_shape")
    size = last_dims(filter_shape, 2, "conv2d_grad_wrt_weights: filter_shape")
    if unshared or (border_mode in ("half", "full") and not all(isinstance(d, NativeConstant) for d in size)):
        (k, p, q), c = (dims_of(dy)[i] for i in (1, 2, 3)), dims_of(x)[1] // int(num_groups)
        dims = [k, p, q, c, *size] if unshared else [k, c, *size]
        options = (border_mode, subsample, filter_flip, None, filter_dilation, num_groups, unshared)
        return wrap(transposed(lambda w: conv2d(wrap(x), w, None, None, *options), dims, dy))
    dilation = pair(filter_dilation, "filter_dilation")
    known = [int(d.data) if isinstance(d, NativeConstant) else None for d in size]
    extent = tuple(None if n is None else d * (n - 1) + 1 for d, n in zip(dilation, known))
    padding = normalize_padding(border(border_mode), extent, "border_mode")  # type: ignore[arg-type]
    op = Conv2dWgrad(pair(subsample, "subsample"), padding, dilation, int(num_groups), bool(filter_flip))
    return wrap(op(x, dy, *size))


def last_dims(shape: Any, count: int, what: str) -> list[Native]:
    """The last dimensions of a shape, which must be known or symbolic. Raises ShapeError."""
    if not isinstance(shape, (list, tuple)):
        return shapes.as_dims(shape, what, count + 2)[-count:]
    last = [native_of(d) if isinstance(d, (Variable, Native)) else whole(d, what) for d in shape[-count:]]
    if None in last:
        raise ShapeError(f"{what}: its last {count} entries must be given, got {tuple(shape)!r}")
    return [as_dim(d) for d in last]


def _attributes(
    w: Native, mode: Any, subsample: Any, dilation: Any, groups: int, flip: bool
) -> tuple[Any, ...]:
    d = pair(dilation, "filter_dilation")
    extent = tuple(None if n is None else a * (n - 1) + 1 for a, n in zip(d, w.type.shape[2:]))
    padding = normalize_padding(border(mode), extent, "border_mode")  # type: ignore[arg-type]
    return pair(subsample, "subsample"), padding, d, int(groups), bool(flip)


def conv2d_transpose(
    input: Any, filters: Any, output_shape: Any, filter_shape: Any = None, border_mode: Any = "valid",
    input_dilation: Any = (1, 1), filter_flip: bool = True, filter_dilation: Any = (1, 1),
    num_groups: int = 1, unshared: bool = False,
) -> Any:  # fmt: skip
    """The transposed convolution: filters [input channels, output channels, R, S], output of the
    shape given."""
    return conv2d_grad_wrt_inputs(
        input, filters, output_shape, filter_shape, border_mode, input_dilation, filter_flip, filter_dilation,
        num_groups, unshared,
    )  # fmt: skip


__all__ = [
    "conv2d",
    "conv2d_grad_wrt_inputs",
    "conv2d_grad_wrt_weights",
    "conv2d_transpose",
]

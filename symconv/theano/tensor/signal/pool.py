"""theano.tensor.signal.pool: pooling over the last two or three axes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from symconv import ops
from symconv.errors import ArgumentError, ShapeError
from symconv.graph import Variable
from symconv.ops.operands import as_operands
from symconv.ops.pool import AvgPool2d, MaxPool2d, MaxPool2dGrad
from symconv.ops.shape import dims_of
from symconv.ops.window import conv_output_size
from symconv.theano.configuration import config
from symconv.theano.tensor.monotone import moved_after
from symconv.theano.tensor.nnet.conv_ops import pair, several
from symconv.theano.tensor.signal.ties import EveryTie
from symconv.theano.variable import native_of, wrap

MODES = ("max", "sum", "average_inc_pad", "average_exc_pad")


def pool_2d(
    input: Any, ws: Any = None, ignore_border: bool | None = None, stride: Any = None, pad: Any = (0, 0),
    mode: str = "max", ds: Any = None, st: Any = None, padding: Any = None,
) -> Any:  # fmt: skip
    """Pooling of the last two axes by windows `ws`, every `stride` (by default the window).

    ignore_border=False keeps windows that overhang the image, also one larger than it; without, an image
    smaller than the window has no outputs. ds, st and padding are older names. Where the gradient of a
    maximum goes at ties, config.pool_ties says. Raises ShapeError, ArgumentError.
    """
    given = (ws, ignore_border, stride, pad, mode, ds, st, padding)
    x, window, step, pads, partial = _arguments("pool_2d", 2, input, *given)

    def pooled(x: Variable) -> Variable:
        lead = dims_of(x)[:-2]
        images = x if x.ndim == 4 else ops.reshape(x, _as_images(x))
        y = _pooled(images, window, step, pads, partial, mode)
        return y if x.ndim == 4 else ops.reshape(y, [*lead, *dims_of(y)[2:]])

    moved = moved_after(pooled, x) if mode == "max" and not any(pads) else None
    return wrap(pooled(x) if moved is None else moved)


def pool_3d(
    input: Any, ws: Any = None, ignore_border: bool | None = None, stride: Any = None, pad: Any = (0, 0, 0),
    mode: str = "max", ds: Any = None, st: Any = None, padding: Any = None,
) -> Any:  # fmt: skip
    """pool_2d over the last three axes: the last two first, then the third from the end."""
    return pool_nd("pool_3d", 3, input, ws, ignore_border, stride, pad, mode, ds, st, padding)


def pool_nd(what: str, rank: int, input: Any, *given: Any) -> Any:
    """pool_2d over the last `rank` axes, three or more: the last two first, then one after the other."""
    x, window, step, pads, partial = _arguments(what, rank, input, *given)
    mode = given[4]
    lead, sizes = list(dims_of(x)[:-rank]), list(dims_of(x)[-rank:])
    count = ops.prod(ops.stack(lead)) if lead else 1
    slices = ops.reshape(x, [_times(count, sizes[:-3]), *sizes[-3:]])
    y = _pooled(slices, window[-2:], step[-2:], pads[-2:], partial, mode)
    sizes[-2:] = dims_of(y)[2:]
    for axis in range(rank - 3, -1, -1):
        outer, inner = _times(count, sizes[:axis]), _times(sizes[axis + 1], sizes[axis + 2 :])
        columns = ops.reshape(y, [outer, 1, sizes[axis], inner])
        y = _pooled(columns, (window[axis], 1), (step[axis], 1), (pads[axis], 0), partial, mode)
        sizes[axis] = dims_of(y)[2]
    return wrap(ops.reshape(y, [*lead, *sizes]))


def _times(count: Any, sizes: Sequence[Any]) -> Any:
    for size in sizes:
        count = count * size
    return count


def _arguments(
    what: str, rank: int, input: Any, ws: Any, ignore_border: bool | None, stride: Any, pad: Any, mode: str,
    ds: Any, st: Any, padding: Any,
) -> tuple[Variable, tuple[int, ...], tuple[int, ...], tuple[int, ...], bool]:  # fmt: skip
    """(x, window, stride, padding, partial windows are kept), checked, from new and old names."""
    ws, stride = ds if ws is None else ws, st if stride is None else stride
    if ws is None:
        raise ArgumentError(f"{what}: the size of the window, ws, is missing")
    if ignore_border is None:
        warnings.warn(
            f"{what}: ignore_border was not given; False is taken, which keeps partial windows", stacklevel=3
        )
    if mode not in MODES:
        raise ArgumentError(f"{what}: mode must be one of {', '.join(MODES)}, got {mode!r}")
    window = several(ws, rank, f"{what}: ws")
    pads = several(pad if padding is None else padding, rank, f"{what}: pad")
    step = window if stride is None else several(stride, rank, f"{what}: stride")
    if any(pads) and not ignore_border:
        raise ArgumentError(f"{what}: padding works only with ignore_border=True")
    x = native_of(input)
    if x.ndim < rank:
        raise ShapeError(f"{what}: needs at least {rank} dimensions, got {x.type} from {x.origin}")
    if any(p >= w for p, w in zip(pads, window)):
        if mode not in ("sum", "average_inc_pad"):
            raise ShapeError(
                f"{what}: pad {pads} must be smaller than the window {window}: each needs an element"
            )
        x = ops.pad(x, [(0, 0)] * (x.ndim - rank) + [(p, p) for p in pads])
        pads = (0,) * rank
    return x, window, step, pads, not ignore_border


def _as_images(x: Variable) -> list[Any]:
    """[N, C, H, W] for any number of leading axes."""
    dims = list(dims_of(x))
    while len(dims) > 4:
        dims[:2] = [dims[0] * dims[1]]
    return [1] * (4 - len(dims)) + dims


def _pooled(x: Variable, window: Any, step: Any, pads: Any, ceil_mode: bool, mode: str) -> Variable:
    """Images without a window that fits give no outputs, as in Theano."""
    sizes = [
        conv_output_size(n, w, s, p, p, 1, ceil_mode)
        for n, w, s, p in zip(x.type.shape[2:], window, step, pads)
    ]
    fits = ceil_mode or all(n is not None and n > 0 for n in sizes)
    given = (tuple(window), tuple(step), (pads[0], pads[0], pads[1], pads[1]), ceil_mode)
    if mode == "max":
        kind = EveryTie if config.pool_ties == "all" else MaxPool2d
        return kind(*given, empty=not fits)(x)  # type: ignore[no-any-return]
    divided = {"sum": "sum", "average_inc_pad": "padded", "average_exc_pad": "mean"}[mode]
    return AvgPool2d(*given, divided, empty=not fits)(*as_operands(x, to_float=True))  # type: ignore[no-any-return]


def max_pool_2d_same_size(input: Any, patch_size: Any) -> Any:
    """input where it is the maximum of its patch, 0 elsewhere."""
    x = native_of(input)
    images = ops.reshape(x, _as_images(x))
    window = pair(patch_size, "max_pool_2d_same_size: patch_size")
    y = MaxPool2d(window, window, (0, 0, 0, 0), True)(images)
    kept = MaxPool2dGrad(window, window, (0, 0, 0, 0), True)(images, y)
    return wrap(ops.reshape(kept, dims_of(x)))


def __getattr__(name: str) -> Any:
    """The classes of ops, which are built on the functions above."""
    from symconv.theano.tensor.signal import pool_classes

    if name not in pool_classes.__all__:
        raise AttributeError(f"theano.tensor.signal.pool.{name} is not supported by symconv.theano")
    return getattr(pool_classes, name)

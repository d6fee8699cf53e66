"""theano.tensor.signal.pool: pooling over the last two or three axes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from symconv import ops
from symconv.errors import ArgumentError, ShapeError
from symconv.graph import Constant
from symconv.graph import Variable as Native
from symconv.ops.operands import as_operands
from symconv.ops.pool import AvgPool2d, MaxPool2d, MaxPool2dGrad
from symconv.ops.shape import dims_of
from symconv.ops.window import conv_output_size
from symconv.theano.configuration import config
from symconv.theano.shapes import as_dims
from symconv.theano.tensor.monotone import moved_after
from symconv.theano.tensor.nnet.conv_ops import pair, several
from symconv.theano.tensor.pinned import Pinned, pinned
from symconv.theano.tensor.signal.ties import EveryTie
from symconv.theano.variable import Variable as Front
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
    return pool_nd("pool_2d", 2, input, ws, ignore_border, stride, pad, mode, ds, st, padding)


def pool_3d(
    input: Any, ws: Any = None, ignore_border: bool | None = None, stride: Any = None, pad: Any = (0, 0, 0),
    mode: str = "max", ds: Any = None, st: Any = None, padding: Any = None,
) -> Any:  # fmt: skip
    """pool_2d over the last three axes: the last two first, then the third from the end."""
    return pool_nd("pool_3d", 3, input, ws, ignore_border, stride, pad, mode, ds, st, padding)


def pool_nd(
    what: str, rank: int, input: Any, ws: Any, ignore_border: bool | None, stride: Any, pad: Any, mode: str,
    ds: Any, st: Any, padding: Any,
) -> Any:  # fmt: skip
    """pool_2d over the last `rank` axes, two or more.

    Windows, strides and paddings may be integer variables: each combination of their values has a plan.
    """
    ws, stride = ds if ws is None else ws, st if stride is None else stride
    if ws is None:
        raise ArgumentError(f"{what}: the size of the window, ws, is missing")
    if ignore_border is None:
        warnings.warn(
            f"{what}: ignore_border was not given; False is taken, which keeps partial windows", stacklevel=3
        )
    if mode not in MODES:
        raise ArgumentError(f"{what}: mode must be one of {', '.join(MODES)}, got {mode!r}")
    x = native_of(input)
    if x.ndim < rank:
        raise ShapeError(f"{what}: needs at least {rank} dimensions, got {x.type} from {x.origin}")
    sizes = [
        ("ws", ws),
        ("stride", ws if stride is None else stride),
        ("pad", pad if padding is None else padding),
    ]
    numbers = [n for name, value in sizes for n in _numbers(value, rank, f"{what}: {name}")]
    build = _PoolBy(what, rank, bool(ignore_border), mode, config.pool_ties)
    if any(isinstance(n, Native) for n in numbers):
        dims = (*x.type.shape[:-rank], *[None] * rank)
        dtype = None if mode == "max" else as_operands(x, to_float=True)[0].dtype
        return wrap(Pinned(build, 1, 0, dims, dtype)(x, *map(pinned, numbers)))
    moves = mode == "max" and rank == 2 and not any(numbers[-rank:])
    moved = moved_after(lambda v: build([v], numbers), x) if moves else None
    return wrap(build([x], numbers) if moved is None else moved)


def _numbers(value: Any, rank: int, what: str) -> list[Any]:
    """`rank` ints or integer scalars from one, from a sequence, or from a vector."""
    given = value if isinstance(value, (list, tuple)) else [value]
    if any(isinstance(v, (Native, Front)) for v in given):
        dims = [d.data.item() if isinstance(d, Constant) else d for d in as_dims(value, what, rank)]
        if any(isinstance(d, Native) for d in dims) and len(dims) in (1, rank):
            return dims * (rank // len(dims))
    return list(several(value, rank, what))


@dataclass(frozen=True)
class _PoolBy:
    """The pooling of one tensor by window, stride and padding, in this order for `rank` axes each."""

    what: str
    rank: int
    ignore_border: bool
    mode: str
    ties: str

    def __call__(self, tensors: Sequence[Native], numbers: Sequence[int]) -> Native:
        (x,), rank = tensors, self.rank
        window, step, pads = (tuple(numbers[k : k + rank]) for k in (0, rank, 2 * rank))
        x, pads = self._padded(x, window, step, pads)

        def pooled(x: Native, window: Any, step: Any, pads: Any) -> Native:
            return _pooled(x, window, step, pads, not self.ignore_border, self.mode, self.ties)

        if rank == 2:
            lead = dims_of(x)[:-2]
            y = pooled(x if x.ndim == 4 else ops.reshape(x, _as_images(x)), window, step, pads)
            return y if x.ndim == 4 else ops.reshape(y, [*lead, *dims_of(y)[2:]])
        lead, sizes = dims_of(x)[:-rank], list(dims_of(x)[-rank:])
        count = ops.prod(ops.stack(list(lead))) if lead else 1
        slices = ops.reshape(x, [_times(count, sizes[:-3]), *sizes[-3:]])
        y = pooled(slices, window[-2:], step[-2:], pads[-2:])
        sizes[-2:] = dims_of(y)[2:]
        for axis in range(rank - 3, -1, -1):
            outer, inner = _times(count, sizes[:axis]), _times(sizes[axis + 1], sizes[axis + 2 :])
            columns = ops.reshape(y, [outer, 1, sizes[axis], inner])
            y = pooled(columns, (window[axis], 1), (step[axis], 1), (pads[axis], 0))
            sizes[axis] = dims_of(y)[2]
        return ops.reshape(y, [*lead, *sizes])

    def _padded(self, x: Native, window: Any, step: Any, pads: Any) -> tuple[Native, Any]:
        """x with padding as wide as the window, which only sums take, and what padding is left."""
        if min(window) < 1 or min(step) < 1 or min(pads) < 0:
            raise ShapeError(
                f"{self.what}: ws and stride must be positive and pad must not be negative, got {window}, "
                f"{step}, {pads}"
            )
        if any(pads) and not self.ignore_border:
            raise ArgumentError(f"{self.what}: padding works only with ignore_border=True")
        if not any(p >= w for p, w in zip(pads, window)):
            return x, pads
        if self.mode not in ("sum", "average_inc_pad"):
            raise ShapeError(
                f"{self.what}: pad {pads} must be smaller than the window {window}: each needs an element"
            )
        rank = self.rank
        return ops.pad(x, [(0, 0)] * (x.ndim - rank) + [(p, p) for p in pads]), (0,) * rank


def _times(count: Any, sizes: Sequence[Any]) -> Any:
    for size in sizes:
        count = count * size
    return count


def _as_images(x: Native) -> list[Any]:
    """[N, C, H, W] for any number of leading axes."""
    dims = list(dims_of(x))
    while len(dims) > 4:
        dims[:2] = [dims[0] * dims[1]]
    return [1] * (4 - len(dims)) + dims


def _pooled(x: Native, window: Any, step: Any, pads: Any, ceil_mode: bool, mode: str, ties: str) -> Native:
    """Images without a window that fits give no outputs, as in Theano."""
    sizes = [
        conv_output_size(n, w, s, p, p, 1, ceil_mode)
        for n, w, s, p in zip(x.type.shape[2:], window, step, pads)
    ]
    fits = ceil_mode or all(n is not None and n > 0 for n in sizes)
    given = (tuple(window), tuple(step), (pads[0], pads[0], pads[1], pads[1]), ceil_mode)
    if mode == "max":
        kind = EveryTie if ties == "all" else MaxPool2d
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

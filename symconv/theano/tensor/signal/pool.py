"""theano.tensor.signal.pool: pooling over the last two axes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv import ops
from symconv.errors import ArgumentError, ShapeError
from symconv.graph import Apply, Variable
from symconv.ops.pool import MaxPool2d, _Pool
from symconv.ops.shape import dims_of
from symconv.theano.configuration import config
from symconv.theano.tensor.nnet.conv_ops import pair
from symconv.theano.variable import native_of, wrap

MODES = ("max", "sum", "average_inc_pad", "average_exc_pad")


def pool_2d(
    input: Any, ws: Any = None, ignore_border: bool | None = None, stride: Any = None, pad: Any = (0, 0),
    mode: str = "max", ds: Any = None, st: Any = None, padding: Any = None,
) -> Any:  # fmt: skip
    """Pooling of the last two axes by windows `ws`, every `stride` (by default the window).

    ignore_border=False keeps windows that overhang the image. ds, st and padding are older names. Where
    the gradient of a maximum goes at ties, config.pool_ties says. Raises ShapeError, ArgumentError.
    """
    ws = ds if ws is None else ws
    stride = st if stride is None else stride
    pad = padding if padding is not None else pad
    if ws is None:
        raise ArgumentError("pool_2d: the size of the window, ws, is missing")
    if ignore_border is None:
        warnings.warn(
            "pool_2d: ignore_border was not given; False is taken, which keeps partial windows", stacklevel=2
        )
        ignore_border = False
    if mode not in MODES:
        raise ArgumentError(f"pool_2d: mode must be one of {', '.join(MODES)}, got {mode!r}")
    window, pads = pair(ws, "pool_2d: ws"), pair(pad, "pool_2d: pad")
    step = window if stride is None else pair(stride, "pool_2d: stride")
    if any(pads) and not ignore_border:
        raise ArgumentError("pool_2d: padding works only with ignore_border=True")
    if any(p >= w for p, w in zip(pads, window)):
        raise ShapeError(f"pool_2d: pad {pads} must be smaller than the window {window}")
    x = native_of(input)
    if x.ndim < 2:
        raise ShapeError(f"pool_2d: needs at least 2 dimensions, got {x.type} from {x.origin}")
    lead = dims_of(x)[:-2]
    images = x if x.ndim == 4 else ops.reshape(x, _as_images(x))
    y = _pooled(images, window, step, pads, not ignore_border, mode)
    return wrap(y if x.ndim == 4 else ops.reshape(y, [*lead, *dims_of(y)[2:]]))


def _as_images(x: Variable) -> list[Any]:
    """[N, C, H, W] for any number of leading axes."""
    dims = list(dims_of(x))
    while len(dims) > 4:
        dims[:2] = [dims[0] * dims[1]]
    return [1] * (4 - len(dims)) + dims


def _pooled(x: Variable, window: Any, step: Any, pads: Any, ceil_mode: bool, mode: str) -> Variable:
    options: dict[str, Any] = {"stride": step, "padding": pads, "ceil_mode": ceil_mode}
    if mode == "max":
        y = ops.max_pool2d(x, window, **options)
        if config.pool_ties == "all":
            assert y.owner is not None
            return EveryTie(*y.owner.op.attributes().values())(x)  # type: ignore[no-any-return]
        return y
    if mode == "sum":
        return ops.sum_pool2d(x, window, **options)
    return ops.avg_pool2d(x, window, count_include_pad=mode == "average_inc_pad", **options)


@dataclass(frozen=True)
class EveryTie(MaxPool2d):
    """Max-pooling whose gradient goes in full to every maximum of a window, as Theano's on the CPU."""

    kernels = MaxPool2d.kernels

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,), (x,) = dys, node.inputs
        return [None if dy is None else EveryTieGrad(*self.attributes().values())(x, node.out, dy)]


@dataclass(frozen=True)
class EveryTieGrad(_Pool):
    """dx = sum of dy over the windows in which x equals their maximum y; inputs x, y, dy."""

    name = "every_tie_grad"
    operands = ("x", "y", "dy")

    def infer(self, *inputs: Variable) -> Any:
        return inputs[0].type

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (g,), (x, y, _) = dys, node.inputs
        if g is None:
            return [None, None, None]
        return [None, None, EveryTiePick(*self.attributes().values())(x, y, g)]

    def hits(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """[N, C, P, Q, window]: where the window's elements equal its maximum."""
        view = self.windows(x, -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min)
        inside = self.windows(np.ones((1, 1, *x.shape[2:]), bool), False)
        return (view == y[..., None, None]) & inside

    def reference(self, x: np.ndarray, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
        hits = self.hits(x, y)
        (top, _, left, _), (sh, sw) = self.padding, self.stride
        p, q, r, s = hits.shape[2:]
        dx = np.zeros((*x.shape[:2], (p - 1) * sh + r + x.shape[2], (q - 1) * sw + s + x.shape[3]), dy.dtype)
        for i in range(r):
            for j in range(s):
                dx[:, :, i : i + (p - 1) * sh + 1 : sh, j : j + (q - 1) * sw + 1 : sw] += hits[..., i, j] * dy
        return np.ascontiguousarray(dx[:, :, top : top + x.shape[2], left : left + x.shape[3]])


@dataclass(frozen=True)
class EveryTiePick(EveryTieGrad):
    """The sum of v over the maxima of each window of x: the adjoint of EveryTieGrad; inputs x, y, v."""

    name = "every_tie_pick"

    def infer(self, *inputs: Variable) -> Any:
        return inputs[1].type

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (g,), (x, y, _) = dys, node.inputs
        return [None, None, None if g is None else EveryTieGrad(*self.attributes().values())(x, y, g)]

    def reference(self, x: np.ndarray, y: np.ndarray, v: np.ndarray) -> np.ndarray:
        return (self.hits(x, y) * self.windows(v, 0)).sum((4, 5)).astype(v.dtype)


def max_pool_2d_same_size(input: Any, patch_size: Any) -> Any:
    """input where it is the maximum of its patch, 0 elsewhere."""
    x = native_of(input)
    images = ops.reshape(x, _as_images(x))
    window = pair(patch_size, "max_pool_2d_same_size: patch_size")
    from symconv.ops.pool import MaxPool2dGrad

    y = MaxPool2d(window, window, (0, 0, 0, 0), True)(images)
    kept = MaxPool2dGrad(window, window, (0, 0, 0, 0), True)(images, y)
    return wrap(ops.reshape(kept, dims_of(x)))


def pool_3d(
    input: Any, ws: Any = None, ignore_border: bool | None = None, stride: Any = None, pad: Any = (0, 0, 0),
    mode: str = "max", ds: Any = None, st: Any = None, padding: Any = None,
) -> Any:  # fmt: skip
    """Not supported: pooling over three axes."""
    from symconv.errors import UnsupportedError

    raise UnsupportedError(
        "pool_3d is not supported\n  hint: pool_2d over the last two axes, then over the third after "
        "a dimshuffle"
    )

"""Theano's pooling ops as classes: the constructor takes the options, the call the operands and the sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symconv.errors import ArgumentError
from symconv.ops.window import conv_output_size
from symconv.theano.tensor.nnet.conv_ops import several
from symconv.theano.tensor.nnet.linear_maps import pulled_back
from symconv.theano.tensor.signal.pool import MODES, pool_2d, pool_nd
from symconv.theano.variable import as_tensor_variable, native_of, wrap


class _PoolOp:
    """The options that all of them have. Raises ArgumentError."""

    def __init__(
        self, ignore_border: bool = False, mode: str = "max", ndim: int = 2, openmp: Any = None
    ) -> None:
        mode = "max" if mode == "max_deterministic" else mode
        if mode not in MODES:
            raise ArgumentError(
                f"{type(self).__name__}: mode must be one of {', '.join(MODES)}, got {mode!r}"
            )
        if isinstance(ndim, bool) or not isinstance(ndim, int) or ndim < 1:
            raise ArgumentError(f"{type(self).__name__}: ndim must be a number of axes, got {ndim!r}")
        self.ignore_border, self.mode, self.ndim = bool(ignore_border), mode, ndim

    def pooled(self, x: Any, ws: Any, stride: Any = None, pad: Any = None) -> Any:
        """x pooled over its last `ndim` axes."""
        name = type(self).__name__
        if self.ndim > 1:
            pads = 0 if pad is None else pad
            return pool_nd(
                name, self.ndim, x, ws, self.ignore_border, stride, pads, self.mode, None, None, None
            )
        window = several(ws, self.ndim, f"{name}: ws")
        step = window if stride is None else several(stride, self.ndim, f"{name}: stride")
        pads = (0,) * self.ndim if pad is None else several(pad, self.ndim, f"{name}: pad")
        x = as_tensor_variable(x)
        column = x.dimshuffle(*range(x.ndim), "x")
        options = self.ignore_border, (*step, 1), (*pads, 0), self.mode
        return pool_2d(column, (*window, 1), *options).flatten(x.ndim)


def _jacobian(forward: Callable[[Any], Any], x: Any, dy: Any) -> Any:
    """dy^T d forward(x) / dx."""
    return wrap(pulled_back(forward, native_of(x), native_of(dy)))


class Pool(_PoolOp):
    """Pool(ignore_border, mode, ndim)(x, ws, stride, pad): pool_2d or pool_3d with options fixed."""

    def __call__(self, x: Any, ws: Any, stride: Any = None, pad: Any = None) -> Any:
        return self.pooled(x, ws, stride, pad)

    @staticmethod
    def out_shape(
        imgshape: Any, ws: Any = None, ignore_border: bool = False, stride: Any = None, pad: Any = None,
        ndim: int = 2, ds: Any = None, st: Any = None, padding: Any = None,
    ) -> list[Any]:  # fmt: skip
        """The shape of the result for images of that shape, whose last `ndim` sizes are known."""
        window = several(ds if ws is None else ws, ndim, "Pool.out_shape: ws")
        given = st if stride is None else stride
        step = window if given is None else several(given, ndim, "Pool.out_shape: stride")
        room = padding if pad is None else pad
        pads = (0,) * ndim if room is None else several(room, ndim, "Pool.out_shape: pad")
        sizes = [
            max(conv_output_size(int(n), w, s, p, p, 1, not ignore_border) or 0, 0)
            for n, w, s, p in zip(imgshape[-ndim:], window, step, pads)
        ]
        return [*imgshape[:-ndim], *sizes]


class MaxPoolGrad(_PoolOp):
    """MaxPoolGrad(ignore_border, ndim)(x, pooled, gradient, ws, stride, pad): the gradient by x."""

    def __init__(self, ignore_border: bool = False, ndim: int = 2, openmp: Any = None) -> None:
        super().__init__(ignore_border, "max", ndim)

    def __call__(self, x: Any, maxout: Any, gz: Any, ws: Any, stride: Any = None, pad: Any = None) -> Any:
        return _jacobian(lambda v: self.pooled(v, ws, stride, pad), x, gz)


class AveragePoolGrad(_PoolOp):
    """AveragePoolGrad(ignore_border, mode, ndim)(x, gradient, ws, stride, pad): the gradient by x."""

    def __init__(self, ignore_border: bool = False, mode: str = "average_inc_pad", ndim: int = 2) -> None:
        super().__init__(ignore_border, mode, ndim)

    def __call__(
        self, x: Any, gz: Any, ws: Any, stride: Any = None, pad: Any = None, dummy: Any = None
    ) -> Any:
        return _jacobian(lambda v: self.pooled(v, ws, stride, pad), x, gz)


class DownsampleFactorMaxGradGrad(_PoolOp):
    """DownsampleFactorMaxGradGrad(...)(x, pooled, v, ws, stride, pad): v where x has its maxima."""

    def __call__(self, x: Any, maxout: Any, ggx: Any, ws: Any, stride: Any = None, pad: Any = None) -> Any:
        y = self.pooled(x, ws, stride, pad)
        return _jacobian(lambda g: _jacobian(lambda v: self.pooled(v, ws, stride, pad), x, g), y, ggx)


__all__ = ["AveragePoolGrad", "DownsampleFactorMaxGradGrad", "MaxPoolGrad", "Pool"]

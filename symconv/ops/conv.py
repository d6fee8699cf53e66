"""Convolution: conv2d, its gradients by input and by weights, and the transposed convolution.

The three ops are closed under differentiation: the gradients of each are made of the other two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from symconv.errors import DTypeError, ShapeError
from symconv.graph import Apply, Op, TensorType, Variable, op_error
from symconv.ops.conv_cpu_kernels import on_cpu_kernels
from symconv.ops.conv_kernels import on_cuda_kernels
from symconv.ops.operands import as_dim, as_operands, static_dim
from symconv.ops.shape import shape_of, symbolic_shape
from symconv.ops.window import Padding, Pair, conv_output_size, normalize_padding, pair, windows_of

Dim = int | None


def conv2d(
    x: Any, w: Any, *, stride: int | Sequence[int] = 1, padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1, groups: int = 1, flip: bool = False,
) -> Variable:  # fmt: skip
    """y[n, k, p, q] = sum x[n, c, p*stride + r*dilation - top, q*stride + s*dilation - left] w[k, c, r, s]

    Cross-correlation of x [N, C, H, W] with w [K, C/groups, R, S], giving [N, K, P, Q]; x counts as zero
    outside. `stride` and `dilation` are an int or (vertical, horizontal). `padding` is an int,
    (vertical, horizontal), (top, bottom, left, right), or "valid" (none), "full" (extent - 1 on each
    side), "half" (extent // 2 on each side), "same": extent - 1 in all, the odd one at the bottom and
    right, whatever the stride, so that P = ceil(H / stride); extent = dilation (R - 1) + 1. With
    groups = g, each K/g of the outputs see their own C/g of the inputs; g = C is a depthwise
    convolution. With flip the windows are reversed along both axes, w[k, c, R-1-r, S-1-s] in place of
    w[k, c, r, s]: convolution in the strict sense, at no cost.

    Raises ShapeError (ranks, channels, groups, a window larger than the padded input, a window
    without elements, strides below 1) and DTypeError (dtypes other than float32 and float64).
    """
    x, w = as_operands(x, w)
    op = Conv2d(*_attributes("conv2d", w, stride, padding, dilation, groups), bool(flip))
    return op(x, w)


def conv_transpose2d(
    x: Any, w: Any, *, stride: int | Sequence[int] = 1, padding: int | str | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0, dilation: int | Sequence[int] = 1, groups: int = 1,
    flip: bool = False,
) -> Variable:  # fmt: skip
    """The adjoint of conv2d: y[n, c, p*stride + r*dilation - top, ...] += x[n, k, p, q] w[k, c, r, s].

    x is [N, K, P, Q], w [K, C/groups, R, S], and y [N, C, H, W] with H = (P - 1) stride - top - bottom +
    dilation (R - 1) + 1 + output_padding. conv2d with the same attributes maps y's shape back to x's;
    output_padding, smaller than the stride or the dilation, chooses among the H that do.
    """
    x, w = as_operands(x, w)
    name = "conv_transpose2d"
    op = Conv2dDgrad(*_attributes(name, w, stride, padding, dilation, groups), bool(flip))
    extra = pair(output_padding, f"{name}: output_padding", least=0)
    if x.ndim != 4 or w.ndim != 4:
        return op(x, w, as_dim(1), as_dim(1))  # infer says what is wrong
    for e, s, d in zip(extra, op.stride, op.dilation):
        if e >= max(s, d):
            raise ShapeError(f"{name}: output_padding {e} must be smaller than stride {s} or dilation {d}")
    size = []
    for axis in (0, 1):
        before, after = op.padding[2 * axis : 2 * axis + 2]
        count, window = symbolic_shape(x)[2 + axis], symbolic_shape(w)[2 + axis]
        stretch = (count - 1) * op.stride[axis] + (window - 1) * op.dilation[axis]
        size.append(as_dim(stretch + (1 + extra[axis] - before - after)))
    return op(x, w, *size)


def _attributes(
    name: str, w: Variable, stride: Any, padding: Any, dilation: Any, groups: Any
) -> tuple[Pair, Padding, Pair, int]:
    """The attributes of the convolution ops in their one normal form."""
    stride, dilation = pair(stride, f"{name}: stride"), pair(dilation, f"{name}: dilation")
    if isinstance(groups, bool) or not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ShapeError(f"{name}: groups must be a positive integer, got {groups!r}")
    window = w.type.shape[2:] if w.ndim == 4 else (None, None)
    extent = tuple(None if k is None else d * (k - 1) + 1 for k, d in zip(window, dilation))
    return stride, normalize_padding(padding, extent, f"{name}: padding"), dilation, int(groups)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Convolution(Op):
    """What the three ops share: x [N, C, H, W], w [K, C/groups, R, S], y [N, K, P, Q], attributes."""

    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    flip: bool = False

    tensors: ClassVar[int] = 2  # operands that hold data; the rest are dimensions

    def shape_operands(self, n_inputs: int) -> range:
        return range(self.tensors, n_inputs)

    def check_operands(self, inputs: tuple[Variable, ...], hints: tuple[str, ...]) -> None:
        data = inputs[: self.tensors]
        for v, what, hint in zip(data, self.operands, hints):
            if v.ndim != 4:
                message = f"{what} has {v.ndim} dimensions, expected 4"
                raise op_error(self, data, message, f"{what} is {hint}")
        dtypes = {v.dtype for v in data}
        if len(dtypes) > 1 or not data[0].type.is_float:
            message = "operands must share one dtype, float32 or float64"
            raise op_error(self, data, message, "sc.cast(x, 'float32')", DTypeError)

    def check_window(self, inputs: tuple[Variable, ...], r: Dim, s: Dim) -> None:
        if r == 0 or s == 0:
            raise op_error(self, inputs, f"the window {r}x{s} has no elements")

    def check_channels(self, inputs: tuple[Variable, ...], c: Dim, k: Dim, w_c: Dim) -> None:
        """C and K divide into the groups, and w sees C/groups channels."""
        for what, n in (("input", c), ("output", k)):
            if n is not None and n % self.groups:
                raise op_error(self, inputs, f"{n} {what} channels do not divide into {self.groups} groups")
        if c is not None and w_c is not None and c != w_c * self.groups:
            message = f"{self.operands[0]} has {c} channels, w expects {w_c * self.groups}"
            raise op_error(self, inputs, message, "w is [K, C/groups, R, S]")

    def output_size(
        self, inputs: tuple[Variable, ...], size: Sequence[Dim], window: Sequence[Dim]
    ) -> list[Dim]:
        """[P, Q]; raises ShapeError where the window does not fit into the padded input."""
        out = []
        for i in (0, 1):
            before, after = self.padding[2 * i : 2 * i + 2]
            n = conv_output_size(size[i], window[i], self.stride[i], before, after, self.dilation[i])
            if n is not None and n < 1:
                side, extent = ("height", "width")[i], self.dilation[i] * ((window[i] or 0) - 1) + 1
                padded = (size[i] or 0) + before + after
                message = f"a window of {side} {extent} does not fit into the padded input of {side} {padded}"
                raise op_error(self, inputs, message, "more padding, less dilation or a smaller window")
            out.append(n)
        return out

    def check_output(
        self, inputs: tuple[Variable, ...], y: Sequence[Dim], size: Sequence[Dim], window: Sequence[Dim]
    ) -> None:
        """dy [.., P, Q] is what x of that size gives."""
        for have, want in zip(y, self.output_size(inputs, size, window)):
            if have is not None and want is not None and have != want:
                message = f"dy has {list(y)} positions, an input of size {list(size)} gives another number"
                raise op_error(self, inputs, message)

    def turned(self, w: np.ndarray) -> np.ndarray:
        """The windows as they are laid over x."""
        return w[:, :, ::-1, ::-1] if self.flip else w

    def spans(self, r: int, s: int, p: int, q: int) -> tuple[slice, slice]:
        """Where the padded x meets element (r, s) of the window, for all p x q positions."""
        (sh, sw), (dh, dw) = self.stride, self.dilation
        return slice(r * dh, r * dh + (p - 1) * sh + 1, sh), slice(s * dw, s * dw + (q - 1) * sw + 1, sw)

    def multiply_adds(self, y: TensorType, w: TensorType) -> int:
        return 2 * y.size * (w.shape[1] or 0) * (w.shape[2] or 0) * (w.shape[3] or 0)


_X, _W, _DY = "[N, C, H, W]", "[K, C/groups, R, S]", "[N, K, P, Q]"


def _split(a: np.ndarray, groups: int, axis: int) -> list[np.ndarray]:
    return np.split(a, groups, axis) if groups > 1 else [a]


@dataclass(frozen=True)
class Conv2d(_Convolution):
    """y = cross-correlation of x [N, C, H, W] with w [K, C/groups, R, S], or convolution if `flip`."""

    name = "conv2d"
    operands = ("x", "w")

    def infer(self, x: Variable, w: Variable) -> TensorType:
        self.check_operands((x, w), (_X, _W))
        (n, c, *size), (k, w_c, *window) = x.type.shape, w.type.shape
        self.check_window((x, w), *window)
        self.check_channels((x, w), c, k, w_c)
        return TensorType(x.dtype, (n, k, *self.output_size((x, w), size, window)))

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,), (x, w) = dys, node.inputs
        if dy is None:
            return [None, None]
        return [conv2d_dgrad(self, dy, w, like=x), conv2d_wgrad(self, x, dy, like=w)]

    def reference(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        out = []
        for xg, wg in zip(_split(x, self.groups, 1), _split(self.turned(w), self.groups, 0)):
            view = windows_of(xg, wg.shape[2:], self.stride, self.padding, self.dilation)
            out.append(np.tensordot(view, wg, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2))
        return np.ascontiguousarray(np.concatenate(out, axis=1))

    def flops(self, node: Apply) -> int:
        return self.multiply_adds(node.out.type, node.inputs[1].type)


@dataclass(frozen=True)
class Conv2dDgrad(_Convolution):
    """dx[n, c, p*stride + r*dilation - top, ...] += dy[n, k, p, q] w[k, c, r, s]; inputs dy, w, H, W."""

    name = "conv2d_dgrad"
    operands = ("dy", "w", "height", "width")

    def infer(self, dy: Variable, w: Variable, height: Variable, width: Variable) -> TensorType:
        self.check_operands((dy, w), (_DY, _W))
        (n, k, *y), (w_k, w_c, *window) = dy.type.shape, w.type.shape
        size = [static_dim(height), static_dim(width)]
        self.check_window((dy, w), *window)
        if k is not None and w_k is not None and k != w_k:
            raise op_error(self, (dy, w), f"dy has {k} channels, w expects {w_k}", f"w is {_W}, dy {_DY}")
        self.check_channels((dy, w), None, k if w_k is None else w_k, w_c)
        if any(d is not None and d < 1 for d in size):
            raise op_error(self, (dy, w), f"the output size {size} must be positive", "less padding")
        self.check_output((dy, w), y, size, window)
        return TensorType(dy.dtype, (n, None if w_c is None else w_c * self.groups, *size))

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (g,), (dy, w, _, _) = dys, node.inputs
        if g is None:
            return [None] * 4
        return [Conv2d(*_fields(self))(g, w), conv2d_wgrad(self, g, dy, like=w), None, None]

    def reference(self, dy: np.ndarray, w: np.ndarray, height: np.ndarray, width: np.ndarray) -> np.ndarray:
        (n, _, p, q), (_, w_c, r_, s_) = dy.shape, w.shape
        top, bottom, left, right = self.padding
        h, w_ = int(height), int(width)
        out = []
        for dyg, wg in zip(_split(dy, self.groups, 1), _split(self.turned(w), self.groups, 0)):
            padded = np.zeros((n, w_c, h + top + bottom, w_ + left + right), dy.dtype)
            for r in range(r_):
                for s in range(s_):
                    rows, cols = self.spans(r, s, p, q)
                    padded[:, :, rows, cols] += np.einsum("nkpq,kc->ncpq", dyg, wg[:, :, r, s], optimize=True)
            out.append(padded[:, :, top : top + h, left : left + w_])
        return np.ascontiguousarray(np.concatenate(out, axis=1))

    def flops(self, node: Apply) -> int:
        return self.multiply_adds(node.inputs[0].type, node.inputs[1].type)


@dataclass(frozen=True)
class Conv2dWgrad(_Convolution):
    """dw[k, c, r, s] = sum x[n, c, p*stride + r*dilation - top, ...] dy[n, k, p, q]; inputs x, dy, R, S"""

    name = "conv2d_wgrad"
    operands = ("x", "dy", "window_height", "window_width")

    def infer(self, x: Variable, dy: Variable, height: Variable, width: Variable) -> TensorType:
        self.check_operands((x, dy), (_X, _DY))
        (n, c, *size), (dy_n, k, *y) = x.type.shape, dy.type.shape
        window = [static_dim(height), static_dim(width)]
        self.check_window((x, dy), *window)
        if n is not None and dy_n is not None and n != dy_n:
            raise op_error(self, (x, dy), f"x has a batch of {n}, dy of {dy_n}")
        self.check_channels((x, dy), c, k, None)
        self.check_output((x, dy), y, size, window)
        return TensorType(x.dtype, (k, None if c is None else c // self.groups, *window))

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (g,), (x, dy, _, _) = dys, node.inputs
        if g is None:
            return [None] * 4
        return [conv2d_dgrad(self, dy, g, like=x), Conv2d(*_fields(self))(x, g), None, None]

    def reference(self, x: np.ndarray, dy: np.ndarray, height: np.ndarray, width: np.ndarray) -> np.ndarray:
        window = (int(height), int(width))
        out = []
        for xg, dyg in zip(_split(x, self.groups, 1), _split(dy, self.groups, 1)):
            view = windows_of(xg, window, self.stride, self.padding, self.dilation)
            out.append(np.tensordot(dyg, view, ((0, 2, 3), (0, 2, 3))))
        return np.ascontiguousarray(self.turned(np.concatenate(out, axis=0)))

    def flops(self, node: Apply) -> int:
        return self.multiply_adds(node.inputs[1].type, node.out.type)


def _fields(op: _Convolution) -> tuple[Pair, Padding, Pair, int, bool]:
    return op.stride, op.padding, op.dilation, op.groups, op.flip


def conv2d_dgrad(op: _Convolution, dy: Variable, w: Variable, like: Variable) -> Variable:
    """The gradient of the convolution `op` by its input, which has the shape of `like`."""
    return Conv2dDgrad(*_fields(op))(dy, w, shape_of(like, 2), shape_of(like, 3))


def conv2d_wgrad(op: _Convolution, x: Variable, dy: Variable, like: Variable) -> Variable:
    """The gradient of the convolution `op` by its weights, which have the shape of `like`."""
    return Conv2dWgrad(*_fields(op))(x, dy, shape_of(like, 2), shape_of(like, 3))


for _op, _kind in ((Conv2d, "fprop"), (Conv2dDgrad, "dgrad"), (Conv2dWgrad, "wgrad")):
    _op.kernels += on_cpu_kernels(_kind) + on_cuda_kernels(_kind)

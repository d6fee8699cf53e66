"""Convolution, max-pooling, bias and activation as one op, and its whole backward pass as one op.

The compiler makes these nodes out of conv2d, max_pool2d, a bias and an activation; no user
function builds them. Signatures:

    y, argmax = ConvPool(window, padding, activation, flip)(x, w, b)
        x [N, C, H, W], w [K, C, R, S], b [K]  ->  y [N, K, P, Q], argmax uint8[N, K, P, Q]
        y = activation(max_pool2d(conv2d(x, w, padding=padding, flip=flip), window) + b[:, None, None])

    dx, dw, db = ConvPoolGrad(window, padding, activation, flip)(x, w, y, argmax, dy)
    dw, db     = ConvPoolGrad(window, padding, activation, flip, need_dx=False)(x, w, y, argmax, dy)

The convolution has stride 1, no dilation, one group; `padding` is its (top, bottom, left, right).
The pooling has stride = window, no padding, floor mode: P = (H + top + bottom - R + 1) // window[0].
`argmax` = i * window[1] + j is the place inside the window of its first maximum, so a window has at
most 255 elements. Activations: linear, relu, sigmoid, tanh; their derivative is taken from y.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np

from symconv.errors import DTypeError
from symconv.graph import Apply, Kernel, Launch, Op, TensorType, Variable, op_error
from symconv.graph.kernel import Slower
from symconv.graph.params import pack
from symconv.ops import conv_pool_kernels
from symconv.ops.conv import Conv2d, Conv2dDgrad, Conv2dWgrad
from symconv.ops.conv_cpu_kernels import too_many_sums, transforms_refusal
from symconv.ops.conv_pool_cpu import forward_refusal
from symconv.ops.conv_pool_kernels import channels_refusal, sizes_of
from symconv.ops.epilogue import ACTIVATIONS
from symconv.ops.gemm import DotMulActGrad
from symconv.ops.shape import Reshape
from symconv.ops.window import Padding, Pair

Array = np.ndarray

MAX_WINDOW = 255  # elements that a uint8 argmax can tell apart
# Channels, and share of a tile's outputs that are wanted, from which on a walk over all maxima is slower than
# Winograd's transforms.
WALKED, WALKED_FILL = 64, 0.8


@dataclass(frozen=True)
class _ConvPool(Op):
    """Shapes and attributes that the forward and the backward op share."""

    window: Pair = (2, 2)
    padding: Padding = (0, 0, 0, 0)
    activation: str = "linear"
    flip: bool = False

    operands: ClassVar[tuple[str, ...]] = ("x", "w", "b")

    @property
    def conv(self) -> Conv2d:
        return Conv2d(padding=self.padding, flip=self.flip)

    def pooled(self, inputs: tuple[Variable, ...]) -> TensorType:
        """Type of y; raises ShapeError or DTypeError for operands that do not fit."""
        x, w = inputs[:2]
        if self.window[0] * self.window[1] > MAX_WINDOW:
            raise op_error(self, inputs, f"a window of {self.window} has more than {MAX_WINDOW} elements")
        if self.activation not in ACTIVATIONS:
            raise op_error(self, inputs, f"activation must be one of {', '.join(ACTIVATIONS)}")
        for v, what in zip(inputs, self.operands):
            if what != "argmax" and v.dtype != x.dtype:
                raise op_error(self, inputs, f"{what} is {v.dtype}, x is {x.dtype}", kind=DTypeError)
        n, k, *size = self.conv.infer(x, w).shape
        out = tuple(None if d is None else d // e for d, e in zip(size, self.window))
        if any(d == 0 for d in out):
            raise op_error(self, inputs, f"a pooling window {self.window} does not fit into {size}")
        return TensorType(x.dtype, (n, k, *out))

    def unpooled(self, x: Array, w: Array) -> tuple[int, int]:
        """Height and width of the convolution's output."""
        top, bottom, left, right = self.padding
        return x.shape[2] + top + bottom - w.shape[2] + 1, x.shape[3] + left + right - w.shape[3] + 1


@dataclass(frozen=True)
class ConvPool(_ConvPool):
    """y = activation(maxpool(conv2d(x, w)) + b) and the place of each maximum; inputs x, w, b."""

    name = "conv_pool"

    def infer(self, *inputs: Variable) -> tuple[TensorType, ...]:
        y = self.pooled(inputs)
        b = inputs[2]
        if b.ndim != 1 or (b.type.shape[0] is not None and y.shape[1] not in (None, b.type.shape[0])):
            raise op_error(self, inputs, f"b must be [{y.shape[1]}]")
        return y, TensorType("uint8", y.shape)

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (x, w, _), (y, argmax), dy = node.inputs, node.outputs, dys[0]
        if dy is None:
            return [None] * 3
        back = ConvPoolGrad(self.window, self.padding, self.activation, self.flip)
        return list(back(x, w, y, argmax, dy))

    def reference(self, x: Array, w: Array, b: Array) -> tuple[Array, Array]:
        full = self.conv.reference(x, w)
        (n, k, height, width), (wh, ww) = full.shape, self.window
        p, q = height // wh, width // ww
        view = full[:, :, : p * wh, : q * ww].reshape(n, k, p, wh, q, ww).transpose(0, 1, 2, 4, 3, 5)
        flat = view.reshape(n, k, p, q, wh * ww)
        function, _ = ACTIVATIONS[self.activation]
        return function(flat.max(-1) + b[:, None, None]), flat.argmax(-1).astype(np.uint8)

    def flops(self, node: Apply) -> int:
        return _flops(self, node.inputs[0], node.inputs[1], node.out)


@dataclass(frozen=True)
class ConvPoolGrad(_ConvPool):
    """dx (unless need_dx is False), dw, db of ConvPool; inputs x, w, y, argmax, dy.

    With g = dy * activation'(y) put back to the places of the maxima, dx and dw are the gradients
    of the convolution and db the sum of g. Only places where g is not zero cost arithmetic.
    """

    need_dx: bool = field(default=True, kw_only=True)
    name = "conv_pool_grad"
    operands = ("x", "w", "y", "argmax", "dy")

    def infer(self, *inputs: Variable) -> tuple[TensorType, ...]:
        x, w, y, argmax, dy = inputs
        want = self.pooled(inputs)
        for v, what, dtype in ((y, "y", x.dtype), (argmax, "argmax", "uint8"), (dy, "dy", x.dtype)):
            if not TensorType(dtype, want.shape).accepts(v.type):
                raise op_error(self, inputs, f"{what} must be {TensorType(dtype, want.shape)}")
        grads = (w.type, TensorType(w.dtype, w.type.shape[:1]))
        return (x.type, *grads) if self.need_dx else grads

    def reference(self, x: Array, w: Array, y: Array, argmax: Array, dy: Array) -> tuple[Array, ...]:
        _, slope = ACTIVATIONS[self.activation]
        g = dy * slope(y)
        (n, k, p, q), (wh, ww) = g.shape, self.window
        full = np.zeros((n, k, *self.unpooled(x, w)), g.dtype)
        rows, cols = np.divmod(argmax.astype(np.int64), ww)
        h = rows + (np.arange(p) * wh)[:, None]
        v = cols + np.arange(q) * ww
        full[np.arange(n)[:, None, None, None], np.arange(k)[:, None, None], h, v] = g
        size = [np.asarray(d) for d in w.shape[2:]]
        dw = Conv2dWgrad(padding=self.padding, flip=self.flip).reference(x, full, *size)
        db = g.sum((0, 2, 3))
        if not self.need_dx:
            return dw, db
        back = Conv2dDgrad(padding=self.padding, flip=self.flip)
        dx = back.reference(full, w, *[np.asarray(d) for d in x.shape[2:]])
        return dx, dw, db

    def flops(self, node: Apply) -> int:
        """Of the walk over the maxima, if none of their gradients is zero."""
        pool = self.window[0] * self.window[1]
        forward = _flops(self, node.inputs[0], node.inputs[1], node.inputs[2])
        return forward * (2 if self.need_dx else 1) // pool


def _flops(op: _ConvPool, x: Variable, w: Variable, y: Variable) -> int:
    _, c, r, s = w.type.shape
    return 2 * y.type.size * op.window[0] * op.window[1] * (c or 0) * (r or 0) * (s or 0)


def _launch(node: Apply) -> Launch:
    need_dx = int(getattr(node.op, "need_dx", False))
    itemsize = node.inputs[0].type.itemsize
    return Launch(pack("ConvPoolParams", itemsize=itemsize, need_dx=need_dx, **asdict(sizes_of(node))))


def _mostly_zero(node: Apply) -> bool:
    """Whether relu's derivative has made zeros of most gradients, here or in the product that dy is."""
    op: Any = node.op
    source = node.inputs[4].owner
    if source is not None and isinstance(source.op, Reshape):
        source = source.inputs[0].owner
    masked = source is not None and isinstance(source.op, DotMulActGrad) and source.op.activation == "relu"
    return masked or op.activation == "relu"


def _supports_winograd_grad(node: Apply) -> str | None:
    op, (x, w, y) = node.op, node.inputs[:3]
    assert isinstance(op, ConvPoolGrad)
    k, c, r, s = (d or 0 for d in w.type.shape)
    if refusal := transforms_refusal(x.dtype):
        return refusal
    if (r, s) != (3, 3):
        return f"windows of {r}x{s}, needs 3x3"
    if refusal := channels_refusal(node):
        return refusal
    if refusal := too_many_sums(c, k, r):
        return refusal
    if min(c, k) < WALKED:
        return Slower(f"{c} channels to {k}, pays from {WALKED} on")
    rows, cols = ((d or 0) * e for d, e in zip(y.type.shape[2:], op.window))
    if rows * cols < WALKED_FILL * 16 * -(-rows // 4) * -(-cols // 4):
        return Slower(f"{rows}x{cols} outputs fill tiles of 4x4 too little")
    if _mostly_zero(node):
        return Slower("relu leaves few gradients to walk")
    return None


_SOURCES = {
    "winograd_conv_pool": "conv_pool_winograd",
    "winograd_columns_conv_pool": "conv_pool_columns",
    "direct_conv_pool": "conv_pool",
}
ConvPool.kernels = [
    *(
        Kernel(name, "cpu", f"csrc/kernels/{file}.cpp", name, partial(forward_refusal, name), _launch)
        for name, file in _SOURCES.items()
    ),
    *conv_pool_kernels.FORWARD,
]
ConvPoolGrad.kernels = [
    Kernel(
        "winograd_conv_pool_grad",
        "cpu",
        "csrc/kernels/conv_pool_grad_winograd.cpp",
        "winograd_conv_pool_grad",
        _supports_winograd_grad,
        _launch,
    ),
    Kernel("argmax_walk", "cpu", "csrc/kernels/conv_pool_grad.cpp", "argmax_walk", channels_refusal, _launch),
    *conv_pool_kernels.BACKWARD,
]

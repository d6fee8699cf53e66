"""Pooling over windows of the last two axes: maximum, average, L2 and Lp, and their gradients.

Max-pooling picks elements, average pooling is linear: each is closed under differentiation with
its adjoint. The gradient of a maximum goes to the first one (in row-major order) of each window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

import numpy as np

from symconv.errors import DTypeError, ShapeError
from symconv.graph import Apply, Kernel, Launch, Op, TensorType, Variable, op_error
from symconv.graph.params import pack
from symconv.ops import elementwise as ew
from symconv.ops.create import full
from symconv.ops.operands import as_operands, as_variable, static_dim
from symconv.ops.pool_kernels import ALL, forward, max_pool_grad, sizes
from symconv.ops.shape import shape_of
from symconv.ops.window import Padding, Pair, conv_output_size, normalize_padding, pair, windows_of

Dim = int | None
Ints = int | Sequence[int]


def max_pool2d(
    x: Any, window: Ints, *, stride: Ints | None = None, padding: Ints | str = 0, ceil_mode: bool = False
) -> Variable:
    """y[n, c, p, q] = max over the window of x[n, c, p*stride - top + i, q*stride - left + j].

    x is [N, C, H, W]. `window` and `stride` (by default the window) are an int or (vertical,
    horizontal); `padding`, smaller than the window, is as for conv2d and never the maximum. P =
    floor((H + top + bottom - window) / stride) + 1; ceil_mode rounds up, so that windows reach over the
    edge, also a single one larger than x. NaN counts as the largest. Raises ShapeError for a bad rank,
    window, stride or padding, or, without ceil_mode, a window larger than the padded x.
    """
    return MaxPool2d(*_attributes("max_pool2d", window, stride, padding, ceil_mode))(as_variable(x))


def avg_pool2d(
    x: Any, window: Ints, *, stride: Ints | None = None, padding: Ints | str = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Variable:  # fmt: skip
    """y = mean over the window; arguments as for max_pool2d.

    With count_include_pad the zeros of the padding count as elements (but not what ceil_mode adds
    beyond it); without, each mean is over the elements of x alone. Integers give floatX.
    """
    mode = "padded" if count_include_pad else "mean"
    attributes = _attributes("avg_pool2d", window, stride, padding, ceil_mode)
    return AvgPool2d(*attributes, mode)(*as_operands(x, to_float=True))


def sum_pool2d(
    x: Any, window: Ints, *, stride: Ints | None = None, padding: Ints | str = 0, ceil_mode: bool = False
) -> Variable:
    """y = sum over the window; arguments as for max_pool2d."""
    attributes = _attributes("sum_pool2d", window, stride, padding, ceil_mode)
    return AvgPool2d(*attributes, "sum")(*as_operands(x, to_float=True))


def lp_pool2d(
    x: Any, p: float, window: Ints, *, stride: Ints | None = None, padding: Ints | str = 0,
    ceil_mode: bool = False,
) -> Variable:  # fmt: skip
    """y = (sum over the window of |x|^p)^(1/p), p >= 1; arguments as for max_pool2d.

    The gradient at a window of zeros is 0.
    """
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 1 <= p < math.inf:
        raise ShapeError(f"lp_pool2d: p must be a finite number of at least 1, got {p!r}")
    attributes = _attributes("lp_pool2d", window, stride, padding, ceil_mode)
    return LpPool2d(*attributes, float(p))(*as_operands(x, to_float=True))


def l2_pool2d(
    x: Any, window: Ints, *, stride: Ints | None = None, padding: Ints | str = 0, ceil_mode: bool = False
) -> Variable:
    """y = square root of the sum of squares over the window; arguments as for max_pool2d."""
    attributes = _attributes("l2_pool2d", window, stride, padding, ceil_mode)
    return LpPool2d(*attributes, 2.0)(*as_operands(x, to_float=True))


def global_max_pool2d(x: Any) -> Variable:
    """y[n, c, 0, 0] = max over all of x[n, c]; the gradient goes to the first maximum."""
    return MaxPool2d(WHOLE)(as_variable(x))


def global_avg_pool2d(x: Any) -> Variable:
    """y[n, c, 0, 0] = mean over all of x[n, c]."""
    return AvgPool2d(WHOLE)(*as_operands(x, to_float=True))


WHOLE = (0, 0)  # as a window: all of the input, whatever its size


def _attributes(
    name: str, window: Any, stride: Any, padding: Any, ceil_mode: bool
) -> tuple[Pair, Pair, Padding, bool]:
    """The attributes of the pooling ops in their one normal form."""
    size = pair(window, f"{name}: window")
    step = size if stride is None else pair(stride, f"{name}: stride")
    pads = normalize_padding(padding, size, f"{name}: padding")
    if max(pads[:2]) >= size[0] or max(pads[2:]) >= size[1]:
        raise ShapeError(
            f"{name}: padding {list(pads)} (top, bottom, left, right) must be smaller than the window "
            f"{list(size)}, or a window would hold padding alone"
        )
    return size, step, pads, bool(ceil_mode)


@dataclass(frozen=True)
class _Pool(Op):
    """What the pooling ops share: x [N, C, H, W], y [N, C, P, Q] and the window's attributes.

    empty: where no window fits, y has no elements, rather than an error. Kernels never see it: with all
    sizes known the op simplifies to zeros, or to itself without this attribute.
    """

    window: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    ceil_mode: bool = False
    empty: bool = field(default=False, kw_only=True)

    operands: ClassVar[tuple[str, ...]] = ("x",)

    def attributes(self) -> dict[str, Any]:
        """All but `empty` where it is False, as in nearly all graphs."""
        return {k: v for k, v in super().attributes().items() if k != "empty" or v}

    def simplify(self, *inputs: Variable) -> Sequence[Variable] | None:
        if not self.empty:
            return None
        type = self.infer(*inputs)
        if not type.is_concrete:
            return None
        if 0 in type.shape or any(v.type.is_concrete and v.type.size == 0 for v in inputs):
            return [full(type.shape, 0, type.dtype)]
        return [replace(self, empty=False)(*inputs)]

    def geometry(self, size: Sequence[Dim]) -> tuple[tuple[Dim, Dim], Pair]:
        """The window and stride for an input of that size; WHOLE becomes the size itself."""
        if self.window == WHOLE:
            return (size[0], size[1]), (1, 1)
        return self.window, self.stride

    def output_size(self, inputs: tuple[Variable, ...], size: Sequence[Dim]) -> tuple[Dim, Dim]:
        """(P, Q) for an input of that size; raises ShapeError where no window fits, unless `empty`."""
        if 0 in size and not self.empty:
            raise op_error(self, inputs, f"nothing to pool in an image of {size[0]}x{size[1]}")
        window, stride = self.geometry(size)
        out: list[Dim] = [None, None]
        for i in (0, 1):
            before, after = self.padding[2 * i : 2 * i + 2]
            out[i] = conv_output_size(size[i], window[i], stride[i], before, after, 1, self.ceil_mode)
            if self.window == WHOLE:
                out[i] = 1
            n = out[i]
            if n is not None and n < 1:
                if self.empty:
                    out[i] = 0
                    continue
                side, padded = ("height", "width")[i], (size[i] or 0) + before + after
                what = f"a window of {side} {window[i]}"
                message = f"{what} does not fit into the padded input of {side} {padded}"
                raise op_error(self, inputs, message, "a smaller window, or more padding")
        return out[0], out[1]

    def check_rank(self, inputs: tuple[Variable, ...]) -> None:
        for v, what in zip(inputs, self.operands):
            if v.ndim != 4:
                message = f"{what} has {v.ndim} dimensions, expected 4"
                raise op_error(self, inputs, message, "images are [N, C, H, W]")
            if v.dtype == "bool" or v.dtype != inputs[0].dtype:
                message = f"{what} is {v.dtype}" + ("" if v is inputs[0] else f", {inputs[0].dtype} expected")
                raise op_error(self, inputs, message, "sc.cast(x, 'float32')", DTypeError)

    def check_like(self, inputs: tuple[Variable, ...], shape: Sequence[Dim], like: Sequence[Dim]) -> None:
        """The operand after the first has the shape `like`, as far as known."""
        if any(a is not None and b is not None and a != b for a, b in zip(shape, like)):
            known = ", ".join("?" if d is None else str(d) for d in like)
            raise op_error(self, inputs, f"{self.operands[1]} must have shape [{known}]")

    def infer(self, *inputs: Variable) -> TensorType:
        (x,) = inputs
        self.check_rank(inputs)
        n, c, *size = x.type.shape
        return TensorType(x.dtype, (n, c, *self.output_size(inputs, size)))

    def windows(self, x: np.ndarray, fill: Any) -> np.ndarray:
        """A view [N, C, P, Q, window] of x."""
        window, stride = self.geometry(x.shape[2:])
        count = self.output_size((), x.shape[2:])
        if 0 in count:
            return np.empty((*x.shape[:2], *count, *window), x.dtype)  # type: ignore[arg-type]
        return windows_of(x, window, stride, self.padding, fill=fill, count=count)  # type: ignore[arg-type]

    def flops(self, node: Apply) -> int:
        x = node.inputs[0].type.shape
        window, _ = self.geometry(x[2:])
        return node.out.type.size * (window[0] or 1) * (window[1] or 1)


_AnyPool = TypeVar("_AnyPool", bound=_Pool)


def _over_windows_of(op: _Pool, kind: type[_AnyPool], **more: Any) -> _AnyPool:
    """The op of another kind over the same windows."""
    return kind(op.window, op.stride, op.padding, op.ceil_mode, empty=op.empty, **more)


@dataclass(frozen=True)
class _Select(_Pool):
    """Ops that deal with the position of each window's first maximum."""

    def argmax(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """Index arrays (n, c, h, w), each [N, C, P, Q], of the first maximum of every window."""
        lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        n, c, p, q, *window = (view := self.windows(x, lowest)).shape
        inside = self.windows(np.ones(x.shape[2:], dtype=bool)[None, None], False)  # padding is never picked
        flat = view.reshape(n, c, p, q, window[0] * window[1])
        top = flat.max(-1, keepdims=True)  # NaN where the window holds one
        best = inside.reshape(1, 1, p, q, -1) & ((flat == top) | np.isnan(flat))
        i, j = np.divmod(best.argmax(-1), window[1])
        _, stride = self.geometry(x.shape[2:])
        h = i + (np.arange(p) * stride[0] - self.padding[0])[:, None]
        w = j + np.arange(q) * stride[1] - self.padding[2]
        return np.arange(n)[:, None, None, None], np.arange(c)[:, None, None], h, w


@dataclass(frozen=True)
class MaxPool2d(_Select):
    """y = x at the first maximum of each window."""

    name = "max_pool2d"

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,), (x,) = dys, node.inputs
        return [None if dy is None or not x.type.is_float else _over_windows_of(self, MaxPool2dGrad)(x, dy)]

    def reference(self, x: np.ndarray) -> np.ndarray:
        return x[self.argmax(x)]


@dataclass(frozen=True)
class MaxPool2dGrad(_Select):
    """dx = sum of dy over the windows whose first maximum of x lies there; inputs x, dy."""

    name = "max_pool2d_grad"
    operands = ("x", "dy")

    def infer(self, *inputs: Variable) -> TensorType:
        x, dy = inputs
        self.check_rank(inputs)
        n, c, *size = x.type.shape
        self.check_like(inputs, dy.type.shape, (n, c, *self.output_size(inputs, size)))
        return x.type

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (g,), (x, _) = dys, node.inputs
        return [None, None if g is None else _over_windows_of(self, MaxPool2dPick)(x, g)]

    def reference(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        dx = np.zeros_like(x)
        np.add.at(dx, self.argmax(x), dy)
        return dx


@dataclass(frozen=True)
class MaxPool2dPick(_Select):
    """y = v at the first maximum of x in each window: the adjoint of MaxPool2dGrad; inputs x, v."""

    name = "max_pool2d_pick"
    operands = ("x", "v")

    def infer(self, *inputs: Variable) -> TensorType:
        x, v = inputs
        self.check_rank(inputs)
        n, c, *size = x.type.shape
        self.check_like(inputs, v.type.shape, x.type.shape)
        return TensorType(x.dtype, (n, c, *self.output_size(inputs, size)))

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (g,), (x, _) = dys, node.inputs
        return [None, None if g is None else _over_windows_of(self, MaxPool2dGrad)(x, g)]

    def reference(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        return v[self.argmax(x)]


@dataclass(frozen=True)
class _Average(_Pool):
    """Sums over windows, divided by `count`.

    mode "padded": by the elements of the window that lie on x or its padding; "mean": by those on
    x; "sum": by 1.
    """

    mode: str = "padded"

    def divisor(self, size: Sequence[int], dtype: Any) -> np.ndarray:
        """[P, Q]: what the sum over each window is divided by."""
        window, stride = self.geometry(size)
        count = self.output_size((), size)
        sides = []
        for i in (0, 1):
            before, after = self.padding[2 * i : 2 * i + 2]
            start = np.arange(count[i] or 0) * stride[i] - before
            low, high = (0, size[i]) if self.mode == "mean" else (-before, size[i] + after)
            sides.append(np.minimum(start + (window[i] or 0), high) - np.maximum(start, low))
        divisor = np.outer(*sides).astype(dtype)
        return np.ones_like(divisor) if self.mode == "sum" else divisor


@dataclass(frozen=True)
class AvgPool2d(_Average):
    """y = sum of x over the window / divisor."""

    name = "avg_pool2d"

    def infer(self, *inputs: Variable) -> TensorType:
        return _float_type(self, inputs, super().infer(*inputs))

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,), (x,) = dys, node.inputs
        if dy is None:
            return [None]
        return [_over_windows_of(self, AvgPool2dGrad, mode=self.mode)(dy, shape_of(x, 2), shape_of(x, 3))]

    def reference(self, x: np.ndarray) -> np.ndarray:
        return self.windows(x, 0).sum((4, 5)) / self.divisor(x.shape[2:], x.dtype)


@dataclass(frozen=True)
class AvgPool2dGrad(_Average):
    """dx = sum of dy / divisor over the windows that hold the element; inputs dy, H, W."""

    name = "avg_pool2d_grad"
    operands = ("dy", "height", "width")

    def shape_operands(self, n_inputs: int) -> range:
        return range(1, n_inputs)

    def infer(self, *inputs: Variable) -> TensorType:
        dy, *size = inputs
        self.check_rank((dy,))
        n, c, *count = dy.type.shape
        dims = [static_dim(d) for d in size]
        want = self.output_size((dy,), dims)
        if any(a is not None and b is not None and a != b for a, b in zip(count, want)):
            message = f"dy has {count} windows, an image of size {dims} has {list(want)}"
            raise op_error(self, (dy,), message)
        return _float_type(self, (dy,), TensorType(dy.dtype, (n, c, *dims)))

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (g,) = dys
        return [None if g is None else _over_windows_of(self, AvgPool2d, mode=self.mode)(g), None, None]

    def reference(self, dy: np.ndarray, height: np.ndarray, width: np.ndarray) -> np.ndarray:
        size = (int(height), int(width))
        (r_, s_), (sh, sw) = self.geometry(size)
        n, c, p, q = dy.shape
        assert r_ is not None and s_ is not None
        share = dy / self.divisor(size, dy.dtype)
        padded = np.zeros((n, c, (p - 1) * sh + r_ + size[0], (q - 1) * sw + s_ + size[1]), dy.dtype)
        for r in range(r_):
            for s in range(s_):
                padded[:, :, r : r + (p - 1) * sh + 1 : sh, s : s + (q - 1) * sw + 1 : sw] += share
        top, _, left, _ = self.padding
        return np.ascontiguousarray(padded[:, :, top : top + size[0], left : left + size[1]])

    def flops(self, node: Apply) -> int:
        window, _ = self.geometry(node.out.type.shape[2:])
        return node.inputs[0].type.size * (window[0] or 1) * (window[1] or 1)


@dataclass(frozen=True)
class LpPool2d(_Pool):
    """y = (sum of |x|^p over the window)^(1/p)."""

    p: float = 2.0
    name = "lp_pool2d"

    def infer(self, *inputs: Variable) -> TensorType:
        return _float_type(self, inputs, super().infer(*inputs))

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,), (x,), y = dys, node.inputs, node.out
        if dy is None:
            return [None]
        # dy/dx = sign(x) |x|^(p-1) y^(1-p); a window of zeros sends nothing back
        empty = ew.eq(y, 0)
        safe = ew.where(empty, 1, y)
        scaled = dy / safe if self.p == 2 else dy * ew.power(safe, 1 - self.p)
        share = ew.where(empty, 0, scaled)
        spread = _over_windows_of(self, AvgPool2dGrad, mode="sum")(share, shape_of(x, 2), shape_of(x, 3))
        return [spread * (x if self.p == 2 else ew.sign(x) * ew.power(ew.abs(x), self.p - 1))]

    def reference(self, x: np.ndarray) -> np.ndarray:
        p = x.dtype.type(self.p)
        return (self.windows(np.abs(x) ** p, 0).sum((4, 5)) ** (1 / p)).astype(x.dtype)


def _float_type(op: _Pool, inputs: tuple[Variable, ...], type: TensorType) -> TensorType:
    if not type.is_float:
        message = f"{op.operands[0]} is {type.dtype}, expected float32 or float64"
        raise op_error(op, inputs, message, "sc.cast(x, 'float32')", DTypeError)
    return type


# ---- kernels --------------------------------------------------------------------------------------------


def _launch(node: Apply) -> Launch:
    # The larger of the tensors is the image: of the gradients it is the output.
    grad = isinstance(node.op, (MaxPool2dGrad, AvgPool2dGrad))
    fields: dict[str, Any] = sizes(node, None if grad else 0)
    exponent = getattr(node.op, "p", 0.0)
    return Launch(pack("PoolParams", itemsize=node.out.type.itemsize, exponent=exponent, **fields))


def _supports(node: Apply) -> str | None:
    dtype = node.inputs[0].dtype
    return None if node.inputs[0].type.is_float else f"dtype {dtype}, needs float32 or float64"


def _supports_pairs(node: Apply) -> str | None:
    s = sizes(node, 0)
    window, stride = (s["window_h"], s["window_w"]), (s["stride_h"], s["stride_w"])
    if window != (2, 2) or stride != (2, 2):
        return f"window {window}, stride {stride}, needs 2"
    if s["top"] or s["left"] or s["p"] > s["h"] // 2 or s["q"] > s["w"] // 2:
        return "windows overhang the image"
    return _supports(node)


for _op, _file, _entry, _accepts in (
    (MaxPool2d, "pool", "paired_max_pool", _supports_pairs),
    (MaxPool2d, "pool", "separable_max_pool", _supports),
    (MaxPool2dGrad, "pool_argmax", "paired_max_pool_grad", _supports_pairs),
    (MaxPool2dGrad, "pool_argmax", "max_pool_grad", _supports),
    (MaxPool2dPick, "pool_argmax", "max_pool_pick", _supports),
    (AvgPool2d, "pool", "separable_avg_pool", _supports),
    (AvgPool2dGrad, "pool", "avg_pool_grad", _supports),
    (LpPool2d, "pool", "separable_lp_pool", _supports),
):
    _op.kernels.append(Kernel(_entry, "cpu", f"csrc/kernels/{_file}.cpp", _entry, _accepts, _launch))
MaxPool2d.kernels += forward("max_pool", ALL)
MaxPool2dGrad.kernels += max_pool_grad()
MaxPool2dPick.kernels += forward("max_pool_pick", ALL)
AvgPool2d.kernels += forward("avg_pool")
AvgPool2dGrad.kernels += forward("avg_pool_grad")
LpPool2d.kernels += forward("lp_pool")

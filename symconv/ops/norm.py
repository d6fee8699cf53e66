"""Normalisation: over the batch, and across neighbouring channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import ArgumentError, DTypeError, ShapeError
from symconv.graph import Apply, Launch, Op, TensorType, Variable, blocks, op_error
from symconv.graph.params import pack
from symconv.ops import elementwise as ew
from symconv.ops.float_kernels import both_dtypes
from symconv.ops.norm_cuda import Layout, batch_norm_on_cuda
from symconv.ops.operands import as_operands, normalize_axes, normalize_axis
from symconv.ops.reduce import reduce_sum
from symconv.ops.shape import broadcast_like, dims_of, reshape


def _batch_axes(x: Variable, axes: int | Sequence[int] | None, name: str) -> tuple[int, ...]:
    if axes is not None:
        return normalize_axes(axes, x.ndim)
    if x.ndim < 2:
        raise ShapeError(f"{name}: x must be [N, C] or [N, C, ...], got {x.type} from {x.origin}")
    return tuple(a for a in range(x.ndim) if a != 1)


def batch_norm(
    x: Any, gamma: Any, beta: Any, *, axes: int | Sequence[int] | None = None, eps: float = 1e-5
) -> tuple[Variable, Variable, Variable]:
    """y = gamma * (x - mean) / sqrt(var + eps) + beta; returns (y, mean, var), for training.

    mean and var are taken over `axes`: by default all but axis 1, the channels of [N, C] and
    [N, C, H, W]. gamma, beta, mean and var have the shape that is left, [C]. var is the biased
    variance, divided by the number of elements; `running_average` makes it unbiased.
    """
    x, gamma, beta = as_operands(x, gamma, beta, to_float=True)
    return BatchNorm(_batch_axes(x, axes, "batch_norm"), _check_eps("batch_norm", eps))(x, gamma, beta)  # type: ignore[no-any-return]


def batch_norm_inference(
    x: Any,
    gamma: Any,
    beta: Any,
    mean: Any,
    var: Any,
    *,
    axes: int | Sequence[int] | None = None,
    eps: float = 1e-5,
) -> Variable:
    """gamma * (x - mean) / sqrt(var + eps) + beta with the statistics given, each shaped as in batch_norm."""
    x, gamma, beta, mean, var = as_operands(x, gamma, beta, mean, var, to_float=True)
    over = _batch_axes(x, axes, "batch_norm_inference")
    _check_eps("batch_norm_inference", eps)
    kept = tuple(d for i, d in enumerate(x.type.shape) if i not in over)
    for name, v in (("gamma", gamma), ("beta", beta), ("mean", mean), ("var", var)):
        if not TensorType(x.dtype, kept).accepts(v.type):
            raise ShapeError(
                f"batch_norm_inference: {name} must have shape {_shown(kept)}\n"
                f"  x {x.type}   from {x.origin}\n  {name} {v.type}   from {v.origin}"
            )
    scale = ew.true_div(gamma, ew.sqrt(ew.add(var, eps)))
    centred = ew.sub(x, _stretch(mean, x, over))
    return ew.add(ew.mul(centred, _stretch(scale, x, over)), _stretch(beta, x, over))


def running_average(
    old: Any, new: Any, momentum: float = 0.9, *, count: int | Variable | None = None
) -> Variable:
    """momentum * old + (1 - momentum) * new: the update of a running mean or variance.

    With `count`, the number of elements behind each entry of `new`, a biased variance is first
    made unbiased: new * count / (count - 1); count = 1 leaves it as it is.
    """
    if not 0 <= momentum <= 1:
        raise ArgumentError(f"running_average: momentum must lie in [0, 1], got {momentum}")
    old, new = as_operands(old, new, to_float=True)
    if isinstance(count, Variable):
        n = ew.cast(count, new.dtype)
        new = ew.true_div(ew.mul(new, n), ew.maximum(ew.sub(n, 1.0), 1.0))
    elif count is not None:
        new = ew.mul(new, count / max(count - 1, 1))
    return ew.add(ew.mul(old, momentum), ew.mul(new, 1 - momentum))


def _check_eps(name: str, eps: float) -> float:
    if isinstance(eps, bool) or not isinstance(eps, (int, float)) or not 0 <= eps < math.inf:
        raise ArgumentError(f"{name}: eps must be a number >= 0, got {eps!r}")
    return float(eps)


def _shown(shape: Sequence[int | None]) -> str:
    return f"[{', '.join('?' if d is None else str(d) for d in shape)}]"


def _stretch(v: Variable, x: Variable, axes: tuple[int, ...]) -> Variable:
    """v, shaped like x without `axes`, with a 1 in their place."""
    if x.ndim - len(axes) == 0:
        return v
    return reshape(v, [1 if i in axes else d for i, d in enumerate(dims_of(x))])


def _layout(node: Apply) -> Layout | None:
    """x as (outer, channels, inner) where the axes that are kept lie side by side, else None."""
    op: Any = node.op
    shape: Any = node.out.type.shape
    dims = [(d, i in op.axes) for i, d in enumerate(shape) if d != 1]
    kept = [i for i, (_, reduced) in enumerate(dims) if not reduced]
    if kept and kept[-1] - kept[0] != len(kept) - 1:
        return None
    first, last = (kept[0], kept[-1] + 1) if kept else (0, 0)
    sizes = [d for d, _ in dims]
    return math.prod(sizes[:first]), math.prod(sizes[first:last]), math.prod(sizes[last:])


def _refuse_apart(node: Apply) -> str | None:
    return "the axes that are kept do not lie side by side" if _layout(node) is None else None


def _launch(node: Apply) -> Launch:
    op: Any = node.op
    outer, c, inner = _layout(node) or (0, 0, 0)
    return Launch(pack("BatchNormParams", outer=outer, c=c, inner=inner, eps=op.eps))


def _window_tiles(node: Apply) -> int:
    return blocks(node.out.type.size)


def _launch_window(node: Apply) -> Launch:
    op: Any = node.op
    shape: Any = node.out.type.shape
    return Launch(
        pack(
            "WindowSumParams",
            outer=math.prod(shape[: op.axis]),
            c=shape[op.axis],
            inner=math.prod(shape[op.axis + 1 :]),
            before=op.before,
            after=op.after,
        )
    )


class _OverBatch(Op):
    """What the two batch norm ops share: the axes and the check of the per-channel operands."""

    axes: tuple[int, ...]
    eps: float

    def channels(self, inputs: Sequence[Variable], x: Variable, others: Sequence[Variable]) -> TensorType:
        for v in inputs:
            if not v.type.is_float or v.dtype != x.dtype:
                raise op_error(self, inputs, "operands must have one float dtype", kind=DTypeError)
        shape: list[int | None] = [d for i, d in enumerate(x.type.shape) if i not in self.axes]
        for v in others:
            if not TensorType(x.dtype, tuple(shape)).accepts(v.type):
                hint = f"x has {_shown(shape)} left when axes {self.axes} are reduced"
                raise op_error(self, inputs, f"{v.type} does not fit the channels of x", hint)
            shape = [b if a is None else a for a, b in zip(shape, v.type.shape)]
        return TensorType(x.dtype, tuple(shape))

    def spread(self, v: np.ndarray, x: np.ndarray) -> np.ndarray:
        return v.reshape([1 if i in self.axes else d for i, d in enumerate(x.shape)])

    def count(self, x: Variable, dtype: str) -> Variable:
        """The number of elements behind each mean."""
        total: Any = 1
        for a in self.axes:
            total = ew.mul(dims_of(x)[a], total)
        return ew.cast(total, dtype)

    def mean(self, v: Variable, x: Variable) -> Variable:
        """The mean of v, shaped like x, over the axes, kept as ones."""
        return ew.true_div(reduce_sum(v, axis=self.axes, keepdims=True), self.count(x, v.dtype))


@dataclass(frozen=True)
class BatchNorm(_OverBatch):
    """Outputs y, mean and biased var of x over `axes`; an empty batch gives NaN statistics."""

    axes: tuple[int, ...]
    eps: float = 1e-5
    name = "batch_norm"
    operands = ("x", "gamma", "beta")
    kernels = [
        *both_dtypes("batch_norm", "norm", _launch, ((0, 0),), _refuse_apart),
        *batch_norm_on_cuda("batch_norm", ((0, 0),)),
    ]

    def infer(self, x: Variable, gamma: Variable, beta: Variable) -> tuple[TensorType, ...]:
        c = self.channels((x, gamma, beta), x, (gamma, beta))
        return x.type, c, c

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        dy, dmean, dvar = dys
        x, gamma, _ = node.inputs
        _, mean, var = node.outputs
        dx: Variable | None = None
        dgamma = dbeta = None
        if dy is not None:
            dx, dgamma, dbeta = BatchNormGrad(self.axes, self.eps)(dy, x, gamma, mean, var)
        for part in (
            None if dmean is None else _stretch(dmean, x, self.axes),
            None if dvar is None else self._through_var(x, mean, dvar),
        ):
            if part is not None:
                part = ew.true_div(part, self.count(x, x.dtype))
                dx = broadcast_like(part, x) if dx is None else ew.add(dx, part)
        return [dx, dgamma, dbeta]

    def _through_var(self, x: Variable, mean: Variable, dvar: Variable) -> Variable:
        centred = ew.sub(x, _stretch(mean, x, self.axes))
        return ew.mul(ew.mul(2, centred), _stretch(dvar, x, self.axes))

    def reference(self, x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, ...]:
        n = math.prod(x.shape[a] for a in self.axes)
        with np.errstate(all="ignore"):
            mean = np.sum(x, axis=self.axes) / x.dtype.type(n)
            centred = x - self.spread(mean, x)
            var = np.sum(centred * centred, axis=self.axes) / x.dtype.type(n)
            scale = self.spread(gamma / np.sqrt(var + x.dtype.type(self.eps)), x)
            return centred * scale + self.spread(beta, x), np.asarray(mean), np.asarray(var)

    def flops(self, node: Apply) -> int:
        return 7 * node.out.type.size


@dataclass(frozen=True)
class BatchNormGrad(_OverBatch):
    """Outputs dx, dgamma, dbeta. With r = 1 / sqrt(var + eps) and h = (x - mean) * r:

    dx = gamma * r * (dy - mean(dy) - h * mean(dy * h)), dgamma = sum(dy * h), dbeta = sum(dy).
    """

    axes: tuple[int, ...]
    eps: float = 1e-5
    name = "batch_norm_grad"
    operands = ("dy", "x", "gamma", "mean", "var")
    kernels = [
        *both_dtypes("batch_norm_grad", "norm", _launch, ((0, 0), (0, 1)), _refuse_apart),
        *batch_norm_on_cuda("batch_norm_grad", ((0, 0), (0, 1))),
    ]

    def infer(self, *inputs: Variable) -> tuple[TensorType, ...]:
        dy, x, gamma, mean, var = inputs
        c = self.channels(inputs, x, (gamma, mean, var))
        if not x.type.accepts(dy.type):
            raise op_error(self, inputs, "dy must have the shape of x")
        return x.type, c, c

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        # With g, gg, gb the gradients of dx, dgamma, dbeta, M elements a channel, and the means
        # A, B, G, H, S of dy, dy h, g, g h, g dy, the three outputs weighted and summed are
        #   gamma r M (S - G A - H B) + gg M B + gb M A,
        # of which the gradients below are the derivatives.
        g, gg, gb = dys
        dy, x, gamma, mean, var = node.inputs

        def wide(v: Variable) -> Variable:
            return _stretch(v, x, self.axes)

        def narrow(v: Variable) -> Variable:
            return reduce_sum(v, axis=self.axes)

        r = ew.true_div(1, ew.sqrt(ew.add(wide(var), self.eps)))
        centred = ew.sub(x, wide(mean))
        h = ew.mul(centred, r)
        d_dy: list[Variable] = []
        d_h: list[Variable] = []
        d_r: list[Variable] = []  # [C], beyond what flows through h
        d_gamma: Variable | None = None
        if g is not None:
            d_dy.append(BatchNormGrad(self.axes, self.eps)(g, x, gamma, mean, var)[0])
            inner = ew.sub(ew.sub(dy, self.mean(dy, x)), ew.mul(h, self.mean(ew.mul(dy, h), x)))
            total = narrow(ew.mul(g, inner))  # M (S - G A - H B)
            d_gamma = narrow(ew.mul(ew.mul(g, inner), r))
            d_r.append(ew.mul(gamma, total))
            cross = ew.add(ew.mul(g, self.mean(ew.mul(dy, h), x)), ew.mul(dy, self.mean(ew.mul(g, h), x)))
            d_h.append(ew.neg(ew.mul(ew.mul(wide(gamma), r), cross)))
        if gg is not None:
            d_dy.append(ew.mul(wide(gg), h))
            d_h.append(ew.mul(wide(gg), dy))
        if gb is not None:
            d_dy.append(broadcast_like(wide(gb), x))
        out_dy = _total(d_dy)
        if not d_h:
            return [out_dy, None, None, None, None]
        dh = _total(d_h)
        assert dh is not None
        d_x = ew.mul(dh, r)
        d_mean = ew.neg(narrow(d_x))
        dr = _total([*d_r, narrow(ew.mul(dh, centred))])
        assert dr is not None
        root = ew.true_div(1, ew.sqrt(ew.add(var, self.eps)))
        d_var = ew.mul(ew.mul(dr, -0.5), ew.mul(root, ew.mul(root, root)))
        return [out_dy, d_x, d_gamma, d_mean, d_var]

    def reference(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        dy, x, gamma, mean, var = arrays
        n = x.dtype.type(math.prod(x.shape[a] for a in self.axes))
        with np.errstate(all="ignore"):
            r = 1 / np.sqrt(var + x.dtype.type(self.eps))
            h = (x - self.spread(mean, x)) * self.spread(r, x)
            dbeta = np.asarray(np.sum(dy, axis=self.axes))
            dgamma = np.asarray(np.sum(dy * h, axis=self.axes))
            inner = dy - self.spread(dbeta / n, x) - h * self.spread(dgamma / n, x)
            return self.spread(gamma * r, x) * inner, dgamma, dbeta

    def flops(self, node: Apply) -> int:
        return 11 * node.out.type.size


def _total(parts: Sequence[Variable]) -> Variable | None:
    total: Variable | None = None
    for part in parts:
        total = part if total is None else ew.add(total, part)
    return total


# ---- across channels


def local_response_norm(
    x: Any, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, *, axis: int = 1
) -> Variable:
    """y[c] = x[c] * (k + alpha / size * sum of x[j]^2 over the `size` channels around c) ** -beta.

    The window is j = c - size // 2 ... c + (size - 1) // 2, cut off at the first and last channel.
    This is PyTorch's and Caffe's form, where alpha is divided by size; the AlexNet paper
    (Krizhevsky, Sutskever, Hinton 2012, section 3.3) does not divide, so its constants are
    size=5, alpha=5e-4, beta=0.75, k=2.
    """
    (x,) = as_operands(x, to_float=True)
    axis = normalize_axis(axis, x.ndim, "local_response_norm: axis")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ArgumentError(f"local_response_norm: size must be an integer >= 1, got {size!r}")
    power = WindowSum(axis, size // 2, (size - 1) // 2)(ew.mul(x, x))
    scale = ew.add(ew.mul(power, alpha / size), k)
    return ew.mul(x, ew.power(scale, -beta))


@dataclass(frozen=True)
class WindowSum(Op):
    """y[c] = sum of x[j] for j = c - before ... c + after along `axis`, cut off at the ends.

    Its adjoint is itself with the window mirrored.
    """

    axis: int
    before: int
    after: int
    name = "window_sum"
    operands = ("x",)
    kernels = both_dtypes("window_sum", "norm", _launch_window, tiles=_window_tiles)

    def infer(self, x: Variable) -> TensorType:
        return x.type

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        return [None if dy is None else WindowSum(self.axis, self.after, self.before)(dy)]

    def reference(self, x: np.ndarray) -> np.ndarray:
        rows = np.moveaxis(x, self.axis, 0)
        out = np.zeros_like(rows)
        for c in range(len(rows)):
            out[c] = rows[max(c - self.before, 0) : c + self.after + 1].sum(axis=0)
        return np.ascontiguousarray(np.moveaxis(out, 0, self.axis))

    def flops(self, node: Apply) -> int:
        return (self.before + self.after) * node.out.type.size

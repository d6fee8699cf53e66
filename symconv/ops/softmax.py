"""Softmax, its logarithm, and softmax with cross-entropy in one op; all closed under differentiation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import DTypeError, ExecutionError, ShapeError
from symconv.graph import Apply, Op, TensorType, Variable, constant, op_error
from symconv.ops import elementwise as ew
from symconv.ops.operands import as_operands, normalize_axis, static_dim
from symconv.ops.reduce import reduce_sum
from symconv.ops.shape import reshape, shape_of
from symconv.ops.softmax_kernels import along_axis, by_label


def softmax(x: Any, axis: int = -1) -> Variable:
    """exp(x - max) / sum(exp(x - max)) along `axis`; a row that is -inf throughout gives NaN.

    Raises ShapeError where x has no such axis. Integers become floatX.
    """
    (x,) = as_operands(x, to_float=True)
    return Softmax(normalize_axis(axis, x.ndim, "softmax: axis"))(x)


def log_softmax(x: Any, axis: int = -1) -> Variable:
    """x - max - log(sum(exp(x - max))) along `axis`: finite where log(softmax(x)) would be -inf."""
    (x,) = as_operands(x, to_float=True)
    return LogSoftmax(normalize_axis(axis, x.ndim, "log_softmax: axis"))(x)


@dataclass(frozen=True)
class _AlongAxis(Op):
    """An op whose output, and each of whose operands, has the shape of the first operand."""

    axis: int

    def infer(self, *inputs: Variable) -> TensorType:
        return same_types(self, inputs, inputs[0].type)

    def flops(self, node: Apply) -> int:
        return 5 * node.out.type.size


def same_types(op: Op, inputs: Sequence[Variable], want: TensorType) -> TensorType:
    """The type of float operands that must all agree with `want`, unknown dimensions filled in."""
    shape = list(want.shape)
    for v in inputs:
        if not v.type.is_float or v.dtype != want.dtype:
            raise op_error(op, inputs, "operands must have one float dtype", "sc.cast(...)", DTypeError)
        if not want.accepts(v.type):
            raise op_error(op, inputs, "operands must have one shape")
        shape = [b if a is None else a for a, b in zip(shape, v.type.shape)]
    return TensorType(want.dtype, tuple(shape))


def _inner(a: Variable, b: Variable, axis: int) -> Variable:
    return reduce_sum(ew.mul(a, b), axis=axis, keepdims=True)


@dataclass(frozen=True)
class Softmax(_AlongAxis):
    name = "softmax"
    operands = ("x",)
    kernels = along_axis("softmax")

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        return [None if dy is None else SoftmaxGrad(self.axis)(dy, node.out)]

    def reference(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            e = np.exp(x - np.max(x, axis=self.axis, keepdims=True, initial=-np.inf))
            return e / np.sum(e, axis=self.axis, keepdims=True)


@dataclass(frozen=True)
class SoftmaxGrad(_AlongAxis):
    """dx = y * (dy - sum(dy * y)) for y = softmax(x)."""

    name = "softmax_grad"
    operands = ("dy", "y")
    kernels = along_axis("softmax_grad", operands=2)

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (g,) = dys
        if g is None:
            return [None, None]
        dy, y = node.inputs
        centred = ew.sub(dy, _inner(dy, y, self.axis))
        return [SoftmaxGrad(self.axis)(g, y), ew.sub(ew.mul(g, centred), ew.mul(dy, _inner(g, y, self.axis)))]

    def reference(self, dy: np.ndarray, y: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return y * (dy - np.sum(dy * y, axis=self.axis, keepdims=True))


@dataclass(frozen=True)
class LogSoftmax(_AlongAxis):
    name = "log_softmax"
    operands = ("x",)
    kernels = along_axis("log_softmax")

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        return [None if dy is None else LogSoftmaxGrad(self.axis)(dy, node.out)]

    def reference(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            shifted = x - np.max(x, axis=self.axis, keepdims=True, initial=-np.inf)
            return shifted - np.log(np.sum(np.exp(shifted), axis=self.axis, keepdims=True))


@dataclass(frozen=True)
class LogSoftmaxGrad(_AlongAxis):
    """dx = dy - exp(y) * sum(dy) for y = log_softmax(x)."""

    name = "log_softmax_grad"
    operands = ("dy", "y")
    kernels = along_axis("log_softmax_grad", operands=2)

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (g,) = dys
        if g is None:
            return [None, None]
        dy, y = node.inputs
        p = ew.exp(y)
        total = reduce_sum(dy, axis=self.axis, keepdims=True)
        return [ew.sub(g, _inner(g, p, self.axis)), ew.neg(ew.mul(ew.mul(g, p), total))]

    def reference(self, dy: np.ndarray, y: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return dy - np.exp(y) * np.sum(dy, axis=self.axis, keepdims=True)


# ---- one label a row


def check_labels(op: Op, labels: np.ndarray, classes: int) -> None:
    """Raises ExecutionError unless every label lies in [0, classes)."""
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if bad.size:
        row = int(bad[0])
        raise ExecutionError(
            f"{op.name}: label {int(labels[row])} in row {row} is out of range for {classes} classes"
            f"\n  hint: labels are 0 to {classes - 1}"
        ) from IndexError(f"label {int(labels[row])}")


def _label_types(op: Op, inputs: Sequence[Variable], rows: Variable, labels: Variable) -> int | None:
    """The number of rows that `rows` [N, ...] and `labels` [N] agree on."""
    if labels.ndim != 1 or labels.type.is_inexact or labels.dtype == "bool":
        hint = "labels are class indices: an integer vector with one entry a row"
        kind = DTypeError if labels.ndim == 1 else ShapeError
        raise op_error(op, inputs, f"labels must be an integer vector, got {labels.type}", hint, kind)
    n, m = rows.type.shape[0], labels.type.shape[0]
    if n is not None and m is not None and n != m:
        raise op_error(op, inputs, f"{m} labels for {n} rows")
    return n if n is not None else m


def _need(op: Op, inputs: Sequence[Variable], index: int, ndim: int, layout: str) -> None:
    v, name = inputs[index], op.operands[index]
    if not v.type.is_float:
        raise op_error(op, inputs, f"{name} must be float, got {v.dtype}", "sc.cast(...)", DTypeError)
    if v.ndim != ndim:
        raise op_error(op, inputs, f"{name} must be {layout}, got {v.type}")


@dataclass(frozen=True)
class TakeLabel(Op):
    """y[n] = x[n, labels[n]]; unlike indexing, a negative label is an error."""

    name = "take_label"
    operands = ("x", "labels")
    kernels = by_label("take_label", lambda node: node.inputs[0], labels=1, per_tile=256)

    def infer(self, x: Variable, labels: Variable) -> TensorType:
        _need(self, (x, labels), 0, 2, "[N, K]")
        return TensorType(x.dtype, (_label_types(self, (x, labels), x, labels),))

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        x, labels = node.inputs
        return [None if dy is None else PutLabel()(dy, labels, shape_of(x, 1)), None]

    def reference(self, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
        check_labels(self, labels, x.shape[1])
        return x[np.arange(len(labels)), labels]


@dataclass(frozen=True)
class PutLabel(Op):
    """x[n, k] = y[n] where k = labels[n], else 0; inputs y, labels, K: the adjoint of take_label."""

    name = "put_label"
    operands = ("y", "labels", "classes")
    kernels = by_label("put_label", lambda node: node.out, labels=1)

    def infer(self, y: Variable, labels: Variable, classes: Variable) -> TensorType:
        _need(self, (y, labels), 0, 1, "[N]")
        return TensorType(y.dtype, (_label_types(self, (y, labels), y, labels), static_dim(classes)))

    def shape_operands(self, n_inputs: int) -> range:
        return range(2, 3)

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dx,) = dys
        return [None if dx is None else TakeLabel()(dx, node.inputs[1]), None, None]

    def reference(self, y: np.ndarray, labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
        check_labels(self, labels, int(classes))
        out = np.zeros((len(labels), int(classes)), y.dtype)
        out[np.arange(len(labels)), labels] = y
        return out

    def flops(self, node: Apply) -> int:
        return 0


def put_label(y: Variable, labels: Variable, classes: int | Variable) -> Variable:
    """[N, classes] with y[n] in column labels[n] and zeros elsewhere."""
    k = classes if isinstance(classes, Variable) else constant(classes, "int64")
    return PutLabel()(y, labels, k)


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Op):
    """loss[n] = -log softmax(x[n])[labels[n]], and p = softmax(x), both from one pass.

    Inputs x [N, K], labels [N]; outputs loss [N], p [N, K]. The loss is taken from the shifted
    logits, so that it keeps its digits where p is 0 or 1; the gradient needs p and no exponential.
    """

    name = "softmax_cross_entropy"
    operands = ("x", "labels")
    kernels = by_label("softmax_cross_entropy", lambda node: node.inputs[0], labels=1, inplace=((1, 0),))

    def infer(self, x: Variable, labels: Variable) -> tuple[TensorType, ...]:
        _need(self, (x, labels), 0, 2, "[N, K]")
        n = _label_types(self, (x, labels), x, labels)
        return TensorType(x.dtype, (n,)), TensorType(x.dtype, (n, x.type.shape[1]))

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        dloss, dp = dys
        labels, p = node.inputs[1], node.outputs[1]
        dx = None if dloss is None else SoftmaxCrossEntropyGrad()(dloss, p, labels)
        if dp is not None:
            through_p = SoftmaxGrad(1)(dp, p)
            dx = through_p if dx is None else ew.add(dx, through_p)
        return [dx, None]

    def reference(self, x: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, ...]:
        check_labels(self, labels, x.shape[1])
        with np.errstate(all="ignore"):
            shifted = x - np.max(x, axis=1, keepdims=True, initial=-np.inf)
            e = np.exp(shifted)
            total = np.sum(e, axis=1, keepdims=True)
            return np.log(total[:, 0]) - shifted[np.arange(len(labels)), labels], e / total

    def flops(self, node: Apply) -> int:
        return 5 * node.inputs[0].type.size


@dataclass(frozen=True)
class SoftmaxCrossEntropyGrad(Op):
    """dx[n, k] = dloss[n] * (p[n, k] - (k == labels[n])) for p = softmax(x)."""

    name = "softmax_cross_entropy_grad"
    operands = ("dloss", "p", "labels")
    kernels = by_label("softmax_cross_entropy_grad", lambda node: node.out, labels=2, inplace=((0, 1),))

    def infer(self, dloss: Variable, p: Variable, labels: Variable) -> TensorType:
        inputs = (dloss, p, labels)
        _need(self, inputs, 0, 1, "[N]")
        _need(self, inputs, 1, 2, "[N, K]")
        n = _label_types(self, inputs, p, labels)
        if dloss.dtype != p.dtype:
            raise op_error(self, inputs, "dloss and p must have one dtype", kind=DTypeError)
        if None not in (n, dloss.type.shape[0]) and n != dloss.type.shape[0]:
            raise op_error(self, inputs, f"{dloss.type.shape[0]} losses for {n} rows")
        return TensorType(p.dtype, (n if n is not None else dloss.type.shape[0], p.type.shape[1]))

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (g,) = dys
        if g is None:
            return [None, None, None]
        dloss, p, labels = node.inputs
        ddloss = ew.sub(reduce_sum(ew.mul(g, p), axis=1), TakeLabel()(g, labels))
        return [ddloss, ew.mul(g, reshape(dloss, (shape_of(dloss, 0), 1))), None]

    def reference(self, dloss: np.ndarray, p: np.ndarray, labels: np.ndarray) -> np.ndarray:
        check_labels(self, labels, p.shape[1])
        hit = np.zeros_like(p)
        hit[np.arange(len(labels)), labels] = 1
        return dloss[:, None] * (p - hit)

    def flops(self, node: Apply) -> int:
        return 2 * node.out.type.size


@dataclass(frozen=True)
class SoftmaxCrossEntropyBoth(Op):
    """loss[n] of softmax_cross_entropy, and dx = dloss[n] * (p - one hot), in one pass; p itself is not kept.

    Inputs x [N, K], labels [N], dloss [N]; outputs loss [N], dx [N, K]. A rewrite puts it, after all
    gradients have been derived.
    """

    name = "softmax_cross_entropy_both"
    operands = ("x", "labels", "dloss")
    kernels = by_label("softmax_cross_entropy_both", lambda node: node.inputs[0], labels=1, inplace=((1, 0),))

    def infer(self, x: Variable, labels: Variable, dloss: Variable) -> tuple[TensorType, ...]:
        _need(self, (x, labels, dloss), 0, 2, "[N, K]")
        _need(self, (x, labels, dloss), 2, 1, "[N]")
        loss, _ = SoftmaxCrossEntropy().infer(x, labels)
        return loss, SoftmaxCrossEntropyGrad().infer(dloss, x, labels)

    def reference(self, x: np.ndarray, labels: np.ndarray, dloss: np.ndarray) -> tuple[np.ndarray, ...]:
        loss, p = SoftmaxCrossEntropy().reference(x, labels)
        with np.errstate(all="ignore"):
            return loss, SoftmaxCrossEntropyGrad().reference(dloss, p, labels)

    def flops(self, node: Apply) -> int:
        return 6 * node.inputs[0].type.size

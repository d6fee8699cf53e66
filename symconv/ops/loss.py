"""Losses, one value for each row or element: the cost to differentiate is their mean.

Class targets are either labels (integers, one a row) or probabilities (floats shaped like the
predictions, one-hot rows among them). A label outside [0, classes) is an ExecutionError at run time.
"""

from __future__ import annotations

from typing import Any

from symconv.errors import DTypeError, ShapeError
from symconv.graph import Variable
from symconv.ops import elementwise as ew
from symconv.ops.operands import as_operands, as_variable
from symconv.ops.reduce import reduce_sum
from symconv.ops.shape import dims_of, reshape
from symconv.ops.softmax import SoftmaxCrossEntropy, TakeLabel, log_softmax


def _rows_and_labels(name: str, x: Variable, labels: Variable) -> tuple[Variable, Variable]:
    """x [..., K] as [N, K] and labels [...] as [N]; checks ranks and dtypes."""
    if x.ndim < 1 or labels.ndim != x.ndim - 1 or labels.type.is_inexact or labels.dtype == "bool":
        kind = DTypeError if labels.ndim == x.ndim - 1 else ShapeError
        raise kind(
            f"{name}: labels must be integers shaped like the predictions without their last axis\n"
            f"  predictions {x.type}   from {x.origin}\n"
            f"  labels      {labels.type}   from {labels.origin}\n"
            "  hint: one-hot or probability targets must be float and shaped like the predictions"
        )
    if x.ndim == 2:
        return x, labels
    return reshape(x, (-1, dims_of(x)[-1])), reshape(labels, (-1,))


def _like_labels(values: Variable, labels: Variable) -> Variable:
    return values if labels.ndim == 1 else reshape(values, dims_of(labels))


def log_likelihood(p: Any, labels: Any) -> Variable:
    """log p[n, labels[n]] for probabilities p [..., K]: the book's cost is minus its mean.

    The compiler turns it, when p is a softmax, into the form that cannot overflow.
    """
    (p,) = as_operands(p, to_float=True)
    return _take("log_likelihood", ew.log(p), as_variable(labels))


def nll(log_p: Any, labels: Any) -> Variable:
    """-log_p[n, labels[n]] for logarithms of probabilities log_p [..., K] and integer labels [...]."""
    (log_p,) = as_operands(log_p, to_float=True)
    return ew.neg(_take("nll", log_p, as_variable(labels)))


def _take(name: str, x: Variable, labels: Variable) -> Variable:
    rows, flat = _rows_and_labels(name, x, labels)
    return _like_labels(TakeLabel()(rows, flat), labels)


def categorical_crossentropy(p: Any, targets: Any) -> Variable:
    """-sum(t * log p) over the last axis; integer targets without that axis are labels."""
    (p,) = as_operands(p, to_float=True)
    t = as_variable(targets)
    if t.ndim == p.ndim - 1:
        return ew.neg(_take("categorical_crossentropy", ew.log(p), t))
    return _against_probabilities("categorical_crossentropy", ew.log(p), t)


def cross_entropy_with_logits(logits: Any, targets: Any) -> Variable:
    """-log softmax(logits)[label], or -sum(t * log softmax(logits)), over the last axis.

    Exact for logits of any size; integer targets without the last axis are labels.
    """
    (logits,) = as_operands(logits, to_float=True)
    t = as_variable(targets)
    if t.ndim == logits.ndim - 1:
        rows, flat = _rows_and_labels("cross_entropy_with_logits", logits, t)
        return _like_labels(SoftmaxCrossEntropy()(rows, flat)[0], t)
    if logits.ndim < 1:
        raise ShapeError(f"cross_entropy_with_logits: logits need a class axis, got {logits.type}")
    return _against_probabilities("cross_entropy_with_logits", log_softmax(logits), t)


def _against_probabilities(name: str, log_p: Variable, t: Variable) -> Variable:
    if t.ndim != log_p.ndim or log_p.ndim < 1:
        raise ShapeError(
            f"{name}: targets must be labels [...] or probabilities [..., K]\n"
            f"  predictions {log_p.type}   from {log_p.origin}\n"
            f"  targets     {t.type}   from {t.origin}"
        )
    log_p, t = as_operands(log_p, t)
    return ew.neg(reduce_sum(ew.mul(t, log_p), axis=-1))


def binary_cross_entropy(p: Any, t: Any) -> Variable:
    """-(t * log p + (1 - t) * log(1 - p)) of each element; p is the probability of t = 1.

    The compiler turns it, when p is a sigmoid, into the form of binary_cross_entropy_with_logits.
    """
    p, t = as_operands(p, t, to_float=True)
    hit = ew.mul(t, ew.log(p))
    miss = ew.mul(ew.sub(1, t), ew.log(ew.sub(1, p)))
    return ew.neg(ew.add(hit, miss))


def binary_cross_entropy_with_logits(logits: Any, t: Any) -> Variable:
    """t * softplus(-z) + (1 - t) * softplus(z) of each element.

    Both terms are positive, so nothing cancels however large z is, and the gradient
    sigmoid(z) - t is right at z = 0 as well.
    """
    z, t = as_operands(logits, t, to_float=True)
    return ew.add(ew.mul(t, ew.softplus(ew.neg(z))), ew.mul(ew.sub(1, t), ew.softplus(z)))


def squared_error(y: Any, t: Any) -> Variable:
    """(y - t)^2 of each element."""
    y, t = as_operands(y, t, to_float=True)
    d = ew.sub(y, t)
    return ew.mul(d, d)

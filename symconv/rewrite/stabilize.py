"""Numerically stable forms of what users write: log-softmax, cross-entropy, log-sigmoid, softplus."""

from __future__ import annotations

import numpy as np

from symconv.graph import Apply, Constant, Variable
from symconv.ops.activations import sigmoid, softplus
from symconv.ops.arithmetic import Mul, TrueDiv, add, mul, neg, sub, true_div
from symconv.ops.gather import AdvancedIndex, Scatter
from symconv.ops.shape import broadcast_to
from symconv.ops.softmax import (
    LogSoftmax,
    LogSoftmaxGrad,
    Softmax,
    SoftmaxCrossEntropy,
    SoftmaxCrossEntropyGrad,
    SoftmaxGrad,
    TakeLabel,
    put_label,
)
from symconv.ops.transcendental import Log, exp, expm1, log, log1p
from symconv.rewrite.activation import match_slope
from symconv.rewrite.pattern import LocalRule, Rule, filled_value, is_filled_with


def _log_of_softmax(node: Apply) -> Variable | None:
    """log(softmax(x)) -> log_softmax(x)."""
    p = node.inputs[0].owner
    if p is None or not isinstance(p.op, Softmax):
        return None
    return LogSoftmax(p.op.axis)(p.inputs[0])


def _softmax_grad_of_quotient(node: Apply) -> Variable | None:
    """softmax_grad(d / p, p) -> log_softmax_grad(d, log p): no division by a p that underflowed."""
    dy, p = node.inputs
    if dy.owner is None or not isinstance(dy.owner.op, TrueDiv) or dy.owner.inputs[1] is not p:
        return None
    if p.owner is None or not isinstance(p.owner.op, Softmax):
        return None
    axis = p.owner.op.axis
    return LogSoftmaxGrad(axis)(dy.owner.inputs[0], LogSoftmax(axis)(p.owner.inputs[0]))


def _softmax_grad_of_negated_quotient(node: Apply) -> Variable | None:
    """softmax_grad(-g, p) -> -softmax_grad(g, p), so that the rule above can see a quotient."""
    g = node.inputs[0].owner
    return neg(SoftmaxGrad(node.op.axis)(g.inputs[0], node.inputs[1])) if _is(g, "neg") else None  # type: ignore[attr-defined, union-attr]


def _is(node: Apply | None, name: str) -> bool:
    return node is not None and node.op.name == name


def _counts_rows(v: Variable, rows: int) -> bool:
    """True for the index array 0, 1, ..., rows - 1."""
    if isinstance(v, Constant):
        return v.type.shape == (rows,) and bool(np.array_equal(v.data, np.arange(rows)))
    if not _is(v.owner, "arange") or v.type.shape != (rows,):
        return False
    start, step = v.owner.inputs[0], v.owner.inputs[1]  # type: ignore[union-attr]
    return filled_value(start) == 0 and (rows < 2 or filled_value(step) == 1)


def _pick_of_log_softmax(node: Apply) -> Variable | None:
    """log_softmax(x)[arange(n), labels] -> take_label."""
    x, *indices = node.inputs
    if x.ndim != 2 or len(indices) != 2 or node.op.axis != 0 or not _is(x.owner, "log_softmax"):  # type: ignore[attr-defined]
        return None
    rows, labels = indices
    if labels.ndim != 1 or labels.dtype == "bool" or not _counts_rows(rows, x.type.shape[0] or 0):
        return None
    return TakeLabel()(x, labels)


def _scatter_of_labels(node: Apply) -> Variable | None:
    """zeros with [arange(n), labels] += g -> put_label(g, labels)."""
    x, y, *indices = node.inputs
    if x.ndim != 2 or len(indices) != 2 or node.op.axis != 0 or filled_value(x) != 0:  # type: ignore[attr-defined]
        return None
    rows, labels = indices
    if labels.ndim != 1 or not x.type.is_float or not _counts_rows(rows, x.type.shape[0] or 0):
        return None
    return put_label(y, labels, x.type.shape[1] or 0)


def _cross_entropy(node: Apply) -> Variable | None:
    """take_label(log_softmax(x), labels) -> -softmax_cross_entropy(x, labels)."""
    logp, labels = node.inputs
    if not _is(logp.owner, "log_softmax") or logp.owner.op.axis != 1:  # type: ignore[union-attr]
        return None
    loss, _ = SoftmaxCrossEntropy()(logp.owner.inputs[0], labels)  # type: ignore[union-attr]
    return neg(loss)


def _cross_entropy_grad(node: Apply) -> Variable | None:
    """log_softmax_grad(put_label(g, labels), log_softmax(x)) -> softmax_cross_entropy_grad(-g, p, labels)."""
    dy, logp = node.inputs
    if not (_is(dy.owner, "put_label") and _is(logp.owner, "log_softmax")) or node.op.axis != 1:  # type: ignore[attr-defined]
        return None
    g, labels = dy.owner.inputs[:2]  # type: ignore[union-attr]
    _, p = SoftmaxCrossEntropy()(logp.owner.inputs[0], labels)  # type: ignore[union-attr]
    return SoftmaxCrossEntropyGrad()(neg(g), p, labels)


def _log_of_picked_softmax(node: Apply) -> Variable | None:
    """log(softmax(x)[i, j]) -> log_softmax(x)[i, j]."""
    picked = node.inputs[0].owner
    if (
        picked is None
        or not isinstance(picked.op, AdvancedIndex)
        or not _is(picked.inputs[0].owner, "softmax")
    ):
        return None
    p, *indices = picked.inputs
    return picked.op(log(p), *indices)  # type: ignore[no-any-return]


def _softmax_grad_of_picked_quotient(node: Apply) -> Variable | None:
    """softmax_grad(zeros with [i, j] += d / p[i, j], p) -> log_softmax_grad(zeros with [i, j] += d, log p).

    By now the scatter may have become a put_label.
    """
    dy, p = node.inputs
    put = dy.owner
    if put is None or not _is(p.owner, "softmax"):
        return None
    if isinstance(put.op, Scatter) and filled_value(put.inputs[0]) == 0:
        place, indices = 1, put.inputs[2:]
    elif put.op.name == "put_label":
        place, indices = 0, put.inputs[1:2]
    else:
        return None
    g = put.inputs[place]
    negative = _is(g.owner, "neg")
    quotient = g.owner.inputs[0].owner if negative else g.owner  # type: ignore[union-attr]
    if quotient is None or quotient.op.name != "true_div":
        return None
    d, picked = quotient.inputs
    below = picked.owner
    if below is None or not isinstance(below.op, AdvancedIndex) or below.inputs[0] is not p:
        return None
    if below.inputs[-len(indices) :] != indices:
        return None
    d = broadcast_to(neg(d) if negative else d, g.type.dims)
    inputs = (*put.inputs[:place], d, *put.inputs[place + 1 :])
    axis = p.owner.op.axis  # type: ignore[union-attr]
    logp = LogSoftmax(axis)(p.owner.inputs[0])  # type: ignore[union-attr]
    return LogSoftmaxGrad(axis)(put.op(*inputs), logp)  # type: ignore[no-any-return]


def _sigmoid_slope_times_quotients(node: Apply) -> Variable | None:
    """(a / s - b / (1 - s) + c) * s (1 - s) -> a (1 - s) - b s + c s (1 - s) for s = sigmoid(x).

    s and 1 - s may have rounded to 0; the products that remain are exact.
    """
    for factor, slope in (node.inputs, node.inputs[::-1]):
        found = match_slope(slope)
        if found is None or found[0] != "sigmoid" or not _is(found[1].owner, "sigmoid"):
            continue
        s = found[1]
        result, quotients = _push(factor, slope, s)
        if quotients:
            return result
    return None


MAX_DEPTH = 32  # of the sums that are looked through


def _push(v: Variable, slope: Variable, s: Variable, depth: int = 0) -> tuple[Variable, int]:
    """(v * slope with every division by s or 1 - s cancelled, how many there were)."""
    node = v.owner if depth < MAX_DEPTH else None
    if node is not None and node.op.name in ("add", "sub"):
        a, n = _push(node.inputs[0], slope, s, depth + 1)
        b, m = _push(node.inputs[1], slope, s, depth + 1)
        return node.op(a, b), n + m
    if node is not None and node.op.name == "neg":
        a, n = _push(node.inputs[0], slope, s, depth + 1)
        return neg(a), n
    if node is not None and node.op.name == "true_div":
        top, bottom = node.inputs
        if bottom is s:
            return mul(top, sigmoid(neg(s.owner.inputs[0]))), 1  # type: ignore[union-attr]
        rest = bottom.owner
        if rest is not None and rest.op.name == "sub" and rest.inputs[1] is s:
            if is_filled_with(rest.inputs[0], 1):
                return mul(top, s), 1
    return mul(v, slope), 0


RULES: list[Rule | LocalRule] = [
    LocalRule("log_of_softmax", Log, _log_of_softmax),
    LocalRule("softmax_grad_of_negated", SoftmaxGrad, _softmax_grad_of_negated_quotient),
    LocalRule("log_of_picked_softmax", Log, _log_of_picked_softmax),
    LocalRule("softmax_grad_of_picked", SoftmaxGrad, _softmax_grad_of_picked_quotient),
    LocalRule("sigmoid_slope", Mul, _sigmoid_slope_times_quotients),
    LocalRule("softmax_grad_of_quotient", SoftmaxGrad, _softmax_grad_of_quotient),
    LocalRule("pick_of_log_softmax", AdvancedIndex, _pick_of_log_softmax),
    LocalRule("scatter_of_labels", Scatter, _scatter_of_labels),
    LocalRule("cross_entropy", TakeLabel, _cross_entropy),
    LocalRule("cross_entropy_grad", LogSoftmaxGrad, _cross_entropy_grad),
    Rule("log_sigmoid", lambda x: log(sigmoid(x)), lambda x: neg(softplus(neg(x)))),
    Rule("log_one_minus_sigmoid", lambda x: log(sub(1.0, sigmoid(x))), lambda x: neg(softplus(x))),
    Rule("log1p_minus_sigmoid", lambda x: log1p(neg(sigmoid(x))), lambda x: neg(softplus(x))),
    Rule("log_one_plus_exp", lambda x: log(add(1.0, exp(x))), lambda x: softplus(x)),
    Rule("log1p_exp", lambda x: log1p(exp(x)), lambda x: softplus(x)),
    Rule("log_one_plus", lambda x: log(add(1.0, x)), lambda x: log1p(x)),
    Rule("exp_minus_one", lambda x: sub(exp(x), 1.0), lambda x: expm1(x)),
    Rule("logistic", lambda x: true_div(1.0, add(1.0, exp(neg(x)))), lambda x: sigmoid(x)),
]

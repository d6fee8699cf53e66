"""Canonical forms: neutral elements, signs, needless broadcasts and casts."""

from __future__ import annotations

from typing import Any

from symconv.graph import KERNEL_FLOATS, Apply, Variable
from symconv.ops.arithmetic import (
    Add,
    Cast,
    Mul,
    Sub,
    TrueDiv,
    add,
    cast,
    mul,
    neg,
    sub,
    true_div,
)
from symconv.ops.elementwise_base import Elementwise
from symconv.ops.reduce import Sum, reduce_sum
from symconv.ops.shape import BroadcastTo, broadcast_to, reshape
from symconv.ops.transcendental import exp, log
from symconv.rewrite.pattern import LocalRule, Rule, filled_value


def _drop_neutral(node: Apply) -> Variable | None:
    """x + 0, x - 0, x * 1, x / 1 -> x; 0 - x -> -x."""
    a, b = node.inputs
    left, right = filled_value(a), filled_value(b)
    op = type(node.op)
    neutral = 0 if op in (Add, Sub) else 1
    if right is not None and right == neutral:
        return a
    if left is not None and op in (Add, Mul) and left == neutral:
        return b
    if op is Sub and left is not None and left == 0:
        return neg(b)
    return None


def _times_zero(node: Apply) -> Variable | None:
    """x * 0 -> 0 (also where x is infinite or NaN, as every graph compiler has it)."""
    for v in node.inputs:
        value = filled_value(v)
        if value is not None and value == 0:
            return broadcast_to(v, node.out.type.shape)
    return None


def _unbroadcast_operand(node: Apply) -> Variable | None:
    """f(broadcast_to(x), y) -> f(x, y) where y alone gives the shape: the kernel stretches by itself."""
    shape = node.out.type.shape
    for k, v in enumerate(node.inputs):
        if v.owner is None or not isinstance(v.owner.op, BroadcastTo):
            continue
        if any(u.type.shape == shape for i, u in enumerate(node.inputs) if i != k):
            inputs = list(node.inputs)
            inputs[k] = v.owner.inputs[0]
            return node.op(*inputs)  # type: ignore[no-any-return]
    return None


def _hoist_broadcast(node: Apply) -> Variable | None:
    """f(broadcast_to(x), broadcast_to(y)) -> broadcast_to(f(x, y)): compute first, stretch after."""
    stretched = [v.owner is not None and isinstance(v.owner.op, BroadcastTo) for v in node.inputs]
    if not any(stretched):
        return None
    inner = [v.owner.inputs[0] if s else v for v, s in zip(node.inputs, stretched)]  # type: ignore[union-attr]
    result: Variable = node.op(*inner)
    if result.type.size >= node.out.type.size:
        return None
    return broadcast_to(result, node.out.type.dims)


def _sum_of_filled(node: Apply) -> Variable | None:
    """sum(broadcast of a scalar) -> the scalar times the number of terms."""
    x = node.inputs[0]
    if x.owner is None or not isinstance(x.owner.op, BroadcastTo):
        return None
    inner = x.owner.inputs[0]
    if inner.type.size != 1 or x.dtype not in KERNEL_FLOATS:
        return None
    terms = x.type.size // max(node.out.type.size, 1)
    return mul(reshape(inner, ()), float(terms))


def _cast_of_cast(node: Apply) -> Variable | None:
    """cast(cast(x)) -> one cast, where the inner one loses nothing."""
    inner = node.inputs[0].owner
    if inner is None or not isinstance(inner.op, Cast):
        return None
    import numpy as np

    source = inner.inputs[0]
    if np.can_cast(source.dtype, node.inputs[0].dtype, "safe"):
        return cast(source, node.out.dtype)
    return None


def _sum_of_negated(node: Apply) -> Variable | None:
    """sum(-x) -> -sum(x)."""
    x = node.inputs[0].owner
    if x is None or x.op.name != "neg" or not node.out.type.is_float:
        return None
    op: Any = node.op
    return neg(reduce_sum(x.inputs[0], axis=op.axes, keepdims=op.keepdims))


RULES: list[Rule | LocalRule] = [
    *(LocalRule("drop_neutral", op, _drop_neutral) for op in (Add, Sub, Mul, TrueDiv)),
    LocalRule("times_zero", Mul, _times_zero),
    LocalRule("sum_of_filled", Sum, _sum_of_filled),
    LocalRule("sum_of_negated", Sum, _sum_of_negated),
    LocalRule("cast_of_cast", Cast, _cast_of_cast),
    Rule("neg_neg", lambda x: neg(neg(x)), lambda x: x),
    Rule("add_neg", lambda x, y: add(x, neg(y)), lambda x, y: sub(x, y)),
    Rule("sub_neg", lambda x, y: sub(x, neg(y)), lambda x, y: add(x, y)),
    Rule("neg_sub", lambda x, y: neg(sub(x, y)), lambda x, y: sub(y, x)),
    Rule("neg_factor", lambda x, y: mul(neg(x), y), lambda x, y: neg(mul(x, y))),
    Rule("neg_numerator", lambda x, y: true_div(neg(x), y), lambda x, y: neg(true_div(x, y))),
    Rule("neg_denominator", lambda x, y: true_div(x, neg(y)), lambda x, y: neg(true_div(x, y))),
    Rule("log_exp", lambda x: log(exp(x)), lambda x: x),
]


def _elementwise_classes() -> list[type[Elementwise]]:
    found: list[type[Elementwise]] = []
    stack: list[type[Elementwise]] = [Elementwise]
    while stack:
        for c in stack.pop().__subclasses__():
            found.append(c)
            stack.append(c)
    return found


def algebra_rules() -> list[Rule | LocalRule]:
    """The rules above, and the broadcast rule for every element-wise op there is."""
    classes = _elementwise_classes()
    spread = [LocalRule("unbroadcast_operand", c, _unbroadcast_operand) for c in classes]
    spread += [LocalRule("hoist_broadcast", c, _hoist_broadcast) for c in classes]
    return [*RULES, *spread]

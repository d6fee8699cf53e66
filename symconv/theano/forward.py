"""Jacobian-vector products where ops bring rules of their own: R_op of a user's op, rop_overrides of an
OpFromGraph.

J v is the gradient of a gradient (symconv.autodiff.Rop) from one such node to the next: behind the node its
outputs count as variables whose evaluation points are what the rule gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symconv import autodiff
from symconv.errors import GradientError
from symconv.graph import Apply, Variable
from symconv.graph.traversal import rebuild, toposort
from symconv.ops.create import zeros_like
from symconv.ops.operands import cast
from symconv.theano.compile.overrides import Overridden
from symconv.theano.connection import connection
from symconv.theano.gof.op import UserOp
from symconv.theano.variable import native_of, wrap


def rop(outs: Sequence[Variable], ins: Sequence[Variable], points: Sequence[Variable]) -> list[Variable]:
    """J `points` of `outs` by `ins`. Raises GradientError where a rule gives too few or wrong products."""
    reached, given = list(ins), list(points)
    cut: dict[Variable, Variable] = {v: v for v in ins}
    back: dict[Variable, Variable] = {}
    for node in toposort(outs, stop=ins):
        if not _has_rule(node):
            continue
        inputs = rebuild(_arguments(node), cut)
        products = _products(node, inputs, [_product(v, reached, given) for v in inputs])
        if products is None:
            continue
        for old, new in zip(node.outputs, products):
            leaf = cut[old] = Variable(old.type, name=old.name)
            back[leaf] = old
            reached.append(leaf)
            given.append(zeros_like(leaf) if new is None else new)
    found: list[Variable] = autodiff.Rop(rebuild(outs, cut), reached, given)
    return rebuild(found, back) if back else found


def _has_rule(node: Apply) -> bool:
    if isinstance(node.op, UserOp):
        return hasattr(node.op.front, "R_op")
    return isinstance(node.op, Overridden) and node.op.rop is not None


def _arguments(node: Apply) -> Sequence[Variable]:
    """What the rule takes for its inputs."""
    if isinstance(node.op, UserOp):
        return node.inputs[: node.op.user_inputs]
    return node.inputs[node.op.results :]  # type: ignore[attr-defined]


def _product(x: Variable, reached: Sequence[Variable], given: Sequence[Variable]) -> Variable | None:
    """The evaluation point of x, or None where it depends on none of `reached`."""
    for v, point in zip(reached, given):
        if v is x:
            return point
    if not x.type.is_inexact or connection([x]).connected.isdisjoint(reached):
        return None
    product: Variable = autodiff.Rop([x], reached, given)[0]
    return product


def _products(
    node: Apply, inputs: Sequence[Variable], points: Sequence[Variable | None]
) -> list[Variable | None] | None:
    """What the rule gives for each output; None where it leaves the node to the gradient of its gradient."""
    op: Any = node.op
    ins = [wrap(v) for v in inputs]
    epts = [None if p is None else wrap(p) for p in points]
    if isinstance(op, UserOp):
        try:
            found = op.front.R_op(ins, epts)  # type: ignore[attr-defined]
        except NotImplementedError:
            return None
    else:
        filled = [wrap(zeros_like(v)) if p is None else wrap(p) for v, p in zip(inputs, points)]
        found = _of_graph(op.rop, ins, filled)
    found = list(found) if isinstance(found, (list, tuple)) else [found]
    if len(found) != len(node.outputs):
        raise GradientError(
            f"Rop: the rule of {op.label()} from {node.origin} gave {len(found)} products for "
            f"{len(node.outputs)} outputs"
        )
    return [None if p is None else _checked(node, v, native_of(p)) for v, p in zip(node.outputs, found)]


def _of_graph(rule: Any, inputs: list[Any], points: list[Any]) -> Any:
    """rop_overrides: one callable for all outputs, or one for each."""
    from symconv.theano.compile.ops import OpFromGraph

    if isinstance(rule, (list, tuple)):
        return [_of_graph(r, inputs, points) for r in rule]
    return rule(*inputs, *points) if isinstance(rule, OpFromGraph) else rule(inputs, points)


def _checked(node: Apply, out: Variable, product: Variable) -> Variable:
    if product.ndim != out.ndim:
        raise GradientError(
            f"Rop: the rule of {node.op.label()} from {node.origin} gave {product.type} for an output "
            f"{out.type}"
        )
    return cast(product, out.dtype)

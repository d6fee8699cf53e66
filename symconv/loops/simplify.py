"""A loop for concrete shapes: its body is specialised, and constants that it is given move inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from symconv.errors import ShapeError
from symconv.graph import Constant, TensorType, Variable, constant
from symconv.graph.simplify import apply_simplified
from symconv.graph.traversal import rebuild
from symconv.loops.body import Body
from symconv.ops.create import zeros
from symconv.ops.operands import static_dim
from symconv.ops.shape import BroadcastTo

if TYPE_CHECKING:
    from symconv.loops.op import Scan


def simplified(op: Scan, inputs: Sequence[Variable]) -> Sequence[Variable] | None:
    """The outputs of an equal loop with a simpler body, of no loop if it has no steps, or None."""
    n = static_dim(inputs[0])
    if n is None or not all(v.type.is_concrete for v in inputs):
        return None
    given = op.split_inputs(inputs)
    old = op.split_step_inputs(op.body.inputs)
    news: dict[Variable, Variable] = {}
    for outer, row in zip(given.sequences, old.sequences):
        _retype(news, row, TensorType(outer.dtype, outer.type.shape[1:]))
    for outer, taps in zip(given.traces, old.traces):
        for tap in taps:
            _retype(news, tap, TensorType(outer.dtype, outer.type.shape[1:]))
    for outer, v in zip(given.carries, old.carries):
        _retype(news, v, outer.type)
    fixed: list[Variable] = []
    kept: list[Variable] = []
    for outer, v in zip(given.fixed, old.fixed):
        inside = _movable(outer)
        if inside is not None:
            news[v] = inside
        else:
            _retype(news, v, outer.type)
            fixed.append(outer)
            kept.append(v)
    if not news:
        return _no_steps(op, inputs) if n == 0 else None
    body_inputs = [*op.body.inputs[: len(op.body.inputs) - len(old.fixed)], *kept]
    outputs = rebuild(op.body.outputs, news, apply_simplified)
    body = Body([news.get(v, v) for v in body_inputs], outputs)
    new = replace(op, body=body, resizes=_resizes(op, body))
    _check_states(new)
    result = [*inputs[: len(inputs) - len(given.fixed)], *fixed]
    return _no_steps(new, result) if n == 0 else new.make(*result).outputs


def _retype(news: dict[Variable, Variable], v: Variable, type_: TensorType) -> None:
    if v.type != type_:
        fresh = news[v] = Variable(type_, name=v.name)
        fresh.origin = v.origin


def _movable(outer: Variable) -> Variable | None:
    """A constant, or a stretched one, as a variable for use in the body."""
    if isinstance(outer, Constant):
        return outer
    node = outer.owner
    if (
        node is not None
        and isinstance(node.op, BroadcastTo)
        and all(isinstance(v, Constant) for v in node.inputs)
    ):
        return outer  # a closed expression: it may stand anywhere
    return None


def _resizes(op: Scan, body: Body) -> bool:
    """Whether shapes inside the body depend on values that change from step to step. Raises ShapeError if
    that of an output does: its rows make up one array."""
    if all(o.type.is_concrete for node in body.nodes for o in node.outputs):
        return False
    for v in op.split_outputs(body.outputs).outputs:
        if not v.type.is_concrete:
            what = f"{v.owner.op.label()} from {v.owner.origin}" if v.owner is not None else repr(v)
            raise ShapeError(
                f"scan: its step returns {what}, whose shape {v.type} depends on values that change from "
                "step to step\n  hint: return values of one shape: sc.where(sc.arange(n) < k, x, 0), or "
                "set_subtensor(zeros[:k], part)"
            )
    return True


def _check_states(op: Scan) -> None:
    step, news = op.split_step_inputs(op.body.inputs), op.split_outputs(op.body.outputs)
    pairs = [(taps[0], new) for taps, new in zip(step.traces, news.traces)]
    for old, new in [*pairs, *zip(step.carries, news.carries)]:
        if not old.type.accepts(new.type):  # equal, but where its step runs node by node and looks itself
            raise ShapeError(
                f"scan: a state starts as {old.type} from {old.origin} and becomes {new.type} from "
                f"{new.origin}\n  hint: give the initial value the shape that the step makes"
            )


def _no_steps(op: Scan, inputs: Sequence[Variable]) -> list[Variable]:
    given, news = op.split_inputs(inputs), op.split_outputs(op.body.outputs)
    empty = [zeros((0, *v.type.dims), v.dtype) for v in news.outputs]
    count = [constant(0, "int64")] if op.until else []
    return [*given.traces, *given.carries, *empty, *count]

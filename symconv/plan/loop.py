"""A loop in a plan: the plan of one step, and where its arrays lie in each iteration."""

from __future__ import annotations

from symconv.graph import Apply, Variable
from symconv.loops.op import Scan
from symconv.ops.operands import static_dim
from symconv.plan.plan import Loop, Place, Plan


def plan_loop(node: Apply, step: Plan) -> Loop:
    """The Loop of a Scan node whose body has the plan `step`."""
    op = node.op
    assert isinstance(op, Scan)
    n = static_dim(node.inputs[0])
    assert n is not None and n > 0, "shapes are concrete, and a loop without steps is none"
    S, T, C = len(op.sequences), len(op.traces), op.carries  # noqa: N806
    first_fixed = 1 + S + T + C

    inputs: list[Place] = []
    for k, backward in enumerate(op.sequences):
        x = node.inputs[1 + k]
        row, rows = _row(x), x.type.dims[0]
        inputs.append(Place("in", 1 + k, (rows - 1) * row, -row) if backward else Place("in", 1 + k, 0, row))
    for i, taps in enumerate(op.traces):
        row = _row(node.outputs[i])
        inputs += [Place("out", i, (op.depth(i) + tap) * row, row) for tap in taps]
    inputs += [Place("in", k) for k in range(first_fixed, len(node.inputs))]
    outputs = [Place("out", i, op.depth(i) * _row(node.outputs[i]), _row(node.outputs[i])) for i in range(T)]
    for k, backward in enumerate(op.outputs):
        row = _row(node.outputs[T + C + k])
        at = T + C + k
        outputs.append(Place("out", at, (n - 1) * row, -row) if backward else Place("out", at, 0, row))
    outputs += [Place("stop", 0)] if op.until else []
    states = [Place("out", T + k) for k in range(C)]

    by_kind = {"input": inputs, "output": outputs, "state": states}
    places = tuple(by_kind[b.kind][b.slot] for b in step.buffers if b.kind in by_kind)
    copies = tuple(
        (1 + S + k, k, node.inputs[1 + S + k].type.nbytes) for k in range(T + C)
    )  # initial values of traces, then of carries, go to the outputs of the same number
    cleared = (*range(T), *range(T + C, T + C + len(op.outputs))) if op.until else ()
    count = T + C + len(op.outputs) if op.until else -1
    return Loop(step, n, places, copies, cleared, count)


def _row(x: Variable) -> int:
    """Bytes of one row."""
    size = x.type.itemsize
    for dim in x.type.dims[1:]:
        size *= dim
    return size

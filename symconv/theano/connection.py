"""What a cost is connected to, in Theano's sense: by values, not by shapes, indices or disconnected_grad.

Where such a path goes into the parameters of a random draw the gradient is undefined: Theano refuses it, and
a program that forgot consider_constant=[sample] learns of it here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from symconv.graph import Apply as NativeApply
from symconv.graph import Variable as Native
from symconv.graph.traversal import toposort
from symconv.loops import Scan
from symconv.ops.arithmetic import StopGradient
from symconv.ops.gather import AdvancedIndex, Scatter
from symconv.ops.mt19937 import MersenneDraw
from symconv.ops.shape import ShapeOf
from symconv.ops.slicing import SetSlice, Slice
from symconv.theano.compile.overrides import Overridden
from symconv.theano.gof.op import UserShape
from symconv.theano.null_gradient import UndefinedGrad
from symconv.theano.variable import Apply

REACHED, UNDEFINED = 1, 2  # bits: a path from the cost; one that goes through a draw
_VALUES = {Slice: 1, AdvancedIndex: 1, SetSlice: 2, Scatter: 2}  # op -> its inputs that are no indices


@dataclass(frozen=True)
class Connection:
    """connected: variables on a path to the roots; undefined: those on a path through a draw."""

    connected: frozenset[Native]
    undefined: frozenset[Native]


def connection(roots: Iterable[Native], constants: Sequence[Native] = ()) -> Connection:
    """The variables to which `roots` are connected by paths that do not cross `constants`."""
    there = list(roots)
    flags = dict.fromkeys(there, REACHED)
    _walk(toposort(there, stop=constants), flags, set(constants))
    return Connection(
        frozenset(v for v, f in flags.items() if f & REACHED),
        frozenset(v for v, f in flags.items() if f & UNDEFINED),
    )


def _walk(order: Iterable[NativeApply], flags: dict[Native, int], constants: set[Native]) -> None:
    """Pass the flags on, from outputs to inputs."""
    for node in reversed(list(order)):
        given = [0 if v in constants else flags.get(v, 0) for v in node.outputs]
        if any(given):
            for x, flag in zip(node.inputs, _passed(node, given)):
                if flag:
                    flags[x] = flags.get(x, 0) | flag


def _passed(node: NativeApply, given: list[int]) -> list[int]:
    """The flags that a node's inputs get from those of its outputs."""
    op: Any = node.op
    n = len(node.inputs)
    if isinstance(op, Scan):
        return _through_loop(op, given)
    if isinstance(op, (StopGradient, ShapeOf, UserShape)):
        return [0] * n
    if isinstance(op, UndefinedGrad):
        return [UNDEFINED if any(given) else 0]
    if isinstance(op, MersenneDraw):
        return [0, *[UNDEFINED if given[1] else 0] * op.parameters, *[0] * (n - 1 - op.parameters)]
    if isinstance(op, Overridden):
        return [*given[: op.results], *(_joined(given) if op.gives(k) else 0 for k in range(n - op.results))]
    front = getattr(op, "front", None)
    if getattr(front, "draws", False):  # state, shape, parameters, dimensions
        parameters = op.user_inputs - 2
        return [0, 0, *[UNDEFINED if given[1] else 0] * parameters, *[0] * (n - op.user_inputs)]
    if front is not None and hasattr(front, "connection_pattern"):
        pattern = front.connection_pattern(Apply.of(node))
        user = [_joined(f for f, open_ in zip(given, row) if open_) for row in pattern]
        return [*user, *[0] * (n - len(user))]
    total = _joined(given)
    closed = set(op.shape_operands(n)) | set(range(_VALUES.get(type(op), n), n))
    return [0 if k in closed else total for k in range(n)]


def _joined(flags: Iterable[int]) -> int:
    total = 0
    for flag in flags:
        total |= flag
    return total


def _through_loop(op: Scan, given: list[int]) -> list[int]:
    """A loop passes on what its step does, and a state of one step on to that of the step before."""
    outside = op.split_outputs(given)
    traces, carries = list(outside.traces), list(outside.carries)
    while True:
        flags: dict[Native, int] = {}
        for v, flag in zip(op.body.outputs, [*traces, *carries, *outside.outputs]):
            flags[v] = flags.get(v, 0) | flag
        _walk(op.body.nodes, flags, set())
        ins = op.split_step_inputs([flags.get(v, 0) for v in op.body.inputs])
        read = [_joined(taps) for taps in ins.traces], list(ins.carries)
        before = [a | b for a, b in zip(traces, read[0])], [a | b for a, b in zip(carries, read[1])]
        if before == (traces, carries):
            return [0, *ins.sequences, *read[0], *read[1], *ins.fixed]
        traces, carries = before

"""scan(..., mode=MonitorMode(...)): the program's functions around every node of the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.graph import Apply, Op, TensorType, Variable
from symconv.graph.traversal import rebuild, toposort
from symconv.theano.compile.monitormode import MonitorMode, Thunk
from symconv.theano.declared import Declare, SameDims, Unchanged
from symconv.theano.variable import Apply as Front


@dataclass(frozen=True)
class _Label:
    """The node that is watched, and the mode that watches it."""

    number: int
    node: Apply
    mode: Any


@dataclass(frozen=True)
class Watched(Op):
    """The outputs of a node as they are after the functions of a MonitorMode: inputs are first the node's
    outputs, then its inputs."""

    watched: _Label
    count: int
    name = "watched"

    def label(self) -> str:
        return f"watched {self.watched.node.op.label()}"

    def infer(self, *inputs: Variable) -> tuple[TensorType, ...]:
        return tuple(v.type for v in inputs[: self.count])

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        return [*dys, *[None] * (len(node.inputs) - self.count)]

    def reference(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        about, thunk = self.watched, Thunk(arrays[self.count :], self.count)
        if about.mode.pre_func is not None:
            about.mode.pre_func(about.number, Front.of(about.node), thunk)
        for cell, array in zip(thunk.outputs, arrays):
            cell[0] = np.array(array)
        if about.mode.post_func is not None:
            about.mode.post_func(about.number, Front.of(about.node), thunk)
        return tuple(np.asarray(cell[0], a.dtype) for cell, a in zip(thunk.outputs, arrays))

    def flops(self, node: Apply) -> int:
        return 0


def watched_step(
    mode: MonitorMode, results: Sequence[Variable], arguments: Sequence[Variable]
) -> list[Variable]:
    """The results of a step with a Watched behind each node that depends on the step's arguments."""
    exchange: dict[Variable, Variable] = {}
    reached = set(arguments)
    nodes = []
    for node in toposort(results, stop=arguments):
        if not reached.isdisjoint(node.inputs):
            reached.update(node.outputs)
            if not isinstance(node.op, (Unchanged, SameDims, Declare)):
                nodes.append(node)
    for number, node in enumerate(nodes):
        inputs = rebuild(node.inputs, exchange)
        same = node.op.make(*inputs)
        made = Watched(_Label(number, node, mode), len(node.outputs)).make(*same.outputs, *same.inputs)
        exchange |= dict(zip(node.outputs, made.outputs))
    return rebuild(results, exchange)

"""Variables as bytes: each with the graph below it, as a list of nodes, so that depth does not matter.

What is read back is built anew: equal expressions are one node again, inputs and shared variables that were
written together stay the same ones for all that depends on them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symconv.graph.core import Constant, Op, SharedVariable, Variable, constant
from symconv.graph.origin import origin
from symconv.graph.traversal import leaves, toposort
from symconv.graph.types import TensorType

# (op, places of the inputs, names of the outputs, the user's line); the places count leaves, then all outputs
Written = tuple[Op, tuple[int, ...], tuple[str | None, ...], str]


def reduced(v: Variable) -> tuple[Any, ...]:
    """What Variable.__reduce__ gives."""
    if isinstance(v, Constant):
        return _constant, (v.data, v.name, v.origin)
    if isinstance(v, SharedVariable):
        return _shared, (v.get_value(borrow=True), v.type, v.name, v.origin), v.default_update
    if v.owner is None:
        return _input, (v.type, v.name, v.origin)
    below = leaves([v])
    place = {leaf: k for k, leaf in enumerate(below)}
    nodes: list[Written] = []
    for node in toposort([v]):
        inputs = tuple(place[i] for i in node.inputs)
        nodes.append((node.op, inputs, tuple(o.name for o in node.outputs), node.origin))
        for o in node.outputs:
            place[o] = len(place)
    return _computed, (below, nodes, place[v])


def _input(type: TensorType, name: str | None, line: str) -> Variable:
    with origin(line):
        return Variable(type, name=name)


def _constant(data: Any, name: str | None, line: str) -> Constant:
    with origin(line):
        return constant(data, name=name)


def _shared(value: Any, type: TensorType, name: str | None, line: str) -> SharedVariable:
    with origin(line):
        return SharedVariable(np.array(value, order="C"), type, name)


def _computed(below: list[Variable], nodes: list[Written], place: int) -> Variable:
    known = list(below)
    for op, inputs, names, line in nodes:
        with origin(line):
            made = op.make(*(known[i] for i in inputs))
        for o, name in zip(made.outputs, names):
            o.name = o.name or name
        known += made.outputs
    return known[place]

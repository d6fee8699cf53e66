"""Body: the computation of one step of a loop, as a closed graph that is compared by its structure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from symconv.errors import GraphError
from symconv.graph import Apply, Constant, Variable
from symconv.graph.traversal import rebuild, toposort
from symconv.ops.shape import ShapeOf


class Body:
    """`outputs` as expressions of `inputs` and constants alone.

    Two bodies are equal if they compute the same in the same way, whichever variables stand in them: a
    loop that is built twice is one node, and specialising it again changes nothing.
    """

    def __init__(self, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        own = set(self.inputs)
        self.nodes: tuple[Apply, ...] = tuple(toposort(self.outputs, stop=own))
        for v in (*self.outputs, *(i for node in self.nodes for i in node.inputs)):
            if v.owner is None and v not in own and not isinstance(v, Constant):
                raise GraphError(f"the step of a loop reads {v!r} from {v.origin}, which it is not given")

    def __reduce__(self) -> tuple[Any, ...]:
        return Body, (self.inputs, self.outputs)

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """What is computed: the inputs' types, the nodes with their inputs' places, the outputs' places."""
        places: dict[Variable, Any] = {v: i for i, v in enumerate(self.inputs)}
        for number, node in enumerate(self.nodes):
            places.update({v: (number, v.index) for v in node.outputs if v not in places})
        nodes = tuple((node.op, *(places.get(v, v) for v in node.inputs)) for node in self.nodes)
        return tuple(v.type for v in self.inputs), nodes, tuple(places.get(v, v) for v in self.outputs)

    @cached_property
    def _hash(self) -> int:
        return hash(self.key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Body) and self._hash == other._hash and self.key == other.key

    def __repr__(self) -> str:
        return f"<{len(self.nodes)} nodes>"

    @cached_property
    def sizing(self) -> frozenset[int]:
        """Indices of the 0-d integer inputs on which a shape inside the body depends."""
        wanted = [node.inputs[k] for node in self.nodes for k in node.op.shape_operands(len(node.inputs))]
        if not wanted:
            return frozenset()
        own = set(self.inputs)
        below = {v for v in wanted if v in own}
        for node in toposort(wanted, stop=own):
            below.update(v for v in node.inputs if v in own)
        return frozenset(
            i for i, v in enumerate(self.inputs) if v in below and v.ndim == 0 and v.dtype == "int64"
        )


def dependents(
    outputs: Iterable[Variable], changing: Iterable[Variable]
) -> tuple[list[Apply], set[Variable]]:
    """Nodes between `changing` and `outputs`, producers first, and all variables on the way."""
    reached = set(changing)
    nodes = []
    for node in toposort(outputs, stop=reached):
        if any(v in reached for v in node.inputs):
            nodes.append(node)
            reached.update(node.outputs)
    return nodes, reached


def resized(body: Body, changing: Iterable[Variable]) -> set[Variable]:
    """The variables whose shapes may change from step to step, `changing` being the inputs whose values do.

    A shape does where a value that changes is among the operands that decide about it, or where that of an
    operand does.
    """
    values, shapes = set(changing), set[Variable]()
    for node in body.nodes:
        sized = [node.inputs[k] for k in node.op.shape_operands(len(node.inputs))]
        moved = any(v in shapes for v in node.inputs)
        if moved or any(v in values for v in sized):
            shapes.update(v for v in node.outputs if not v.type.is_concrete)
        if moved or (not isinstance(node.op, ShapeOf) and any(v in values for v in node.inputs)):
            values.update(node.outputs)
    return shapes


def close(changing: Sequence[Variable], outputs: Sequence[Variable]) -> tuple[Body, list[Variable]]:
    """The body of a loop with the inputs `changing`, and what it reads besides: its further inputs.

    What does not depend on `changing` stays outside and is computed once.
    """
    nodes, reached = dependents(outputs, changing)
    fixed: dict[Variable, Variable] = {}
    for v in (*(i for node in nodes for i in node.inputs), *outputs):
        if v not in reached and v not in fixed and not isinstance(v, Constant):
            inner = fixed[v] = Variable(v.type, name=v.name)
            inner.origin = v.origin
    closed = rebuild(outputs, fixed)
    return Body([*changing, *fixed.values()], closed), list(fixed)

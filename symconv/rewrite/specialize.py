"""Specialisation: the same graph with the concrete shapes of one call, so that all sizes are constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symconv.errors import ShapeError
from symconv.graph import Constant, SharedVariable, TensorType, Variable, constant
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.origin import origin
from symconv.graph.simplify import apply_simplified
from symconv.graph.traversal import leaves, toposort


def specialize(
    outputs: Sequence[Variable],
    updates: Sequence[tuple[SharedVariable, Variable]],
    inputs: Sequence[Variable],
    shapes: Sequence[tuple[int, ...]],
    pin: Callable[[Variable], int],
    image: dict[Variable, Variable] | None = None,
) -> tuple[FunctionGraph, list[SharedVariable], list[Variable]]:
    """The FunctionGraph for inputs of these shapes, the shared variables behind its states, and the guards.

    A dimension that depends on the value of an input is pinned to `pin(variable)`; those variables of
    the generic graph are returned as guards: the result is valid while their values stay the same. image
    gets the new variable for each of the generic graph's.
    """
    roots = [*outputs, *(v for _, v in updates)]
    shared = [v for v in leaves(roots, stop=inputs) if isinstance(v, SharedVariable)]
    shared += [s for s, _ in updates if s not in set(shared)]
    fresh = [Variable(TensorType(v.dtype, shape), name=v.name) for v, shape in zip(inputs, shapes)]
    states = [Variable(TensorType(s.dtype, s.get_value(borrow=True).shape), name=s.name) for s in shared]
    memo: dict[Variable, Variable] = dict(zip(inputs, fresh)) | dict(zip(shared, states))
    for old, new in memo.items():
        new.origin = old.origin
    guards: dict[Variable, None] = {}
    for node in toposort(roots, stop=inputs):
        ins = [memo.get(v, v) for v in node.inputs]
        for k in node.op.shape_operands(len(ins)):
            if not isinstance(ins[k], Constant):
                guards.setdefault(node.inputs[k])
                ins[k] = constant(pin(node.inputs[k]), "int64")
        with origin(node.origin):
            results = apply_simplified(node, tuple(ins))
        for old, v in zip(node.outputs, results):
            if not v.type.is_concrete:
                raise ShapeError(f"{node.op.label()} from {node.origin}: cannot tell the shape {v.type}")
            if v.name is None and old.name is not None and v.owner is not None:
                v.name = old.name
            memo[old] = v
    if image is not None:
        image.update(memo)
    index = {s: i for i, s in enumerate(shared)}
    graph = FunctionGraph(
        tuple(fresh),
        tuple(states),
        tuple(memo.get(v, v) for v in outputs),
        tuple((index[s], memo.get(v, v)) for s, v in updates),
    )
    return graph, shared, list(guards)

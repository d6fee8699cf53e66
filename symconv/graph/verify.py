"""verify(): is this graph still one? Run after every pass in the tests (config.verify_rewrites)."""

from __future__ import annotations

from symconv.errors import CompileError
from symconv.graph.core import Constant
from symconv.graph.function_graph import FunctionGraph


def verify(graph: FunctionGraph, after: str) -> None:
    """Raises CompileError naming the pass `after` which the graph is ill-formed.

    Every leaf is an input, a state or a constant; every type is concrete and is what the op infers;
    every update has the type of its state.
    """
    leaves = {*graph.inputs, *graph.states}
    for node in graph.nodes():
        for v in node.inputs:
            if v.owner is None and v not in leaves and not isinstance(v, Constant):
                raise CompileError(f"after {after}: {node!r} reads {v!r}, which is no input of the function")
        types = node.op.infer(*node.inputs)
        types = types if isinstance(types, tuple) else (types,)
        held = tuple(o.type for o in node.outputs)
        if types != held:
            raise CompileError(f"after {after}: {node!r} from {node.origin} holds {held} but infers {types}")
        for o in node.outputs:
            if not o.type.is_concrete:
                raise CompileError(f"after {after}: {node!r} from {node.origin} has an unknown dimension")
    for i, v in graph.updates:
        if v.type != graph.states[i].type:
            raise CompileError(
                f"after {after}: state {graph.states[i]!r} would be updated with {v.type} from {v.origin}"
            )

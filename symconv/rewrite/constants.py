"""Small stretched constants become arrays, so that no step of the plan has to fill them each time."""

from __future__ import annotations

import numpy as np

from symconv.graph import Constant, Variable, constant
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.simplify import FOLD_LIMIT
from symconv.ops.shape import BroadcastTo
from symconv.rewrite.driver import Applied, Trace
from symconv.rewrite.limit import permitted


def store_constants(graph: FunctionGraph, trace: Trace) -> FunctionGraph:
    """broadcast_to(constant) -> a constant of that shape, up to FOLD_LIMIT elements.

    Comes last: until then rules see through the broadcast to the scalar.
    """
    replace: dict[Variable, Variable] = {}
    for node in graph.nodes():
        x = node.inputs[0] if node.inputs else None
        if not isinstance(node.op, BroadcastTo) or not isinstance(x, Constant):
            continue
        if node.out.type.size <= FOLD_LIMIT and permitted():
            replace[node.out] = constant(np.broadcast_to(x.data, node.out.type.dims))
            trace.append(Applied("store_constant", repr(node), str(node.out.type), node.origin))
    return graph.substitute(replace)

"""Random masks are drawn in the dtype in which they are used."""

from __future__ import annotations

from symconv.graph import Apply, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.origin import origin
from symconv.ops.arithmetic import Cast
from symconv.ops.mt19937 import MersenneDraw, is_trial
from symconv.rewrite.driver import Applied, Trace
from symconv.rewrite.limit import permitted


def narrow_masks(graph: FunctionGraph, trace: Trace) -> FunctionGraph:
    """cast(mask) -> a mask of that dtype, where nobody reads the mask in its own.

    A mask is a draw of 0 or 1, in int64 as NumPy has it: twice the bytes of the float32 that it is
    multiplied with.
    """
    readers = graph.readers()
    changed: dict[Variable, Variable] = {}
    for node in graph.nodes():
        if not isinstance(node.op, MersenneDraw) or not is_trial(node):
            continue
        casts = [r for r, _ in readers.get(node.outputs[1], ())]
        wanted = {r.out.dtype for r in casts if r is not None and isinstance(r.op, Cast)}
        if len(wanted) != 1 or not all(_is_cast(r) for r in casts) or not permitted():
            continue
        (dtype,) = wanted
        with origin(node.origin):
            state, values = node.op.in_dtype(dtype).make(*node.inputs).outputs
        changed[node.outputs[0]] = state
        changed.update({r.out: values for r in casts if r is not None})
        trace.append(Applied("narrow_mask", repr(node), f"values in {dtype}", node.origin))
    return graph.substitute(changed) if changed else graph


def _is_cast(reader: Apply | None) -> bool:
    return reader is not None and isinstance(reader.op, Cast)

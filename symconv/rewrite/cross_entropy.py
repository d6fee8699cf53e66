"""Softmax with cross-entropy, forward and backward, as one kernel."""

from __future__ import annotations

from symconv.graph import Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.traversal import inherit_lines, toposort
from symconv.ops.softmax import SoftmaxCrossEntropy, SoftmaxCrossEntropyBoth, SoftmaxCrossEntropyGrad
from symconv.rewrite.driver import Applied, Trace
from symconv.rewrite.limit import permitted


def fuse_cross_entropy(graph: FunctionGraph, trace: Trace) -> FunctionGraph:
    """softmax_cross_entropy_grad(dloss, p, t) with loss, p = softmax_cross_entropy(x, t) -> loss, dx at once.

    Where it alone reads p, and dloss is known before the loss, as it is for a mean or a weighted sum.
    """
    readers = graph.readers()
    changed: dict[Variable, Variable] = {}
    for node in graph.nodes():
        if not isinstance(node.op, SoftmaxCrossEntropyGrad):
            continue
        dloss, p, labels = node.inputs
        forward = p.owner
        if (
            forward is None
            or not isinstance(forward.op, SoftmaxCrossEntropy)
            or forward.inputs[1] is not labels
        ):
            continue
        if [reader for reader, _ in readers[p]] != [node] or forward in toposort([dloss]) or not permitted():
            continue
        both = SoftmaxCrossEntropyBoth().make(forward.inputs[0], labels, dloss)
        inherit_lines(both, [forward.outputs[0], node.out])
        changed[forward.outputs[0]], changed[node.out] = both.outputs
        trace.append(Applied("cross_entropy_both", repr(node), repr(both), both.origin))
    return graph.substitute(changed) if changed else graph

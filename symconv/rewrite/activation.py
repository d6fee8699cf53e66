"""Recognising activations and, in gradients, their derivatives written in the activation's output."""

from __future__ import annotations

from symconv.graph import Apply, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.origin import origin
from symconv.ops.activations import Relu
from symconv.ops.epilogue import ACTIVATIONS
from symconv.ops.logic import gt
from symconv.rewrite.driver import Applied, Trace
from symconv.rewrite.limit import permitted
from symconv.rewrite.pattern import filled_value

FUSED = tuple(name for name in ACTIVATIONS if name != "linear")  # op names of fusible activations


def owner(v: Variable, name: str) -> Apply | None:
    """The node that computes `v` if its op has that name."""
    return v.owner if v.owner is not None and v.owner.op.name == name else None


def is_number(v: Variable, value: float) -> bool:
    return filled_value(v) == value


def match_slope(f: Variable) -> tuple[str, Variable] | None:
    """(activation, y) where f = act'(x) written in y = act(x): y (1 - y), or 1 - y^2."""
    if (product := owner(f, "mul")) is not None:
        for y, rest in (product.inputs, product.inputs[::-1]):
            complement = owner(rest, "sub")
            if complement is not None and complement.inputs[1] is y and is_number(complement.inputs[0], 1):
                return "sigmoid", y
    if (complement := owner(f, "sub")) is not None and is_number(complement.inputs[0], 1):
        square = complement.inputs[1].owner
        if square is not None and square.op.name in ("sqr", "square"):
            return "tanh", square.inputs[0]
        if square is not None and square.op.name == "mul" and square.inputs[0] is square.inputs[1]:
            return "tanh", square.inputs[0]
    return None


def match_activation_grad(v: Variable) -> tuple[str, Variable, Variable] | None:
    """(activation, dy, y) where v = dy * act'(x), y = act(x)."""
    if (product := owner(v, "mul")) is not None:
        for dy, f in (product.inputs, product.inputs[::-1]):
            found = match_slope(f)
            if found is not None:
                return found[0], dy, found[1]
    choice = owner(v, "where") or owner(v, "switch")
    if choice is not None and is_number(choice.inputs[2], 0):
        positive = owner(choice.inputs[0], "gt")
        if positive is not None and is_number(positive.inputs[1], 0):
            return "relu", choice.inputs[1], positive.inputs[0]
    return None


def share_relu(graph: FunctionGraph, trace: Trace) -> FunctionGraph:
    """where(x > 0, dy, 0) -> where(relu(x) > 0, dy, 0) where relu(x) is computed anyway.

    The pre-activation then has one reader, and can vanish into a fused kernel.
    """
    nodes = graph.nodes()
    present = {n.inputs[0]: n.out for n in nodes if isinstance(n.op, Relu)}
    replace: dict[Variable, Variable] = {}
    for node in nodes:
        found = node.op.name == "gt" and node.inputs[0] in present and is_number(node.inputs[1], 0)
        if found and permitted():
            with origin(node.origin):
                replace[node.out] = gt(present[node.inputs[0]], node.inputs[1])
            trace.append(Applied("share_relu", repr(node), repr(replace[node.out]), node.origin))
    return graph.substitute(replace)

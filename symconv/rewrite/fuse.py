"""Element-wise fusion: trees of element-wise nodes of one shape become one loop."""

from __future__ import annotations

from typing import Any

from symconv.graph import Apply, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.origin import joined, origin
from symconv.graph.traversal import Readers
from symconv.ops.elementwise_base import Elementwise
from symconv.ops.fused import FusedElementwise
from symconv.rewrite.driver import Applied, Trace
from symconv.rewrite.limit import permitted

MAX_INPUTS = 12
MAX_NODES = 40


def fuse_elementwise(graph: FunctionGraph, trace: Trace) -> FunctionGraph:
    """Merge an element-wise node into its readers where all of them are in one loop of the same shape.

    A value that the graph returns, or that becomes a new state, may still be merged: the loop then
    has several outputs (a momentum and the weight that it moves).
    """
    nodes = graph.nodes()
    readers = graph.readers()
    rank = {n: i for i, n in enumerate(nodes)}
    group_of: dict[Apply, int] = {}
    groups: list[list[Apply]] = []
    for node in reversed(nodes):
        if not isinstance(node.op, Elementwise) or not _compiled(node):
            continue
        target = _joinable(node, readers, group_of)
        if target is not None and _fits([*groups[target], node]):
            groups[target].append(node)
            group_of[node] = target
        else:
            group_of[node] = len(groups)
            groups.append([node])
    replace: dict[Variable, Variable] = {}
    for group in groups:
        if len(group) < 2 or not permitted():
            continue
        group.sort(key=rank.__getitem__)
        _fuse(group, readers, replace, trace)
    return graph.substitute(replace)


def _compiled(node: Apply) -> bool:
    """One dtype that no kernel knows would make a step of NumPy of the whole loop."""
    return all(v.type.in_kernels for v in (*node.inputs, node.out))


def _joinable(node: Apply, readers: Readers, group_of: dict[Apply, int]) -> int | None:
    """The group that holds all nodes that read `node`, if there is one of its shape."""
    inside = {group_of.get(r) for r, _ in readers.get(node.out, ()) if r is not None}
    if len(inside) != 1:
        return None
    (target,) = inside
    if target is None:
        return None
    shapes = {r.out.type.shape for r, _ in readers[node.out] if r is not None}
    return target if shapes == {node.out.type.shape} else None


def _outside(group: list[Apply]) -> list[Variable]:
    members = set(group)
    found: dict[Variable, None] = {}
    for n in group:
        for v in n.inputs:
            if v.owner not in members:
                found.setdefault(v)
    return list(found)


def _fits(group: list[Apply]) -> bool:
    return len(group) <= MAX_NODES and len(_outside(group)) <= MAX_INPUTS


def _fuse(
    group: list[Apply],
    readers: Readers,
    replace: dict[Variable, Variable],
    trace: Trace,
) -> None:
    members = set(group)
    inputs = _outside(group)
    number = {v: i for i, v in enumerate(inputs)}
    program: list[Any] = []
    for n in group:
        program.append((n.op, tuple(number[v] for v in n.inputs)))
        number[n.out] = len(inputs) + len(program) - 1
    results = [n.out for n in group if any(r not in members for r, _ in readers[n.out])]
    op = FusedElementwise(tuple(program), tuple(number[v] - len(inputs) for v in results))
    lines = joined(n.origin for n in reversed(group))
    with origin(lines):
        node = op.make(*inputs)
    for old, new in zip(results, node.outputs):
        new.name = new.name or old.name
        replace[old] = new
    trace.append(Applied("fuse_elementwise", f"{len(group)} nodes", repr(node), lines))

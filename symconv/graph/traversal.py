"""Walks over the graph, all iterative: depth is bounded by memory, never by the recursion limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from symconv.graph.core import Apply, Variable
from symconv.graph.origin import joined, origin

NEAREST = 12  # nodes whose lines a node takes over


def toposort(
    outputs: Iterable[Variable],
    stop: Iterable[Variable] = (),
    replace: Mapping[Variable, Variable] = MappingProxyType({}),
) -> list[Apply]:
    """Apply nodes that `outputs` need, producers first; the walk does not pass through `stop`.

    Inputs in `replace` count as what replaces them.
    """
    blocked = set(stop)
    order: list[Apply] = []
    done: set[Apply] = set()
    stack: list[tuple[Apply, Iterator[Variable]]] = []  # a path down the graph, and what is left of each node
    for root in outputs:
        if root.owner is None or root in blocked or root.owner in done:
            continue
        stack.append((root.owner, iter(root.owner.inputs)))
        while stack:
            node, rest = stack[-1]
            for v in rest:
                below = (v if v not in replace else _end(v, replace)).owner
                if below is not None and below not in done and v not in blocked:
                    stack.append((below, iter(below.inputs)))
                    break
            else:
                stack.pop()
                done.add(node)
                order.append(node)
    return order


def lines_of(outputs: Iterable[Variable], stop: Iterable[Variable]) -> str:
    """The user's lines of the NEAREST nodes between `outputs` and `stop`, from the outputs on (`joined`)."""
    seen = set(stop)
    queue = [v for v in outputs if v not in seen]
    lines: list[str] = []
    for v in queue:  # grows meanwhile
        node = v.owner
        if node is None:
            continue
        lines.append(node.origin)
        if len(lines) == NEAREST:
            break
        for below in node.inputs:
            if below not in seen:
                seen.add(below)
                queue.append(below)
    return joined(lines)


def inherit_lines(new: Apply, replaced: Iterable[Variable], stop: Iterable[Variable] = ()) -> None:
    """`new`, which a rewrite has just made, takes over the lines of what it stands for, down to `stop`."""
    new.origin = lines_of(replaced, [*new.inputs, *stop])
    for v in new.outputs:
        v.origin = new.origin


def leaves(outputs: Iterable[Variable], stop: Iterable[Variable] = ()) -> list[Variable]:
    """Variables without an owner (inputs, shared variables, constants) below `outputs`, in order."""
    outputs = list(outputs)
    stop = set(stop)
    seen: dict[Variable, None] = {v: None for v in outputs if v.owner is None or v in stop}
    for node in toposort(outputs, stop):
        for v in node.inputs:
            if v.owner is None or v in stop:
                seen.setdefault(v)
    return list(seen)


Readers = dict[Variable, list[tuple[Apply | None, int]]]


def clients(outputs: Sequence[Variable], nodes: Iterable[Apply] | None = None) -> Readers:
    """Who reads each variable: (node, input index), and (None, i) for output i of the graph.

    nodes: those of the graph, where they are at hand.
    """
    readers: Readers = {}
    for node in toposort(outputs) if nodes is None else nodes:
        for i, v in enumerate(node.inputs):
            readers.setdefault(v, []).append((node, i))
    for i, v in enumerate(outputs):
        readers.setdefault(v, []).append((None, i))
    return readers


def rebuild(
    outputs: Sequence[Variable],
    replace: Mapping[Variable, Variable],
    make: Callable[[Apply, tuple[Variable, ...]], Sequence[Variable]] | None = None,
    nodes: Iterable[Apply] | None = None,
) -> list[Variable]:
    """`outputs` with variables replaced; nodes whose inputs did not change are kept.

    `make(node, inputs)` may give the outputs for a node on its new inputs (a rewrite); without it
    the op is applied again, which infers the types anew. nodes: those below `outputs`, where they are
    at hand.
    """
    memo: dict[Variable, Variable] = dict(replace)
    for node in toposort(outputs, stop=memo) if nodes is None else nodes:
        inputs = tuple([memo.get(v, v) for v in node.inputs])
        if make is None and all(a is b for a, b in zip(inputs, node.inputs)):
            continue
        with origin(node.origin):
            new = make(node, inputs) if make is not None else node.op.make(*inputs).outputs
        for old, fresh in zip(node.outputs, new):
            if old in replace:
                continue
            if fresh is not old:
                if fresh.name is None and old.name is not None and fresh.owner is not None:
                    fresh.name = old.name
                memo[old] = fresh
    return [memo.get(v, v) for v in outputs]


def substitute(outputs: Sequence[Variable], replace: Mapping[Variable, Variable]) -> list[Variable]:
    """`outputs` with variables replaced everywhere, also inside the replacements themselves.

    A replacement must not contain the variable that it replaces.
    """
    roots = [_end(v, replace) for v in outputs]
    memo: dict[Variable, Variable] = {}
    for node in toposort(roots, replace=replace):
        inputs = tuple([memo.get(t, t) for t in [_end(v, replace) for v in node.inputs]])
        if inputs == node.inputs:
            continue
        with origin(node.origin):
            new = node.op.make(*inputs).outputs
        for old, fresh in zip(node.outputs, new):
            if fresh.name is None:
                fresh.name = old.name
            memo[old] = fresh
    for old in replace:
        fresh = memo.get(end := _end(old, replace), end)
        if fresh.name is None and fresh.owner is not None:
            fresh.name = old.name
    return [memo.get(v, v) for v in roots]


def _end(v: Variable, replace: Mapping[Variable, Variable]) -> Variable:
    """What stands in v's place once all replacements are made."""
    while v in replace:
        v = replace[v]
    return v

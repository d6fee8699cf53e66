"""Walks over the graph, all iterative: depth is bounded by memory, never by the recursion limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from symconv.graph.core import Apply, Variable
from symconv.graph.origin import origin


def toposort(outputs: Iterable[Variable], stop: Iterable[Variable] = ()) -> list[Apply]:
    """Apply nodes that `outputs` need, producers first; the walk does not pass through `stop`."""
    blocked = set(stop)
    order: list[Apply] = []
    done: set[Apply] = set()
    stack: list[tuple[Apply, int]] = []
    for root in outputs:
        if root.owner is None or root in blocked or root.owner in done:
            continue
        stack.append((root.owner, 0))
        while stack:
            node, i = stack.pop()
            if node in done:
                continue
            inputs = node.inputs
            while i < len(inputs):
                v = inputs[i]
                i += 1
                if v.owner is not None and v not in blocked and v.owner not in done:
                    stack.append((node, i))
                    stack.append((v.owner, 0))
                    break
            else:
                done.add(node)
                order.append(node)
    return order


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


def clients(outputs: Sequence[Variable]) -> Readers:
    """Who reads each variable: (node, input index), and (None, i) for output i of the graph."""
    readers: Readers = {}
    for node in toposort(outputs):
        for i, v in enumerate(node.inputs):
            readers.setdefault(v, []).append((node, i))
    for i, v in enumerate(outputs):
        readers.setdefault(v, []).append((None, i))
    return readers


def rebuild(
    outputs: Sequence[Variable],
    replace: Mapping[Variable, Variable],
    make: Callable[[Apply, tuple[Variable, ...]], Sequence[Variable]] | None = None,
) -> list[Variable]:
    """`outputs` with variables replaced; nodes whose inputs did not change are kept.

    `make(node, inputs)` may give the outputs for a node on its new inputs (a rewrite); without it
    the op is applied again, which infers the types anew.
    """
    memo: dict[Variable, Variable] = dict(replace)
    for node in toposort(outputs, stop=memo):
        inputs = tuple(memo.get(v, v) for v in node.inputs)
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
    memo: dict[Variable, Variable] = {}
    stack = list(outputs)
    while stack:
        v = stack[-1]
        if v in memo:
            stack.pop()
            continue
        target = v
        while target in replace:
            target = replace[target]
        node = target.owner
        if node is None:
            memo[v] = target
            stack.pop()
            continue
        missing = [i for i in node.inputs if i not in memo]
        if missing:
            stack.extend(missing)
            continue
        inputs = tuple(memo[i] for i in node.inputs)
        if inputs == node.inputs:
            memo[v] = target
        else:
            with origin(node.origin):
                memo[v] = node.op.make(*inputs).outputs[target.index]
            if memo[v].name is None:
                memo[v].name = v.name
        stack.pop()
    return [memo[v] for v in outputs]

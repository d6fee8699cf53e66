"""The order of steps: producers first, and whoever overwrites a state after all who read its old value."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

from symconv.graph import Apply, Variable


class Roots:
    """Which variable's memory each variable lies in: its own, or that of the base of a chain of views."""

    def __init__(self, nodes: Iterable[Apply]) -> None:
        """nodes: all of the graph, producers first."""
        self._bases: dict[Variable, Variable] = {}
        for node in nodes:
            if node.op.view(node) is not None:
                self._bases[node.out] = self.of(node.inputs[0])

    def of(self, v: Variable) -> Variable:
        return self._bases.get(v, v)


def order_steps(
    nodes: Sequence[Apply], writers: Mapping[Variable, Apply], roots: Roots
) -> tuple[list[Apply], list[Variable]]:
    """Nodes in an order that respects data and overwrites, and the states whose overwrites form a cycle.

    `writers` maps a state to the node that writes its new value in place. When the second list is not
    empty the order is incomplete, and those states must be written by copies at the end instead.
    """
    position = {node: i for i, node in enumerate(nodes)}
    after: dict[Apply, set[Apply]] = {node: set() for node in nodes}
    for node in nodes:
        for v in node.inputs:
            if v.owner is not None:
                after[v.owner].add(node)
            state = roots.of(v)
            writer = writers.get(state)
            if writer is not None and writer is not node:
                after[node].add(writer)
    # a reader of a state through a view holds the state until the view's own readers are done,
    # which the loop above covers: every node looks at the roots of its inputs
    waiting = {node: 0 for node in nodes}
    for followers in after.values():
        for f in followers:
            waiting[f] += 1
    ready = [position[n] for n in nodes if waiting[n] == 0]
    heapq.heapify(ready)
    order: list[Apply] = []
    while ready:
        node = nodes[heapq.heappop(ready)]
        order.append(node)
        for f in after[node]:
            waiting[f] -= 1
            if waiting[f] == 0:
                heapq.heappush(ready, position[f])
    if len(order) == len(nodes):
        return order, []
    done = set(order)
    return order, [state for state, writer in writers.items() if writer not in done]

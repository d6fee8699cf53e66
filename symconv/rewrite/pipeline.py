"""The passes, in order. Each takes and returns a FunctionGraph."""

from __future__ import annotations

from collections.abc import Callable

from symconv.graph.function_graph import FunctionGraph

Pass = Callable[[FunctionGraph], FunctionGraph]

PASSES: list[tuple[str, Pass]] = []


def optimize(graph: FunctionGraph) -> tuple[FunctionGraph, tuple[str, ...]]:
    """The graph after all passes, and the names of those that changed it."""
    changed = []
    for name, run in PASSES:
        new = run(graph)
        if new.roots != graph.roots:
            changed.append(name)
        graph = new
    return graph, tuple(changed)

"""The passes, in order. Each takes a FunctionGraph and a trace to add to, and returns a FunctionGraph."""

from __future__ import annotations

from collections.abc import Callable

from symconv.config import config
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.verify import verify
from symconv.rewrite.driver import Trace

Pass = Callable[[FunctionGraph, Trace], FunctionGraph]

PASSES: list[tuple[str, Pass]] = []


def optimize(graph: FunctionGraph) -> tuple[FunctionGraph, list[tuple[str, Trace]]]:
    """The graph after all passes, and for each pass the rules that it applied."""
    history = []
    for name, run in PASSES:
        trace: Trace = []
        graph = run(graph, trace)
        history.append((name, trace))
        if config.verify_rewrites:
            verify(graph, name)
    return graph, history

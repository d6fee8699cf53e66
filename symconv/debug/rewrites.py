"""Which rewrite changed the result? Bisection over the passes, then over the applications within one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from symconv.backends.reference import evaluate
from symconv.debug.compare import Oracle
from symconv.graph import Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.verify import verify
from symconv.rewrite import pipeline
from symconv.rewrite.driver import Applied, Trace
from symconv.rewrite.keep import seal
from symconv.rewrite.limit import Limit
from symconv.rewrite.pipeline import Pass

Wrong = Callable[[FunctionGraph], str | None]  # what is wrong with a graph, in words


@dataclass(frozen=True)
class WrongRewrite:
    """The first rewrite after which the result is another one.

    applied: the application at fault, None if the pass is at fault as a whole; evaluations: how many graphs
    were computed to find it; applications: those of the pass.
    """

    pass_name: str
    applied: Applied | None
    what: str
    evaluations: int
    applications: int

    def __str__(self) -> str:
        effort = f"found by {self.evaluations} evaluations among {self.applications} applications of the pass"
        if self.applied is None:
            return f"the pass {self.pass_name} changes the result\n  {self.what}\n  {effort}"
        a = self.applied
        return (
            f"the rule {a.rule} of the pass {self.pass_name} changes the result, at a node from {a.origin}"
            f"\n  before: {a.before}\n  after:  {a.after}\n  {self.what}\n  {effort}"
        )


def find_wrong_rewrite(
    graph: FunctionGraph, oracle: Oracle, values: Mapping[Variable, np.ndarray], device: str
) -> WrongRewrite | None:
    """The rewrite of `graph` after which the reference misses the oracle's results; None without."""

    def wrong(rewritten: FunctionGraph) -> str | None:
        with np.errstate(all="ignore"):
            found = oracle.mismatch(evaluate(rewritten.roots, values))
        return None if found is None else f"result {found[0]}: {found[1]}"

    return search(graph, wrong, device)


def search(graph: FunctionGraph, wrong: Wrong, device: str) -> WrongRewrite | None:
    """The first pass, and application within it, after which `wrong` has something to say.

    Nodes that a user's kernel for `device` accepts are kept from the passes, as they are in a compilation.

    An exception in a pass, or while the graph is computed, is wrong too. About log2(passes) +
    log2(applications) calls of `wrong`.
    """
    passes = pipeline.passes_for(device)
    graphs, failure = _all_stages(seal(graph, device, []), passes)
    evaluations = 0

    def test(candidate: FunctionGraph) -> str | None:
        nonlocal evaluations
        evaluations += 1
        try:
            return wrong(candidate)
        except Exception as error:
            return f"it cannot be computed: {error}"

    what = failure or test(graphs[-1])
    if what is None:
        return None
    good, bad = 0, len(graphs) - (failure is None)
    while bad - good > 1:
        middle = (good + bad) // 2
        found = test(graphs[middle])
        good, bad, what = (good, middle, found) if found else (middle, bad, what)
    name, run = passes[good]
    start = graphs[good]

    def limited(count: int | None) -> tuple[str | None, Trace, int]:
        trace: Trace = []
        with Limit(count) as limit:
            try:
                result = run(start, trace)
                verify(result, name)
            except Exception as error:
                return f"{type(error).__name__}: {error}", trace, limit.asked
        return test(result), trace, limit.asked

    with Limit() as limit:
        try:
            run(start, [])
        except Exception:
            pass  # `limit` has counted as far as it came
    total = limit.asked
    if total == 0 or limited(0)[0]:
        return WrongRewrite(name, None, what, evaluations, total)
    good, bad = 0, total
    trace: Trace = []
    while bad - good > 1:
        middle = (good + bad) // 2
        found, applied, _ = limited(middle)
        good, bad = (good, middle) if found else (middle, bad)
        what, trace = (found, applied) if found else (what, trace)
    if len(trace) != bad:
        found, trace, _ = limited(bad)
        what = found or what
    return WrongRewrite(name, trace[-1] if trace else None, what, evaluations, total)


def _all_stages(
    graph: FunctionGraph, passes: tuple[tuple[str, Pass], ...]
) -> tuple[list[FunctionGraph], str | None]:
    """The graph before and after each pass, and the exception that ended the row, if one did."""
    graphs = [graph]
    for name, run in passes:
        try:
            result = run(graphs[-1], [])
            verify(result, name)
        except Exception as error:
            return graphs, f"it fails: {error}"
        graphs.append(result)
    return graphs, None

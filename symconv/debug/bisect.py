"""Where does a result go wrong on its way from the graph as it was written to the compiled plan?

as written -> with its shapes -> rewritten, pass by pass and rule by rule -> kernels -> the whole plan
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.backends.executable import compile_graph
from symconv.backends.reference import evaluate, run_reference
from symconv.debug.checked import CheckedExecutable, whole_bases, whole_oracle
from symconv.debug.compare import Oracle, differs
from symconv.debug.rewrites import WrongRewrite, search
from symconv.debug.transaction import Transaction, written
from symconv.errors import DebugModeError
from symconv.graph import Constant, SharedVariable, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.traversal import toposort
from symconv.rewrite.pipeline import Stage, optimize

Arrays = list[np.ndarray]


@dataclass(frozen=True)
class Finding:
    """What first changed a result.

    stage: "as written" (only where the caller says what is wrong), "shapes" (an Op.simplify, or a folded
    constant), "rewrite", "kernel" or "plan". rewrite: pass, rule and application, for stage "rewrite".
    """

    stage: str
    text: str
    rewrite: WrongRewrite | None = None

    def __str__(self) -> str:
        return self.text


def find_fault(
    generic: Sequence[Variable],
    updates: Sequence[SharedVariable],
    values: Mapping[Variable, np.ndarray],
    specialized: tuple[FunctionGraph, Mapping[Variable, Variable]],
    shared: Sequence[SharedVariable],
    device: str,
    wrong: Callable[[Arrays], Any] | None = None,
) -> Finding | None:
    """The first stage that changes a result, or makes one of which `wrong` is true; None if none does.

    generic: outputs and new values of `updates`, as they were written, on the variables of `values` and
    shared ones. specialized: the graph with its shapes, and its variable for each of the generic graph's.
    """
    graph, image = specialized
    known: dict[Variable, np.ndarray] = {image[v]: a for v, a in values.items() if v in image}
    known |= {v: s.get_value() for v, s in zip(graph.states, shared)}
    leaves: dict[Variable, np.ndarray] = dict(values) | {s: s.get_value() for s in shared}
    oracle = _generic_oracle(generic, updates, leaves, len(graph.outputs))
    if wrong is not None and wrong(oracle.desired):
        return Finding("as written", "the graph as it was written gives this result already")

    def judge(results: Arrays) -> str | None:
        if wrong is not None:
            return "the result is wrong" if wrong(results) else None
        found = oracle.mismatch(results)
        return None if found is None else f"result {found[0]}: {found[1]}"

    def of_graph(rewritten: FunctionGraph) -> str | None:
        with np.errstate(all="ignore"):
            return judge(evaluate(rewritten.roots, known))

    if (what := of_graph(graph)) is not None:
        return Finding("shapes", f"{_simplified_wrongly(generic, leaves, image, known)}\n  {what}")
    rewrite = search(graph, of_graph, device)
    if rewrite is not None:
        return Finding("rewrite", str(rewrite), rewrite)
    return _in_plan(graph, shared, known, device, judge)


def _generic_oracle(
    generic: Sequence[Variable],
    updates: Sequence[SharedVariable],
    leaves: Mapping[Variable, np.ndarray],
    n_outputs: int,
) -> Oracle:
    names = list(leaves)

    def compute(arrays: Sequence[np.ndarray]) -> Arrays:
        with np.errstate(all="ignore"):
            return evaluate(generic, dict(zip(names, arrays)))

    bases = whole_bases(n_outputs, [(leaves[s], v) for s, v in zip(updates, generic[n_outputs:])])
    return whole_oracle(compute, list(leaves.values()), bases)


def _simplified_wrongly(
    generic: Sequence[Variable],
    leaves: Mapping[Variable, np.ndarray],
    image: Mapping[Variable, Variable],
    known: Mapping[Variable, np.ndarray],
) -> str:
    """The first node whose value is another one once it is simplified for its shapes, in words."""
    old = dict(leaves)
    with np.errstate(all="ignore"):
        for node in toposort(generic, stop=old):
            arrays = [v.data if isinstance(v, Constant) else old[v] for v in node.inputs]
            for out, right in zip(node.outputs, run_reference(node, arrays)):
                old[out] = np.asarray(right)
                if out not in image:
                    continue
                (now,) = evaluate([image[out]], known)
                if differs(now, old[out]):
                    return (
                        f"{node.op.label()} from {node.origin} is simplified to another value: {image[out]!r}"
                        "\n  see its simplify(), or that of what it is made of"
                    )
    return "the graph with its shapes gives another result than the graph as it was written"


def _in_plan(
    graph: FunctionGraph,
    shared: Sequence[SharedVariable],
    known: Mapping[Variable, np.ndarray],
    device: str,
    judge: Callable[[Arrays], str | None],
) -> Finding | None:
    """The kernel, or else the plan, that changes the result of the rewritten graph."""
    stages = [Stage("shapes", graph)]
    rewritten, passes = optimize(graph, stages, device)
    executable = compile_graph(rewritten, shared, device, passes, stages)
    inputs = [known[v] for v in graph.inputs]
    transaction = Transaction(written(graph, shared))
    try:
        outputs = CheckedExecutable(executable, shared, device, rewrites=False).run(inputs)
        results = [*outputs, *(s.get_value() for s in written(graph, shared))]
    except DebugModeError as error:
        return Finding("kernel", error.message)
    finally:
        transaction.undo()
    what = judge(results)
    if what is None:
        return None
    text = "each node by itself is right, the whole plan is not: look at its order and memory"
    return Finding("plan", f"{text}\n  {what}\n  device {device}")


__all__ = ["Finding", "find_fault"]

"""Applies rules to a graph until none matches, keeping a trace of what was applied where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from symconv.errors import CompileError
from symconv.graph import Apply, Op, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.simplify import apply_simplified
from symconv.graph.traversal import rebuild
from symconv.ops.operands import as_variable
from symconv.ops.shape import broadcast_to, reshape
from symconv.rewrite.limit import Limit, limited, permitted
from symconv.rewrite.pattern import LocalRule, Rule

MAX_ROUNDS = 20  # sweeps over the graph; more means that two rules undo each other
MAX_STEPS = 50  # rules in a row on one node


@dataclass(frozen=True, slots=True)
class Applied:
    """One application of a rule: for explain() and for finding a wrong rule."""

    rule: str
    before: str
    after: str
    origin: str


@dataclass(frozen=True, slots=True)
class Refused(Applied):
    """A match of a user's rule that was left alone: `after` says why."""


Trace = list[Applied]


def applications(trace: Iterable[Applied]) -> list[Applied]:
    """The trace without what was left alone."""
    return [a for a in trace if not isinstance(a, Refused)]


class RuleSet:
    """Rules by the op at their root, applied bottom-up to a fixed point."""

    def __init__(self, rules: Iterable[Rule | LocalRule]) -> None:
        self.rules = list(rules)
        self.by_op: dict[type[Op], list[Rule | LocalRule]] = {}
        for rule in self.rules:
            self.by_op.setdefault(rule.op, []).append(rule)

    def __call__(self, graph: FunctionGraph, trace: Trace) -> FunctionGraph:
        make = self._maker(trace)
        for _ in range(MAX_ROUNDS):
            new = graph.rebuild({}, make)
            if new.roots == graph.roots:
                return graph
            graph = new
        raise self._endless(trace)

    def normal(self, outputs: Sequence[Variable], leaves: Iterable[Variable]) -> list[Variable]:
        """What the rules make of an expression of `leaves`, by itself; no bisection counts it."""
        trace: Trace = []
        make, stop = self._maker(trace), {v: v for v in leaves}
        found = list(outputs)
        with Limit():
            for _ in range(MAX_ROUNDS):
                new = rebuild(found, stop, make)
                if new == found:
                    return found
                found = new
        raise self._endless(trace)

    def _endless(self, trace: Trace) -> CompileError:
        last = ", ".join(sorted({a.rule for a in trace[-20:]}))
        return CompileError(f"rewriting does not come to an end; the rules applied last: {last}")

    def _maker(self, trace: Trace) -> Callable[[Apply, tuple[Variable, ...]], Sequence[Variable]]:
        settled: set[Apply] = set()  # nodes that the rules leave as they are

        def make(node: Apply, inputs: tuple[Variable, ...]) -> Sequence[Variable]:
            if node in settled and inputs == node.inputs:
                return node.outputs
            outputs = self._make(node, inputs, trace)
            if outputs is node.outputs:
                settled.add(node)
            return outputs

        return make

    def _make(self, node: Apply, inputs: tuple[Variable, ...], trace: Trace) -> Sequence[Variable]:
        outputs = apply_simplified(node, inputs)
        if limited() and not _plain(outputs, node, inputs):
            if permitted():
                trace.append(Applied(f"simplify {node.op.name}", repr(node), str(list(outputs)), node.origin))
            else:
                outputs = node.op.make(*inputs).outputs
        for _ in range(MAX_STEPS):
            new = self._step(outputs, trace)
            if new is None:
                return outputs
            outputs = new
        raise CompileError(f"rewriting {node!r} from {node.origin} does not come to an end")

    def _step(self, outputs: Sequence[Variable], trace: Trace) -> Sequence[Variable] | None:
        owner = outputs[0].owner
        if owner is None or any(o.owner is not owner for o in outputs):
            return None
        if any(v.type.is_complex for v in (*owner.inputs, *outputs)):
            return None  # the rules are laws of the reals: log(exp(z)) is not z
        for rule in self.by_op.get(type(owner.op), ()):
            if isinstance(rule, Rule):
                single = rule.apply(outputs[0])
                new = None if single is None else [single]
            else:
                new = rule.rewrite(owner)
                new = [new] if isinstance(new, Variable) else new
            if new is None:
                continue
            fitted = fit(new, owner.outputs)
            if fitted is None or list(fitted) == list(outputs) or not permitted():
                continue
            trace.append(Applied(rule.name, repr(owner), ", ".join(map(repr, fitted)), owner.origin))
            return fitted if len(outputs) == len(fitted) else [fitted[o.index] for o in outputs]
        return None


def _plain(outputs: Sequence[Variable], node: Apply, inputs: tuple[Variable, ...]) -> bool:
    """True if `outputs` are those of the node's own op on `inputs`."""
    made = outputs[0].owner
    return made is not None and made.op == node.op and made.inputs == inputs


def fit(new: Sequence[Variable], old: Sequence[Variable]) -> list[Variable] | None:
    """`new` with the shapes of `old` (a rule may lose a broadcast); None if the dtype would change."""
    fitted = []
    for n, o in zip(new, old):
        n = as_variable(n)
        if n.dtype != o.dtype:
            return None
        if n.type.shape != o.type.shape:
            if not o.type.is_concrete or not n.type.is_concrete:
                return None
            n = reshape(n, o.type.shape) if n.type.size == o.type.size else broadcast_to(n, o.type.shape)
        fitted.append(n)
    return fitted

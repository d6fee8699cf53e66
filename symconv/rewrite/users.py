"""The pass of the user's rules: larger expressions first, and nothing that would compute a value twice.

A rule matches what its pattern builds. Where that can be is found by a walk down pattern and graph side by
side, which overlooks attributes, sizes and numbers. Then the pattern is built once more, on the variables
that were found, and brought into the canonical form that the graph has: it must be the same expression, but
for the order of operands that can be exchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from symconv.errors import CompileError, SymconvError
from symconv.graph import Apply, Constant, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.origin import origin
from symconv.graph.registry import kernels_of
from symconv.graph.traversal import lines_of, toposort
from symconv.ops.operands import as_variable
from symconv.rewrite.driver import MAX_ROUNDS, Applied, Refused, RuleSet, Trace, fit
from symconv.rewrite.limit import limited, permitted
from symconv.rewrite.pattern import COMMUTATIVE, LocalRule, Rule, filled_value
from symconv.rewrite.registered import AnyRule

PLUMBING = ("reshape", "broadcast_to", "transpose")  # what known shapes may make superfluous
MOST_BINDINGS = 64  # ways to find the parameters that are tried at one node

Bound = dict[str, Variable]


class UserRules:
    """A pass that applies `rules` where what they make has kernels on `device`.

    canonical: the pass that has brought the graph into its form.
    """

    def __init__(self, rules: Sequence[AnyRule], device: str, canonical: RuleSet) -> None:
        self.device = "cuda" if device == "emulated" else device
        self.canonical = canonical
        self.rules = [(rule, self._shape(rule) if isinstance(rule, Rule) else None) for rule in rules]

    def _shape(self, rule: Rule) -> Variable:
        """The pattern in canonical form, as far as that does not depend on sizes."""
        return self.canonical.normal([rule.root], rule.placeholders)[0]

    def __call__(self, graph: FunctionGraph, trace: Trace) -> FunctionGraph:
        refused: set[tuple[str, str, str]] = set()
        for _ in range(MAX_ROUNDS):
            found = self._sweep(graph, trace, refused)
            if not found:
                return graph
            graph = graph.substitute(found)
        last = ", ".join(sorted({a.rule for a in trace[-20:]}))
        raise CompileError(f"the user's rules do not come to an end; applied last: {last}")

    def _sweep(
        self, graph: FunctionGraph, trace: Trace, refused: set[tuple[str, str, str]]
    ) -> dict[Variable, Variable]:
        """What to put for what: consumers are looked at first, and no node is taken twice."""
        swap: dict[Variable, Variable] = {}
        taken: set[Apply] = set()

        def leave(rule: AnyRule, node: Apply, why: str) -> None:
            key = rule.name, node.origin, why
            if key not in refused and not limited():
                refused.add(key)
                trace.append(Refused(rule.name, repr(node), why, node.origin))

        for node in reversed(graph.nodes()):
            for rule, shape in self.rules:
                if node in taken:
                    break
                if isinstance(rule, LocalRule):
                    inside, news = {node}, self._rewritten(rule, node)
                else:
                    assert shape is not None
                    bound = self._match(rule, shape, node.out)
                    if bound is None:
                        continue
                    inside = set(toposort([node.out], stop=bound.values()))
                    why = _read_elsewhere(graph, node, inside) or self._unwanted(rule, bound)
                    if why is not None:
                        leave(rule, node, why)
                        continue
                    news = self._replaced(rule, node.out, bound)
                if news is None or inside & taken:
                    continue
                if node in toposort(news, stop=node.inputs):
                    raise CompileError(
                        f"rule {rule.name} ({rule.place}) puts an expression that contains what it replaces, "
                        f"{node!r} from {node.origin}: it would never come to an end"
                    )
                if (why := self._no_kernel(news, node)) is not None:
                    leave(rule, node, why)
                elif permitted():
                    taken |= inside
                    swap |= dict(zip(node.outputs, news))
                    after = ", ".join(map(repr, news))
                    trace.append(Applied(rule.name, repr(node), after, news[0].origin))
        return swap

    # ---- matching

    def _match(self, rule: Rule, shape: Variable, out: Variable) -> Bound | None:
        names = rule.placeholders
        for bound in islice(_bindings(shape, out, {}, names), MOST_BINDINGS):
            if len(bound) < len(names):
                continue  # a parameter that the pattern does not use
            try:
                with origin(out.origin):
                    built = as_variable(rule.pattern(**bound))
                    (normal,) = self.canonical.normal([built], bound.values())
            except SymconvError:
                continue  # it cannot be built on these
            except Exception as error:
                raise _failure(rule, "pattern", out, error) from error
            if _same(normal, out):
                return bound
        return None

    def _unwanted(self, rule: Rule, bound: Bound) -> str | None:
        if rule.when is None:
            return None
        try:
            verdict = rule.when(**bound)
        except Exception as error:
            raise _failure(rule, "when", next(iter(bound.values())), error) from error
        if isinstance(verdict, str):
            return verdict
        return None if verdict else "its `when` says no"

    # ---- replacing

    def _replaced(self, rule: Rule, out: Variable, bound: Bound) -> list[Variable]:
        try:
            with origin(lines_of([out], bound.values())):
                new = as_variable(rule.replacement(**bound))
                fitted = fit([new], [out])
        except Exception as error:
            raise _failure(rule, "replacement", out, error) from error
        if fitted is None:
            raise CompileError(
                f"rule {rule.name} ({rule.place}) puts {new.type} for {out.type} from {out.origin}\n"
                "  hint: the types of pattern and replacement must be the same"
            )
        return fitted

    def _rewritten(self, rule: LocalRule, node: Apply) -> list[Variable] | None:
        if type(node.op) is not rule.op:
            return None
        try:
            with origin(node.origin):
                new = rule.rewrite(node)
                news = [new] if isinstance(new, Variable) else new
                fitted = None if news is None else fit(news, node.outputs)
        except Exception as error:
            raise _failure(rule, "function", node.out, error) from error
        if news is None or fitted == list(node.outputs):
            return None
        if fitted is None or len(fitted) != len(node.outputs):
            raise CompileError(
                f"rule {rule.name} ({rule.place}) puts {', '.join(str(v.type) for v in news)} for "
                f"{', '.join(str(o.type) for o in node.outputs)} from {node.origin}"
            )
        return fitted

    def _no_kernel(self, news: Sequence[Variable], old: Apply) -> str | None:
        """Why the device cannot run what is new but by the reference; None where it can."""
        if self.device == "reference":
            return None
        known = set(toposort(old.outputs))
        for node in toposort(news):
            op = node.op
            if node in known or op.no_kernel or op.view(node) is not None:
                continue
            reasons = []
            for kernel in kernels_of(type(op)):
                if kernel.device == self.device:
                    why = kernel.supports(node)
                    if why is None:
                        break
                    reasons.append(f"{kernel.name}: {why}")
            else:
                return f"{op.name} has no {self.device} kernel for it{''.join(f'; {r}' for r in reasons)}"
        return None


def _failure(rule: AnyRule, part: str, v: Variable, error: Exception) -> CompileError:
    what = error.message if isinstance(error, SymconvError) else f"{type(error).__name__}: {error}"
    return CompileError(
        f"the {part} of rule {rule.name} ({rule.place}) failed at {v!r} from {v.origin}: {what}"
    )


def _read_elsewhere(graph: FunctionGraph, root: Apply, inside: set[Apply]) -> str | None:
    """Why the nodes within a match cannot go: who else reads one of them."""
    readers = graph.readers()
    for node in inside:
        for v in node.outputs:
            for reader, _ in readers.get(v, ()):
                if node is not root and reader not in inside:
                    who = (
                        "is a result"
                        if reader is None
                        else f"is read by {reader.op.name} from {reader.origin}"
                    )
                    return f"{v!r} {who} too: it would be computed twice"
    return None


def _bindings(p: Variable, v: Variable, bound: Bound, names: Mapping[Variable, str]) -> Iterator[Bound]:
    """Ways to read `v` as the pattern's `p`, by ops alone."""
    name = names.get(p)
    if name is not None:
        if name not in bound and v.ndim == p.ndim:
            yield {**bound, name: v}
        elif bound.get(name) is v:
            yield bound
        return
    if isinstance(p, Constant):
        if isinstance(v, Constant) or filled_value(v) is not None:
            yield bound
        return
    a, b = p.owner, v.owner
    if a is None:
        return
    if b is not None and type(a.op) is type(b.op) and p.index == v.index and len(a.inputs) == len(b.inputs):
        sizes = set(a.op.shape_operands(len(a.inputs)))
        orders: list[Sequence[Variable]] = [b.inputs]
        if a.op.name in COMMUTATIVE:
            orders.append(b.inputs[::-1])
        for inputs in orders:
            pairs = [(x, y) for k, (x, y) in enumerate(zip(a.inputs, inputs)) if k not in sizes]
            yield from _all(pairs, bound, names)
    if a.op.name in PLUMBING:
        yield from _bindings(a.inputs[0], v, bound, names)


def _all(
    pairs: Sequence[tuple[Variable, Variable]], bound: Bound, names: Mapping[Variable, str]
) -> Iterator[Bound]:
    if not pairs:
        yield bound
        return
    for found in _bindings(*pairs[0], bound, names):
        yield from _all(pairs[1:], found, names)


def _same(a: Variable, b: Variable) -> bool:
    """Whether two expressions are equal; equal ones mostly are one variable."""
    if a is b:
        return True
    if isinstance(a, Constant) or isinstance(b, Constant):
        both = isinstance(a, Constant) and isinstance(b, Constant) and a.type == b.type
        return both and bool(np.array_equal(a.data, b.data))  # type: ignore[attr-defined]
    m, n = a.owner, b.owner
    if m is None or n is None or m.op != n.op or a.index != b.index or len(m.inputs) != len(n.inputs):
        return False
    orders = [n.inputs, n.inputs[::-1]] if m.op.name in COMMUTATIVE else [n.inputs]
    return any(all(map(_same, m.inputs, inputs)) for inputs in orders)

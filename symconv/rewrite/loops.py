"""Loops: equal ones joined, what nobody reads left out, only last values kept, and each body rewritten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from symconv.graph import Apply, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.origin import joined, origin
from symconv.graph.traversal import Readers, leaves, rebuild
from symconv.loops.body import Body
from symconv.loops.op import Scan
from symconv.ops.operands import static_dim
from symconv.ops.shape import reshape
from symconv.ops.slicing import Slice
from symconv.rewrite.driver import Applied, Trace

Optimize = Callable[[FunctionGraph], tuple[FunctionGraph, list[tuple[str, Trace]]]]


def rewrite_loops(graph: FunctionGraph, trace: Trace, optimize: Optimize) -> FunctionGraph:
    """The graph with its loops made smaller, and `optimize` applied to what they do in a step."""
    if not any(isinstance(node.op, Scan) for node in graph.nodes()):
        return graph
    graph = _join(graph, trace)
    graph = _narrow(graph, trace)
    return _optimize_bodies(graph, trace, optimize)


def _record(trace: Trace, rule: str, before: Apply, after: Apply | None) -> None:
    trace.append(Applied(rule, before.op.label(), "" if after is None else after.op.label(), before.origin))


# ---- loops over the same inputs


def _join(graph: FunctionGraph, trace: Trace) -> FunctionGraph:
    """Loops with the same inputs and states that have different outputs become one: a gradient asks for
    more values of the forward loop than the cost does."""
    while True:
        groups: dict[Any, Apply] = {}
        pair = None
        for node in graph.nodes():
            if not isinstance(node.op, Scan):
                continue
            kind = (node.inputs, *(v.type for v in node.op.body.inputs), node.op.sequences, node.op.traces,
                    node.op.carries, node.op.until)  # fmt: skip
            if kind in groups:
                with origin(joined([groups[kind].origin, node.origin])):
                    both = _joined(groups[kind], node)
                if both is not None:
                    pair = groups[kind], node, both
                    break
            groups[kind] = node
        if pair is None:
            return graph
        first, second, (node, places) = pair
        fixed = len(first.op.traces) + first.op.carries  # type: ignore[attr-defined]
        news = node.op.split_outputs(node.outputs)  # type: ignore[attr-defined]
        swap: dict[Variable, Variable] = {}
        for old, at in ((first, range(len(first.op.outputs))), (second, places)):  # type: ignore[attr-defined]
            held = old.op.split_outputs(old.outputs)  # type: ignore[attr-defined]
            swap |= dict(zip(old.outputs[:fixed], node.outputs[:fixed]))
            swap |= {v: news.outputs[k] for v, k in zip(held.outputs, at)}
            if held.stop is not None:
                swap[held.stop] = news.stop
        swap = {a: b for a, b in swap.items() if a is not b}
        _record(trace, "join_loops", second, node)
        graph = graph.rebuild(swap)


def _joined(first: Apply, second: Apply) -> tuple[Apply, list[int]] | None:
    """A loop with the outputs of both, and where those of the second stand; None if their states differ."""
    op, other = first.op, second.op
    assert isinstance(op, Scan) and isinstance(other, Scan)
    theirs = rebuild(other.body.outputs, dict(zip(other.body.inputs, op.body.inputs)))
    mine, news = op.split_outputs(op.body.outputs), other.split_outputs(theirs)
    if (mine.traces, mine.carries, mine.stop) != (news.traces, news.carries, news.stop):
        return None
    outputs, directions = list(mine.outputs), list(op.outputs)
    places = []
    for v, backward in zip(news.outputs, other.outputs):
        same = [k for k, (w, b) in enumerate(zip(outputs, directions)) if w is v and b == backward]
        if not same:
            outputs.append(v)
            directions.append(backward)
        places.append(same[0] if same else len(outputs) - 1)
    stop = [] if mine.stop is None else [mine.stop]
    body = Body(op.body.inputs, [*mine.traces, *mine.carries, *outputs, *stop])
    return replace(op, body=body, outputs=tuple(directions)).make(*first.inputs), places


# ---- what is not read


def _narrow(graph: FunctionGraph, trace: Trace) -> FunctionGraph:
    """Outputs, states and inputs that nobody needs are left out; of states only the last values are kept
    where nothing else is read."""
    changed = True
    while changed:
        changed = False
        readers = graph.readers()
        for node in reversed(graph.nodes()):
            if not isinstance(node.op, Scan):
                continue
            with origin(node.origin):
                swap = _Narrow(node, readers).swap()
            if swap is not None:
                made = next((v.owner for v in swap.values() if v.owner is not None), None)
                _record(trace, "narrow_loop", node, made)
                graph = graph.rebuild(swap)
                changed = True
                break
    return graph


@dataclass
class _State:
    """What becomes of a trace: which of its last rows are read, and by whom; None: it stays."""

    rows: dict[int, list[Apply]] | None


class _Narrow:
    def __init__(self, node: Apply, readers: Readers) -> None:
        self.node = node
        self.op: Scan = node.op  # type: ignore[assignment]
        self.readers = readers
        self.given = self.op.split_inputs(node.inputs)
        self.step = self.op.split_step_inputs(self.op.body.inputs)
        self.news = self.op.split_outputs(self.op.body.outputs)
        self.held = self.op.split_outputs(node.outputs)

    def _needed(self) -> tuple[list[int], list[int], list[int]]:
        """Traces, carries and outputs that are read, outside or by what is read."""
        read = lambda v: bool(self.readers.get(v))  # noqa: E731
        outputs = [k for k, v in enumerate(self.held.outputs) if read(v)]
        traces = {i for i, v in enumerate(self.held.traces) if read(v)}
        carries = {k for k, v in enumerate(self.held.carries) if read(v)}
        below: set[Variable] = set()
        wanted = [self.news.outputs[k] for k in outputs] + (
            [] if self.news.stop is None else [self.news.stop]
        )
        wanted += [self.news.traces[i] for i in traces] + [self.news.carries[k] for k in carries]
        while wanted:
            below |= set(leaves(wanted, stop=self.op.body.inputs))
            more_t = {
                i for i, taps in enumerate(self.step.traces) if i not in traces and not below.isdisjoint(taps)
            }
            more_c = {k for k, v in enumerate(self.step.carries) if k not in carries and v in below}
            traces |= more_t
            carries |= more_c
            wanted = [self.news.traces[i] for i in more_t] + [self.news.carries[k] for k in more_c]
        return sorted(traces), sorted(carries), outputs

    def _last_rows(self, i: int) -> dict[int, list[Apply]] | None:
        """Steps back from the end -> the slices that read that row alone; None if more is read."""
        found: dict[int, list[Apply]] = {}
        v, depth = self.held.traces[i], self.op.depth(i)
        length = v.type.dims[0]
        for reader, k in self.readers.get(v, ()):
            if reader is None or k != 0 or not isinstance(reader.op, Slice) or 0 not in reader.op.axes:
                return None
            at = 1 + 2 * reader.op.axes.index(0)
            start, rows = static_dim(reader.inputs[at]), static_dim(reader.inputs[at + 1])
            if rows != 1 or start is None or not length - depth <= start < length:
                return None
            found.setdefault(length - start, []).append(reader)
        return found

    def swap(self) -> dict[Variable, Variable] | None:
        """Replacements for the node's outputs and their readers, or None where all stays."""
        op, given, step, news, held = self.op, self.given, self.step, self.news, self.held
        if op.until:
            return None  # its last rows are not known before it runs
        traces, carries, outputs = self._needed()
        rows = {i: self._last_rows(i) for i in traces}
        kept = [i for i in traces if rows[i] is None]
        body_inputs, below = op.body.inputs, set()
        wanted = [news.traces[i] for i in traces] + [news.carries[k] for k in carries]
        wanted += [news.outputs[k] for k in outputs]
        below = set(leaves(wanted, stop=body_inputs))
        sequences = [k for k, v in enumerate(step.sequences) if v in below]
        fixed = [k for k, v in enumerate(step.fixed) if v in below]
        same = (
            len(kept) == len(op.traces) and len(carries) == op.carries and len(outputs) == len(op.outputs)
            and len(sequences) == len(op.sequences) and len(fixed) == len(step.fixed)
        )  # fmt: skip
        if same:
            return None
        # traces of which only last rows are read: a carried value for each step back
        starts: list[Variable] = []
        olds: list[Variable] = []
        values: list[Variable] = []
        place: dict[tuple[int, int], int] = {}
        for i in traces:
            if rows[i] is None:
                continue
            depth, initial = op.depth(i), given.traces[i]
            past = dict(zip(op.traces[i], step.traces[i]))
            row = step.traces[i][0].type
            inner = [past[-d] if -d in past else Variable(row) for d in range(1, depth + 1)]
            for d, v in enumerate(inner, start=1):
                place[i, d] = len(starts)
                part = initial if depth == 1 else initial[depth - d : depth - d + 1]
                starts.append(reshape(part, row.shape))
                olds.append(v)
                values.append(news.traces[i] if d == 1 else inner[d - 2])
        body = Body(
            [*(step.sequences[k] for k in sequences), *(v for i in kept for v in step.traces[i]), *olds,
             *(step.carries[k] for k in carries), *(step.fixed[k] for k in fixed)],
            [*(news.traces[i] for i in kept), *values, *(news.carries[k] for k in carries),
             *(news.outputs[k] for k in outputs)],
        )  # fmt: skip
        narrow = replace(
            op, body=body, sequences=tuple(op.sequences[k] for k in sequences),
            traces=tuple(op.traces[i] for i in kept), carries=len(olds) + len(carries),
            outputs=tuple(op.outputs[k] for k in outputs),
        )  # fmt: skip
        made = narrow.split_outputs(
            narrow.make(
                given.n_steps, *(given.sequences[k] for k in sequences), *(given.traces[i] for i in kept),
                *starts, *(given.carries[k] for k in carries), *(given.fixed[k] for k in fixed),
            ).outputs
        )  # fmt: skip
        swap = {held.traces[i]: new for i, new in zip(kept, made.traces)}
        swap |= {held.carries[k]: new for k, new in zip(carries, made.carries[len(olds) :])}
        swap |= {held.outputs[k]: new for k, new in zip(outputs, made.outputs)}
        for i in traces:
            for back, slices in (rows[i] or {}).items():
                last = made.carries[place[i, back]]
                for reader in slices:
                    swap[reader.out] = _as_slice(reader, reshape(last, (1, *last.type.dims)))
        return swap


def _as_slice(reader: Apply, row: Variable) -> Variable:
    """What `reader`, a slice of one row, takes, from that row [1, ...]."""
    op = reader.op
    assert isinstance(op, Slice)
    rest = [k for k, axis in enumerate(op.axes) if axis != 0]
    if not rest:
        return row
    bounds = [b for k in rest for b in reader.inputs[1 + 2 * k : 3 + 2 * k]]
    out: Variable = Slice(tuple(op.axes[k] for k in rest), tuple(op.steps[k] for k in rest))(row, *bounds)
    return out


# ---- the body


def _optimize_bodies(graph: FunctionGraph, trace: Trace, optimize: Optimize) -> FunctionGraph:
    def make(node: Apply, inputs: tuple[Variable, ...]) -> Any:
        if not isinstance(node.op, Scan) or node.op.resizes:
            return node.outputs if inputs == node.inputs else node.op.make(*inputs).outputs
        step, passes = optimize(node.op.graph())
        for name, applied in passes:
            trace.extend(replace(a, rule=f"{name}: {a.rule}") for a in applied)
        n = len(node.op.traces)
        outputs = [*step.outputs[:n], *(v for _, v in step.updates), *step.outputs[n:]]
        return replace(node.op, body=Body(node.op.body.inputs, outputs)).make(*inputs).outputs

    return graph.rebuild({}, make)

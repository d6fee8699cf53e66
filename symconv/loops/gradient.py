"""The gradient of a loop: a loop over the steps from the last to the first.

With the state s[t] = f(x[t], s[t - 1], w) and a cost C, let a[t] be dC / ds[t] over all paths. Then

    a[t] = (what arrives at s[t] from outside) + (df / ds at step t + 1)^T a[t + 1]
    dC / dx[t] = (df / dx)^T a[t],    dC / dw = sum over t of (df / dw)^T a[t]

A state that is read k steps later adds the term of step t + k. The values of the forward loop that the
derivatives need are outputs of it; moving data (reshape, cast, ...) is done again instead, and so is what has
not the same shape in all steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from symconv.autodiff import accumulate
from symconv.graph import Apply, Variable, constant
from symconv.graph.traversal import leaves, rebuild, toposort
from symconv.loops.body import Body, dependents, resized
from symconv.loops.build import Carry, Output, Row, Trace, make_scan
from symconv.loops.op import Scan
from symconv.ops.axes import expand_dims, squeeze
from symconv.ops.create import zeros_like
from symconv.ops.elementwise import add, minimum, sub
from symconv.ops.operands import as_dim
from symconv.ops.reverse import flip
from symconv.ops.shape import broadcast_to, dims_of, shape_of
from symconv.ops.slicing import SetSlice, Slice

REDONE = {"reshape", "transpose", "broadcast_to", "cast", "shape_of", "dimshuffle", "slice", "expand_dims"}


def with_traces(node: Apply) -> Apply:
    """The loop with all values of its carried states kept: they follow the other traces."""
    op: Scan = node.op  # type: ignore[assignment]
    given = op.split_inputs(node.inputs)
    traced = replace(op, traces=op.traces + ((-1,),) * op.carries, carries=0)
    first = [expand_dims(c, 0) for c in given.carries]
    return traced.make(given.n_steps, *given.sequences, *given.traces, *first, *given.fixed)


def gradient(node: Apply, dys: Sequence[Variable | None]) -> list[Variable | None]:
    """Gradients of the inputs of a Scan node from those of its outputs."""
    op: Scan = node.op  # type: ignore[assignment]
    arriving = op.split_outputs(dys)
    traced = with_traces(node) if op.carries else node
    last: list[Variable | None] = [None] * len(op.traces) + arriving.carries
    whole = arriving.traces + [None] * op.carries
    dn, *rest = _Reverse(traced, whole, last, arriving.outputs).gradients()
    split = traced.op.split_inputs([dn, *rest])  # type: ignore[attr-defined]
    kept = split.traces[: len(op.traces)]
    first = [None if d is None else squeeze(d, 0) for d in split.traces[len(op.traces) :]]
    return [dn, *split.sequences, *kept, *first, *split.fixed]


class _Reverse:
    """The reverse loop of a node without carried states.

    whole: gradients of the traces; last: of their last values, beside that; outputs: of the outputs.
    """

    def __init__(
        self,
        node: Apply,
        whole: Sequence[Variable | None],
        last: Sequence[Variable | None],
        outputs: Sequence[Variable | None],
    ) -> None:
        self.node = node
        self.op: Scan = node.op  # type: ignore[assignment]
        self.given = self.op.split_inputs(node.inputs)
        self.step = self.op.split_step_inputs(self.op.body.inputs)
        self.news = self.op.split_outputs(self.op.body.outputs)
        self.whole = [None if not new.type.is_inexact else d for d, new in zip(whole, self.news.traces)]
        self.last = [None if not new.type.is_inexact else d for d, new in zip(last, self.news.traces)]
        self.outputs = [None if not v.type.is_inexact else d for d, v in zip(outputs, self.news.outputs)]
        # steps taken, and how many of them the gradient goes back through
        self.n = self.given.n_steps
        self.taken = self.n if not self.op.until else node.outputs[-1]
        self.back = self.taken
        if self.op.truncate >= 0:
            self.back = minimum(self.taken, constant(self.op.truncate, "int64"))
        self.rows: list[Row] = []

    # ---- rows of the forward loop, in the order in which the reverse loop takes them

    def _row(self, outer: Variable, inner: Variable, first: Variable, backward: bool) -> None:
        """`inner` takes the rows of outer from `first` on, `backward` from the last of them."""
        self.rows.append(Row(_part(outer, first, self.back), inner, backward))

    def _read_sequence(self, outer: Variable, inner: Variable, backward: bool) -> None:
        if backward:  # step t reads row rows - 1 - t
            self._row(outer, inner, sub(shape_of(outer, 0), self.taken), False)
        else:
            self._row(outer, inner, sub(self.taken, self.back), True)

    def _read_output(self, outer: Variable, inner: Variable, backward: bool) -> None:
        if backward:
            self._row(outer, inner, sub(self.n, self.taken), False)
        else:
            self._row(outer, inner, sub(self.taken, self.back), True)

    def _read_trace(self, outer: Variable, inner: Variable, shift: int) -> None:
        self._row(outer, inner, add(sub(self.taken, self.back), constant(shift, "int64")), True)

    # ---- the step

    def _live(self) -> set[int]:
        """Traces through which a gradient flows back."""
        below = {v: set(leaves([v], stop=self.op.body.inputs)) for v in self.op.body.outputs}
        live = {
            i for i in range(len(self.news.traces)) if self.whole[i] is not None or self.last[i] is not None
        }
        sources = {v for v, d in zip(self.news.outputs, self.outputs) if d is not None}
        while True:
            reached = set().union(*(below[v] for v in (*sources, *(self.news.traces[i] for i in live))))
            more = {
                i
                for i, taps in enumerate(self.step.traces)
                if i not in live and self.news.traces[i].type.is_inexact and not reached.isdisjoint(taps)
            }
            if not more:
                return live
            live |= more

    def gradients(self) -> list[Variable | None]:
        op, step = self.op, self.step
        live = sorted(self._live())
        seeds: dict[Variable, Variable] = {}

        def seed(v: Variable, d: Variable) -> None:
            seeds[v] = add(seeds[v], d) if v in seeds else d

        arriving: list[tuple[Variable, Variable, int]] = []  # gradient, its row, trace or -1 - output
        for k, (v, dy) in enumerate(zip(self.news.outputs, self.outputs)):
            if dy is not None:
                row = Variable(v.type, name=f"d{v.name or 'y'}[t]")
                arriving.append((dy, row, -1 - k))
                seed(v, row)
        past = {
            (i, tap): Variable(step.traces[i][j].type) for i in live for j, tap in enumerate(op.traces[i])
        }
        for i in live:
            new, terms = self.news.traces[i], [past[i, tap] for tap in op.traces[i]]
            if (dy := self.whole[i]) is not None:
                row = Variable(new.type, name=f"d{new.name or 's'}[t]")
                arriving.append((dy, row, i))
                terms.append(row)
            for term in terms:
                seed(new, term)
        targets = [v for v in op.body.inputs if v.type.is_inexact]
        found = accumulate(seeds, targets)
        # what the reverse loop computes, in terms of the body's inputs, `past` and the arriving rows
        wanted = {v: g for v, g in found.items() if v in set(targets)}
        back = {
            (i, tap): wanted.get(v, zeros_like(v))
            for i in live
            for tap, v in zip(op.traces[i], step.traces[i])
        }
        results = [*wanted.values(), *back.values()]
        results = self._with_stored_values(results)
        grads, back = dict(zip(wanted, results)), dict(zip(back, results[len(wanted) :]))
        for dy, row, which in arriving:
            if which >= 0:
                self._read_trace(dy, row, op.depth(which))
            else:
                self._read_output(dy, row, op.outputs[-1 - which])
        return self._loop(live, past, grads, back)

    def _with_stored_values(self, results: list[Variable]) -> list[Variable]:
        """`results` with values of the forward loop replaced by rows of what it stored."""
        op, body = self.op, self.op.body
        known = {v: ("trace", i) for i, v in enumerate(self.news.traces) if v.owner is not None}
        known |= {v: ("output", i) for i, v in enumerate(self.news.outputs) if v.owner is not None}
        changing = body.inputs[: len(body.inputs) - len(self.step.fixed)]
        _, moving = dependents(body.outputs, changing)
        stored = _to_store(results, body, moving, known, resized(body, changing))
        extra = [v for v in stored if v not in known]
        node = self.node
        if extra:
            stop = [] if self.news.stop is None else [self.news.stop]
            outs = [*self.news.traces, *self.news.outputs, *extra, *stop]
            wide = replace(op, body=Body(body.inputs, outs), outputs=op.outputs + (False,) * len(extra))
            node = wide.make(*node.inputs)
        values = node.op.split_outputs(node.outputs)  # type: ignore[attr-defined]
        inner = {v: Variable(v.type, name=v.name) for v in stored}
        results = rebuild(results, inner)
        used = set(leaves(results))
        for v, row in inner.items():
            if row not in used:
                continue
            kind, i = known.get(v, ("output", -1))
            if v not in known:
                self._read_output(values.outputs[len(op.outputs) + extra.index(v)], row, False)
            elif kind == "trace":
                self._read_trace(values.traces[i], row, op.depth(i))
            else:
                self._read_output(values.outputs[i], row, op.outputs[i])
        for outer, v, backward in zip(self.given.sequences, self.step.sequences, op.sequences):
            if v in used:
                self._read_sequence(outer, v, backward)
        for i, (outer, taps) in enumerate(zip(values.traces, self.step.traces)):
            for tap, v in zip(op.traces[i], taps):
                if v in used:
                    self._read_trace(outer, v, op.depth(i) + tap)
        return results

    # ---- the loop

    def _loop(
        self,
        live: Sequence[int],
        past: Mapping[tuple[int, int], Variable],
        grads: Mapping[Variable, Variable],
        back: Mapping[tuple[int, int], Variable],
    ) -> list[Variable | None]:
        op, step, given = self.op, self.step, self.given
        outside = dict(zip(step.fixed, given.fixed))
        keys = [*grads, *back]
        values = dict(zip(keys, rebuild([*grads.values(), *back.values()], outside)))
        carries: list[Carry] = []
        traces: list[Trace] = []
        place: dict[tuple[int, int], tuple[str, int]] = {}
        for i, tap in back:
            row = given.traces[i][0]
            v, new = past[i, tap], values[i, tap]
            if tap == -1:
                place[i, tap] = ("carry", len(carries))
                start = self.last[i]
                carries.append(Carry(zeros_like(row) if start is None else start, v, new))
            else:
                place[i, tap] = ("trace", len(traces))
                start = broadcast_to(zeros_like(row), (-tap, *dims_of(row)))
                traces.append(Trace(start, (tap,), (v,), new))
        first_sum = len(carries)
        summed = [v for v in step.fixed if v in grads]
        for v in summed:
            so_far = Variable(v.type, name=f"d{v.name}" if v.name else None)
            carries.append(Carry(zeros_like(outside[v]), so_far, add(so_far, values[v])))
        out_of = [(k, v) for k, v in enumerate(step.sequences) if v in grads]
        outputs = [Output(values[v], not op.sequences[k]) for k, v in out_of]
        loop = make_scan(
            self.back,
            self.rows,
            traces,
            carries,
            outputs,
            title=f"gradient of {op.title}" if op.title else "gradient",
        )
        made = loop.op.split_outputs(loop.outputs)  # type: ignore[attr-defined]
        dx: list[Variable | None] = [None] * len(given.sequences)
        for (k, _), d in zip(out_of, made.outputs):
            x = given.sequences[k]
            first = sub(shape_of(x, 0), self.taken) if op.sequences[k] else sub(self.taken, self.back)
            dx[k] = SetSlice((0,), (1,))(zeros_like(x), d, as_dim(first))
        starts: list[Variable | None] = [None] * len(given.traces)
        for i in live:
            depth, dy = op.depth(i), self.whole[i]
            total = zeros_like(given.traces[i]) if dy is None else dy[:depth]
            for tap in op.traces[i]:
                kind, k = place[i, tap]
                part = expand_dims(made.carries[k], 0) if kind == "carry" else flip(made.traces[k][tap:], 0)
                total = SetSlice((0,), (1,), True)(total, part, constant(depth + tap, "int64"))
            starts[i] = total
        sums = dict(zip(summed, made.carries[first_sum:]))
        return [None, *dx, *starts, *(sums.get(v) for v in step.fixed)]


def _part(x: Variable, first: Variable, length: Variable) -> Variable:
    """length rows of x from row `first`."""
    made: Variable = Slice((0,), (1,))(x, as_dim(first), as_dim(length))
    return made


def _to_store(
    results: Iterable[Variable],
    body: Body,
    moving: set[Variable],
    known: Mapping[Variable, object],
    resized: set[Variable],
) -> list[Variable]:
    """Values of the body that `results` read and that are not made again in the reverse loop."""
    forward = {v for node in body.nodes for v in node.outputs}
    stored: dict[Variable, None] = {}
    seen: set[Variable] = set()
    results = list(results)
    frontier = [v for node in toposort(results, stop=forward) for v in node.inputs] + results
    while frontier:
        v = frontier.pop(0)
        if v in seen or v not in forward or v not in moving:
            continue
        seen.add(v)
        assert v.owner is not None
        if v in known:
            stored[v] = None
        elif v.owner.op.name in REDONE or not v.type.is_inexact or v in resized:
            frontier.extend(v.owner.inputs)
        else:
            stored[v] = None
    return list(stored)

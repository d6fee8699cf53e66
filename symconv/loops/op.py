"""Scan: a loop whose step is a graph of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from symconv.errors import DTypeError
from symconv.graph import Apply, Kernel, Launch, Op, TensorType, Variable, op_error
from symconv.graph.function_graph import FunctionGraph
from symconv.loops.body import Body
from symconv.ops.operands import static_dim

ENTRY = "loop"  # what the executor itself runs: no kernel of the registry


class Inputs(NamedTuple):
    """The node's inputs, or anything that goes with them one to one."""

    n_steps: Any
    sequences: list[Any]
    traces: list[Any]
    carries: list[Any]
    fixed: list[Any]


class StepInputs(NamedTuple):
    """What goes with the body's inputs: a list of taps for each trace."""

    sequences: list[Any]
    traces: list[list[Any]]
    carries: list[Any]
    fixed: list[Any]


class Outputs(NamedTuple):
    """What goes with the outputs of the node or of its body; `stop` is the count, or the condition."""

    traces: list[Any]
    carries: list[Any]
    outputs: list[Any]
    stop: Any


def _inplace(node: Apply) -> tuple[tuple[int, int], ...]:
    op = node.op
    assert isinstance(op, Scan)
    first_in, first_out = 1 + len(op.sequences) + len(op.traces), len(op.traces)
    return tuple((first_out + k, first_in + k) for k in range(op.carries))


def _supports(node: Apply) -> str | None:
    op = node.op
    assert isinstance(op, Scan)
    resized = next((n for n in op.body.nodes if op.resizes and not _concrete(n)), None)
    if resized is None:
        return None
    where = f"{resized.op.label()} from {resized.origin}"
    return f"in its step, {where} has a shape that changes from step to step"


def _concrete(node: Apply) -> bool:
    return all(v.type.is_concrete for v in node.outputs)


LOOP = Kernel(
    "loop",
    "cpu",
    "csrc/runtime/loop.cpp",
    ENTRY,
    _supports,
    lambda node: Launch(),
    _inplace,
    every_dtype=True,
)


@dataclass(frozen=True)
class Scan(Op):
    """For t = 0 ... n - 1: (states, outputs, stop) = body(rows t of sequences, past states, fixed values).

    Inputs: n, then sequences [>= n, ...], initial values of traces [L, ...] and of carries, then what stays
    the same. The body's inputs: the row of each sequence, the taps of each trace, the carries, what stays
    the same. Its outputs: new values of traces and carries, outputs, and with `until` a bool: after a step
    in which it is true the loop ends, and rows that it did not reach are zero.

    Outputs of the node: traces [L + n, ...], last values of carries, outputs [n, ...], with `until` the
    number of steps taken. sequences, outputs: which are read, or written, from their last row backwards.
    truncate: through how many steps, from the last, the gradient goes (-1: all). resizes: shapes inside the
    body change from step to step, so that no plan can hold it and every step runs the references.
    """

    body: Body
    sequences: tuple[bool, ...]
    traces: tuple[tuple[int, ...], ...]
    carries: int
    outputs: tuple[bool, ...]
    until: bool = False
    exact: bool = False
    truncate: int = -1
    title: str = ""
    resizes: bool = False
    name = "scan"
    operands = ("n_steps",)
    kernels = [LOOP]

    # ---- who is who

    def split_inputs(self, items: Sequence[Any]) -> Inputs:
        parts = _cut(items[1:], len(self.sequences), len(self.traces), self.carries)
        return Inputs(items[0], *parts)

    def split_step_inputs(self, items: Sequence[Any]) -> StepInputs:
        taps = [len(t) for t in self.traces]
        rows, flat, carries, fixed = _cut(items, len(self.sequences), sum(taps), self.carries)
        return StepInputs(rows, _cut(flat, *taps)[:-1], carries, fixed)

    def split_outputs(self, items: Sequence[Any]) -> Outputs:
        traces, carries, outputs, stop = _cut(items, len(self.traces), self.carries, len(self.outputs))
        return Outputs(traces, carries, outputs, stop[0] if stop else None)

    def depth(self, trace: int) -> int:
        """How many initial values the trace has: the largest distance that a tap looks back."""
        return max(-tap for tap in self.traces[trace])

    def graph(self) -> FunctionGraph:
        """One step as a function: carries are its states, what it hands out are its outputs."""
        ins, outs = self.split_step_inputs(self.body.inputs), self.split_outputs(self.body.outputs)
        stop = [] if outs.stop is None else [outs.stop]
        return FunctionGraph(
            (*ins.sequences, *(v for taps in ins.traces for v in taps), *ins.fixed),
            tuple(ins.carries),
            (*outs.traces, *outs.outputs, *stop),
            tuple(enumerate(outs.carries)),
        )

    def inner(self) -> Sequence[Variable]:
        return self.body.outputs

    def label(self) -> str:
        parts = [self.title] if self.title else []
        parts += [f"{len(self.sequences)} sequences"] if self.sequences else []
        parts += ["taps " + ", ".join(str(list(t)) for t in self.traces)] if self.traces else []
        parts += [f"{self.carries} carried"] if self.carries else []
        parts += [f"{len(self.outputs)} outputs"] if self.outputs else []
        parts += ["until"] if self.until else []
        return f"scan{{{'; '.join(parts)}}}"

    def attributes(self) -> dict[str, Any]:
        return {"step": self.label()}

    # ---- the protocol

    def infer(self, *inputs: Variable) -> tuple[TensorType, ...]:
        given = self.split_inputs(inputs)
        step, news = self.split_step_inputs(self.body.inputs), self.split_outputs(self.body.outputs)
        if given.n_steps.dtype != "int64" or given.n_steps.ndim != 0:
            raise op_error(self, inputs, f"n_steps must be an int64 scalar, got {given.n_steps.type}")
        n = static_dim(given.n_steps)
        if n is not None and n < 0:
            raise op_error(self, inputs, f"n_steps must not be negative, got {n}")
        for k, (x, row) in enumerate(zip(given.sequences, step.sequences)):
            self._check_rows(inputs, f"sequence {k}", x, row, n)
        for k, (x, taps) in enumerate(zip(given.traces, step.traces)):
            for tap in taps:
                self._check_rows(inputs, f"initial value {k}", x, tap, None)
                self._check_new(inputs, f"state {k}", tap, news.traces[k])
            held = x.type.shape[0]
            if held is not None and held != self.depth(k):
                message = f"taps {list(self.traces[k])} need {self.depth(k)} initial values, there are {held}"
                raise op_error(self, inputs, message, f"initial value {k} is [{self.depth(k)}, ...]")
        for k, (x, old) in enumerate(zip(given.carries, step.carries)):
            self._check_same(inputs, f"initial value of carried state {k}", x, old.type)
            self._check_new(inputs, f"carried state {k}", old, news.carries[k])
        for x, v in zip(given.fixed, step.fixed):
            self._check_same(inputs, str(v), x, v.type)
        if self.until and (news.stop.dtype != "bool" or news.stop.ndim != 0):
            raise op_error(
                self, inputs, f"the condition of until must be a bool scalar, got {news.stop.type}"
            )
        types = [
            TensorType(new.dtype, (None if n is None else n + self.depth(k), *_known(new, taps[0])))
            for k, (new, taps) in enumerate(zip(news.traces, step.traces))
        ]
        types += [TensorType(v.dtype, _known(v, old)) for v, old in zip(news.carries, step.carries)]
        types += [TensorType(v.dtype, (n, *v.type.shape)) for v in news.outputs]
        types += [TensorType("int64", ())] if self.until else []
        return tuple(types)

    def _check_rows(
        self, inputs: Sequence[Variable], what: str, x: Variable, row: Variable, n: int | None
    ) -> None:
        if x.ndim == 0:
            raise op_error(self, inputs, f"{what} must have a first axis, got {x.type} from {x.origin}")
        self._check_same(inputs, f"a row of {what}", x, row.type, lead=1)
        length = x.type.shape[0]
        if n is None or length is None or length == n or (length > n and not self.exact):
            return
        hint = (
            "pass n_steps, or sequences of one length" if self.exact else "fewer steps, or longer sequences"
        )
        message = f"{what} has {length} rows from {x.origin}, the loop has {n} steps"
        raise op_error(self, inputs, message, hint)

    def _check_same(
        self, inputs: Sequence[Variable], what: str, x: Variable, wanted: TensorType, lead: int = 0
    ) -> None:
        found = TensorType(x.dtype, x.type.shape[lead:])
        if not wanted.accepts(found):
            raise op_error(self, inputs, f"{what} is {found} from {x.origin}, the step takes {wanted}")

    def _check_new(self, inputs: Sequence[Variable], what: str, old: Variable, new: Variable) -> None:
        if new.dtype != old.dtype:
            raise op_error(
                self, inputs,
                f"{what} starts as {old.type} from {old.origin} and becomes {new.type} from {new.origin}",
                f"cast the initial value to {new.dtype!r}, or the new value to {old.dtype!r}", DTypeError,
            )  # fmt: skip
        if not old.type.accepts(new.type):
            raise op_error(
                self, inputs,
                f"{what} starts as {old.type} from {old.origin} and becomes {new.type} from {new.origin}",
                "give the initial value the shape that the step makes",
            )  # fmt: skip

    def shape_operands(self, n_inputs: int) -> Sequence[int]:
        fixed = 1 + len(self.sequences) + len(self.traces) + self.carries
        inside = len(self.sequences) + sum(map(len, self.traces)) + self.carries
        return [0, *(fixed + i - inside for i in sorted(self.body.sizing) if i >= inside)]

    def simplify(self, *inputs: Variable) -> Sequence[Variable] | None:
        from symconv.loops.simplify import simplified

        return simplified(self, inputs)

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        from symconv.loops.gradient import gradient

        return gradient(node, dys)

    def reference(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        from symconv.loops.interpret import interpret

        return interpret(self, arrays)

    def flops(self, node: Apply) -> int:
        return self._steps(node) * sum(n.op.flops(n) for n in self._measured())

    def bytes(self, node: Apply) -> int:
        return self._steps(node) * sum(n.op.bytes(n) for n in self._measured())

    def _measured(self) -> list[Apply]:
        """Nodes of the body whose sizes are known."""
        return [n for n in self.body.nodes if all(v.type.is_concrete for v in (*n.inputs, *n.outputs))]

    def _steps(self, node: Apply) -> int:
        return static_dim(node.inputs[0]) or 0


def _cut(items: Sequence[Any], *lengths: int) -> list[list[Any]]:
    """Consecutive lists of these lengths, and the rest."""
    lists, at = [], 0
    for length in lengths:
        lists.append(list(items[at : at + length]))
        at += length
    return [*lists, list(items[at:])]


def _known(new: Variable, old: Variable) -> tuple[int | None, ...]:
    """The shape of a state, from what is known of its old and of its new value."""
    return tuple(a if a is not None else b for a, b in zip(new.type.shape, old.type.shape))

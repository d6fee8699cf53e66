"""make_scan(): a Scan node from the variables of one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symconv.graph import Apply, Variable
from symconv.loops.body import close
from symconv.loops.op import Scan


@dataclass(frozen=True)
class Row:
    """A sequence: in step t, `inner` is row t of `outer`; with `backward`, row t from its end."""

    outer: Variable
    inner: Variable
    backward: bool = False


@dataclass(frozen=True)
class Trace:
    """A state all of whose values are kept: `initial` [L, ...] has its values before the first step.

    In step t, taps[k] (negative: -1 is the step before) is read as inner[k], and `new` is the value.
    """

    initial: Variable
    taps: tuple[int, ...]
    inner: tuple[Variable, ...]
    new: Variable


@dataclass(frozen=True)
class Carry:
    """A state of which only the last value is kept."""

    initial: Variable
    inner: Variable
    new: Variable


@dataclass(frozen=True)
class Output:
    """A value of every step, written to row t of the result; with `backward`, to row n - 1 - t."""

    value: Variable
    backward: bool = False


def make_scan(
    n_steps: Variable,
    rows: Sequence[Row] = (),
    traces: Sequence[Trace] = (),
    carries: Sequence[Carry] = (),
    outputs: Sequence[Output] = (),
    until: Variable | None = None,
    *,
    exact: bool = False,
    truncate: int = -1,
    title: str = "",
) -> Apply:
    """The node that runs a step n_steps times (a 0-d int64), given by the variables inside it.

    Its outputs are traces [L + n, ...], the last values of carries, outputs [n, ...], and with `until` the
    number of steps taken. Whatever the step reads besides its inputs becomes an input of the node. exact:
    sequences must have n_steps rows, not more.
    """
    changing = [
        *(r.inner for r in rows),
        *(v for t in traces for v in t.inner),
        *(c.inner for c in carries),
    ]
    results = [*(t.new for t in traces), *(c.new for c in carries), *(o.value for o in outputs)]
    body, fixed = close(changing, [*results, *([] if until is None else [until])])
    op = Scan(
        body,
        tuple(r.backward for r in rows),
        tuple(t.taps for t in traces),
        len(carries),
        tuple(o.backward for o in outputs),
        until is not None,
        exact,
        truncate,
        title,
    )
    outer = [
        n_steps,
        *(r.outer for r in rows),
        *(t.initial for t in traces),
        *(c.initial for c in carries),
        *fixed,
    ]
    return op.make(*outer)

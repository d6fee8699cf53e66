"""theano.scan, map, reduce, foldl and foldr over the native loop (symconv/loops)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from symconv.graph import Variable as Native
from symconv.loops.front import Convention, build_loop
from symconv.theano import test_values, traces
from symconv.theano.compile.monitormode import MonitorMode
from symconv.theano.declared import declare
from symconv.theano.inputs import MissingInputError
from symconv.theano.scan_module.watching import watched_step
from symconv.theano.sharedvar import SharedVariable
from symconv.theano.updates import OrderedUpdates
from symconv.theano.variable import TensorOperators, Variable, native_of, wrap

CONVENTION = Convention(
    give=wrap,
    take=native_of,
    is_symbolic=lambda v: isinstance(v, Variable),
    hidden=MissingInputError,
    shared=lambda v: v.native if isinstance(v, SharedVariable) else None,  # type: ignore[arg-type, return-value]
)


def scan(
    fn: Callable[..., Any],
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    n_steps: Any = None,
    truncate_gradient: int = -1,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
    profile: Any = False,
    allow_gc: bool | None = None,
    strict: bool = False,
    return_list: bool = False,
) -> tuple[Any, OrderedUpdates]:
    """(outputs, updates) of n_steps applications of fn; docs/scan.md says what the arguments mean.

    One output comes alone unless return_list, none as None. Without n_steps the shortest sequence counts.
    A MonitorMode calls its functions around the nodes of the step that depend on its arguments. Another mode,
    profile and allow_gc have no effect: the body belongs to the function that it is compiled into.
    """
    convention = CONVENTION
    if isinstance(mode, MonitorMode):
        convention = replace(CONVENTION, rewrite=partial(watched_step, mode))
    with test_values.at_rest():
        outputs, _, updates = build_loop(
            convention, fn, sequences, outputs_info, non_sequences, n_steps, go_backwards, strict,
            truncate_gradient, name, shortest=True,
        )  # fmt: skip
    passed = non_sequences if isinstance(non_sequences, (list, tuple)) else [non_sequences]
    traces.held(
        [v.native for v in passed if isinstance(v, TensorOperators)]
    )  # whether the step reads it or not
    wrapped = [wrap(_of_steps(v)) for v in outputs]
    changed = OrderedUpdates()
    for shared, new in updates.items():
        changed[wrap(shared)] = wrap(new)
    if return_list:
        return wrapped, changed
    return (wrapped[0] if len(wrapped) == 1 else wrapped or None), changed


def _of_steps(v: Native) -> Native:
    """How many steps there are is not part of a type: one step makes no broadcastable axis."""
    return declare(v, ("?", *[None] * (v.ndim - 1)), "scan") if v.type.shape[0] == 1 else v


def map(
    fn: Callable[..., Any],
    sequences: Any,
    non_sequences: Any = None,
    truncate_gradient: int = -1,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, OrderedUpdates]:
    """fn of every row of the sequences."""
    return scan(fn, sequences, None, non_sequences, None, truncate_gradient, go_backwards, mode, name)


def reduce(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, OrderedUpdates]:
    """The last values of a scan. Of the others no memory is kept."""
    outputs, updates = scan(
        fn, sequences, outputs_info, non_sequences, None, -1, go_backwards, mode, name, return_list=True
    )
    last = [v[-1] for v in outputs]
    return (last[0] if len(last) == 1 else last), updates


def foldl(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, OrderedUpdates]:
    """reduce from the first row to the last."""
    return reduce(fn, sequences, outputs_info, non_sequences, False, mode, name)


def foldr(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, OrderedUpdates]:
    """reduce from the last row to the first."""
    return reduce(fn, sequences, outputs_info, non_sequences, True, mode, name)

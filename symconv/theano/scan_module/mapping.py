"""map_variables: graphs with variables replaced, also in the steps of loops and in graphs applied as ops."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from symconv.errors import DTypeError, UnsupportedError
from symconv.graph import Apply, SharedVariable
from symconv.graph import Variable as Native
from symconv.graph.traversal import leaves, rebuild, toposort
from symconv.loops import Scan
from symconv.loops.build import Carry, Output, Row, Trace, make_scan
from symconv.theano.compile.ops import inlined
from symconv.theano.variable import native_of, wrap

Replacer = Callable[[Any], Any]


def map_variables(
    replacer: Replacer, graphs: Iterable[Any], additional_inputs: Iterable[Any] = ()
) -> list[Any]:
    """The graphs with replacer(v) in the place of each variable v, inputs first; a replacement may be made of
    v itself, and is not replaced again.

    So it is in the step of a scan, whose replacements may read outer variables, and in the graph of an
    OpFromGraph. There a replacement may bring in no shared variable with a default update: UnsupportedError,
    a NotImplementedError. Raises DTypeError for another type.
    """
    return [wrap(v) for v in _mapped(replacer, [native_of(v) for v in graphs], inner=False)]


def _mapped(replacer: Replacer, roots: Sequence[Native], inner: bool) -> list[Native]:
    exchange: dict[Native, Native] = {}
    for leaf in leaves(roots):
        _replace(replacer, leaf, leaf, exchange, inner)
    for node in toposort(roots):
        loop = _mapped_loop(replacer, node) if isinstance(node.op, Scan) else node
        for old, same in zip(node.outputs, loop.outputs):
            _replace(replacer, old, same, exchange, inner)
    return rebuild(roots, exchange)


def _replace(
    replacer: Replacer, old: Native, same: Native, exchange: dict[Native, Native], inner: bool
) -> None:
    """Exchange `old`, which counts as `same` if the replacer leaves it."""
    source, swap = inlined.get(old, (old, {}))
    new = native_of(replacer(wrap(source)))
    if new is source:
        if same is not old:
            (exchange[old],) = rebuild([same], exchange)
        return
    if (new.dtype, new.ndim) != (old.dtype, old.ndim):
        raise DTypeError(
            f"map_variables: {old!r}, {old.type}, cannot be replaced by {new.type} from {new.origin}"
        )
    if inner or swap:
        _check_updates(new)
    (exchange[old],) = rebuild([new], swap | exchange)


def _check_updates(new: Native) -> None:
    for v in leaves([new]):
        if isinstance(v, SharedVariable) and (
            v.default_update is not None or getattr(wrap(v), "update", None) is not None
        ):
            raise UnsupportedError(
                f"map_variables: a replacement from {new.origin} within a scan or an OpFromGraph brings in "
                f"the shared variable {v!r}, which has a default update\n"
                "  hint: replace a variable outside, or pass the value in as a sequence or a non_sequence"
            )


def _mapped_loop(replacer: Replacer, node: Apply) -> Apply:
    """The loop with its step mapped; the node itself if nothing is replaced there."""
    op: Scan = node.op  # type: ignore[assignment]
    results = _mapped(replacer, op.body.outputs, inner=True)
    if all(a is b for a, b in zip(results, op.body.outputs)):
        return node
    given, step = op.split_inputs(node.inputs), op.split_step_inputs(op.body.inputs)
    new = op.split_outputs(rebuild(results, dict(zip(step.fixed, given.fixed))))
    return make_scan(
        given.n_steps,
        [Row(x, v, back) for x, v, back in zip(given.sequences, step.sequences, op.sequences)],
        [
            Trace(x, taps, tuple(v), value)
            for x, taps, v, value in zip(given.traces, op.traces, step.traces, new.traces)
        ],
        [Carry(x, v, value) for x, v, value in zip(given.carries, step.carries, new.carries)],
        [Output(value, back) for value, back in zip(new.outputs, op.outputs)],
        new.stop,
        exact=op.exact,
        truncate=op.truncate,
        title=op.title,
    )

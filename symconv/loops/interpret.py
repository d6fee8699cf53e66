"""The reference of a loop: the step's nodes by their NumPy references, once per step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from symconv.errors import ExecutionError, ShapeError, SymconvError
from symconv.graph import Apply, Constant, TensorType, Variable
from symconv.graph.observe import tell
from symconv.graph.simplify import apply_simplified
from symconv.graph.traversal import rebuild
from symconv.loops.body import Body

if TYPE_CHECKING:
    from symconv.loops.op import Scan


def interpret(op: Scan, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """The outputs of the node. A failure names the step and the node inside, with its line."""
    given = op.split_inputs(arrays)
    n = int(given.n_steps)
    for k, x in enumerate(given.sequences):
        if len(x) < n or (op.exact and len(x) != n):
            raise ShapeError(f"sequence {k} has {len(x)} rows, the loop has {n} steps")
    depths = [op.depth(k) for k in range(len(op.traces))]
    traces = [np.concatenate([x, np.zeros((n, *x.shape[1:]), x.dtype)]) for x in given.traces]
    carries = list(given.carries)
    rows: list[list[np.ndarray]] = [[] for _ in op.outputs]
    done = n
    for t in range(n):
        inputs = [x[len(x) - 1 - t if back else t] for x, back in zip(given.sequences, op.sequences)]
        inputs += [
            trace[depth + t + tap] for trace, depth, taps in zip(traces, depths, op.traces) for tap in taps
        ]
        inputs += [*carries, *given.fixed]
        try:
            results = op.split_outputs(_evaluate(op.body, inputs))
        except (SymconvError, _Failure) as error:
            raise ExecutionError(f"step {t} of {n}: {error}") from error.__cause__
        for trace, depth, new in zip(traces, depths, results.traces):
            if np.shape(new) != trace.shape[1:]:
                raise ShapeError(f"step {t}: a state of shape {trace.shape[1:]} becomes {np.shape(new)}")
            trace[depth + t] = new
        for old, new in zip(carries, results.carries):
            if np.shape(new) != np.shape(old):
                raise ShapeError(f"step {t}: a state of shape {np.shape(old)} becomes {np.shape(new)}")
        carries = results.carries
        for row, value in zip(rows, results.outputs):
            row.append(np.array(value))
        if op.until and bool(results.stop):
            done = t + 1
            break
    outputs = _stack(op, rows, n, given.fixed, arrays)
    count = [np.asarray(done, "int64")] if op.until else []
    return (*traces, *(np.array(c) for c in carries), *outputs, *count)


def _stack(
    op: Scan, rows: Sequence[Sequence[np.ndarray]], n: int, fixed: Any, arrays: Sequence[np.ndarray]
) -> list[np.ndarray]:
    values = op.split_outputs(op.body.outputs).outputs
    if rows and not rows[0]:  # no step has shown the shapes
        return [np.zeros((n, *s), v.dtype) for s, v in zip(_shapes(op, arrays), values)]
    stacked = []
    for row, v, backward in zip(rows, values, op.outputs):
        out = np.zeros((n, *row[0].shape), v.dtype)
        out[: len(row)] = row
        stacked.append(out[::-1].copy() if backward else out)
    return stacked


def _shapes(op: Scan, arrays: Sequence[np.ndarray]) -> list[tuple[int, ...]]:
    """The shapes of the outputs' rows, inferred from those of the inputs."""
    given, step = op.split_inputs(arrays), op.split_step_inputs(op.body.inputs)
    news: dict[Variable, Variable] = {}
    for x, v in zip(given.sequences, step.sequences):
        news[v] = Variable(TensorType(v.dtype, x.shape[1:]))
    for x, taps in zip(given.traces, step.traces):
        news |= {v: Variable(TensorType(v.dtype, x.shape[1:])) for v in taps}
    for x, v in zip(given.carries, step.carries):
        news[v] = Variable(TensorType(v.dtype, x.shape))
    for x, v in zip(given.fixed, step.fixed):
        news[v] = Constant(np.array(x))
    rebuilt = rebuild(op.body.outputs, news, apply_simplified)
    return [v.type.dims for v in op.split_outputs(rebuilt).outputs]


class _Failure(Exception):
    pass


def _evaluate(body: Body, inputs: Sequence[Any]) -> list[Any]:
    memo: dict[Variable, Any] = dict(zip(body.inputs, inputs))

    def value(v: Variable) -> Any:
        return v.data if isinstance(v, Constant) else memo[v]

    for node in body.nodes:
        results = _apply(node, [np.asarray(value(v)) for v in node.inputs])
        for v, result in zip(node.outputs, results):
            memo.setdefault(v, result)
    return [value(v) for v in body.outputs]


def _apply(node: Apply, arrays: Sequence[np.ndarray]) -> tuple[Any, ...]:
    try:
        results = node.op.reference(*arrays)
    except SymconvError as error:
        raise _Failure(f"{node.op.label()} from {node.origin}: {error}") from error
    except Exception as error:
        shapes = ", ".join(f"{a.dtype}{list(a.shape)}" for a in arrays)
        raise _Failure(f"{node.op.label()} from {node.origin} on {shapes}: {error}") from error
    results = results if isinstance(results, tuple) else (results,)
    tell(node, arrays, results)
    return results

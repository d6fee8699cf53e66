"""What function() is given: its inputs, outputs, updates and givens, checked and in one form."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import DTypeError, GraphError, ShapeError
from symconv.graph import Constant, SharedVariable, Variable
from symconv.graph.traversal import leaves, rebuild
from symconv.ops.operands import as_variable, cast

Outputs = Variable | Sequence[Any] | Mapping[str, Any] | None
Pairs = Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None
Updates = list[tuple[SharedVariable, Variable]]


@dataclass(frozen=True)
class In:
    """An input with a default value and a name for keyword calls."""

    variable: Variable
    value: Any = None
    name: str | None = None


def flatten(outputs: Outputs) -> tuple[list[Variable], Callable[[list[np.ndarray]], Any]]:
    if outputs is None:
        return [], lambda values: values
    if isinstance(outputs, Mapping):
        keys = list(outputs)
        return [as_variable(v) for v in outputs.values()], lambda values: dict(zip(keys, values))
    if isinstance(outputs, (list, tuple)):
        return [as_variable(v) for v in outputs], lambda values: values
    return [as_variable(outputs)], lambda values: values[0]


def _pairs(pairs: Pairs) -> list[tuple[Any, Any]]:
    return [] if pairs is None else list(pairs.items() if isinstance(pairs, Mapping) else pairs)


def checked_updates(updates: Pairs) -> Updates:
    result: Updates = []
    seen: set[int] = set()
    for target, value in _pairs(updates):
        if not isinstance(target, SharedVariable):
            raise GraphError(f"function: updates change shared variables, {target!r} is none")
        if id(target) in seen:
            raise GraphError(f"function: the shared variable {target!r} is updated twice")
        seen.add(id(target))
        result.append((target, _fit_update(target, as_variable(value))))
    return result


def _fit_update(target: SharedVariable, new: Variable) -> Variable:
    if new.dtype != target.dtype and isinstance(new, Constant) and new.ndim == 0:
        new = cast(new, target.dtype)
    if new.dtype != target.dtype:
        raise DTypeError(
            f"function: the update of {target!r} has dtype {new.dtype}\n  new value {new.type} from "
            f"{new.origin}\n  hint: sc.cast(value, {target.dtype!r})"
        )
    if not target.type.accepts(new.type):
        raise ShapeError(
            f"function: the update of {target!r} from {target.origin} has type {new.type}, from {new.origin}"
        )
    return new


def substitute(
    flat: list[Variable],
    pairs: Updates,
    givens: Pairs,
    inputs: Sequence[Variable],
) -> tuple[list[Variable], Updates]:
    replace: dict[Variable, Variable] = {}
    for old, new in _pairs(givens):
        new = as_variable(new)
        if old in inputs:
            raise GraphError(f"function: givens replace {old!r}, which is also an input")
        if new.dtype != old.dtype:
            raise DTypeError(
                f"function: givens replace {old!r} from {old.origin} by {new.type} from {new.origin}\n"
                f"  hint: sc.cast(value, {old.dtype!r})"
            )
        if not old.type.accepts(new.type):
            raise ShapeError(
                f"function: givens replace {old!r} from {old.origin} by {new.type} from {new.origin}"
            )
        replace[old] = new
    roots = rebuild([*flat, *(v for _, v in pairs)], replace)
    return roots[: len(flat)], [(s, v) for (s, _), v in zip(pairs, roots[len(flat) :])]


def default_updates(flat: list[Variable], pairs: Updates) -> Updates:
    """Add the default updates of shared variables in the graph, and of those that these bring in."""
    pairs = list(pairs)
    known = {s for s, _ in pairs}
    frontier = leaves([*flat, *(v for _, v in pairs)])
    while frontier:
        added = []
        for v in frontier:
            if isinstance(v, SharedVariable) and v.default_update is not None and v not in known:
                known.add(v)
                pairs.append((v, _fit_update(v, v.default_update)))
                added.append(v.default_update)
        frontier = leaves(added) if added else []
    return pairs


def check_leaves(
    flat: list[Variable],
    pairs: Updates,
    inputs: Sequence[Variable],
    policy: str,
) -> None:
    used = set(leaves([*flat, *(v for _, v in pairs)]))
    for v in used:
        if not isinstance(v, (Constant, SharedVariable)) and v not in inputs:
            raise GraphError(
                f"function: the graph needs {v!r} from {v.origin}, which is neither an input nor in givens"
            )
    if policy not in ("raise", "warn", "ignore"):
        raise GraphError(f"function: on_unused_input must be 'raise', 'warn' or 'ignore', got {policy!r}")
    for v in inputs:
        if v in used or policy == "ignore":
            continue
        message = (
            f"function: the input {v!r} from {v.origin} is not used by the outputs or updates\n"
            "  hint: remove it, or pass on_unused_input='ignore'"
        )
        if policy == "raise":
            raise GraphError(message)
        warnings.warn(message, stacklevel=3)

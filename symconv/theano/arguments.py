"""The arguments of theano.function, checked and made native: outputs, updates, givens."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from symconv.errors import DTypeError, GraphError, ShapeError
from symconv.graph import SharedVariable as NativeShared
from symconv.graph import Variable as Native
from symconv.graph.traversal import leaves
from symconv.theano import traces
from symconv.theano.cloning import remade
from symconv.theano.inputs import (
    GivenInputError,
    In,
    InputError,
    MissingInputError,
    Out,
    UnusedInputError,
)
from symconv.theano.sharedvar import TensorSharedVariable
from symconv.theano.variable import Variable, as_tensor_variable, native_of


def flatten(outputs: Any) -> tuple[bool, list[str] | None, list[Any]]:
    """(whether a single value is asked for, the keys of a dictionary, the outputs in a list)."""
    if outputs is None:
        return False, None, []
    if isinstance(outputs, dict):
        if not all(isinstance(k, str) for k in outputs):
            raise GraphError("function: the keys of an output dictionary must be strings")
        names = sorted(outputs)
        return False, names, [_as_output(outputs[k]) for k in names]
    if isinstance(outputs, (list, tuple)):
        return False, None, [_as_output(v) for v in outputs]
    return True, None, [_as_output(outputs)]


def _as_output(v: Any) -> Any:
    return as_tensor_variable(v.variable if isinstance(v, Out) else v)


def pairs_of(given: Any, what: str) -> list[tuple[Any, Any]]:
    """A dictionary, or pairs, as a list of pairs. Raises GraphError."""
    if given is None:
        return []
    if isinstance(given, Mapping):
        return list(given.items())
    if not isinstance(given, Iterable):
        raise GraphError(f"function: {what} must be a dictionary or pairs, got {type(given).__name__}")
    pairs = list(given)
    for p in pairs:
        if not isinstance(p, (list, tuple)) or len(p) != 2:
            raise GraphError(
                f"function: {what} must hold pairs, got {p!r}\n  hint: {what}=[(shared, new), ...]"
            )
    return [(a, b) for a, b in pairs]


def replacements(pairs: list[tuple[Any, Any]], ins: Sequence[In], strict: bool) -> dict[Native, Native]:
    """What givens put in for what. Raises GraphError, DTypeError, ShapeError."""
    replace: dict[Native, Native] = {}
    for old, new in pairs:
        if not isinstance(old, Variable):
            raise InputError(
                f"function: givens replace variables, and {old!r} is none, but a {type(old).__name__}"
            )
        if any(i.variable is old for i in ins):
            raise GivenInputError(
                f"function: givens replace {old!r}, which is also an explicit input\n"
                "  hint: leave it out of the inputs, or of givens"
            )
        fresh = native_of(new) if isinstance(new, Variable) else native_of(old.type.filter(new))
        if fresh.dtype != old.dtype and not strict:
            from symconv.ops.operands import cast

            fresh = cast(fresh, old.dtype)
        if fresh.dtype != old.dtype:
            raise DTypeError(
                f"function: givens replace {old!r}, {old.type} from {old.native.origin}, by "
                f"{fresh.type} from "
                f"{fresh.origin}\n  hint: T.cast(value, {old.dtype!r})"
            )
        if strict and not old.native.type.accepts(fresh.type):
            raise ShapeError(
                f"function: givens replace {old!r}, {old.type} from {old.native.origin}, by "
                f"{fresh.type} from "
                f"{fresh.origin}"
            )
        replace[old.native] = fresh
    return replace


def checked_updates(pairs: list[tuple[Any, Any]]) -> list[tuple[NativeShared, Native]]:
    """(shared variable, new value) of each update. Raises InputError, GraphError, DTypeError."""
    changed: list[tuple[NativeShared, Native]] = []
    for target, new in pairs:
        if not isinstance(target, TensorSharedVariable):
            raise InputError(
                f"function: updates change shared variables, and {target!r} is none of these, but a "
                f"{type(target).__name__}\n  hint: theano.shared(value) makes one"
            )
        if any(target.native is s for s, _ in changed):
            raise GraphError(
                f"function: the shared variable {target!r} is updated twice\n"
                "  hint: one expression for the new value, with both changes in it"
            )
        changed.append((target.native, fitted_update(target, new)))
    return changed


def fitted_update(target: Any, new: Any) -> Native:
    """The native value of an update, or DTypeError naming both sides: the types must be equal."""
    if not isinstance(new, Variable):
        return native_of(target.type.filter(new))
    fresh = new.native
    wanted = target.type
    flags = tuple(d == 1 for d in fresh.type.shape)
    if fresh.dtype != wanted.dtype or fresh.ndim != target.ndim:
        raise DTypeError(
            "function: an update must have the same type as the shared variable\n"
            f"  shared variable {target!r}: {wanted}   from {target.native.origin}\n"
            f"  new value       {new!r}: {new.type}   from {fresh.origin}\n"
            f"  hint: {_update_hint(wanted, new)}"
        )
    if any(w and not f for w, f in zip(wanted.broadcastable, flags)):
        raise DTypeError(
            f"function: the update of {target!r}, {wanted} from {target.native.origin}, is not "
            f"broadcastable where it "
            f"must be: {new!r}, {new.type} from {fresh.origin}\n  hint: T.patternbroadcast(value, "
            f"{wanted.broadcastable})"
        )
    return fresh


def _update_hint(wanted: Any, new: Any) -> str:
    if new.ndim != wanted.ndim:
        return f"the shared variable has {wanted.ndim} dimensions, the new value {new.ndim}"
    if wanted.dtype == "float32" and new.dtype == "float64":
        return (
            "a float64 or int64 operand (np.float64, an int32 / int64 tensor, a literal under "
            "floatX='float64') "
            "turned it into float64; cast that operand, or the value: T.cast(value, 'float32')"
        )
    return f"T.cast(value, {wanted.dtype!r})"


def default_updates(
    roots: list[Native],
    changed: list[tuple[NativeShared, Native]],
    kept: set[Native],
    replace: Mapping[Native, Native],
    given: Sequence[Native],
) -> list[tuple[NativeShared, Native]]:
    """Default updates of the shared variables in the graph above the inputs `given`, and of those that these
    bring in."""
    known: set[Native] = {s for s, _ in changed} | kept
    added: list[tuple[NativeShared, Native]] = []
    frontier = leaves(remade(roots, replace), stop=given)
    while frontier:
        fresh = []
        for v in frontier:
            if isinstance(v, NativeShared) and v.default_update is not None and v not in known:
                known.add(v)
                added.append((v, v.default_update))
                fresh.append(v.default_update)
        frontier = leaves(remade(fresh, replace), stop=given) if fresh else []
    return added


def check_unused(inputs: Sequence[Native], roots: Sequence[Native], policy: str) -> None:
    """Raise UnusedInputError, or warn, of inputs that nothing is made of, as on_unused_input says."""
    if policy == "ignore":
        return
    used = set(leaves(roots, stop=inputs))
    for v in inputs:
        if v in used or traces.noted(v):
            continue
        message = (
            f"function: the input {v!r} from {v.origin} is not part of the graph of the outputs or updates\n"
            "  hint: remove it, or pass on_unused_input='ignore'"
        )
        if policy != "warn":
            raise UnusedInputError(message)
        warnings.warn(message, stacklevel=3)


def check_leaves(roots: list[Native], inputs: list[Native], name: str | None) -> None:
    """Raise MissingInputError for a variable that the roots need and nobody gives."""
    for v in leaves(roots, stop=inputs):
        if v not in inputs and not isinstance(v, NativeShared) and not hasattr(v, "data"):
            raise MissingInputError(
                f"function: the graph needs the input {v!r} from {v.origin}, which was not given a value\n"
                "  hint: add it to inputs, or replace it by givens"
            )


def check_names(function: str, ins: Sequence[In], names: Iterable[str], n_given: int) -> None:
    """Raise InputError for names that no argument has, that several have, or that stand for one of the first
    n_given, which have their values."""
    for name in names:
        places = [k for k, i in enumerate(ins) if i.name == name]
        if not places:
            known = ", ".join(i.name for i in ins if i.name) or "without names"
            raise InputError(f"{function}: unknown argument {name}\n  hint: the arguments are {known}")
        if len(places) > 1:
            raise InputError(f"{function}: several arguments are called {name}\n  hint: give them in order")
        if places[0] < n_given:
            raise InputError(f"{function}: {name} is given twice, by its place and by its name")

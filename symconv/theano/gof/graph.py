"""theano.gof.graph: walks over the graph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from symconv.graph import Constant as NativeConstant
from symconv.graph.traversal import leaves, rebuild, toposort
from symconv.theano import variable
from symconv.theano.gof.op import Apply
from symconv.theano.variable import Constant, Variable, native_of, wrap


def _natives(variables: Any) -> list[Any]:
    return [native_of(v) for v in ([variables] if isinstance(variables, Variable) else variables)]


def inputs(variable_list: Any, blockers: Iterable[Any] | None = None) -> list[Any]:
    """The variables below `variable_list` that nothing computes, constants and shared ones too; the walk
    does not pass through `blockers`, which count as inputs."""
    return [wrap(v) for v in leaves(_natives(variable_list), stop=_natives(blockers or []))]


def ancestors(variable_list: Any, blockers: Iterable[Any] | None = None) -> list[Any]:
    """All variables below `variable_list`, and these themselves."""
    roots = _natives(variable_list)
    found = {v: None for v in roots}
    for node in reversed(toposort(roots, stop=_natives(blockers or []))):
        found.update({v: None for v in node.inputs})
    return [wrap(v) for v in found]


def list_of_nodes(inputs: Any, outputs: Any) -> list[variable.Apply]:
    """The nodes between inputs and outputs, producers first."""
    return [variable.Apply.of(n) for n in toposort(_natives(outputs), stop=_natives(inputs))]


def io_toposort(inputs: Any, outputs: Any, orderings: Any = None) -> list[variable.Apply]:
    """list_of_nodes; orderings has no effect."""
    return list_of_nodes(inputs, outputs)


def equal_computations(xs: Any, ys: Any, in_xs: Iterable[Any] = (), in_ys: Iterable[Any] = ()) -> bool:
    """Whether the variables ys compute the same of in_ys as the variables xs of in_xs: the same ops in the
    same places, constants of the same values, the same other inputs."""
    exchange = dict(zip(_natives(list(in_xs)), _natives(list(in_ys))))
    firsts, seconds = rebuild(_natives(xs), exchange), _natives(ys)
    return len(firsts) == len(seconds) and all(_same(a, b) for a, b in zip(firsts, seconds))


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, NativeConstant) and isinstance(b, NativeConstant):
        return a.type == b.type and np.array_equal(a.data, b.data, equal_nan=a.type.is_inexact)
    return a is b  # pure nodes of one op and the same inputs are one node


def is_same_graph(var1: Any, var2: Any, givens: Any = None, debug: bool = False) -> bool:
    """Whether two variables are computed alike, with {old: new} put in for what they are made of."""
    exchange = {native_of(k): native_of(v) for k, v in dict(givens or {}).items()}
    first, second = rebuild(_natives([var1, var2]), exchange)
    return _same(first, second)


__all__ = [
    "Apply", "Constant", "Variable", "ancestors", "equal_computations", "inputs", "io_toposort",
    "is_same_graph", "list_of_nodes",
]  # fmt: skip

"""theano.gof.graph: walks over the graph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from symconv.graph.traversal import leaves, toposort
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


__all__ = ["Apply", "Constant", "Variable", "ancestors", "inputs", "io_toposort", "list_of_nodes"]

"""theano.scan_module.scan_utils: until, returned by a step beside its outputs to end the loop; clones and
comparisons of graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from symconv.errors import DTypeError
from symconv.graph import Variable as Native
from symconv.graph.traversal import leaves, rebuild, toposort
from symconv.loops import until
from symconv.theano.cloning import clone
from symconv.theano.gof.graph import equal_computations
from symconv.theano.variable import native_of, wrap


def map_variables(
    replacer: Callable[[Any], Any], graphs: Iterable[Any], additional_inputs: Iterable[Any] = ()
) -> list[Any]:
    """The graphs with replacer(v) in the place of each variable v, inputs first; a replacement may be made of
    v itself, and is not replaced again. Steps of a scan stay as they are. Raises DTypeError for another type.
    """
    roots = [native_of(v) for v in graphs]
    order = [*leaves(roots), *(v for node in toposort(roots) for v in node.outputs)]
    exchange: dict[Native, Native] = {}
    for old in order:
        new = native_of(replacer(wrap(old)))
        if new is old:
            continue
        if (new.dtype, new.ndim) != (old.dtype, old.ndim):
            raise DTypeError(
                f"map_variables: {old!r}, {old.type}, cannot be replaced by {new.type} from {new.origin}"
            )
        (exchange[old],) = rebuild([new], exchange)
    return [wrap(v) for v in rebuild(roots, exchange)]


__all__ = ["clone", "equal_computations", "map_variables", "until"]

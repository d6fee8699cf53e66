"""Who looks on while an op's reference computes nodes of its own, as that of a loop does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from symconv.graph.core import Apply

Observer = Callable[[Apply, Sequence[Any], Sequence[Any]], None]  # node, its operands, its results

_observer: ContextVar[Observer | None] = ContextVar("symconv_observer", default=None)


@contextmanager
def observed(see: Observer) -> Iterator[None]:
    """Inside, `see` is told of every node that a reference computes."""
    token = _observer.set(see)
    try:
        yield
    finally:
        _observer.reset(token)


def tell(node: Apply, operands: Sequence[Any], results: Sequence[Any]) -> None:
    """Called by references that compute nodes, once for each."""
    see = _observer.get()
    if see is not None:
        see(node, operands, results)

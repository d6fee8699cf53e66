"""FunctionGraph: what one compiled function computes, as data that passes hand on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from symconv.graph.core import Apply, Variable
from symconv.graph.traversal import Readers, clients, rebuild, substitute, toposort


@dataclass(frozen=True)
class FunctionGraph:
    """outputs and new states from inputs and old states.

    `states` are leaves that stand for the shared variables; `updates[k] = (i, v)` says that state i
    takes the value v after the outputs, which see the old states, have been computed.
    """

    inputs: tuple[Variable, ...]
    states: tuple[Variable, ...]
    outputs: tuple[Variable, ...]
    updates: tuple[tuple[int, Variable], ...]

    @property
    def roots(self) -> list[Variable]:
        return [*self.outputs, *(v for _, v in self.updates)]

    def nodes(self) -> tuple[Apply, ...]:
        """All nodes, producers first."""
        return self._nodes

    def readers(self) -> Readers:
        """Who reads each variable."""
        return self._readers

    @cached_property  # sound, because neither the graph nor its nodes ever change
    def _nodes(self) -> tuple[Apply, ...]:
        return tuple(toposort(self.roots))

    @cached_property
    def _readers(self) -> Readers:
        return clients(self.roots, self._nodes)

    def with_roots(self, roots: Sequence[Variable]) -> FunctionGraph:
        n = len(self.outputs)
        updates = tuple((i, v) for (i, _), v in zip(self.updates, roots[n:]))
        return FunctionGraph(self.inputs, self.states, tuple(roots[:n]), updates)

    def rebuild(
        self,
        replace: Mapping[Variable, Variable],
        make: Callable[[Apply, tuple[Variable, ...]], Sequence[Variable]] | None = None,
    ) -> FunctionGraph:
        return self.with_roots(rebuild(self.roots, replace, make, None if replace else self._nodes))

    def substitute(self, replace: Mapping[Variable, Variable]) -> FunctionGraph:
        """Replace variables everywhere, also inside the replacements."""
        return self.with_roots(substitute(self.roots, replace)) if replace else self

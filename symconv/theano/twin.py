"""Two shared variables with one value: what Theano's clone() of a shared variable gives.

Lasagne's batch normalisation hangs the update of a running mean on such a clone: the function that computes
the batch's statistics then changes the mean, and the one that only reads the mean does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.graph import SharedVariable, Variable
from symconv.graph.traversal import leaves, rebuild

Updates = list[tuple[SharedVariable, Variable]]


class Twin(SharedVariable):
    """A shared variable whose value is that of `source`; name and default update are its own."""

    __slots__ = ("source",)

    def __init__(self, source: SharedVariable, name: str | None = None) -> None:
        self.source: SharedVariable = source.source if isinstance(source, Twin) else source
        super().__init__(np.empty((), source.dtype), source.type, name)  # this value is never looked at

    def get_value(self, borrow: bool = False) -> np.ndarray:
        return self.source.get_value(borrow)

    def get_storage(self) -> np.ndarray:
        return self.source.get_storage()

    def set_value(self, value: Any, borrow: bool = False) -> None:
        self.source.set_value(value, borrow)

    def __reduce__(self) -> tuple[Any, ...]:
        return Twin, (self.source, self.name), self.default_update


def joined(outputs: Sequence[Variable], updates: Updates) -> tuple[list[Variable], Updates]:
    """Outputs and updates with every twin replaced by its source.

    Where the updates change one value more than once the last of them counts, as in Theano.
    """
    roots = [*outputs, *(new for _, new in updates)]
    twins: dict[Variable, Variable] = {v: v.source for v in leaves(roots) if isinstance(v, Twin)}
    changed: dict[SharedVariable, Variable] = {}
    if twins:
        roots = rebuild(roots, twins)
    for (target, _), new in zip(updates, roots[len(outputs) :]):
        changed[target.source if isinstance(target, Twin) else target] = new
    return roots[: len(outputs)], list(changed.items())

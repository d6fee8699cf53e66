"""Arguments that a function overwrites: T.inplace with accept_inplace=True or In(x, mutable=True)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import ShapeError
from symconv.graph import Apply, TensorType, Variable, op_error
from symconv.graph.traversal import toposort
from symconv.theano.declared import _Identity


@dataclass(frozen=True)
class Overwrite(_Identity):
    """`value`, which a function writes over its argument `target` if it may; else `target` stays as it is."""

    name = "overwrite"
    operands = ("value", "target")

    def infer(self, value: Variable, target: Variable) -> TensorType:
        if value.ndim != target.ndim or any(
            a == 1 and b != 1 for a, b in zip(target.type.shape, value.type.shape)
        ):
            raise op_error(
                self,
                (value, target),
                f"{value.type} cannot be written over {target.type}",
                "only an operand with the shape of the result can be overwritten",
                ShapeError,
            )
        return value.type

    def simplify(self, value: Variable, target: Variable) -> Sequence[Variable]:
        return [value]

    def reference(self, value: np.ndarray, target: np.ndarray) -> np.ndarray:
        return value


def overwrites(outputs: Sequence[Variable], places: dict[Variable, int]) -> dict[int, Variable]:
    """{place of an argument: what is written over it}, for those in `places`; the last write counts."""
    nodes: list[Apply] = toposort(outputs)
    buffer: dict[Variable, Variable] = {}  # a result -> the variable whose memory it has taken
    found: dict[int, Variable] = {}
    for node in nodes:
        if isinstance(node.op, Overwrite):
            target = buffer[node.out] = buffer.get(node.inputs[1], node.inputs[1])
            if target in places:
                found[places[target]] = node.out
    return found


def write_over(values: Sequence[Any], places: Sequence[int], news: Sequence[np.ndarray], own: Any) -> None:
    """Write news[k] into values[places[k]] where that is the caller's own array, not a converted copy.

    Raises ShapeError, and then writes nothing.
    """
    targets = [(values[p], new) for p, new in zip(places, news) if any(values[p] is v for v in own)]
    for target, new in targets:
        if target.shape != new.shape:
            raise ShapeError(
                f"an operation in place gives {list(new.shape)}, its argument is {list(target.shape)}\n"
                "  hint: only an operand with the shape of the result can be overwritten"
            )
    for target, new in targets:
        target[...] = new

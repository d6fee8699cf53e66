"""theano.ifelse: a choice between two graphs of which only one is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import DTypeError, GraphError, ShapeError
from symconv.graph import Apply, Constant, Op, TensorType, Variable
from symconv.ops.create import zeros_like
from symconv.ops.elementwise import cast, neq
from symconv.theano.errors import RankError
from symconv.theano.variable import native_of, wrap


@dataclass(frozen=True)
class IfElse(Op):
    """The first half of the branches where condition is not 0, else the second; inputs condition, branches.

    The condition is a guard: a plan knows its value and holds the chosen branch alone. Inside the body of a
    scan, where it changes from step to step, both are computed.
    """

    count: int
    name = "ifelse"
    operands = ("condition",)

    def infer(self, condition: Variable, *branches: Variable) -> tuple[TensorType, ...]:
        pairs = zip(branches[: self.count], branches[self.count :])
        return tuple(
            TensorType(a.dtype, tuple(m if m == n else None for m, n in zip(a.type.shape, b.type.shape)))
            for a, b in pairs
        )

    def shape_operands(self, n_inputs: int) -> Sequence[int]:
        return [0]

    def simplify(self, condition: Variable, *branches: Variable) -> Sequence[Variable] | None:
        if not isinstance(condition, Constant):
            return None
        return branches[: self.count] if condition.data else branches[self.count :]

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        condition, *branches = node.inputs
        gradients: list[Variable | None] = []
        for k, x in enumerate(branches):
            dy = dys[k % self.count]
            if dy is None or not x.type.is_inexact:
                gradients.append(None)
                continue
            pair = (dy, zeros_like(x)) if k < self.count else (zeros_like(x), dy)
            gradients.append(IfElse(1)(condition, *pair))
        return [None, *gradients]

    def reference(self, condition: np.ndarray, *branches: np.ndarray) -> tuple[np.ndarray, ...]:
        return branches[: self.count] if condition else branches[self.count :]


def ifelse(condition: Any, then_branch: Any, else_branch: Any, name: str | None = None) -> Any:
    """then_branch where the scalar condition is not 0, else else_branch; lists of branches give a list.

    Only the chosen branch is computed: the condition is computed first, by the reference, and each of its two
    values has a plan. Raises DTypeError or ShapeError where the branches' types differ.
    """
    listed = isinstance(then_branch, (list, tuple))
    if listed != isinstance(else_branch, (list, tuple)):
        raise GraphError("ifelse: both branches must be lists, or none")
    firsts = [native_of(v) for v in (then_branch if listed else [then_branch])]
    seconds = [native_of(v) for v in (else_branch if listed else [else_branch])]
    if len(firsts) != len(seconds):
        raise GraphError(f"ifelse: {len(firsts)} values in one branch, {len(seconds)} in the other")
    test = native_of(condition)
    if test.ndim != 0:
        raise ShapeError(
            f"ifelse: the condition must be a scalar, got {test.type} from {test.origin}\n"
            "  hint: T.switch(condition, a, b) chooses element by element"
        )
    for k, (a, b) in enumerate(zip(firsts, seconds)):
        if a.ndim != b.ndim:
            raise RankError(
                f"ifelse: {a.type} from {a.origin} in one branch, {b.type} from {b.origin} in the other"
            )
        if a.dtype != b.dtype:
            wide = str(np.promote_types(a.dtype, b.dtype))
            if wide not in (a.dtype, b.dtype):
                raise DTypeError(f"ifelse: {a.type} from {a.origin} in one branch, {b.type} in the other")
            firsts[k], seconds[k] = cast(a, wide), cast(b, wide)
    outputs = IfElse(len(firsts)).make(cast(neq(test, 0), "int64"), *firsts, *seconds).outputs
    made = [wrap(v) for v in outputs]
    if name is not None:
        made[0].name = name
    return made if listed else made[0]


__all__ = ["ifelse"]

"""Rewrite rules that read as algebra: pattern and replacement are expressions of the same variables.

    Rule("log_sigmoid", lambda x: log(sigmoid(x)), lambda x: neg(softplus(neg(x))))

The pattern is traced once on placeholder variables. It matches a node whose ops equal the pattern's;
a placeholder matches any value (the same one wherever it stands), a constant matches constants whose
elements all have its value. The operands of commutative ops match in either order.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symconv.errors import GraphError
from symconv.graph import Apply, Constant, Op, TensorType, Variable
from symconv.graph.origin import origin
from symconv.graph.traversal import lines_of
from symconv.ops.operands import as_variable

COMMUTATIVE = frozenset({"add", "mul", "maximum", "minimum", "logical_and", "logical_or", "eq", "neq"})


@dataclass(frozen=True)
class Rule:
    """pattern -> replacement, where `when` (given the matched variables) holds.

    `dtypes` gives placeholders another dtype than float32 where the pattern's ops ask for it.
    """

    name: str
    pattern: Callable[..., Variable]
    replacement: Callable[..., Any]
    when: Callable[..., bool] | None = None
    dtypes: dict[str, str] = field(default_factory=dict)
    root: Variable = field(init=False)
    placeholders: dict[Variable, str] = field(init=False)

    def __post_init__(self) -> None:
        names = list(inspect.signature(self.pattern).parameters)
        made = {n: Variable(TensorType(self.dtypes.get(n, "float32"), (None, None)), name=n) for n in names}
        root = as_variable(self.pattern(**made))
        if root.owner is None:
            raise GraphError(f"rule {self.name}: the pattern is a bare variable")
        object.__setattr__(self, "root", root)
        object.__setattr__(self, "placeholders", {v: n for n, v in made.items()})

    @property
    def op(self) -> type[Op]:
        """The class of the op at the pattern's root."""
        assert self.root.owner is not None
        return type(self.root.owner.op)

    def apply(self, out: Variable) -> Variable | None:
        """The replacement for `out`, or None where the rule does not match."""
        bound: dict[str, Variable] = {}
        if not self._match(self.root, out, bound):
            return None
        if self.when is not None and not self.when(**bound):
            return None
        with origin(lines_of([out], bound.values())):
            new = as_variable(self.replacement(**bound))
        return None if new is out else new

    def _match(self, pattern: Variable, v: Variable, bound: dict[str, Variable]) -> bool:
        name = self.placeholders.get(pattern)
        if name is not None:
            return bound.setdefault(name, v) is v
        if isinstance(pattern, Constant):
            return is_filled_with(v, pattern.data.item())
        p, node = pattern.owner, v.owner
        assert p is not None
        if node is None or node.op != p.op or pattern.index != v.index or len(p.inputs) != len(node.inputs):
            return False
        orders = [node.inputs]
        if p.op.name in COMMUTATIVE:
            orders.append(node.inputs[::-1])
        for inputs in orders:
            attempt = dict(bound)
            if all(self._match(a, b, attempt) for a, b in zip(p.inputs, inputs)):
                bound.update(attempt)
                return True
        return False


def filled_value(v: Variable) -> Any | None:
    """The number that every element of `v` has, if `v` is a constant or a stretched constant scalar."""
    while v.owner is not None and v.owner.op.name in ("broadcast_to", "reshape", "full"):
        v = v.owner.inputs[0]
    if not isinstance(v, Constant) or v.data.size == 0:
        return None
    first = v.data.flat[0]
    return first.item() if v.data.size == 1 or bool(np.all(v.data == first)) else None


def is_filled_with(v: Variable, value: Any) -> bool:
    found = filled_value(v)
    return found is not None and found == value


@dataclass(frozen=True)
class LocalRule:
    """A rule as a function: for an op whose attributes matter. `rewrite(node)` gives new outputs or None."""

    name: str
    op: type[Op]
    rewrite: Callable[[Apply], Any]

"""Rewrite rules that read as algebra: pattern and replacement are expressions of the same variables.

    Rule("log_sigmoid", lambda x: log(sigmoid(x)), lambda x: neg(softplus(neg(x))))

The pattern is traced once on placeholder variables. It matches a node whose ops equal the pattern's;
a placeholder matches any value (the same one wherever it stands), a constant matches constants whose
elements all have its value. The operands of commutative ops match in either order.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symconv.errors import ArgumentError, GraphError, SymconvError
from symconv.graph import Apply, Constant, Op, TensorType, Variable
from symconv.graph.origin import origin, user_line
from symconv.graph.traversal import lines_of
from symconv.ops.operands import as_variable

MATRIX = TensorType("float32", (None, None))
COMMUTATIVE = frozenset({"add", "mul", "maximum", "minimum", "logical_and", "logical_or", "eq", "neq"})


@dataclass(frozen=True, eq=False)
class Rule:
    """pattern -> replacement, where `when` (given the matched variables) holds.

    Each is a function of variables; their names are the pattern's parameters. types: for parameters that are
    no float32 matrices, a TensorType or a variable of that type; in rules of the user's its number of axes
    must be that of what is matched. place: the line that made the rule.
    """

    name: str
    pattern: Callable[..., Variable]
    replacement: Callable[..., Any]
    when: Callable[..., Any] | None = None
    types: Mapping[str, TensorType | Variable] = field(default_factory=dict)
    root: Variable = field(init=False)
    placeholders: dict[Variable, str] = field(init=False)
    place: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", user_line())
        names = list(inspect.signature(self.pattern).parameters)
        if unknown := [n for n in self.types if n not in names]:
            raise ArgumentError(f"rule {self.name}: types of {', '.join(unknown)}; the pattern has {names}")
        made = {n: Variable(self._type(n), name=n) for n in names}
        try:
            root = as_variable(self.pattern(**made))
        except SymconvError as error:
            types = ", ".join(f"{n} {v.type}" for n, v in made.items())
            raise type(error)(
                f"rule {self.name}: its pattern cannot be built on {types}: {error.message}\n"
                "  hint: types={name: sc.tensor4(), ...} for parameters that are no float32 matrices"
            ) from error
        if root.owner is None:
            raise GraphError(f"rule {self.name}: the pattern is a bare variable")
        object.__setattr__(self, "root", root)
        object.__setattr__(self, "placeholders", {v: n for n, v in made.items()})

    def _type(self, name: str) -> TensorType:
        given = self.types.get(name, MATRIX)
        given = given.type if isinstance(given, Variable) else given
        if not isinstance(given, TensorType):
            raise ArgumentError(
                f"rule {self.name}: the type of {name} is {given!r}\n"
                f"  hint: types={{{name!r}: sc.tensor4()}}, or a TensorType"
            )
        return given

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


@dataclass(frozen=True, eq=False)
class LocalRule:
    """A rule as a function: for an op whose attributes matter. `rewrite(node)` gives new outputs or None.

    New outputs are a variable, or one for each of the node's; they take the node's place everywhere.
    """

    name: str
    op: type[Op]
    rewrite: Callable[[Apply], Any]
    place: str = field(default_factory=user_line)

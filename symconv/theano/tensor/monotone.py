"""Activations that never fall, so that max(f(z)) = f(max(z)): maximum pooling takes them after it.

They are then computed for the pooled values alone, and a convolution with its bias and the pooling become one
kernel, also where the rectifier's derivative at 0 is not that of the native one: 1/2 for (z + |z|) / 2, 1 for
maximum(z, 0). Only where values of a window are equal can the gradient go to another of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from symconv.graph import Apply, TensorType, Variable
from symconv.graph.traversal import rebuild, toposort
from symconv.rewrite.pattern import filled_value
from symconv.theano.declared import SameDims, _Identity

_arguments: WeakKeyDictionary[Variable, Variable] = WeakKeyDictionary()


def mark(result: Variable, argument: Variable) -> None:
    """Say that `result` is a function of `argument`, element by element, that never falls."""
    _arguments[result] = argument


def moved_after(pool: Callable[[Variable], Variable], x: Variable) -> Variable | None:
    """f(pool(z)) for x = f(z) where f never falls; None where no f is recognised."""
    z = x
    while (below := _argument(z)) is not None and below.ndim == x.ndim:
        z = below
    return None if z is x else Moved()(rebuild([x], {z: pool(z)})[0], pool(x))


@dataclass(frozen=True)
class Moved(_Identity):
    """value = f(pool(z)), which stands for `plain` = pool(f(z)) unless somebody asks for f(z)."""

    name = "moved"
    operands = ("value", "plain")

    def infer(self, value: Variable, plain: Variable) -> TensorType:
        return value.type

    def simplify(self, value: Variable, plain: Variable) -> Sequence[Variable]:
        return [value]

    def reference(self, value: np.ndarray, plain: np.ndarray) -> np.ndarray:
        return value


def as_written(roots: Sequence[Variable], kept: Iterable[Variable]) -> list[Variable]:
    """`roots` with plain in place of value wherever only plain holds one of the expressions `kept`."""
    roots = list(roots)
    inner = {v for v in kept if v.owner is not None}
    while inner:
        replace: dict[Variable, Variable] = {}
        for node in toposort(roots):
            if isinstance(node.op, Moved):
                value, plain = (inner & _made_in(v) for v in node.inputs)
                if plain - value:
                    replace[node.out] = node.inputs[1]
        if not replace:
            break
        roots = rebuild(roots, replace)
    return roots


def _made_in(v: Variable) -> set[Variable]:
    return {out for node in toposort([v]) for out in node.outputs}


def _argument(x: Variable) -> Variable | None:
    """z where x is maximum(z, c), minimum(z, c), switch(z < 0, 0, z), c (z + |z|) or (z + |z|) / c, or was
    marked."""
    if x in _arguments:
        return _arguments[x]
    node = x.owner
    if node is None or len(node.inputs) < 2:
        return None
    a, b = node.inputs[:2]
    name = node.op.name
    if name in ("maximum", "minimum"):
        return _bare(a) if _number(b) is not None else b if _number(a) is not None else None
    if name == "mul":
        for factor, rest in ((a, b), (b, a)):
            if (_number(factor) or 0) > 0:
                return _doubled(_bare(rest))
    if name == "true_div" and (_number(b) or 0) > 0:
        return _doubled(_bare(a))
    if name in ("where", "switch"):
        return _cut(node)
    return None


def _number(v: Variable) -> float | None:
    """The value of a constant that is one number, whatever its rank."""
    v = _bare(v)
    return filled_value(v) if all(d == 1 for d in v.type.shape) else None


def _bare(v: Variable) -> Variable:
    """v without the check that operands have one shape."""
    return v.owner.inputs[0] if v.owner is not None and isinstance(v.owner.op, SameDims) else v


def _doubled(total: Variable) -> Variable | None:
    """z where total = z + |z|."""
    if total.owner is None or total.owner.op.name != "add" or len(total.owner.inputs) != 2:
        return None
    a, b = map(_bare, total.owner.inputs)
    for z, size in ((a, b), (b, a)):
        if size.owner is not None and size.owner.op.name == "abs" and size.owner.inputs[0] is z:
            return z
    return None


def _cut(node: Apply) -> Variable | None:
    """z where node computes switch(z < 0, 0, z)."""
    condition, zero, z = map(_bare, node.inputs)
    test = condition.owner
    if _number(zero) != 0 or test is None or test.op.name not in ("lt", "le", "less", "less_equal"):
        return None
    return z if _bare(test.inputs[0]) is z and _number(test.inputs[1]) == 0 else None

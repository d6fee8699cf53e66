"""Guards as Python code: integer scalars that depend on inputs and shapes, computed at every call.

A guard is typically the length of x[i * n : (i + 1) * n]. NumPy takes a hundred microseconds for the
handful of scalar operations in it, Python one. What is not listed here is left to the reference executor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symconv.graph import Apply, Constant, SharedVariable, Variable
from symconv.graph.traversal import toposort
from symconv.ops.slicing import IndexStart

WIDTHS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
Evaluate = Callable[[Sequence[Any]], tuple[int, ...]]


def _clip(bound: int, dim: int, step: int) -> int:
    if bound < 0:
        bound += dim
    low, high = (0, dim) if step > 0 else (-1, dim - 1)
    return low if bound < low else high if bound > high else bound


def _start(start: int, dim: int, step: int) -> int:
    return max(_clip(start, dim, step), 0)


def _length(start: int, stop: int, dim: int, step: int) -> int:
    return max(-(-(_clip(stop, dim, step) - _clip(start, dim, step)) // step), 0)


def _index(i: int, dim: int, axis: int) -> int:
    if not -dim <= i < dim:
        IndexStart(axis).reference(np.asarray(i), np.asarray(dim))  # raises
    return i + dim if i < 0 else i


def _wrapped(value: int, bits: int) -> int:
    half = 1 << (bits - 1)
    return value if -half <= value < half else (value + half) % (2 * half) - half


_NAMES = {"_start": _start, "_length": _length, "_index": _index, "_wrapped": _wrapped}
_ARITHMETIC = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "neg": "-{0}",
    "square": "{0} * {0}",
    "abs": "abs({0})",
    "maximum": "max({0}, {1})",
    "minimum": "min({0}, {1})",
    "floor_div": "({0} // {1} if {1} else 0)",
    "mod": "({0} % {1} if {1} else 0)",
}
_PLAIN = {"maximum", "minimum", "mod"}  # cannot leave the range of their operands' dtype


_SAME_SHAPE = {"cast", "same_dims"}  # ops whose output has the shape of their first input


def _expression(node: Apply, operands: Sequence[str]) -> str | None:
    """The value of a node as Python text; None for an op that is not known here."""
    op: Any = node.op
    if op.name == "slice_start":
        return f"_start({', '.join(operands)}, {op.step})"
    if op.name == "slice_length":
        return f"_length({', '.join(operands)}, {op.step})"
    if op.name == "index":
        return f"_index({', '.join(operands)}, {op.axis})"
    if any(v.dtype not in WIDTHS for v in (*node.inputs, node.out)):
        return None
    if op.name == "cast":
        return operands[0] if WIDTHS[op.dtype] >= WIDTHS[node.inputs[0].dtype] else None
    template = _ARITHMETIC.get(op.name)
    if template is None:
        return None
    text = template.format(*operands)
    return text if op.name in _PLAIN else f"_wrapped({text}, {WIDTHS[node.out.dtype]})"


def compile_guards(guards: Sequence[Variable], inputs: Sequence[Variable]) -> Evaluate | None:
    """A function from the inputs' arrays to the values of the guards; None if it cannot be made."""
    place = {v: k for k, v in enumerate(inputs)}
    shared: dict[Variable, str] = {}
    names: dict[Variable, str] = {}
    lines: list[str] = []
    scope: dict[str, Any] = dict(_NAMES)

    def array(v: Variable) -> str | None:
        while v.owner is not None and v not in place and v.owner.op.name in _SAME_SHAPE:
            v = v.owner.inputs[0]
        if v in place:
            return f"arrays[{place[v]}]"
        if isinstance(v, SharedVariable):
            name = shared.setdefault(v, f"shared{len(shared)}")
            scope[name] = v
            return f"{name}.get_value(True)"
        return None

    def scalar(v: Variable) -> str | None:
        if v in names:
            return names[v]
        if v.ndim or v.dtype not in WIDTHS:
            return None
        if isinstance(v, Constant):
            return repr(int(v.data))
        source = None if v.owner is not None and v not in place else array(v)
        if source is None:
            return None
        return names.setdefault(v, _emit(lines, f"int({source})"))

    for node in toposort(guards, stop=inputs):
        if node.op.name == "shape_of":
            source = array(node.inputs[0])
            text = None if source is None else f"{source}.shape[{node.op.attributes()['axis']}]"
        else:
            operands = [scalar(v) for v in node.inputs]
            known = [o for o in operands if o is not None]
            text = _expression(node, known) if len(known) == len(operands) else None
        if text is not None:  # a node that gave none may yet be one whose shape alone is asked for
            names[node.out] = _emit(lines, text)
    results = [scalar(v) for v in guards]
    if None in results:
        return None
    body = "\n".join(f"    {line}" for line in [*lines, f"return ({''.join(f'{r}, ' for r in results)})"])
    exec(f"def evaluate(arrays):\n{body}", scope)
    made: Evaluate = scope["evaluate"]
    return made


def _emit(lines: list[str], text: str) -> str:
    name = f"v{len(lines)}"
    lines.append(f"{name} = {text}")
    return name

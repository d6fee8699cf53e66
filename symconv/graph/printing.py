"""Graphs as text."""

from __future__ import annotations

from collections.abc import Sequence

from symconv.graph.core import Apply, Variable
from symconv.graph.function_graph import FunctionGraph

MAX_INDENT = 40  # levels


def debugprint(
    outputs: Variable | Sequence[Variable] | FunctionGraph, depth: int | None = None, types: bool = True
) -> str:
    """An indented tree per output; a node met again is shown by its number only.

    Below MAX_INDENT levels the level stands as a number: the text grows with the number of nodes alone.
    """
    if isinstance(outputs, FunctionGraph):
        roots = outputs.roots
    else:
        roots = [outputs] if isinstance(outputs, Variable) else list(outputs)
    numbers: dict[Apply, int] = {}
    lines: list[str] = []
    stack: list[tuple[Variable, int]] = [(v, 0) for v in reversed(roots)]
    while stack:
        v, level = stack.pop()
        indent = "  " * level if level <= MAX_INDENT else f"{'  ' * MAX_INDENT}({level}) "
        kind = f"  {v.type}" if types else ""
        node = v.owner
        if node is None:
            lines.append(f"{indent}{v}{kind}")
            continue
        which = f".{v.index}" if len(node.outputs) > 1 else ""
        name = f" '{v.name}'" if v.name else ""
        if node in numbers:
            lines.append(f"{indent}{node.op.name}{which} [{numbers[node]}]{name} ...")
            continue
        numbers[node] = len(numbers)
        lines.append(f"{indent}{node.op.label()}{which} [{numbers[node]}]{name}{kind}  {node.origin}")
        if depth is None or level + 1 < depth:
            stack.extend((i, level + 1) for i in reversed(node.inputs))
    return "\n".join(lines)

"""Graphs as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TextIO, runtime_checkable

from symconv.errors import ArgumentError
from symconv.graph.core import Apply, Variable
from symconv.graph.function_graph import FunctionGraph

MAX_INDENT = 40  # levels
Ids = Literal["CHAR", "int", "auto", ""]


@runtime_checkable
class HasGraph(Protocol):
    """What debugprint and the pictures take besides variables: a compiled Function."""

    def graph_to_show(self) -> FunctionGraph | Sequence[Variable]: ...


Printable = Variable | Sequence[Variable] | FunctionGraph | HasGraph


def shown_roots(what: Printable) -> list[tuple[Variable, str]]:
    """The variables at the ends of what is to be shown, each with its part in the function or ''."""
    graph = what.graph_to_show() if isinstance(what, HasGraph) else what
    if isinstance(graph, FunctionGraph):
        roles = [(v, f"output {i}") for i, v in enumerate(graph.outputs)]
        return roles + [(v, f"new value of {graph.states[i]}") for i, v in graph.updates]
    roots: list[Variable] = list(graph) if isinstance(graph, (list, tuple)) else [graph]  # type: ignore[list-item]
    for v in roots:
        if not isinstance(v, Variable):
            raise ArgumentError(
                "a graph is shown of variables, a FunctionGraph or a compiled function, "
                f"not of {type(v).__name__}"
            )
    return [(v, "") for v in roots]


def debugprint(
    what: Printable,
    depth: int | None = None,
    types: bool = True,
    *,
    ids: Ids = "CHAR",
    lines: bool = True,
    stop_on_name: bool = False,
    file: TextIO | Literal["str"] | None = None,
) -> str:
    """A tree per output, drawn with lines; a node met again is shown by its id only.

    what: a variable, several, or a function (as it is after rewriting once a plan was made, else as it was
    written). depth: levels to show, None or a negative number for all. types: dtype and shape of every value.
    ids: of nodes, as letters ('CHAR'), numbers ('int'), Python's id ('auto') or none (''). lines: where the
    user made the node. stop_on_name: do not go below variables with a name. The text is returned, and also
    written to `file` where that is an open text file ('str' is taken for Theano's sake and changes nothing).

    Below MAX_INDENT levels the level stands as a number: the text grows with the number of nodes alone.
    Raises ArgumentError for what has no graph, and for ids that are none of these.
    """
    if ids not in ("CHAR", "int", "auto", ""):
        raise ArgumentError(f"debugprint: ids must be 'CHAR', 'int', 'auto' or '', got {ids!r}")
    limit = depth if depth is not None and depth >= 0 else None
    numbers: dict[Apply, int] = {}
    text: list[str] = []
    # (variable, its part, level, prefix of its own line, prefix of the lines below it)
    stack = [(v, role, 0, "", "") for v, role in reversed(shown_roots(what))]
    while stack:
        v, role, level, first, below = stack.pop()
        if limit is not None and level >= limit:
            continue
        known = v.owner in numbers
        parts = [first + _value(v, known, numbers, ids)]
        if types and not known:
            parts.append(str(v.type))
        if lines and v.owner is not None and not known:
            parts.append(v.owner.origin)
        if role:
            parts.append(f"= {role}")
        text.append("  ".join(parts) + (" ..." if known else ""))
        if v.owner is None or known or (stop_on_name and v.name and level):
            continue
        inputs = v.owner.inputs
        for k in reversed(range(len(inputs))):
            stack.append((inputs[k], "", level + 1, *_prefixes(below, level + 1, k == len(inputs) - 1)))
    for node, number in list(numbers.items()):
        body = node.op.inner()
        if body and (limit is None or limit > 1):
            text.append(f"one step of {node.op.name} [id {_letters(number)}]:")
            text += ["  " + line for line in debugprint(body, depth, types, ids=ids, lines=lines).split("\n")]
    result = "\n".join(text)
    if file is not None and file != "str":
        file.write(result + "\n")
    return result


def _prefixes(before: str, level: int, last: bool) -> tuple[str, str]:
    if level > MAX_INDENT:
        return f"{before.partition('(')[0]}({level}) ", f"{before.partition('(')[0]}"
    return before + (" └─ " if last else " ├─ "), before + ("    " if last else " │  ")


def _value(v: Variable, known: bool, numbers: dict[Apply, int], ids: Ids) -> str:
    node = v.owner
    if node is None:
        return str(v)
    number = numbers.setdefault(node, len(numbers))
    which = f".{v.index}" if len(node.outputs) > 1 else ""
    label = node.op.name if known else node.op.label()
    mark = {"CHAR": _letters(number), "int": str(number), "auto": str(id(node)), "": ""}[ids]
    return f"{label}{which}{f' [id {mark}]' if mark else ''}" + (f" '{v.name}'" if v.name else "")


def _letters(number: int) -> str:
    """0 -> A, 25 -> Z, 26 -> AA."""
    text = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("A") + digit) + text
    return text

"""What a picture of a graph holds: boxes for nodes, leaves and results, and the edges between them.

Constants of few elements stand inside the box that reads them; an input or a state is drawn beside every
reader, so that a weight that is read in many places does not tie the whole picture together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from symconv.graph import Apply, Constant, SharedVariable, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.printing import HasGraph, Printable, shown_roots
from symconv.graph.traversal import toposort

MAX_NAME = 34  # characters of a line in a box


@dataclass(frozen=True, slots=True)
class Box:
    """kind: 'forward', 'gradient', 'update', 'input', 'state', 'constant' or 'result'."""

    kind: str
    lines: tuple[str, ...]
    tip: str
    fresh: bool = False  # made by the pass that is shown


@dataclass(frozen=True, slots=True)
class Edge:
    start: int
    end: int
    tip: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """Boxes, producers first, and edges between their numbers. `nodes`: how many of them are Apply nodes."""

    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    nodes: int


def drawing(what: Printable, fresh: Iterable[Apply] = ()) -> Drawing:
    """The picture of a graph; nodes in `fresh` are marked."""
    roots = shown_roots(what)
    graph = what.graph_to_show() if isinstance(what, HasGraph) else what
    states = set(graph.states) if isinstance(graph, FunctionGraph) else set()
    new_values = {v for v, role in roots if role.startswith("new value")}
    marked = set(fresh)
    nodes = toposort([v for v, _ in roots])
    boxes: list[Box] = []
    edges: list[Edge] = []
    number: dict[Apply, int] = {}

    def leaf(v: Variable) -> int:
        kind = "constant" if isinstance(v, Constant) else "input"
        if v in states or isinstance(v, SharedVariable):
            kind = "state"
        name = _short(v.name or (f"constant {v.type}" if kind == "constant" else "input"))
        lines = (name,) if str(v.type) in name else (name, str(v.type))
        boxes.append(Box(kind, lines, f"{v!r}\nfrom {v.origin}"))
        return len(boxes) - 1

    for node in nodes:
        own: list[tuple[int, str]] = []
        inline: list[str] = []
        dims = set(node.op.shape_operands(len(node.inputs)))
        for k, v in enumerate(node.inputs):
            what_is_it = node.op.operands[k] if k < len(node.op.operands) else f"input {k}"
            if isinstance(v, Constant) and v.data.size <= 4:
                if k not in dims:
                    inline.append(_number(v))
                continue
            start = number[v.owner] if v.owner is not None else leaf(v)
            which = f".{v.index}" if v.owner is not None and len(v.owner.outputs) > 1 else ""
            own.append((start, f"{what_is_it}: {v.type}{which and ' from output ' + which[1:]}"))
        number[node] = len(boxes)
        boxes.append(Box(_kind(node, new_values), _lines(node, inline), _tip(node), node in marked))
        edges += [Edge(start, number[node], tip) for start, tip in own]
    for v, role in roots:
        if role or v.owner is None:
            start = number[v.owner] if v.owner is not None else leaf(v)
            if role:
                boxes.append(Box("result", (_short(role),), f"{role}: {v.type}"))
                edges.append(Edge(start, len(boxes) - 1, str(v.type)))
    return Drawing(tuple(boxes), tuple(edges), len(nodes))


def phase(node: Apply | None) -> str:
    """'forward', 'gradient' or 'update', by what the compiler wrote before the user's line."""
    return phase_of("" if node is None else node.origin)


def phase_of(line: str) -> str:
    """`phase` of a node from this line; '' is what no node asks for."""
    if not line or line.startswith("update of "):
        return "update"
    return "gradient" if line.startswith("gradient of ") else "forward"


def _kind(node: Apply, new_values: set[Variable]) -> str:
    return "update" if any(o in new_values for o in node.outputs) else phase(node)


def _lines(node: Apply, inline: list[str]) -> tuple[str, ...]:
    head = _short("  ".join([node.op.name, *inline]))
    types = [str(o.type) for o in node.outputs]
    return (head, _short(types[0] + (f" +{len(types) - 1}" if len(types) > 1 else "")))


def _tip(node: Apply) -> str:
    names = [*node.op.operands, *(f"input {k}" for k in range(len(node.op.operands), len(node.inputs)))]
    ins = "".join(f"\n  {name}: {v} {v.type}" for name, v in zip(names, node.inputs))
    outs = ", ".join(str(o.type) for o in node.outputs)
    named = "".join(f" '{o.name}'" for o in node.outputs if o.name)
    return f"{node.op.label()}{named}\n{node.origin}{ins}\n  gives {outs}"


def _number(v: Constant) -> str:
    values = v.data.ravel().tolist()
    text = ", ".join(f"{x:.4g}" if isinstance(x, float) else str(x) for x in values)
    return text if len(values) == 1 else f"[{text}]"


def _short(text: str) -> str:
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"


def fresh_nodes(before: FunctionGraph, after: FunctionGraph) -> list[Apply]:
    """Nodes of `after` that are not merely nodes of `before` on new inputs."""
    old, new = set(before.nodes()), set(after.nodes())
    gone = Counter(_identity(n) for n in old - new)
    fresh = []
    for node in after.nodes():
        if node in old:
            continue
        key = _identity(node)
        if gone[key]:
            gone[key] -= 1
        else:
            fresh.append(node)
    return fresh


def _identity(node: Apply) -> tuple[object, ...]:
    return node.op, node.origin, tuple(o.type for o in node.outputs)

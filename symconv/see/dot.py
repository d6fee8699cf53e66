"""Pictures of graphs by Graphviz, for formats and sizes that the own layout does not serve."""

from __future__ import annotations

from typing import Any

from symconv.errors import MissingExtraError
from symconv.files import import_extra
from symconv.graph.printing import Printable
from symconv.see.drawing import drawing
from symconv.see.svg import LIGHT

PURPOSE = "drawing graphs with Graphviz"


def dot_source(what: Printable) -> Any:
    """The graph as a graphviz.Digraph, which needs the package but not yet the program `dot`."""
    graphviz = import_extra("graphviz", "viz", PURPOSE)
    picture = drawing(what)
    graph = graphviz.Digraph(
        node_attr={"fontname": "monospace", "fontsize": "10", "shape": "box", "style": "rounded,filled"},
        edge_attr={"color": LIGHT["line"], "arrowsize": "0.6"},
    )
    for number, box in enumerate(picture.boxes):
        label = "\n".join(graphviz.escape(line) for line in box.lines)
        tip = graphviz.escape(box.tip)
        graph.node(str(number), label, fillcolor=LIGHT[box.kind], color=LIGHT["line"], tooltip=tip)
    for edge in picture.edges:
        graph.edge(str(edge.start), str(edge.end), tooltip=graphviz.escape(edge.tip))
    return graph


def dot_picture(what: Printable, form: str = "svg") -> bytes:
    """The picture in a format of Graphviz: svg, png, pdf ...

    Raises MissingExtraError where the package or the program `dot` is absent.
    """
    graphviz = import_extra("graphviz", "viz", PURPOSE)
    source = dot_source(what)
    try:
        picture: bytes = source.pipe(format=form)
    except graphviz.ExecutableNotFound as why:
        raise MissingExtraError(
            f"{PURPOSE} needs the program `dot`, which pip cannot install: `apt install graphviz`, "
            "`brew install graphviz`\n  hint: engine='layered' needs neither"
        ) from why
    return picture

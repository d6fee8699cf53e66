"""Graphs as pictures: of an expression, of a compiled function, of every pass on the way."""

from __future__ import annotations

from pathlib import Path

from symconv.errors import ArgumentError, OutputError
from symconv.files import Pathlike, atomic_path, output_hint, reason
from symconv.function import Function
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.printing import Printable
from symconv.see.dot import dot_picture
from symconv.see.drawing import fresh_nodes
from symconv.see.svg import graph_svg

ENGINES = ("layered", "dot")
DOT_FORMATS = ("svg", "png", "pdf")


def draw_graph(what: Printable, path: Pathlike, *, engine: str = "layered") -> Path:
    """Write a picture of a variable's expression, of several, or of a compiled function's rewritten graph.

    engine 'layered' is symconv's own and writes SVG; 'dot' is Graphviz's and writes SVG, PNG or PDF by the
    suffix of `path`. Data flows downwards; blue boxes compute values, orange ones gradients, green ones new
    values of shared variables. Raises OutputError for a suffix that the engine does not write, and
    MissingExtraError where Graphviz is absent.
    """
    if engine not in ENGINES:
        raise ArgumentError(f"draw_graph: engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    form = Path(path).suffix.lower().removeprefix(".")
    forms = DOT_FORMATS if engine == "dot" else ("svg",)
    if form not in forms:
        hint = "\n  hint: engine='dot' writes it" if form in DOT_FORMATS else ""
        raise OutputError(
            f"cannot write {path}: a graph's picture by {engine} ends in .{', .'.join(forms)}{hint}"
        )
    data = dot_picture(what, form) if engine == "dot" else graph_svg(what).encode()
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)


def draw_stages(f: Function, folder: Pathlike) -> list[Path]:
    """Write the graph as written, with its shapes, and after each pass: 00_written.svg, 01_shapes.svg, ...

    Of the latest plan of `f`; a pass that changed nothing has no picture. What a pass made anew is framed.
    Raises ArgumentError where `f` has no plan yet.
    """
    if not f.executables:
        raise ArgumentError(f"draw_stages: {f!r} has no plan yet\n  hint: call it, or f.prepare(...) first")
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise OutputError(f"cannot write {folder}: {reason(why)}{output_hint(folder)}") from why
    paths = [draw_graph(f.written(), folder / "00_written.svg")]
    before: FunctionGraph | None = None
    for number, stage in enumerate(f.executables[-1].stages, 1):
        if before is not None and stage.graph.roots == before.roots:
            continue
        fresh = () if before is None else fresh_nodes(before, stage.graph)
        paths.append(folder / f"{number:02d}_{stage.name}.svg")
        with atomic_path(paths[-1]) as temporary:
            temporary.write_text(graph_svg(stage.graph, fresh, title=f"the graph after {stage.name}"))
        before = stage.graph
    return paths


__all__ = ["draw_graph", "draw_stages"]

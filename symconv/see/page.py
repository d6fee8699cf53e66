"""One HTML page with all that the compiler did: no other files, no network, no script needed to read it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Protocol

from symconv.backends.executable import Executable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.printing import debugprint
from symconv.plan.plan import steps_of
from symconv.rewrite.driver import applications
from symconv.see import panes
from symconv.see.arena import amount
from symconv.see.drawing import fresh_nodes
from symconv.see.html import count, escape, section
from symconv.see.svg import graph_svg, palette_rules, rules

if TYPE_CHECKING:
    from symconv.see.profile import Profile

MOST_NODES = 3000  # of a picture; larger graphs are shown as text
STATES = """\
.tabs>input:focus-visible~.labels{outline:2px solid var(--accent);outline-offset:3px}
"""


class Shown(Protocol):
    """What the page needs of a function."""

    device: str
    name: str | None

    @property
    def executables(self) -> list[Executable]: ...

    def written(self) -> FunctionGraph: ...


@cache
def _file(name: str) -> str:
    return (files("symconv.see") / name).read_text(encoding="utf-8")


def page(f: Shown, profile: Profile | None = None, plans: Sequence[Executable] | None = None) -> str:
    """The page about `f`: every plan (or those in `plans`) with its panes, and a profile if one is given."""
    chosen = list(f.executables if plans is None else plans)
    name = f.name or "function"
    bodies, links, selectors = [], [], []
    for number, executable in enumerate(chosen):
        mark = f"p{number}-"
        shapes = ", ".join(str(v.type) for v in executable.graph.inputs)
        if len(chosen) > 1:
            bodies.append(f'<h2 id="{mark}plan">Plan {number}: {escape(name)}({escape(shapes)})</h2>')
        stages, css = _stages(mark, f, executable)
        selectors.append(css)
        found = [("stages", "Stages", stages), *panes.of(executable)]
        if profile is not None and any(e is executable for e, _ in profile.timings):
            found.insert(0, ("profile", "Profile", panes.profile_pane(profile)))
        for key, title, body in found:
            bodies.append(section(mark + key, title, body))
            links.append(f'<a href="#{mark}{key}">{title}{f" {number}" if len(chosen) > 1 else ""}</a>')
    style = "".join([_file("page.css"), palette_rules(":root"), rules("svg"), STATES, *selectors])
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>symconv: {escape(name)}</title><style>{style}</style></head><body>"
        f'<header class="top"><h1>{escape(name)} <span class="faint">on {escape(f.device)}</span></h1>'
        f'<p class="lead">{_lead(chosen)}</p>{_cards(f, chosen)}</header>'
        f'<nav class="panes"><div>{"".join(links)}</div></nav><main>{"".join(bodies)}</main>'
        f"<script>{_file('page.js')}</script></body></html>\n"
    )


def _lead(plans: Sequence[Executable]) -> str:
    shapes = ["(" + ", ".join(str(v.type) for v in e.graph.inputs) + ")" for e in plans]
    return (
        f"What symconv made of it for inputs {escape(' and '.join(shapes))}: the graph on its way through "
        "the compiler, the rules that were applied, the kernels that were chosen and those that refused, the "
        "memory, and the code that was generated. Rest the pointer on anything to learn more."
    )


def _cards(f: Shown, plans: Sequence[Executable]) -> str:
    executable = plans[-1]
    cards = [
        (count(len(f.written().nodes())), "nodes as written"),
        (count(len(executable.graph.nodes())), "nodes that run"),
        (count(sum(len(applications(s.trace)) for s in executable.stages)), "rules applied"),
    ]
    plan = executable.plan
    if plan is not None:
        every = [found.step for found in steps_of(plan)]
        refusals = sum(len(s.refusals) for s in every)
        cards += [
            (count(len(plan.steps)), "steps"),
            (count(len({s.kernel.name for s in every if s.kernel is not None})), "kernels"),
            (count(refusals), "refusals"),
            (f"{plan.flops / 1e6:,.1f} M" if plan.flops >= 1e5 else count(plan.flops), "FLOPs"),
            (amount(plan.arena_bytes), "arena"),
        ]
    parts = "".join(f'<div class="card"><b>{value}</b><span>{what}</span></div>' for value, what in cards)
    return f'<div class="cards">{parts}</div>'


def _stages(mark: str, f: Shown, executable: Executable) -> tuple[str, str]:
    """The pane with a tab for every stage, and the CSS by which a tab shows its picture."""
    graphs: list[tuple[str, FunctionGraph, int]] = [("written", f.written(), 0)]
    graphs += [(s.name, s.graph, len(applications(s.trace))) for s in executable.stages]
    inputs, labels, pictures, css = [], [], [], []
    last = len(graphs) - 1
    for k, (name, graph, applied) in enumerate(graphs):
        same = k > 1 and graph.roots == graphs[k - 1][1].roots
        tab = f"{mark}stage{k}"
        chosen = " checked" if k == last else ""
        inputs.append(f'<input type="radio" name="{mark}stage" id="{tab}"{chosen}>')
        about = "no change" if same else f"{len(graph.nodes())} nodes"
        about += f", {applied} rule{'s' * (applied != 1)}" if applied else ""
        labels.append(
            f'<label for="{tab}"{" class=same" * same}>{escape(name)}<small>{about}</small></label>'
        )
        css.append(
            f"#{tab}:checked~.labels label[for={tab}]{{border-color:var(--accent);"
            f"box-shadow:inset 0 0 0 1px var(--accent)}}#{tab}:checked~#{tab}-picture{{display:block}}"
        )
        pictures.append(f'<div class="stage" id="{tab}-picture">{_stage(graphs, k, same)}</div>')
    key = "".join(
        f'<span><i style="background:var(--sc-{kind});{frame}"></i>{what}</span>'
        for kind, what, frame in (
            ("forward", "value", ""),
            ("gradient", "gradient", ""),
            ("update", "new value", ""),
            ("state", "shared variable", ""),
            ("input", "input", ""),
            ("result", "made by this pass", "border:2px solid var(--sc-fresh)"),
        )
    )
    body = (
        '<p class="lead">The graph as it was written, with the shapes of the call, and after each pass. '
        "The last one is what runs.</p>"
        f'<div class="tabs">{"".join(inputs)}<div class="labels">{"".join(labels)}</div>'
        f'<div class="key">{key}</div>{"".join(pictures)}</div>'
    )
    return body, "".join(css)


def _stage(graphs: Sequence[tuple[str, FunctionGraph, int]], k: int, same: bool) -> str:
    name, graph, _ = graphs[k]
    if same and k < len(graphs) - 1:
        return (
            f'<p class="faint">{escape(name)} found nothing to do: the graph is that of the stage before.</p>'
        )
    if len(graph.nodes()) > MOST_NODES:
        return f"<pre>{escape(debugprint(graph, depth=12))}</pre>"
    fresh = fresh_nodes(graphs[k - 1][1], graph) if k > 1 else []
    title = f"the graph after {name}" if k else "the graph as written"
    return f'<div class="scroll picture">{graph_svg(graph, fresh, title=title, alone=False)}</div>'

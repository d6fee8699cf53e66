"""How variables, functions, plans and profiles show themselves in a notebook: `_repr_html_`, `_repr_svg_`.

The methods are given to classes that lie to the left of this package, so that these need know no pictures.
"""

from __future__ import annotations

from typing import Any

from symconv.graph import Variable
from symconv.graph.printing import debugprint
from symconv.plan.explain import explain_plan
from symconv.plan.plan import Plan
from symconv.see.arena import arena_svg
from symconv.see.html import escape
from symconv.see.svg import graph_svg

MOST_NODES = 400  # of a picture beside other cells; larger graphs are shown as text
DEPTH = 8  # levels of that text


def box(title: str, picture: str, text: str = "") -> str:
    """A title, a picture that scrolls in its box, and text to fold out."""
    folded = f"<details><summary>as text</summary><pre>{escape(text)}</pre></details>" if text else ""
    scrolls = f'<div style="overflow:auto;max-height:640px">{picture}</div>' if picture else ""
    return f"<div><b>{escape(title)}</b>{scrolls}{folded}</div>"


def graph_box(title: str, what: Any) -> str:
    """The graph as a picture, or as text where it is large."""
    picture = graph_or_none(what)
    if picture is None:
        return box(title, f"<pre>{escape(debugprint(what, depth=DEPTH))}</pre>")
    return box(title, picture)


def graph_or_none(what: Any) -> str | None:
    from symconv.graph.printing import shown_roots
    from symconv.graph.traversal import toposort

    nodes = len(toposort([v for v, _ in shown_roots(what)]))
    return graph_svg(what) if nodes <= MOST_NODES else None


def variable_svg(v: Variable) -> str | None:
    return graph_or_none(v)


def variable_html(v: Variable) -> str:
    return graph_box(repr(v), v)


def plan_svg(plan: Plan) -> str:
    return arena_svg(plan)


def plan_html(plan: Plan) -> str:
    text = explain_plan(plan)
    return box(text.partition("\n")[0], arena_svg(plan), text)


def attach() -> None:
    """Give the classes of graph/ and plan/ their pictures."""
    for cls, svg, html in ((Variable, variable_svg, variable_html), (Plan, plan_svg, plan_html)):
        cls._repr_svg_ = svg  # type: ignore[union-attr]
        cls._repr_html_ = html  # type: ignore[union-attr]

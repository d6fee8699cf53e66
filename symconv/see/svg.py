"""Pictures as SVG text: what all of them share, and the picture of a graph.

Every picture stands alone (its style is inside) and follows the reader's light or dark setting. On the HTML
page the style stands once, and follows the page.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape as html_escape

from symconv.graph import Apply
from symconv.graph.printing import Printable
from symconv.see.drawing import Box, Drawing, drawing
from symconv.see.layers import Layout, lay_out

CHARACTER = 6.7  # width of one at 11.5 px
LINE = 15.0
PAD_X, PAD_Y = 9.0, 6.0
MARGIN = 14.0

LIGHT = {
    "ink": "#1f2430", "faint": "#6b7280", "paper": "#ffffff", "line": "#9aa3b2", "rule": "#e3e6ec",
    "forward": "#dbe9ff", "gradient": "#ffe6cf", "update": "#d9f2de", "state": "#ece3fb", "input": "#fdf3c4",
    "constant": "#eef0f4", "result": "#ffffff", "fresh": "#d6336c", "bar": "#5b8def", "hot": "#e8590c",
}  # fmt: skip
DARK = {
    "ink": "#e6e8ee", "faint": "#98a1b3", "paper": "#12151c", "line": "#5d6678", "rule": "#2a303c",
    "forward": "#1f3a63", "gradient": "#5c3a1c", "update": "#1f4a2c", "state": "#41306b", "input": "#55490f",
    "constant": "#2a2f3a", "result": "#12151c", "fresh": "#ff6b9d", "bar": "#4c7be0", "hot": "#ff922b",
}  # fmt: skip
FILLS = ("forward", "gradient", "update", "state", "input", "constant", "result")


def variables(palette: dict[str, str]) -> str:
    return ";".join(f"--sc-{name}:{value}" for name, value in palette.items())


RULES = {
    "text": "font:11.5px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:var(--sc-ink)",
    "rect": "stroke:var(--sc-line)",
    "path": "stroke:var(--sc-line)",
    ".sc-b": "font-weight:600",
    ".sc-f": "fill:var(--sc-faint)",
    ".sc-m": "text-anchor:middle",
    ".sc-e": "text-anchor:end",
    ".sc-l": "fill:none;stroke-width:1.1",
    ".sc-l:hover": "stroke:var(--sc-fresh);stroke-width:2.4",
    ".sc-new rect": "stroke:var(--sc-fresh);stroke-width:2.4",
    ".sc-grid": "stroke:var(--sc-rule);fill:none",
    ".sc-curve": "fill:none;stroke:var(--sc-hot);stroke-width:1.6",
    ".sc-hot": "fill:var(--sc-hot)",
    **{f".sc-{kind}": f"fill:var(--sc-{kind})" for kind in FILLS},
}


def rules(scope: str) -> str:
    """The style of all pictures below the CSS selector `scope`, in terms of the palette's variables."""
    return "".join(f"{scope} {what}{{{how}}}" for what, how in RULES.items())


def palette_rules(scope: str) -> str:
    """The palette for `scope`: light, or dark where the reader's system asks for it."""
    return f"{scope}{{{variables(LIGHT)}}}@media (prefers-color-scheme:dark){{{scope}{{{variables(DARK)}}}}}"


def svg(body: Iterable[str], width: float, height: float, title: str, *, alone: bool = True) -> str:
    """An SVG document of that size in pixels. alone: with its own style and background."""
    style = f"<style>{palette_rules('.sc-svg')}{rules('.sc-svg')}</style>" if alone else ""
    paper = '<rect width="100%" height="100%" style="fill:var(--sc-paper);stroke:none"/>' if alone else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="sc-svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img"><title>{escape(title)}</title>{style}{paper}'
        f"{''.join(body)}</svg>"
    )


def escape(words: str) -> str:
    """`words` as text of XML, which knows no control characters and no half surrogates, not even escaped."""
    return html_escape("".join(c if _printable(c) else "\ufffd" for c in words))


def _printable(c: str) -> bool:
    return (c >= " " and not "\ud800" <= c <= "\udfff" and c < "\ufffe") or c in "\n\t" or c > "\uffff"


def text(x: float, y: float, words: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{_class(style)}>{escape(words)}</text>'


def rect(
    x: float, y: float, width: float, height: float, style: str, tip: str = "", radius: float = 0
) -> str:
    rounded = f' rx="{radius:g}"' if radius else ""
    inner = f"<title>{escape(tip)}</title>" if tip else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"{rounded}'
        f"{_class(style)}>{inner}</rect>"
    )


def _class(style: str) -> str:
    return f' class="{style}"' if style else ""


# ---- graphs


def graph_svg(what: Printable, fresh: Iterable[Apply] = (), *, title: str = "", alone: bool = True) -> str:
    """The graph as SVG: data flows downwards. `fresh` nodes are framed."""
    picture = drawing(what, fresh)
    sizes = [_size(b) for b in picture.boxes]
    layout = lay_out(sizes, [(e.start, e.end) for e in picture.edges])
    body = [*_edges(picture, sizes, layout), *map(_box, picture.boxes, sizes, layout.centres)]
    return svg(
        body, layout.width + 2 * MARGIN, layout.height + 2 * MARGIN,
        title or f"a graph of {picture.nodes} nodes", alone=alone,
    )  # fmt: skip


def _size(box: Box) -> tuple[float, float]:
    width = max(len(line) for line in box.lines) * CHARACTER + 2 * PAD_X
    return max(width, 34.0), len(box.lines) * LINE + 2 * PAD_Y - 2


def _box(box: Box, size: tuple[float, float], centre: tuple[float, float]) -> str:
    (w, h), (x, y) = size, centre
    x, y = x + MARGIN, y + MARGIN
    pill = box.kind in ("input", "state", "constant", "result")
    parts = [rect(x - w / 2, y - h / 2, w, h, f"sc-{box.kind}", radius=h / 2 if pill else 5)]
    for k, line in enumerate(box.lines):
        style = "sc-m sc-b" if k == 0 else "sc-m sc-f"
        parts.append(text(x, y - h / 2 + PAD_Y + LINE * (k + 1) - 5, line, style))
    mark = ' class="sc-new"' if box.fresh else ""
    return f"<g{mark}><title>{escape(box.tip)}</title>{''.join(parts)}</g>"


def _edges(picture: Drawing, sizes: list[tuple[float, float]], layout: Layout) -> Iterable[str]:
    for edge, bends in zip(picture.edges, layout.bends):
        (x0, y0), (x1, y1) = layout.centres[edge.start], layout.centres[edge.end]
        stations = [(x0, y0 + sizes[edge.start][1] / 2), *bends, (x1, y1 - sizes[edge.end][1] / 2)]
        stations = [(x + MARGIN, y + MARGIN) for x, y in stations]
        path = f"M{stations[0][0]:.1f},{stations[0][1]:.1f}"
        for (ax, ay), (bx, by) in zip(stations, stations[1:]):
            if abs(ax - bx) < 0.5:
                path += f"L{bx:.1f},{by:.1f}"
            else:
                middle = (ay + by) / 2
                path += f"C{ax:.1f},{middle:.1f} {bx:.1f},{middle:.1f} {bx:.1f},{by:.1f}"
        x, y = stations[-1]
        path += "m-3.2,-6l3.2,6l3.2,-6"
        yield f'<path class="sc-l" d="{path}"><title>{escape(edge.tip)}</title></path>'

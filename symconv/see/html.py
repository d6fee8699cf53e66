"""Pieces of HTML that the page and the notebook's pictures share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symconv.see.svg import escape

__all__ = ["count", "escape", "section", "table"]


def count(n: int) -> str:
    return f"{n:,}"


def section(key: str, title: str, body: str) -> str:
    return f'<section class="pane" id="{key}"><h2>{title}</h2>{body}</section>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], kinds: str) -> str:
    """A table of cells that are HTML already.

    kinds: a letter a column: n number, m code, w wide code, c code on one line, s text on one line, . text.
    """
    classes = {
        "n": ' class="n"',
        "m": ' class="m"',
        "w": ' class="m w"',
        ".": "",
        "s": ' class="s"',
        "c": ' class="m s"',
    }
    head = "".join(f"<th>{h}</th>" for h in heads)
    body = "".join(
        "<tr>" + "".join(f"<td{classes[k]}>{cell}</td>" for k, cell in zip(kinds, row)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'

"""What symconv.theano.port changes for the sake of libraries that have changed since Python 2: pickles that
Python 2 wrote, names that NumPy has dropped, subplots that Matplotlib counted from 0 without complaint."""

from __future__ import annotations

import re
from typing import Any

from symconv.theano.port_names import is_call, replace_names


def convert(tree: Any) -> None:
    """Change a program's tree, one of fissix, in place."""
    _pickles(tree)
    replace_names(tree)
    _subplots(tree)


def _pickles(tree: Any) -> None:
    """pickle.load(f) of what Python 2 wrote needs encoding='latin1', and its files are binary."""
    files: set[str] = set()
    for node in tree.pre_order():
        text = str(node).strip()
        match = re.fullmatch(r"\(\s*(.+?)\s*\)", text, re.DOTALL) if is_call(node) else None
        if match is None:
            continue
        callee = _callee(node)
        if callee in ("pickle.load", "pickle.loads", "cPickle.load") and "encoding" not in text:
            closing = node.children[-1]
            closing.prefix, closing.value = "", f", encoding='latin1'{closing.prefix})"
            files.update(re.findall(r"^\(\s*(\w+)\s*[,)]", text))
            _make_binary(node.children[1])
        elif callee in ("pickle.dump", "cPickle.dump"):
            files.update(re.findall(r",\s*(\w+)\s*[,)]", text))
            _make_binary(node.children[1])
    for leaf in list(tree.leaves()):
        if leaf.type == 1 and leaf.value in files:
            statement = leaf.parent
            if statement is not None and re.match(rf"\s*{leaf.value}\s*=\s*(open|file)\(", str(statement)):
                _make_binary(statement.children[2])
    for node in tree.pre_order():  # with open(...) as f
        match = re.match(r"\s*open\(.*\)\s+as\s+(\w+)\s*$", str(node), re.DOTALL)
        if match and match[1] in files and node.children:
            _make_binary(node.children[0])


def _callee(node: Any) -> str:
    text = ""
    previous = node.prev_sibling
    while previous is not None:
        text = str(previous).strip() + text
        previous = previous.prev_sibling
    return text


def _make_binary(node: Any) -> None:
    """open(name), open(name, 'r') and 'w' below `node` as binary files."""
    for leaf in list(node.leaves()):
        if leaf.value not in ("open", "file") or leaf.next_sibling is None:
            continue
        leaf.value = "open"
        call = leaf.next_sibling
        modes = [x for x in call.leaves() if re.fullmatch(r"""['"][rwa]\+?['"]""", x.value)]
        if modes:
            modes[-1].value = modes[-1].value[:-1] + "b" + modes[-1].value[-1]
        elif len(_arguments(str(call).strip()[1:-1])) == 1:
            call.children[-1].value = ", 'rb')"


def _arguments(text: str) -> list[str]:
    """The arguments of a call, as text."""
    depth, parts = 0, [""]
    for c in text:
        depth += (c in "([{") - (c in ")]}")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return [p for p in parts if p.strip()]


def _subplots(tree: Any) -> None:
    """add_subplot(rows, columns, k): k = 0, which once meant the last cell, is an error in Matplotlib 3."""
    for node in tree.pre_order():
        if not is_call(node) or not re.search(r"(^|\.)(add_subplot|subplot)$", _callee(node)):
            continue
        arguments = node.children[1]
        if not hasattr(arguments, "children") or len(arguments.children) < 5:
            continue
        rows, columns, cell = (arguments.children[k] for k in (0, 2, 4))
        texts = [str(n).strip() for n in (rows, columns, cell)]
        if any("=" in text or text.startswith("*") for text in texts):
            continue
        if re.fullmatch(r"[1-9]\d*|.*\+\s*[1-9]\d*", texts[2], re.DOTALL):
            continue  # counts from 1
        from fissix.pytree import Leaf

        r, c, k = (t if re.fullmatch(r"[\w.]+", t) else f"({t})" for t in texts)
        cell.replace(Leaf(1, f"{k} or {r} * {c}", prefix=cell.prefix))

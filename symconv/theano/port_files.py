"""Files that Python 2 programs open as binary and read as text: there both were one type, str.

Such a file becomes a text file in Latin-1, whose characters are the bytes that Python 2 saw. np.fromstring,
which read numbers from such text, has lost that in NumPy 2 and becomes array_of_bytes.
"""

from __future__ import annotations

import re
from typing import Any

from symconv.theano.port_names import is_call

MODE = r"""['"](?:rb|br|rbU|rU|Ub)['"]"""
OPENED = re.compile(rf"(?:\w+\s*=\s*)?open\((?:[^()]|\([^()]*\))*,\s*(?:mode\s*=\s*)?{MODE}\s*\)")


def convert(tree: Any) -> bool:
    """Change a program's tree, one of fissix, in place; True if it now needs array_of_bytes."""
    from fissix.pygram import python_symbols as symbols

    for node in tree.pre_order():
        text = str(node).strip()
        if node.type == symbols.expr_stmt and len(node.children) == 3 and node.children[0].type == 1:
            scope = _enclosing(node, (symbols.funcdef, symbols.file_input))
            if OPENED.fullmatch(text) and _is_text(str(scope), node.children[0].value):
                _as_text(node)
        elif node.type in (symbols.with_stmt, symbols.async_stmt):
            for opened in node.children:
                match = re.fullmatch(rf"({OPENED.pattern})\s+as\s+(\w+)", str(opened).strip(), re.DOTALL)
                if match and _is_text(str(node), match[2]):
                    _as_text(opened)
    return _replace_fromstring(tree)


def _enclosing(node: Any, kinds: tuple[int, ...]) -> Any:
    while node.type not in kinds and node.parent is not None:
        node = node.parent
    return node


def _is_text(scope: str, name: str) -> bool:
    """True if the file is read line by line, and nothing in `scope` is known to want its bytes."""
    tables = rf"\bcsv\.(?:reader|DictReader)\(\s*{name}\b"
    scope = re.sub(tables, f"{name}.readlines(", scope)
    lines = re.search(rf"\bin\s+{name}\s*:|\b{name}\.(?:x?readlines?|next)\(|\bin\s+{name}\s*[\])]", scope)
    bare = re.search(rf"[(,=]\s*{name}\s*[,)]", scope)
    packed = re.search(rf"unpack\w*\([^\n]*\b{name}\.read|(?:loads|decompress)\(\s*{name}\.read", scope)
    return bool(lines) and not bare and not packed


def _as_text(node: Any) -> None:
    """open(name, 'rb') below `node` as open(name, 'r', encoding='latin1', newline='\\n')."""
    for leaf in node.leaves():
        if re.fullmatch(MODE, leaf.value):
            leaf.value = "'r', encoding='latin1', newline='\\n'"


def _replace_fromstring(tree: Any) -> bool:
    found = False
    for leaf in list(tree.leaves()):
        trailer = leaf.next_sibling
        if leaf.value not in ("np", "numpy") or trailer is None or str(trailer).strip() != ".fromstring":
            continue
        call = trailer.next_sibling
        if call is not None and is_call(call) and not re.search(r"\bsep\s*=", str(call)):
            leaf.value = "array_of_bytes"
            trailer.remove()
            found = True
    return found
